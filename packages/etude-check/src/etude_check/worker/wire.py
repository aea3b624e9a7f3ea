"""Messages between the checker and its worker: one JSON document per line, both ways.

JSON would lose tuples, dtypes and NumPy's numbers, so ``encode`` marks them. Nothing is ever
unpickled, because whoever writes the candidate may also write to the worker's end of the
connection.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from etude_check.errors import CheckError

LIMIT = 1 << 20  # bytes of one message from the worker; an honest one has a few hundred


def encode(value: Any) -> Any:
    """A value of an op call as JSON. CheckError for what no call can carry."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [encode(v) for v in value]}
    if isinstance(value, list):
        return [encode(v) for v in value]
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return {"scalar": [value.dtype.str, value.item()]}
    if isinstance(value, (bool, int, float, str)):
        return value
    raise CheckError(f"a call cannot carry {type(value).__name__} to the worker; it takes arrays, "
                     f"numbers, strings, None, dtypes, and tuples and lists of these")


def decode(value: Any) -> Any:
    """The value that ``encode`` was given."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if isinstance(value, dict):
        (kind, content), = value.items()
        if kind == "tuple":
            return tuple([decode(v) for v in content])
        if kind == "dtype":
            return np.dtype(content)
        return np.dtype(content[0]).type(content[1])
    return value


def pack(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> Any:
    """The document of one line. ValueError for anything that is not JSON."""
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
