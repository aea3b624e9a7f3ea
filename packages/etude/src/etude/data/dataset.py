"""Dataset: anything with a length and samples by number. TensorDataset: rows of Tensors."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from etude.core.errors import DeviceError, ShapeError
from etude.core.tensor import Tensor


class Dataset(Protocol):
    """What a DataLoader needs: ``len(dataset)``, and ``dataset[i]`` as a tuple of the fields of
    sample i, such as (image, label); a field is a Tensor, an array or a number.

    A dataset that can pick many samples at once may also have ``batch(indices)``, which returns
    a tuple of arrays, one for each field.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, ...]: ...


class TensorDataset:
    """Sample i is row i of each of the given Tensors, which lie in the host's memory.

    Raises ShapeError if their first dimensions differ, DeviceError for one on another device.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ShapeError("TensorDataset needs at least one tensor")
        for t in tensors:
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

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple([Tensor(np.asarray(rows[index])) for rows in self._rows])

    def batch(self, indices: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """The rows ``indices`` of each tensor, as arrays."""
        return tuple([rows[indices] for rows in self._rows])
