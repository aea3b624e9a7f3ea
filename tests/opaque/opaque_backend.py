"""A device whose memory cannot be reached: the test that the framework keeps its hands off.

A buffer is a number. The bytes behind it are in a dict of this file alone, so there is nothing
for NumPy to take hold of: only the ops, ``upload`` and ``download`` get at them. The ops are the
reference on the same strides, so results must equal those on "cpu" bit for bit.
"""

import itertools
from collections import Counter

import numpy as np

from etude import TABLE, Backend
from etude.core.array import DeviceArray
from etude.core.table import as_arrays

PAD = 3  # elements of rubbish before the data, so that forgetting the offset shows

_memory: dict[int, bytearray] = {}
_handles = itertools.count(1)


class Buffer:
    """A handle. It frees its memory when the last array over it is gone."""

    __slots__ = ("handle",)

    def __init__(self, content: bytes):
        self.handle = next(_handles)
        _memory[self.handle] = bytearray(content)

    def __del__(self):
        del _memory[self.handle]


def buffers_in_use():
    return len(_memory)


def _open(x, write=False):
    """The elements of a DeviceArray as a NumPy view: for this file only."""
    assert x.device == "opaque"
    size = x.dtype.itemsize
    view = np.ndarray(x.shape, x.dtype, _memory[x.buffer.handle], x.offset * size,
                      tuple(s * size for s in x.strides))
    view.flags.writeable = write
    return view


def _close(result):
    """A new DeviceArray with the values, and the order of axes in memory, of a NumPy array."""
    dense = np.array(result, order="K", copy=True)
    rubbish = b"\xa5" * (PAD * dense.itemsize)
    strides = tuple(s // dense.itemsize for s in dense.strides)
    content = rubbish + dense.tobytes(order="A" if dense.flags.f_contiguous else "C")
    if not (dense.flags.c_contiguous or dense.flags.f_contiguous):
        axes = np.argsort([-s for s in strides], kind="stable")
        content = rubbish + dense.transpose(axes).tobytes()
    return DeviceArray(Buffer(content), "opaque", dense.shape, dense.dtype, strides, PAD)


def _implement(op):
    def call(*arrays, out=None, **attrs):
        given = [_open(a) if isinstance(a, DeviceArray) else a for a in arrays]
        assert not any(isinstance(a, np.ndarray) for a in arrays), f"{op.name} got host memory"
        results = as_arrays(op.reference(*given, **attrs))
        if out is None:
            return (tuple(map(_close, results)) if isinstance(results, tuple)
                    else _close(results))
        pairs = zip(out, results, strict=True) if isinstance(out, tuple) else [(out, results)]
        for buffer, r in pairs:
            _open(buffer, write=True)[...] = r
        return out

    return call


def opaque_backend(without=()):
    """The backend, and a Counter of its transfers: "upload" and "download"."""
    traffic = Counter()

    def upload(x):
        assert isinstance(x, np.ndarray)
        traffic["upload"] += 1
        return _close(np.ascontiguousarray(x).reshape(x.shape))

    def download(x):
        assert x.is_contiguous()
        traffic["download"] += 1
        return _open(x).copy()

    ops = {name: _implement(op) for name, op in TABLE.items()
           if op.cls not in ("view", "create") and name not in without}
    return Backend("opaque", "opaque", ops, upload=upload, download=download), traffic
