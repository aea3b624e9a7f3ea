"""A .pt file: what ``torch.save`` writes since PyTorch 1.6, read without PyTorch.

The file is a zip archive whose entries are stored, not compressed::

    name/data.pkl     which tensors there are: a pickle, read as data by pickled.py
    name/byteorder    "little" (absent in files before 2.1, which are little)
    name/data/0       the numbers of storage 0, and so on

Every entry's size is known before it is read, and no array is larger than the entry it views, so
a small file cannot ask for much memory.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from etude.weights.pickled import RefusedError, Storage, View, unpickled

Array = np.ndarray[Any, Any]

#: Entries that tell the other kinds of archive that PyTorch writes.
OTHERS = {"constants.pkl": "a TorchScript program", "archive_format": "an exported program (.pt2)",
          "models/model.json": "an exported program (.pt2)"}
MOST = 16  # times the size of the file: what its tensors may take together
SAVE = "save its state_dict instead: torch.save(model.state_dict(), path)"


def read_pt(file: BinaryIO) -> Any:
    """What was saved: dicts, lists and numbers as they are, and arrays for tensors. A bfloat16
    array is one of uint16 in a ``BFloat16``.

    RefusedError for what is no dict of tensors, ValueError for damage.
    """
    length = file.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, length)
    except RefusedError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError,
            zipfile.LargeZipFile, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"no whole zip archive ({str(error) or 'an entry ends too early'})"
                         ) from None


class BFloat16(np.ndarray[Any, Any]):
    """The bits of bfloat16 numbers, as uint16: NumPy has no such dtype."""


def _read(archive: zipfile.ZipFile, length: int) -> Any:
    entries = {e.filename: e for e in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise ValueError("an entry of the archive comes twice")
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
    for entry, what in OTHERS.items():
        if any(name.partition("/")[2] == entry for name in entries):
            raise RefusedError(f"is {what}, with code in it; {SAVE}")
    if len(roots) != 1:
        raise ValueError(f"a zip archive with {len(roots) or 'no'} data.pkl, so it is none of "
                         f"torch.save's")
    root = roots[0]

    def content(name: str) -> bytes:
        entry = entries.get(root + name)
        if entry is None:
            raise ValueError(f"the archive has no entry {root + name!r}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise ValueError(f"the entry {root + name!r} is compressed or encrypted, and "
                             f"torch.save stores entries as they are")
        if entry.file_size > length or entry.compress_size != entry.file_size:
            raise ValueError(f"the entry {root + name!r} of {entry.file_size} bytes is larger than "
                             f"the file")
        return archive.read(entry)

    order = content("byteorder") if root + "byteorder" in entries else b"little"
    if order != b"little":
        raise RefusedError(f"was written on a machine of byte order {order[:20]!r}; load and save "
                           f"it there as safetensors, which has one order everywhere")
    return _Arrays(content, MOST * length).filled(unpickled(content("data.pkl")))


class _Arrays:
    """Makes the array of each View. Two names of one tensor get one array.

    ``most`` bytes in all: views of one storage could add up to any size, as could lists that hold
    one another many times.
    """

    def __init__(self, content: Callable[[str], bytes], most: int) -> None:
        self.content, self.left = content, most
        self.storages: dict[Storage, Array] = {}
        self.arrays: dict[View, Array] = {}

    def filled(self, value: Any, depth: int = 0) -> Any:
        """``value`` with an array in the place of each View."""
        self._spend(1)
        if depth > 20:
            raise ValueError("dicts in dicts, more than 20 deep")
        if isinstance(value, View):
            return self._array(value)
        if isinstance(value, dict):
            return {k: self.filled(v, depth + 1) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.filled(v, depth + 1) for v in value]
        return value

    def _array(self, view: View) -> Array:
        storage = view.storage
        if storage not in self.storages:
            self.storages[storage] = _numbers(storage, self.content(f"data/{storage.key}"))
        if view not in self.arrays:
            found = _viewed(view, self.storages[storage])
            self._spend(found.nbytes)
            self.arrays[view] = found
        return self.arrays[view]

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ValueError(f"its tensors are together more than {MOST} times as large as the "
                             f"file")


def _numbers(storage: Storage, data: bytes) -> Array:
    kind = np.dtype("<u2" if storage.dtype == "bfloat16" else storage.dtype)
    if len(data) < storage.count * kind.itemsize:
        raise ValueError(f"storage {storage.key!r} has {len(data)} bytes, and should have "
                         f"{storage.count} numbers of {kind.itemsize}")
    return np.frombuffer(data, kind, storage.count)


def _viewed(view: View, numbers: Array) -> Array:
    """The tensor, in C order and memory of its own."""
    if len(view.shape) != len(view.strides) or len(view.shape) > 32:
        raise ValueError(f"a tensor of shape {view.shape} with strides {view.strides}")
    count = 1
    for size in view.shape:
        count *= size
    last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
    if count > max(numbers.size, 1) or (count and last >= numbers.size):
        raise ValueError(f"a tensor of shape {list(view.shape)} has {count} numbers, and reaches "
                         f"beyond the {numbers.size} of its storage, or repeats them (then save "
                         f"its contiguous())")
    if max(view.shape, default=0) > np.iinfo(np.int64).max // 16:
        raise ValueError(f"a tensor of shape {list(view.shape)}")
    steps = [s * numbers.itemsize for s in view.strides]
    if not count:
        found = np.empty(_empty_shape(view.shape), numbers.dtype)
    else:
        found = np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, steps,
                                                writeable=False).copy("C")
    if view.storage.dtype == "bfloat16":
        return found.view(BFloat16)
    if view.storage.dtype == "|b1" and found.size and found.view(np.uint8).max() > 1:
        raise ValueError("a bool that is neither 0 nor 1")
    return found


def _empty_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without elements. NumPy refuses one whose other sizes multiply beyond memory."""
    if np.prod([float(n) for n in shape if n]) > 2.0**60:
        raise ValueError(f"a tensor of shape {list(shape)}")
    return shape
