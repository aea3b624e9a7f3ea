"""Error models: how far from the float64 oracle an honest float32 kernel may be, elementwise.

Each model gives two bounds for every element: ``allowed``, and ``certain``, beyond which no order
of summation and no choice of formula explains the error. In the formulas u is 2^-24 for float32; S
is the sum of the magnitudes that were added up, and n their number. For float64 u is 2^-52, twice
the unit roundoff, because the oracle computes in float64 too and errs as much as the kernel.
Sources: Higham, Accuracy and Stability of Numerical
Algorithms (2002), sections 3.1 and 4.2, for dot products and sums; Higham and Mary (SIAM J. Sci.
Comput. 41, 2019) for sqrt(n); Blanchard, Higham and Higham (IMA J. Numer. Anal. 41, 2021) for
softmax. docs/bounds.md derives the models one by one and shows how near honest kernels come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from etude_check.bounds import noise
from etude_check.bounds.question import Question

Array = np.ndarray[Any, Any]
DRAWS = 8  # of the ensemble
MANY = 10_000  # outputs with more elements need twice as many draws: see docs/bounds.md


class Bounds(NamedTuple):
    """For one output, broadcast to its shape."""

    allowed: Array
    certain: Array


class Model:
    """An error model. ``bound(question, i)`` gives the Bounds of output ``i``."""

    exact = False  # bitwise, against the reference at the same dtype
    sums = False  # adds many terms, so that integers test it exactly
    independent = False  # and no output is part of another's sum: the bias test applies

    def bound(self, q: Question, i: int) -> Bounds:
        raise NotImplementedError


@dataclass(frozen=True)
class Exact(Model):
    """Model 0 and 1: the same bits as the reference at the candidate's dtype, up to the sign of
    zero and the payload of a NaN. For copies, comparisons, integers, and for add, sub, mul, div
    and sqrt, which IEEE 754 rounds correctly.
    """

    exact = True

    def bound(self, q: Question, i: int) -> Bounds:
        zero = np.zeros(q.same_dtype[i].shape)
        return Bounds(zero, zero)


@dataclass(frozen=True)
class Elementary(Model):
    """Model 2: |y - r| <= k ulp(r) + the smallest subnormal; 64 k ulp is certain."""

    k: float = 2.0

    def bound(self, q: Question, i: int) -> Bounds:
        ulp = 2 * q.u * _power_of_two(np.abs(q.oracle[i]))
        return Bounds(self.k * ulp + q.tiny, 64 * self.k * ulp + 64 * q.tiny)


@dataclass(frozen=True)
class Accumulate(Model):
    """Model 3: |y - r| <= u (min(n, 8 sqrt n) S + 2 |r|), certain beyond n u S / (1 - n u).

    Each of the n products may lie among the subnormal numbers, and err by 2^-150 there.

    The op must be linear in each of its float arrays, with weights that are never negative: then
    the op gives S when it is run on magnitudes, and n when it is run on ones. For an op that
    averages, ``terms(arrays, attrs)`` gives n. ``independent`` says that no output is part of
    another's sum, so that the bias test may count each of them.
    """

    terms: Callable[..., Any] | None = None
    independent: bool = True
    sums = True

    def bound(self, q: Question, i: int) -> Bounds:
        size = np.abs(q.run(np.abs)[i])  # a divisor may be negative
        n = self.count(q, i)
        few = np.minimum(n, 8 * np.sqrt(n))
        r = np.abs(q.oracle[i])
        size, r = (np.where(np.isfinite(r), a, 0) for a in (size, r))  # infinity has no neighbours
        # The last rounding errs by u of the result, and a division by n by as much again.
        last = 2 * q.u * r + q.tiny
        nu = np.minimum(n * q.u, 0.5)
        below = n * q.tiny / 2  # products among the subnormal numbers
        return Bounds(q.u * few * size + last + below, nu / (1 - nu) * size + last + below)

    def count(self, q: Question, i: int) -> Array:
        if self.terms is not None:
            return np.asarray(self.terms(q.arrays, {**q.op.attrs, **q.attrs}), np.float64)
        return q.run(np.ones_like)[i]


@dataclass(frozen=True)
class Softmax(Model):
    """Model 4, with d = |x - max x| and p the probabilities of the row:
    |y - r| <= u r (d + sum p d + 8 + min(n, 8 sqrt n) + 3) + 2^-147.
    """

    def bound(self, q: Question, i: int) -> Bounds:
        x, dim = q.arrays[0].astype(np.float64), q.attrs.get("dim", -1)
        r = q.oracle[i]
        with np.errstate(all="ignore"):
            d = np.abs(x - x.max(dim, keepdims=True, initial=-np.inf))
            away = np.nansum(np.where(r > 0, r * d, 0), dim, keepdims=True)
        d = np.where(np.isfinite(d), d, 0)
        n = x.shape[dim]
        allowed = q.u * r * (d + away + 8 + min(n, 8 * n**0.5) + 3) + 4 * q.tiny
        return Bounds(allowed, 64 * allowed)


@dataclass(frozen=True)
class LayerNorm(Model):
    """Model 5, of a norm over the last axes, with s = sqrt(var + eps), A = min(n, 8 sqrt n) and
    D = u (A + 1) mean|x| / s:  |y - r| <= D + u |r| ((A + 4) / 2 + 5) + |r| D^2 / 2 + 2^-149
    before the affine map, through which the bound is carried: |weight| times it, plus its own
    rounding.
    """

    def bound(self, q: Question, i: int) -> Bounds:
        x, weight, bias = (*(None if a is None else np.asarray(a, np.float64) for a in q.arrays),
                           None, None)[:3]
        assert x is not None
        last = tuple(range(x.ndim - len(q.attrs["normalized_shape"]), x.ndim))
        n = int(np.prod([x.shape[d] for d in last]))
        eps = {**q.op.attrs, **q.attrs}["eps"]
        s = np.sqrt(x.var(last, keepdims=True) + eps)
        r = (x - x.mean(last, keepdims=True)) / s
        a = min(n, 8 * n**0.5)
        d = q.u * (a + 1) * np.abs(x).mean(last, keepdims=True) / s
        allowed = d + q.u * np.abs(r) * ((a + 4) / 2 + 5) + np.abs(r) * d**2 / 2 + q.tiny
        if weight is not None:
            allowed = allowed * np.abs(weight) + q.u * np.abs(r * weight)
        if bias is not None:
            allowed = allowed + q.u * (np.abs(q.oracle[i]) + np.abs(bias))
        return Bounds(allowed, 64 * allowed)


@dataclass(frozen=True)
class Ensemble(Model):
    """Model 6, for every other composite: 4 times the largest error among a few honest variants.

    A variant is the reference itself, on inputs changed by a relative u, with every rounding drawn
    at random and every sum rounded as some order of summation would (``noise.py``). Two things may
    be allowed on top: ``floor`` is a relative error in units of u, and ``more(question, i)`` is
    what another honest formula errs besides.
    """

    floor: float = 4.0
    factor: float = 4.0
    more: Callable[[Question, int], Any] | None = None

    def bound(self, q: Question, i: int) -> Bounds:
        spread = _spread(q)[i]
        r = np.abs(q.oracle[i])
        r = np.where(np.isfinite(r), r, 0)
        allowed = self.factor * spread + self.floor * q.u * r + 8 * q.tiny
        more = 0.0 if self.more is None else np.nan_to_num(self.more(q, i))
        return Bounds(allowed + more, 16 * allowed + more)


def updating(q: Question, dims: tuple[int, ...], keepdim: bool = False) -> Array:
    """How far a variance over ``dims`` of the first array may be off if it is updated element by
    element, as Welford's formula does: 4 u mean|x| sqrt(var), which is u times the condition number
    (Chan, Golub and LeVeque, The American Statistician 37, 1983). One pass over the squares would
    err by u mean^2, which is more than this allows.
    """
    x = q.arrays[0].astype(np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(4 * q.u * np.abs(x).mean(dims, keepdims=keepdim) * x.std(
            dims, keepdims=keepdim))


def _spread(q: Question) -> tuple[Array, ...]:
    """Largest |variant - oracle| over the ensemble, for every output."""
    key = "_spread"  # one ensemble serves all outputs of a question
    if key not in q.__dict__:
        rng = np.random.default_rng(q.seed)
        worst = [np.zeros(r.shape) for r in q.oracle]
        many = max(r.size for r in q.oracle) > MANY
        with np.errstate(all="ignore"):
            for _ in range(2 * DRAWS if many else DRAWS):
                for i, y in enumerate(noise.variant(q, rng)):
                    off = np.abs(np.asarray(y, np.float64) - q.oracle[i])
                    worst[i] = np.fmax(worst[i], np.where(np.isfinite(off), off, 0))
        q.__dict__[key] = tuple(worst)
    return q.__dict__[key]  # type: ignore[no-any-return]


def _power_of_two(x: Array) -> Array:
    """The largest power of two that is not above x; 0 for 0, NaN and infinity."""
    with np.errstate(all="ignore"):
        fraction, exponent = np.frexp(np.where(np.isfinite(x), x, 0))
        return np.where(fraction > 0, np.ldexp(1.0, exponent - 1), 0.0)
