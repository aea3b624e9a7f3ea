"""The question that a case puts: the arrays a candidate got, and what the float64 oracle answers.

The error models (``models.py``) say how far an answer may be from the oracle; ``noise.py`` runs the
same reference as other honest kernels would round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from etude.core.table import Op, as_arrays

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Question:
    """One call as the judge sees it: the arrays the candidate got, and what the oracle says."""

    op: Op
    arrays: tuple[Any, ...]  # as given to the candidate
    attrs: dict[str, Any]  # prepared
    seed: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the first float array; without one, that of the first array; without any
        array, the attribute ``dtype``. Arrays of a fixed dtype, such as an index, do not count.
        """
        given = [a.dtype for n, a in zip(self._names(), self.arrays) if isinstance(a, np.ndarray)
                 and n not in self.op.fixed]
        if not given:
            dtype: np.dtype[Any] = np.dtype(self.attrs.get("dtype", "float32"))
        else:
            dtype = next((d for d in given if d.kind == "f"), given[0])
        return dtype

    def _names(self) -> Sequence[str]:
        return self.op.arrays * len(self.arrays) if self.op.variadic else self.op.arrays

    @property
    def u(self) -> float:
        """Unit roundoff. Doubled for float64, where the oracle is no more precise than the
        kernel.
        """
        return 2.0**-24 if self.dtype == np.float32 else 2.0**-52

    @property
    def tiny(self) -> float:
        return 2.0**-149 if self.dtype == np.float32 else 2.0**-1074

    @property
    def meant(self) -> dict[str, Any]:
        """The attributes as a float64 run must be given them: an eps of None means that of the
        candidate's dtype, which is not that of the run.
        """
        if {**self.op.attrs, **self.attrs}.get("eps", 0) is not None:
            return self.attrs
        return {**self.attrs, "eps": float(np.finfo(self.dtype).eps)}

    def run(self, change: Callable[[Array], Array] = lambda a: a) -> tuple[Array, ...]:
        """The reference in float64. ``change`` is applied to the float arrays, others are as
        given.
        """
        with np.errstate(all="ignore"):
            arrays = [change(a.astype(np.float64)) if isinstance(a, np.ndarray)
                      and a.dtype.kind == "f" else a for a in self.arrays]
            result = as_arrays(self.op.reference(*arrays, **self.meant))
        return result if isinstance(result, tuple) else (result,)

    @cached_property
    def oracle(self) -> tuple[Array, ...]:
        return self.run()

    @cached_property
    def same_dtype(self) -> tuple[Array, ...]:
        """The reference at the candidate's own dtype, which decides what may overflow on the
        way.
        """
        with np.errstate(all="ignore"):
            result = as_arrays(self.op.reference(*self.arrays, **self.attrs))
        return result if isinstance(result, tuple) else (result,)
