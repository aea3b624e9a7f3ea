"""A .pt file as ``torch.save(state_dict, path)`` writes it, written without PyTorch.

The archive is drawn in ``pt.py``. Its pickle is a short program: make an OrderedDict; for each
weight push its name, describe its storage, say which of the numbers make the tensor. Here it is,
instruction by instruction; ``python -m pickletools`` prints it.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from etude.weights.pickled import DICT, STORAGES, TENSOR

Array = np.ndarray[Any, Any]

ALIGNED = 64  # bytes; where numbers begin in the file, so that they can be mapped into memory
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # equal weights make equal files, whenever they are written


def pt_bytes(arrays: Mapping[str, Array]) -> bytes:
    """The file. Arrays of float32, float64, int64 and bool, in C order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        entries = {"data.pkl": _program(arrays), "byteorder": b"little"}
        entries |= {f"data/{i}": a.astype(a.dtype.newbyteorder("<")).tobytes()
                    for i, a in enumerate(arrays.values())}
        entries["version"] = b"3\n"
        for name, content in entries.items():
            entry = zipfile.ZipInfo(f"archive/{name}", LONG_AGO)
            before = file.tell() + 30 + len(entry.filename) + 4  # headers of the entry
            padding = -before % ALIGNED
            entry.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(entry, content)
    return file.getvalue()


def _program(arrays: Mapping[str, Array]) -> bytes:
    """The pickle, of protocol 2."""
    code = [pickle.PROTO + b"\2", _global(DICT), pickle.EMPTY_TUPLE, pickle.REDUCE, pickle.MARK]
    for i, (name, array) in enumerate(arrays.items()):
        kind = next(k for k, d in STORAGES.items()
                    if np.dtype("u2" if d == "bfloat16" else d) == array.dtype)
        code += [_text(name), _global(TENSOR), pickle.MARK,
                 pickle.MARK, _text("storage"), _global(f"torch.{kind}"), _text(str(i)),
                 _text("cpu"), _int(array.size), pickle.TUPLE, pickle.BINPERSID,
                 _int(0), _ints(array.shape), _ints(_strides(array.shape)), pickle.NEWFALSE,
                 _global(DICT), pickle.EMPTY_TUPLE, pickle.REDUCE,  # hooks of backward: none
                 pickle.TUPLE, pickle.REDUCE]
    return b"".join([*code, pickle.SETITEMS, pickle.STOP])


def _strides(shape: tuple[int, ...]) -> list[int]:
    """Of an array in C order, in elements."""
    found = [1]
    for size in shape[:0:-1]:
        found.append(found[-1] * max(size, 1))
    return found[::-1] if shape else []


def _global(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    if value < 1 << 31:
        return pickle.BININT + struct.pack("<i", value)
    return pickle.LONG1 + b"\x08" + struct.pack("<q", value)


def _ints(values: Any) -> bytes:
    return pickle.MARK + b"".join(map(_int, values)) + pickle.TUPLE
