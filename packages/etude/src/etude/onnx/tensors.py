"""The numbers of an ONNX file: a TensorProto as an array, once its sizes were believed.

A tensor says its shape, and holds or names its bytes. Both are looked at before any memory is
taken: a file of 100 bytes may say that a tensor has 4 GB. Bytes outside of the file lie in the
folder of the model, and nowhere else.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from etude.core.errors import FileError
from etude.onnx.table import Refused, shown

Array = np.ndarray[Any, Any]

#: ONNX's dtypes that are Etude's.
OURS: dict[int, Any] = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64,
                        TensorProto.INT64: np.int64, TensorProto.BOOL: np.bool_}
#: Integers that int64 holds. A result that leaves their range is refused where it comes up.
NARROW: dict[int, Any] = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8,
                          TensorProto.INT16: np.int16, TensorProto.UINT16: np.uint16,
                          TensorProto.INT32: np.int32}
#: Floats that float32 holds. They are stored so; nothing is computed in them.
STORED: dict[int, Any] = {TensorProto.FLOAT16: np.dtype(np.float16), TensorProto.BFLOAT16: None}

#: The field with the numbers of a tensor that has no ``raw_data``; of all others ``int32_data``.
_FIELDS: dict[int, str] = {TensorProto.FLOAT: "float_data", TensorProto.DOUBLE: "double_data",
                           TensorProto.INT64: "int64_data"}


def dtype_name(kind: int) -> str:
    """ONNX's name of a dtype, such as "FLOAT16"; its number, where onnx does not know it."""
    try:
        return str(TensorProto.DataType.Name(kind)).lower()
    except ValueError:
        return f"number {kind}"


def array_of(tensor: Any, what: str, folder: Path | None) -> Array:
    """The array of a TensorProto, in one of Etude's dtypes. ``what`` names it in messages.

    folder: where external data may lie; None where there may be none.
    """
    kind = tensor.data_type
    if kind not in OURS and kind not in NARROW and kind not in STORED:
        raise Refused(f"{what} is {dtype_name(kind)}; Etude has float32, float64, int64 and bool, "
                      f"and reads int8 to int32 and float16 into them")
    shape = tuple(tensor.dims)
    if any(n < 0 for n in shape):
        raise FileError(f"{what} has a negative size in its shape {list(shape)[:8]}")
    count = math.prod(shape)
    item = 2 if kind in STORED else np.dtype({**OURS, **NARROW}[kind]).itemsize
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raw = _external(tensor, what, folder, count * item)
        return _of_bytes(kind, raw, shape)
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != count * item:
            raise FileError(f"{what} of shape {list(shape)[:8]} has {len(tensor.raw_data)} bytes "
                            f"where {count * item} are needed; the file is damaged")
        return _of_bytes(kind, tensor.raw_data, shape)
    given = len(getattr(tensor, _FIELDS.get(kind, "int32_data")))
    if given != count:
        raise FileError(f"{what} of shape {list(shape)[:8]} has {given} numbers where {count} are "
                        f"needed; the file is damaged")
    try:
        return _ours(np.asarray(numpy_helper.to_array(tensor)))
    except (ValueError, OverflowError, TypeError) as error:
        raise FileError(f"{what} cannot be read: {error}") from None


def _of_bytes(kind: int, raw: bytes, shape: tuple[int, ...]) -> Array:
    if kind == TensorProto.BFLOAT16:  # the upper half of a float32
        halves = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
        return halves.view(np.float32).reshape(shape)
    stored = np.dtype({**OURS, **NARROW, **STORED}[kind]).newbyteorder("<")
    return _ours(np.frombuffer(raw, stored).reshape(shape))


def _ours(array: Array) -> Array:
    """A copy in the dtype of Etude that holds every value of it."""
    if array.dtype.kind == "b":
        return array.astype(np.bool_)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return array.astype(np.float64 if array.dtype == np.float64 else np.float32)


# ------------------------------------------------------------------ external data


def _external(tensor: Any, what: str, folder: Path | None, size: int) -> bytes:
    """The bytes of a tensor that lie in another file of the model's folder."""
    entries = {e.key: e.value for e in tensor.external_data}
    name = entries.get("location", "")
    if folder is None:
        raise FileError(f"{what} is kept outside of the file, which only an initialiser may be")
    path = _inside(folder, name, what)
    offset, length = _number(entries, "offset", 0, what), _number(entries, "length", size, what)
    if length != size:
        raise FileError(f"{what} has {length} bytes in {shown(name)} where {size} are needed")
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < offset + size:
                raise FileError(f"{what} ends {offset + size} bytes into {shown(name)}, which is "
                                f"shorter; is the file complete?")
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise FileError(f"{what} is kept in {shown(name)} beside the model, which cannot be read "
                        f"({error.strerror}). Move both files together") from None


def _inside(folder: Path, name: str, what: str) -> Path:
    """The path of external data; refused unless it is a plain file within the model's folder."""
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name or name[0] in "/\\" or ".." in parts or ":" in parts[0]:
        raise FileError(f"{what} is kept in {shown(name)}, which is no path within the folder of "
                        f"the model; it was not opened")
    try:
        real, home = (folder / name).resolve(), folder.resolve()
        outside = not real.is_relative_to(home) or (real.exists() and not real.is_file())
    except (OSError, ValueError, RuntimeError):
        outside = True
    if outside:
        raise FileError(f"{what} is kept in {shown(name)}, which leads out of the folder of the "
                        f"model or is no plain file; it was not opened")
    return real


def _number(entries: dict[str, str], key: str, default: int, what: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise FileError(f"{what}: the {key} of its external data is {shown(text)}, no number")
    return int(text)
