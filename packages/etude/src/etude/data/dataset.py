"""Dataset: anything with a length and samples by number. TensorDataset: rows of Tensors."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from etude.core.errors import DeviceError, DTypeError, ShapeError
from etude.core.given import whole
from etude.core.shapes import int64
from etude.core.tensor import Tensor


class Dataset(Protocol):
    """What a DataLoader needs: ``len(dataset)``, and ``dataset[i]`` as a tuple of the fields of
    sample i, such as (image, label); a field is a Tensor, an array or a number.

    A dataset that can pick many samples at once may also have ``batch(indices)``, which returns
    a tuple of arrays, one for each field.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, ...]: ...


def position(dataset: Dataset, index: Any) -> int:
    """``index`` as a number from 0 to len(dataset) - 1; a negative one counts from the end.

    Raises DTypeError for what is no integer: a bool, a float, a slice. IndexError outside.
    """
    found, n = whole(index), len(dataset)
    if found is None:
        raise DTypeError(f"a {type(dataset).__name__} is asked for one sample by an integer, got "
                         f"{index!r}")
    if not -n <= found < n:
        raise IndexError(f"sample {found} of a {type(dataset).__name__} with {n}")
    return found % n


def positions(name: str, indices: Any, n: int) -> np.ndarray[Any, Any]:
    """``indices`` as int64 (m), each from 0 to n - 1. DTypeError for bools and floats, IndexError
    outside.
    """
    found = np.asarray(indices).reshape(-1)
    if not found.size:
        return found.astype(int64)  # of an empty list NumPy makes floats
    if found.dtype.kind not in "iu":
        hint = "; of a mask take np.flatnonzero(mask)" if found.dtype.kind == "b" else ""
        raise DTypeError(f"{name}: samples are picked by integers, got {found.dtype}{hint}")
    wrong = found[(found < 0) | (found >= n)]
    if wrong.size:
        raise IndexError(f"{name}: sample {wrong[0]} of a dataset with {n}")
    return found.astype(int64)


class TensorDataset:
    """Sample i is row i of each of the given Tensors, which lie in the host's memory.

    Raises ShapeError if their first dimensions differ, DeviceError for one on another device.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ShapeError("TensorDataset needs at least one tensor")
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(f"TensorDataset takes Tensors, got {type(t).__name__}; "
                                f"etude.tensor makes one, from_numpy makes one without a copy")
            if t.device != "cpu":
                raise DeviceError(f"TensorDataset keeps its data in the host's memory, got a "
                                  f"tensor on {t.device!r}; give the device to the DataLoader")
        if any(not t.shape or len(t) != len(tensors[0]) for t in tensors):
            given = ", ".join(str(list(t.shape)) for t in tensors)
            raise ShapeError(f"TensorDataset: all tensors need the same number of rows, got "
                             f"{given}")
        self.tensors = tensors
        self._rows = [t.detach().numpy() for t in tensors]

    def __len__(self) -> int:
        return len(self._rows[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        if type(index) is not int and not isinstance(index, slice) and np.ndim(index) == 0:
            index = position(self, index)  # NumPy would take True and None for a new axis
        return tuple([Tensor(np.asarray(rows[index])) for rows in self._rows])

    def batch(self, indices: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """The rows ``indices`` of each tensor, as arrays."""
        return tuple([rows[indices] for rows in self._rows])
