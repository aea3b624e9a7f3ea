"""How far the output of a C file may lie from Etude's: proven, layer by layer, as numbers go.

Legend: u the unit roundoff, 2^-24 for float32; gamma_k = k u / (1 - k u), which bounds the relative
error of k roundings in any order (Higham 2002, Accuracy and Stability, section 3.1).

``Range`` follows, for each number between two layers, the least and the most that it can be where
every input lies in 0 .. 1, and how far Etude's value and that of the C file may lie from the exact
one. A sum of k terms is off by gamma_(k+1) sum |term| in Etude, whatever order BLAS takes, and in
the C file by one rounding, since it adds up in double.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WIDE = 2.0**-53  # the unit roundoff of double, in which the C file adds up


def gamma(k: int, u: float) -> float:
    return k * u / (1 - k * u)


@dataclass(frozen=True)
class Range:
    """What the numbers between two layers may be. All arrays have the shape of one sample."""

    low: Array
    high: Array
    etude: Array  # how far Etude's may be from the exact ones
    c: Array  # how far those of the C file
    u: float

    @classmethod
    def of_input(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Range:
        zero = np.zeros(shape)
        return cls(zero, zero + 1, zero, zero, float(np.finfo(dtype).eps) / 2)

    @property
    def size(self) -> Array:
        """The largest absolute values, errors included."""
        exact = np.maximum(np.abs(self.low), np.abs(self.high))
        return exact + np.maximum(self.etude, self.c)

    def shaped(self, of: Callable[[Array], Array]) -> Range:
        """After a layer that moves numbers, or takes the largest of some, and rounds nothing."""
        return Range(of(self.low), of(self.high), of(self.etude), of(self.c), self.u)

    def affine(self, product: Callable[[Array, Array], Array], weight: Array, bias: Array,
               terms: int) -> Range:
        """After y = ``product(x, weight)`` + bias, a sum of so many terms; bias as y has it."""
        plus, minus, most = np.maximum(weight, 0), np.minimum(weight, 0), np.abs(weight)
        low = product(self.low, plus) + product(self.high, minus) + bias
        high = product(self.high, plus) + product(self.low, minus) + bias
        terms_size = product(self.size, most) + np.abs(bias)
        rounding = self.u * terms_size + gamma(terms + 1, WIDE) * terms_size
        return Range(low, high,
                     product(self.etude, most) + gamma(terms + 1, self.u) * terms_size,
                     product(self.c, most) + rounding, self.u)

    def rising(self, of: Callable[[Array], Array], slope: float, roundings: int) -> Range:
        """After a function that never falls, rises at most by ``slope``, and is computed with
        ``roundings`` of relative error u each.
        """
        low, high = of(self.low), of(self.high)
        found = replace(self, low=low, high=high, etude=slope * self.etude, c=slope * self.c)
        more = gamma(roundings, self.u) * found.size
        return replace(found, etude=found.etude + more, c=found.c + more)

    def gate(self, least: float, slope: float, roundings: int) -> Range:
        """After x times a share between 0 and 1 that rises with x, never below ``least``."""
        more = gamma(roundings, self.u) * self.size
        return replace(self, low=np.maximum(np.minimum(self.low, 0), least),
                       high=np.maximum(self.high, 0), etude=slope * self.etude + more,
                       c=slope * self.c + more)

    def apart(self) -> float:
        """How far the two may lie apart."""
        return float((self.etude + self.c).max())
