"""Every op of a device column against the reference, as a program: ``python device_cases.py
COLUMN [layouts] [OP ...]`` prints each op that is wrong, and last how many it asked.

A test runs it where the host must not touch device memory (LAB_NO_TOUCH=1); it can be run on a card
by hand.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "cpu"))

from cpu_cases import agree, calls

from etude.backends.plugins import registry
from etude.core.array import DeviceArray
from etude.core.table import TABLE


class There:
    """A column as NumPy code calls one: arrays go to its device with their strides, and back."""

    def __init__(self, column):
        self.column = column

    def call(self, name, *arrays, out=None, **attrs):
        given = [self.put(a) if isinstance(a, np.ndarray) else a for a in arrays]
        if out is not None:
            attrs["out"] = tuple(self.put(o) for o in out) if isinstance(out, tuple) else \
                self.put(out)
        result = self.column.ops[name](*given, **attrs)
        assert out is None or result is attrs["out"], f"{name} does not return out"
        return tuple(map(self.get, result)) if isinstance(result, tuple) else self.get(result)

    def put(self, a):
        """Gaps of a strided array are NaN on the device, or what else no kernel should read."""
        low, high = np.lib.array_utils.byte_bounds(a) if a.size else (0, 0)
        extent = np.full(max((high - low) // a.itemsize, 1), 0xFF, np.uint8).repeat(
            a.itemsize).view(a.dtype)
        start = a.__array_interface__["data"][0] - low if a.size else 0
        np.ndarray(a.shape, a.dtype, extent.data, start, a.strides)[...] = a
        flat = self.column.upload(extent)
        return flat.view(a.shape, tuple(s // a.itemsize for s in a.strides), start // a.itemsize)

    def get(self, a):
        assert isinstance(a, DeviceArray)
        return self.column.download(a)


def transposed(a):
    return np.ascontiguousarray(a.T).T


def sliced(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 3), a.dtype)
    wide[..., 3::2] = a
    return wide[..., 3::2]


def reversed_(a):
    return np.ascontiguousarray(a[::-1])[::-1]


def forms(arrays, layouts):
    """The operands as they are, then each in turn laid out otherwise."""
    yield arrays
    for i, a in enumerate(arrays):
        if layouts and isinstance(a, np.ndarray) and a.ndim:
            for layout in (transposed, sliced, reversed_):
                yield [*arrays[:i], layout(a), *arrays[i + 1:]]


def main(column, *words):
    layouts, only = "layouts" in words, set(words) - {"layouts"}
    there, wrong, asked = There(registry().load(column)), {}, 0
    for name, arrays, attrs in calls("float32"):
        if only and name not in only:
            continue
        try:
            want = TABLE[name](*arrays, **attrs)
            single = not isinstance(want, tuple)
            wants = (want,) if single else want
            for given in forms(arrays, layouts):
                asked += 1
                got = there.call(name, *given, **attrs)
                for g, w in zip((got,) if single else got, wants, strict=True):
                    agree(name, g, w, terms=4000)
            out = tuple(np.full(w.shape, 9, w.dtype) for w in wants)
            got = there.call(name, *arrays, out=out[0] if single else out, **attrs)
            for g, w in zip((got,) if single else got, wants, strict=True):
                agree(f"{name} into out", g, w, terms=4000)
        except Exception as error:
            wrong.setdefault(name, f"{type(error).__name__}: {error}")
    for name, why in wrong.items():
        print(f"{name}: {' '.join(why.split())[:300]}")
    print(f"{asked} calls, {len(wrong)} ops wrong")


if __name__ == "__main__":
    main(*sys.argv[1:])
