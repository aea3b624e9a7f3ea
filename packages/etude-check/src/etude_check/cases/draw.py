"""Draw: the seeded source of a case's arrays, in the values and layouts its plan asks for.

``make`` of a spec asks for arrays by role (``floats``, ``positive``, ``index``, ``grad``, ...);
what a kind of cases wants of them -- integers that add up exactly, a NaN here and there, a
transposed layout, a zero cotangent -- happens in here, so that specs do not repeat it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LAYOUTS = ("transposed", "sliced", "reversed", "stride0", "offset", "rows", "swapped", "last",
           "flipped", "middle")
#: Those in which a line, an array of one axis, does not lie dense.
LINES = ("sliced", "reversed", "stride0")
COPIED = ("steps", "expanded")  # more of them, for ops that copy
PAIRED = ("upturned",)  # and for ops of two operands: a kernel in C meets steps below 0 in it

#: What the kind "special" puts among ordinary numbers. "signalling" are NaNs without the quiet bit;
#: "far" is where float32 ends in float64 (1e30 and 1e-30 in float32).
SPECIALS: dict[str, tuple[float, ...]] = {
    "nan": (np.nan, np.copysign(np.nan, -1)),
    "inf": (np.inf, -np.inf),
    "zero": (0.0, -0.0),
    "subnormal": (1e-40, -1e-40, 3e-310, -3e-310),
    "huge": (3e38, -3e38),
    "signalling": (),
    "far": (1e200, -1e200, 1e-200, -1e-200),
}
SIGNALLING = {"float32": (0x7F800001, 0xFFA00000),
              "float64": (0x7FF0000000000001, 0xFFF4000000000000)}

#: Specials of a product: zeros in one operand where the other is infinite or NaN. 0 times infinity
#: is NaN, which a kernel loses that skips zeros.
ZEROS = {"0 by inf": (True, False), "inf by 0": (False, True)}  # in the first array, in the others
SPOILT = (np.inf, -np.inf, np.nan)

#: int64 values that a kernel going through int32, float32 or float64 does not keep.
INTS = (0, 1, -1, 7, -8, 2**24 + 1, -(2**24) - 1, 2**31, -(2**31) - 1, 2**53 + 1, -(2**53) - 1,
        2**53, 2**61, -(2**61), 2**61 + 1)


class Draw:
    """Draws the arrays of one case. The same op, plan, dtype and seed give the same arrays on every
    machine.
    """

    def __init__(self, op: str, plan: Mapping[str, Any], dtype: str, seed: int) -> None:
        key = json.dumps([op, dtype, plan], sort_keys=True)
        self.rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
        self.dtype = np.dtype(dtype)
        self.plan = plan
        self._count = 0  # arrays drawn so far

    # ------------------------------------------------------------------ values by role

    def floats(self, shape: Any, low: float = -2.0, high: float = 2.0) -> Array:
        """The ordinary operand: uniform in low .. high. An int64 array gets small integers, a bool
        array True or False with equal chance. Cases of the kind "exact" get odd integers up to 4095
        in the first array of a call and -3 .. 3 in the others: whatever order a kernel adds their
        products in, the sum is exact.
        """
        shape = tuple(shape)
        if self.dtype.kind == "b":
            return self._lay(self.rng.random(shape) < 0.5)
        if self.dtype.kind == "i":
            ints = self.rng.integers(-9, 10, shape)
            if self.plan.get("special") == "huge":
                wide = self.rng.choice(np.array(INTS), shape)
                ints = np.where(self.rng.random(shape) < 0.5, wide, ints)
            return self._lay(ints)
        if self.exact:
            return self._lay(self._integers(shape))
        values = self.rng.uniform(low, high, shape).astype(self.dtype)
        return self._lay(self._sprinkle(values))

    def plain(self, shape: Any, low: float = -2.0, high: float = 2.0) -> Array:
        """Like ``floats``, without specials. For arrays in which a NaN or an infinity proves
        nothing: one honest kernel multiplies it by 0 and gets NaN, another skips it. It may get the
        zeros that an infinity elsewhere meets.
        """
        if self.dtype.kind != "f" or self.exact:
            return self.floats(shape)
        values = self.rng.uniform(low, high, tuple(shape)).astype(self.dtype)
        zeros = ZEROS.get(self.plan.get("special", ""), (False, False))[self._count > 0]
        return self._lay(self._sprinkle(values) if zeros else values)

    def positive(self, shape: Any, low: float = 0.1, high: float = 4.0) -> Array:
        """Like ``floats``, above 0 (specials may still be sprinkled in)."""
        if self.dtype.kind != "f":
            return np.abs(self.floats(shape)) + 1 if self.dtype.kind == "i" else self.floats(shape)
        if self.exact:
            return self._lay(np.abs(self._integers(tuple(shape))))
        return self.floats(shape, low, high)

    def wide(self, shape: Any, least: int = -20, most: int = 7) -> Array:
        """Magnitudes from 2^least to 2^most of either sign, every exponent as likely as any other.
        Elementary functions need it: numbers drawn uniformly are hardly ever small.
        """
        if self.dtype.kind != "f" or self.exact:
            return self.floats(shape)
        shape = tuple(shape)
        values = np.exp2(self.rng.uniform(least, most, shape)) * self.rng.choice([-1.0, 1.0], shape)
        return self._lay(self._sprinkle(np.asarray(values, self.dtype)))

    def distinct(self, shape: Any, gap: float = 0.05) -> Array:
        """Numbers ``gap`` apart in random order: no ties, nothing near a kink at 0."""
        shape = tuple(shape)
        if self.dtype.kind == "b":
            return self.floats(shape)
        n = int(np.prod(shape, dtype=np.int64))
        order = self.rng.permutation(n).reshape(shape)
        if self.dtype.kind == "i":
            return self._lay(order - n // 2)
        values = ((order - n // 2 + 0.37) * gap).astype(self.dtype)
        return self._lay(self._sprinkle(np.asarray(values)))

    def own_exponents(self, shape: Any) -> Array:
        """A matrix (..., R, C) whose rows each have an exponent of their own in 2^-20 .. 2^20, so
        that small outputs cannot hide behind large ones.
        """
        if self.dtype.kind != "f" or self.exact:
            return self.floats(shape)
        shape = tuple(shape)
        rows = np.exp2(self.rng.integers(-20, 21, (*shape[:-1], 1))) if shape else np.float64(1)
        return self._lay((self.rng.uniform(-2, 2, shape) * rows).astype(self.dtype))

    def grad(self, shape: Any) -> Array:
        """A cotangent, the gradient that comes in. It is random, or what the plan of a case of the
        kind "cotangent" says: "zero"; "one-hot", where a single element is not 0, so that its
        derivative alone decides the result; "strided"; "small" and "large", which scale by 2^-30
        and 2^20 to where half precision ends, and as powers of 2 change no digit; "far", by 2^660
        in float64, to where float32 has ended.
        """
        shape = tuple(shape)
        kind = self.plan.get("cotangent", "random")
        if kind == "zero":
            return self._lay(np.zeros(shape, self.dtype))
        if kind == "one-hot":
            g = np.zeros(shape, self.dtype)
            if g.size:
                g.flat[self.rng.integers(g.size)] = -1.5
            return self._lay(g)
        g = self.floats(shape)
        scales = {"small": -30, "large": 20, "far": 660 if g.dtype == np.float64 else 40}
        if kind in scales and g.dtype.kind == "f":
            g *= g.dtype.type(2.0 ** scales[kind])
        return lay(g, "sliced") if kind == "strided" and g.ndim else g

    def index(self, high: int, shape: Any) -> Array:
        """int64 in 0 .. high-1. Where the plan asks for duplicates, only two different ones."""
        shape = tuple(shape)
        most = min(high, 2) if self.plan.get("duplicates") else high
        drawn = self.rng.integers(0, max(most, 1), shape)
        if self.plan.get("duplicates") and high > 2:
            drawn = drawn * (high - 1)  # the first and the last of them
        return self._lay(drawn)

    def bools(self, shape: Any, share: float = 0.5) -> Array:
        return self._lay(self.rng.random(tuple(shape)) < share)

    def among(self, points: Any, shape: Any, ints: Any = None, *, near: bool = True) -> Array:
        """Values drawn from ``points``: kinks, ties, limits. A float array holds the point itself
        a third of the time, else the next number below or above it. An int64 array is drawn from
        ``ints`` instead, by default numbers that neither int32 nor a float can hold.
        """
        shape = tuple(shape)
        if self.dtype.kind == "b":
            return self.floats(shape)
        if self.dtype.kind == "i":
            return self._lay(self.rng.choice(np.array(INTS if ints is None else ints), shape))
        with np.errstate(all="ignore"):
            values = self.rng.choice(np.array(points, np.float64), shape).astype(self.dtype)
            if near:
                way = self.rng.choice([-np.inf, np.nan, np.inf], shape)
                next_to = np.nextafter(values, way.astype(self.dtype))
                values = np.where(np.isnan(way), values, next_to)
        return self._lay(self._sprinkle(np.asarray(values)))

    def bits(self, shape: Any) -> Array:
        """Floats of random bits: every exponent is as likely as any other, and subnormal numbers,
        NaN and infinity are among them.
        """
        if self.dtype.kind != "f":
            return self.among((), shape)
        word = np.dtype(f"u{self.dtype.itemsize}")
        drawn = self.rng.integers(0, np.iinfo(word).max, tuple(shape), word, endpoint=True)
        values = np.asarray(drawn).view(self.dtype)
        quiet = {4: 1 << 22, 8: 1 << 51}[self.dtype.itemsize]  # the payload and the sign stay
        return self._lay(np.where(np.isnan(values), drawn | word.type(quiet), drawn).view(
            self.dtype))

    def given(self, a: Any) -> Array:
        """An array computed by ``make`` itself (a saved maximum, a mean): in this case's layout."""
        return self._lay(np.asarray(a))

    @property
    def vast(self) -> float:
        """A size whose square float64 holds and float32 does not; in float32 one that it holds."""
        return 1e100 if self.dtype == np.float64 else 1e15

    @property
    def exact(self) -> bool:
        return self.plan.get("values") == "exact"

    # ------------------------------------------------------------------ what the plan changes

    def _integers(self, shape: tuple[int, ...]) -> Array:
        if self._count == 0:
            values = self.rng.integers(-2048, 2048, shape) * 2 + 1
        else:
            values = self.rng.integers(1, 4, shape) * self.rng.choice([-1, 1], shape)
        return np.asarray(values).astype(self.dtype)

    def _sprinkle(self, values: Array) -> Array:
        name = self.plan.get("special")
        if name is None or values.dtype.kind != "f" or not values.size or not self._mine:
            return values
        choices = self._specials(name)
        hit = np.asarray(self.rng.random(values.shape) < (0.05 if name in ZEROS and np.isnan(
            choices).any() else 0.2))
        hit.flat[self.rng.integers(values.size)] = True
        return np.where(hit, self.rng.choice(choices, values.shape), values)

    def _specials(self, name: str) -> Array:
        """What may be put among the numbers of the array that is being drawn."""
        if name == "signalling":
            word = np.dtype(f"u{self.dtype.itemsize}")
            return np.array(SIGNALLING[self.dtype.name], word).view(self.dtype)
        if name in ZEROS:
            return np.array((0.0, -0.0) if ZEROS[name][self._count > 0] else SPOILT, self.dtype)
        if name == "far" and self.dtype == np.float32:
            return np.array((1e30, -1e30, 1e-30, -1e-30), np.float32)
        with np.errstate(over="ignore", under="ignore"):
            return np.array(SPECIALS[name]).astype(self.dtype)

    @property
    def _mine(self) -> bool:
        """Whether the plan means the array that is being drawn: all of them, or one by number."""
        return self.plan.get("which") in (None, self._count)

    def _lay(self, values: Any) -> Array:
        values, mine = np.asarray(values), self._mine
        self._count += 1
        layout = self.plan.get("layout")
        return lay(values, layout) if layout and mine else values


def lay(a: Array, layout: str) -> Array:
    """``a`` in another layout, with the same values except in three: "stride0" repeats the first
    slice along the longest axis, "middle" along an axis in the middle (the first of two), and
    "expanded" the first slices along all axes but the longest.
    """
    if a.ndim == 0 and layout != "offset":
        return a
    if layout == "transposed":
        return np.ascontiguousarray(a.T).T
    if layout == "reversed":
        back = (slice(None, None, -1),) * a.ndim
        return np.ascontiguousarray(a[back])[back]
    if layout in ("stride0", "middle"):
        axis = int(np.argmax(a.shape)) if layout == "stride0" else (a.ndim - 1) // 2
        first = np.ascontiguousarray(a.take([0], axis)) if a.size else a
        return np.broadcast_to(first, a.shape)
    if layout == "expanded":
        longest = int(np.argmax(a.shape))
        only = tuple(slice(None) if i == longest else slice(1) for i in range(a.ndim))
        return np.broadcast_to(np.ascontiguousarray(a[only]), a.shape) if a.size else a
    if layout == "steps":  # every other row
        room = np.zeros((2 * a.shape[0], *a.shape[1:]), a.dtype)
        room[::2] = a
        return room[::2]
    if layout == "offset":  # dense, but not where its buffer starts
        room = np.zeros(a.size + 3, a.dtype)
        room[3:] = a.ravel()
        return room[3:].reshape(a.shape)
    if layout == "sliced":  # every other column of a wider array, with a margin
        room = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 3), a.dtype)
        inside = room[..., 1 : 1 + 2 * a.shape[-1] : 2]
        inside[...] = a
        return inside
    if layout == "rows":  # a slice of columns: rows that are dense, and lie apart
        room = np.zeros((*a.shape[:-1], a.shape[-1] + 5), a.dtype)
        inside = room[..., 2 : 2 + a.shape[-1]]
        inside[...] = a
        return inside
    axes = list(range(a.ndim))
    if layout == "swapped":  # heads before positions, in memory the other way round
        axes[-3:-1] = reversed(axes[-3:-1])
        return np.ascontiguousarray(a.transpose(axes)).transpose(np.argsort(axes))
    if layout == "last":  # axis 1 is the last in memory: channels
        axes.append(axes.pop(min(1, a.ndim - 1)))
        return np.ascontiguousarray(a.transpose(axes)).transpose(np.argsort(axes))
    if layout == "flipped":  # the last axis alone
        return np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    if layout == "upturned":  # the last row first, each row as it was
        return np.ascontiguousarray(a[::-1])[::-1]
    raise ValueError(f"there is no layout {layout!r}; known are "
                     f"{', '.join(LAYOUTS + COPIED + PAIRED)}")


TOGETHER = ("window", "turned", "packed", "itself")


def together(arrays: Sequence[Any], how: str) -> tuple[Any, ...]:
    """``arrays`` with the first two that are alike (one dtype, one shape) in one memory.

    "window": the first begins one element before the second. "turned": it is the second read by
    columns, and starts where that starts. "itself": it is the second. In these three the values of
    the first are those of the second. "packed": both are columns of one wider array.
    """
    i, j = _alike(arrays)
    a, b = arrays[i], arrays[j]
    if how == "window":
        buffer = np.concatenate([a.ravel()[:1], b.ravel()])
        a, b = buffer[:-1].reshape(b.shape), buffer[1:].reshape(b.shape)
    elif how == "turned":
        a = b.swapaxes(-1, -2)
    elif how == "packed":
        wide = np.concatenate([a, b], -1)
        a, b = wide[..., : a.shape[-1]], wide[..., a.shape[-1] :]
    else:
        a = b
    return tuple([a if k == i else b if k == j else x for k, x in enumerate(arrays)])


def _alike(arrays: Sequence[Any]) -> tuple[int, int]:
    """The numbers of the first two arrays of one dtype and one shape."""
    for j, b in enumerate(arrays):
        for i, a in enumerate(arrays[:j]):
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and (
                    a.dtype, a.shape) == (b.dtype, b.shape):
                return i, j
    raise ValueError("no two arrays of the call are alike")
