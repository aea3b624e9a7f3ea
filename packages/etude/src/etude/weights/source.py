"""Where weights come from: a dict of tensors, a .pt file or a .safetensors file -> NumPy arrays.

What a file is, its first bytes tell, not its name. Numbers keep their values: float16 and bfloat16
become float32 and small integers int64, in which each of them is exact. What Etude has no exact
place for is refused by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.shapes import DTYPES
from etude.core.tensor import Tensor
from etude.train.checkpoint import CheckpointError, DamagedError, header_of, safetensors_module
from etude.weights.pickled import RefusedError
from etude.weights.pt import BFloat16, read_pt

Array = np.ndarray[Any, Any]
PathLike = str | os.PathLike[str]

#: The first bytes of a file of PyTorch before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
#: How safetensors calls a dtype, and how NumPy does.
DTYPE_NAMES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
               "I16": "<i2", "I8": "|i1", "U8": "|u1", "U16": "<u2", "U32": "<u4", "BOOL": "|b1"}
HALVES = ("float16", "bfloat16")


def arrays_of(source: Any, part: str | None, widen: bool) -> tuple[str, dict[str, Array]]:
    """(how to call the source in an error, its arrays by name), in dtypes that Etude has."""
    if isinstance(source, Mapping):
        where, found = "the state_dict", source
    elif isinstance(source, (str, os.PathLike)):
        where, found = os.fspath(source), _file(Path(source))
    else:
        hint = ". Give its state_dict()" if hasattr(source, "state_dict") else ""
        raise TypeError(f"load_torch: a source is a state_dict, or the path of a .pt or "
                        f".safetensors file, got {type(source).__name__}{hint}")
    found = _part(where, found, part)
    return where, {name: _ours(where, name, value, widen) for name, value in found.items()}


def _file(path: Path) -> Any:
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder; give the path of the file in it, such as "
                              f"model.safetensors or pytorch_model.bin")
    with open(path, "rb") as file:
        start = file.read(len(LEGACY))
        file.seek(0)
        if start[4:9] == b"\0\0\0\0{":  # the upper half of a header's length, and the header
            return _from_safetensors(path, file.read())
        if start[:4] == b"PK\3\4":
            return _pt(path, file)
        if start[:1] == b"\x80":
            kind = "before PyTorch 1.6" if start == LEGACY else "by pickle itself"
            raise CheckpointError(f"{path}: was written {kind}, and reading that form means "
                                  f"running what is in it. Load it with PyTorch, if you trust it, "
                                  f"and write it again: torch.save(state_dict, path)")
        if start[:1] == b"{":
            raise CheckpointError(f"{path}: is JSON. If it is the index of several files, load "
                                  f"each of them, and give load_torch the joined dicts")
        return _from_safetensors(path, file.read())


def _pt(path: Path, file: Any) -> Any:
    try:
        return read_pt(file)
    except RefusedError as error:
        raise CheckpointError(f"{path}: {error}; a state_dict has no need of that. Nothing in the "
                              f"file was run, and nothing was loaded. If it holds a whole model, "
                              f"save the state_dict instead: torch.save(model.state_dict(), path)"
                              ) from None
    except ValueError as error:
        raise DamagedError(f"{path}: damaged, cut short, or no file of torch.save: {error}. Use "
                           f"another copy; nothing was loaded") from None


def _from_safetensors(path: Path, data: bytes) -> dict[str, Array]:
    safetensors = safetensors_module()
    try:
        found = dict(safetensors.deserialize(data))  # in a new order each time
        order = [n for n in header_of(data) if n != "__metadata__"]  # each name once, or an error
    except (safetensors.SafetensorError, ValueError, OverflowError, RecursionError) as error:
        begins = f"it begins with {data[:24]!r}" if data else "it is empty"
        raise DamagedError(f"{path}: damaged, cut short, or neither a .pt nor a .safetensors file "
                           f"({begins}; {error}). Use another copy; nothing was loaded") from None
    arrays = {}
    for name in order:
        spec = found[name]
        if spec["dtype"] not in DTYPE_NAMES:
            raise CheckpointError(f"{path}: {name} is {spec['dtype']}, for which Etude has no "
                                  f"exact place. Convert it to float32 with the program that "
                                  f"wrote it; nothing was loaded")
        flat = np.frombuffer(spec["data"], DTYPE_NAMES[spec["dtype"]])
        if spec["dtype"] == "BF16":
            flat = flat.view(BFloat16)
        try:
            arrays[name] = flat.reshape(spec["shape"])
        except (ValueError, OverflowError) as error:  # an empty one, with a size beyond all memory
            raise DamagedError(f"{path}: {name} has the shape {spec['shape']} ({error}); nothing "
                               f"was loaded") from None
    return arrays


# ------------------------------------------------------------------ which of it are the weights


def _part(where: str, found: Any, part: str | None) -> Mapping[str, Any]:
    """The dict of tensors, which may be one entry of what was saved."""
    if part is not None:
        if not isinstance(found, Mapping) or part not in found:
            raise CheckpointError(f"{where}: has no part {part!r}. It holds {_contents(found)}")
        found = found[part]
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{where}: holds {_contents(found)}, and no dict of tensors")
    inner = [k for k, v in found.items() if _is_state(v)]
    if inner:
        raise CheckpointError(f"{where}: holds {_contents(found)}. Say which are the weights: "
                              f"load_torch(..., part={inner[0]!r})")
    for name in found:
        if not isinstance(name, str):
            raise CheckpointError(f"{where}: has the key {str(name)[:40]!r}, and the names of a "
                                  f"state_dict are text")
    return found


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and any(map(_is_tensor, value.values()))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (np.ndarray, Tensor)) or hasattr(value, "__dlpack__")


def _contents(found: Any) -> str:
    """What a file holds, for an error."""
    if not isinstance(found, Mapping):
        return f"a {type(found).__name__}"
    parts = []
    for key, value in list(found.items())[:8]:
        what = "a tensor" if _is_tensor(value) else type(value).__name__
        if _is_state(value):
            what = f"a dict of {len(value)} entries with tensors"
        parts.append(f"{str(key)[:40]} ({what})")
    more = ", ..." if len(found) > 8 else ""
    return f"a dict of {len(found)}: {', '.join(parts)}{more}" if parts else "an empty dict"


# ------------------------------------------------------------------ in dtypes that Etude has


def _ours(where: str, name: str, value: Any, widen: bool) -> Array:
    """The values of one tensor in a new array of float32, float64, int64 or bool."""
    array, kind = _array(where, name, value)
    if kind in HALVES and not widen:
        raise CheckpointError(f"{where}: {name} is {kind}, and widen=False refuses that; with "
                              f"widen=True it becomes float32, with the same values")
    if isinstance(value, BFloat16):  # the upper half of a float32
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    to: Any = array.dtype.newbyteorder("=")
    if kind in HALVES:
        to = np.float32
    elif array.dtype.kind in "iu" and array.dtype != np.uint64:
        to = np.int64
    if to not in DTYPES:
        raise CheckpointError(f"{where}: {name} is {kind}, for which Etude has no exact place. "
                              f"Convert it first, to float32 for instance")
    return np.array(array, to, order="C")


def _array(where: str, name: str, value: Any) -> tuple[Array, str]:
    """(array, name of the dtype)."""
    if isinstance(value, BFloat16):
        return value.view(np.ndarray), "bfloat16"
    if isinstance(value, Tensor):
        value = value.detach().to("cpu").numpy()
    if not isinstance(value, (np.ndarray, np.generic)):
        return _borrowed(where, name, value)
    array = np.asarray(value)
    return array, array.dtype.name


def _borrowed(where: str, name: str, value: Any) -> tuple[Array, str]:
    """The memory of a tensor of another library. PyTorch lends neither what has a gradient nor
    bfloat16, which NumPy lacks; its own float() widens that.
    """
    if not hasattr(value, "__dlpack__"):
        raise CheckpointError(f"{where}: {name} is a {type(value).__module__}."
                              f"{type(value).__name__}, and no tensor. A state_dict holds "
                              f"tensors alone; take out what is not")
    kind = str(getattr(value, "dtype", "unknown")).removeprefix("torch.")
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        if kind == "bfloat16":
            return (value.float().numpy() if hasattr(value, "float") else np.asarray(value)), kind
        return np.from_dlpack(value), kind
    except Exception as error:  # each library has its own
        raise CheckpointError(f"{where}: {name}, of dtype {kind}, does not lend its memory "
                              f"({error}). Give a dense tensor of numbers") from None
