"""Noisy arrays: NumPy arrays on which a reference runs as some other honest kernel would round.

``variant`` runs an op's reference in float64 on arrays that err on purpose. Every operation is off
by a random relative amount of up to u. A result among the subnormal numbers is off by up to half
the gap between them. A sum of n terms is off by up to u min(n, 2 sqrt n) sum|x|, as one order of
summation or another would be. This is Monte Carlo arithmetic (Parker, 1997) with each sum treated
as a whole. Nothing here knows an op: whatever the reference calls is what errs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.table import as_arrays

if TYPE_CHECKING:
    from etude_check.bounds.question import Question

Array = np.ndarray[Any, Any]

#: Functions whose result is exact, or is one of their operands.
EXACT = {np.negative, np.positive, np.absolute, np.fabs, np.sign, np.maximum, np.minimum, np.fmax,
         np.fmin, np.floor, np.ceil, np.rint, np.trunc, np.copysign, np.ldexp, np.conjugate}
#: Elementary functions, which a good libm gets right to an ulp or two.
LOOSE = {np.exp, np.exp2, np.log, np.log1p, np.expm1, np.sin, np.cos, np.tanh, np.power, np.log2}
DOTS = {np.dot, np.tensordot, np.einsum, np.inner, np.vdot}


class Noise:
    """Draws the random errors. ``u`` is their size, ``tiny`` the smallest subnormal number."""

    def __init__(self, rng: np.random.Generator, u: float, tiny: float) -> None:
        self.rng, self.u, self.tiny = rng, u, tiny
        self.normal = tiny / u  # below it the gap between numbers is ``tiny``

    def relative(self, y: Any, scale: float = 1.0) -> Array:
        y = np.asarray(y)
        off = np.asarray(y * (1 + scale * self.u * self.rng.uniform(-1, 1, y.shape)))
        small = (np.abs(y) < self.normal) & (y != 0)
        if small.any():
            off = off + scale * self.tiny * self.rng.uniform(-0.5, 0.5, y.shape) * small
        return np.asarray(off)

    def absolute(self, y: Any, size: Any) -> Array:
        """``y`` off by up to u ``size``, and rounded."""
        y = np.asarray(y)
        return self.relative(y + self.u * size * self.rng.uniform(-1, 1, y.shape))


def terms(n: Any) -> Any:
    """The error of a sum of n terms in units of u sum|x|. Four times this, which is what the
    Ensemble model allows, is about the min(n, 8 sqrt n) that Accumulate allows.
    """
    return np.minimum(n, 2 * np.sqrt(n))


class Noisy(np.ndarray[Any, Any]):
    """A float64 array that passes its Noise on to what is computed from it."""

    noise: Noise | None = None

    def __array_finalize__(self, obj: Any) -> None:
        self.noise = getattr(obj, "noise", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None,
                        **kwargs: Any) -> Any:
        noise = next(n for n in (getattr(a, "noise", None) for a in (*inputs, *(out or ()))) if n)
        plain = [_plain(a) for a in inputs]
        if method == "at":
            return _add_at(noise, ufunc, plain)
        if out is not None:
            kwargs["out"] = tuple(_plain(o) for o in out)
        if isinstance(kwargs.get("where"), Noisy):
            kwargs["where"] = _plain(kwargs["where"])
        result = getattr(ufunc, method)(*plain, **kwargs)
        if isinstance(result, tuple) or np.asarray(result).dtype.kind != "f":
            return result
        result = _round(noise, ufunc, method, plain, kwargs, result)
        if out is not None:
            kwargs["out"][0][...] = result
            return out[0]
        return wrap(result, noise)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any,
                           kwargs: Any) -> Any:
        noise = self.noise
        assert noise is not None
        if func not in DOTS:
            result = super().__array_function__(func, types, args, kwargs)
            lost = type(result) is np.ndarray and result.dtype.kind == "f"  # as np.where does
            return wrap(result, noise) if lost else result
        result = func(*[_plain(a) for a in args], **kwargs)
        size = func(*[_changed(a, np.abs) for a in args], **kwargs)
        n = func(*[_changed(a, np.ones_like) for a in args], **kwargs)
        return wrap(noise.absolute(result, size * terms(n)), noise)


def _plain(a: Any) -> Any:
    return a.view(np.ndarray) if isinstance(a, Noisy) else a


def _changed(a: Any, change: Callable[[Any], Any]) -> Any:
    return change(_plain(a)) if isinstance(a, np.ndarray) else a


def wrap(y: Any, noise: Noise) -> Noisy:
    noisy = np.asarray(y).view(Noisy)
    noisy.noise = noise
    return noisy


def _round(noise: Noise, ufunc: Any, method: str, plain: list[Any], kwargs: dict[str, Any],
           result: Any) -> Array:
    """``result`` of a ufunc, as rounded by some kernel."""
    if ufunc is np.matmul:
        size = np.matmul(np.abs(plain[0]), np.abs(plain[1]))
        return noise.absolute(result, size * terms(plain[0].shape[-1]))
    if method in ("reduce", "accumulate", "reduceat") and ufunc is np.add:
        options = {k: v for k, v in kwargs.items() if k != "out"}
        size = getattr(ufunc, method)(np.abs(plain[0]), *plain[1:], **options)
        n = getattr(ufunc, method)(np.ones_like(plain[0]), *plain[1:], **options)
        return noise.absolute(result, size * terms(n))
    if method == "reduce" and ufunc is np.multiply:
        return noise.relative(result, np.asarray(plain[0]).size / max(np.asarray(result).size, 1))
    if ufunc in EXACT:
        return np.asarray(result)
    return noise.relative(result, 2.0 if ufunc in LOOSE else 1.0)


def _add_at(noise: Noise, ufunc: Any, plain: list[Any]) -> None:
    target, index, *values = plain
    size = np.abs(target)
    count = np.ones_like(target)
    ufunc.at(target, index, *values)
    if ufunc is np.add:
        np.add.at(size, index, np.abs(values[0]))
        np.add.at(count, index, 1.0)
        target[...] = noise.absolute(target, size * terms(count))


def variant(q: Question, rng: np.random.Generator) -> tuple[Array, ...]:
    """The outputs of one honest variant of the reference on the question's arrays."""
    noise = Noise(rng, q.u, q.tiny)
    arrays = []
    names = q.op.arrays * len(q.arrays) if q.op.variadic else q.op.arrays
    for name, a in zip(names, q.arrays):
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            a = a.astype(np.float64)
            a = wrap(a if name in q.op.fixed else noise.relative(a), noise)
        arrays.append(a)
    result = as_arrays(q.op.reference(*arrays, **q.meant))
    outputs = result if isinstance(result, tuple) else (result,)
    return tuple(_plain(y) for y in outputs)
