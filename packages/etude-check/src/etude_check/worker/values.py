"""Plain values as JSON and back, exactly: what a driven function is given, and what it returns.

Plain are None, bools, whole numbers, floats, strings, lists, tuples, dicts of these, NumPy's
numbers and its arrays of numbers and bools. Nothing else passes, and no subclass of these does: an
answer cannot smuggle in an object whose methods run later. ``wire.py`` has the attributes of op
calls, where arrays do not go through the message at all.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

import numpy as np

DEPTH = 32  # lists in lists
SIZE = 8 << 20  # bytes of all arrays and strings together
KINDS = "biuf"  # of arrays: bool, whole numbers, floats
DTYPE = re.compile(r"[<|][biuf]\d{1,2}")  # NumPy reads much more than that as one
KEYS = (str, int, bool)


def to_plain(value: Any) -> Any:
    """A value as JSON. ValueError for what is not plain, or too large."""
    return _Writer().write(value, 0)


class _Writer:
    def __init__(self) -> None:
        self.left = SIZE

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ValueError(f"the values are larger than {SIZE >> 20} MiB together")

    def write(self, value: Any, depth: int) -> Any:
        if depth > DEPTH:
            raise ValueError(f"values are nested more than {DEPTH} deep")
        kind = type(value)
        self.spend(8)
        if value is None or kind is bool:
            return value
        if kind is int:
            self.spend(value.bit_length() // 8)
            return value if abs(value) < 1 << 53 else {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is str:
            self.spend(len(value))
            value.encode()  # ValueError for half a character
            return value
        if kind is list:
            return [self.write(v, depth + 1) for v in value]
        if kind is tuple:
            return {"tuple": [self.write(v, depth + 1) for v in value]}
        if kind is dict:
            for key in value:
                if type(key) not in KEYS:
                    raise ValueError(f"a dict whose keys are {type(key).__name__} cannot be sent")
            return {"dict": [[self.write(k, depth + 1), self.write(v, depth + 1)]
                             for k, v in value.items()]}
        if kind is np.ndarray and value.dtype.kind in KINDS:
            self.spend(value.nbytes)
            return {"array": [value.dtype.newbyteorder("<").str, list(value.shape), _bytes(value)]}
        if isinstance(value, np.generic) and kind is value.dtype.type and value.dtype.kind in KINDS:
            return {"number": [value.dtype.newbyteorder("<").str, _bytes(np.asarray(value))]}
        what = f"an array of {value.dtype}" if kind is np.ndarray else _a(kind.__name__)
        raise ValueError(f"{what} cannot be sent; plain values can: numbers, strings, None, "
                         f"lists, tuples, dicts, and NumPy arrays of numbers")


def _bytes(array: np.ndarray[Any, Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(little.tobytes()).decode()


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def from_plain(document: Any) -> Any:
    """The value that ``to_plain`` was given. ValueError for any other document: whoever writes the
    answer may have written it.
    """
    return _read(document, 0)


def _read(document: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError(f"values are nested more than {DEPTH} deep")
    if type(document) is str:
        document.encode()  # ValueError for half a character, which no report could be written with
        return document
    if document is None or type(document) in (bool, int, float):
        return document
    if type(document) is list:
        return [_read(v, depth + 1) for v in document]
    if type(document) is not dict or len(document) != 1:
        raise ValueError("not a plain value")
    (mark, content), = document.items()
    if mark == "int" and type(content) is str:
        return int(content, 16)
    if mark == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if mark == "tuple" and type(content) is list:
        return tuple([_read(v, depth + 1) for v in content])
    if mark == "dict" and type(content) is list:
        return dict(_pair(item, depth) for item in content)
    if mark == "number" and type(content) is list and len(content) == 2:
        return _array(content[0], [], content[1])[()]
    if mark == "array" and type(content) is list and len(content) == 3:
        return _array(*content)
    raise ValueError("not a plain value")


def _pair(item: Any, depth: int) -> tuple[Any, Any]:
    if type(item) is not list or len(item) != 2:
        raise ValueError("not a plain value")
    key = _read(item[0], depth + 1)
    if type(key) not in KEYS:
        raise ValueError("not a plain value")
    return key, _read(item[1], depth + 1)


def _array(dtype: Any, shape: Any, text: Any) -> np.ndarray[Any, Any]:
    if type(dtype) is not str or not DTYPE.fullmatch(dtype) or type(text) is not str \
            or type(shape) is not list or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("not a plain array")
    try:
        kind = np.dtype(dtype)
        data = base64.b64decode(text, validate=True)
    except (TypeError, binascii.Error):
        raise ValueError("not a plain array") from None
    if kind.kind not in KINDS or len(data) > SIZE or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError("not a plain array")
    return np.frombuffer(data, kind).reshape(shape).astype(kind.newbyteorder("="))
