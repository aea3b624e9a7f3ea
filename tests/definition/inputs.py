"""What the definitions are asked: numbers of every size, and the calls that the kit draws too.

Magnitudes reach from 2^-140 to 2^120 in float32, and as far beyond float32's range as float64
does. There are numbers with a large common offset, random bits, zeros of both signs, subnormal
numbers, infinities, NaN and ties. The kit's cases add layouts, empty arrays, broadcasting, masks
and the kinks that the author of each op named.
"""

import itertools
import zlib

import numpy as np

from etude_check.cases.case import cases
from etude_check.cases.draw import Draw
from etude_check.cases.spec import call
from etude_check.specs import specs

#: the powers of two between which magnitudes lie
RANGE = {"float32": (-140, 120), "float64": (-1000, 1000)}
#: zeros, subnormal and least normal numbers, halves, 1, large numbers, the largest; no numbers
SPECIALS = {
    "float32": (0.0, 1e-45, 1e-40, 2.0**-126, 1e-20, 0.5, 1.0, 1.5, 3.0, 2.0**24 + 2, 1e20,
                3.4028234663852886e38, np.inf),
    "float64": (0.0, 5e-324, 1e-310, 2.0**-1022, 1e-200, 0.5, 1.0, 1.5, 3.0, 2.0**53 + 2, 1e200,
                1.7976931348623157e308, np.inf),
}
KINDS = ("empty", "0d", "tail", "broadcast", "layout", "special", "exact", "duplicate-index",
         "cotangent")
WHOLE, THIN = 1000, 300  # elements of an array of a pointwise op
ROUNDS = 4  # times that the sweep draws the arrays of a pointwise op again


class Inputs(Draw):
    """The kit's ``Draw`` (``floats``, ``positive``, ``bools``, ``index``, ``among``), in ordinary
    layouts, and what it does not have. The same op and dtype give the same numbers everywhere.

    ``whole`` says that the sweep asks, and not the test: it may take minutes.
    """

    def __init__(self, op, dtype, whole=False):
        super().__init__(op, {}, dtype, 0)
        self.op, self.whole = op, whole
        self.count = WHOLE if whole else THIN

    def magnitudes(self, shape, low=None, high=None):
        """Numbers of either sign and any digits, every exponent as likely as any other."""
        if self.dtype.kind != "f":
            return self.among((), shape)
        least, most = RANGE[self.dtype.name]
        power = self.rng.integers(least if low is None else low, most if high is None else high,
                                  shape, endpoint=True)
        digits = self.rng.uniform(1, 2, shape) * self.rng.choice([-1, 1], shape)
        return np.ldexp(digits, power).astype(self.dtype)

    def offset(self, shape, by=1e8, spread=1.0):
        """Numbers with a large offset in common."""
        return (by + spread * self.rng.standard_normal(shape)).astype(self.dtype)

    def specials(self):
        """Zeros, subnormal numbers and so on, of both signs, and NaN."""
        if self.dtype.kind == "b":
            return np.array([False, True])
        if self.dtype.kind == "i":
            return np.array([0, 1, -1, 2, -3, 2**31, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63)])
        some = np.array(SPECIALS[self.dtype.name])
        return np.concatenate([some, -some, [np.nan]]).astype(self.dtype)

    def infinite(self, shape):
        """Infinities and NaN among zeros and small numbers: nothing overflows by itself."""
        return self.rng.choice([0.0, -0.0, 1.0, -2.0, 0.5, np.inf, -np.inf, np.nan], shape).astype(
            self.dtype)

    def every(self, arity):
        """``arity`` arrays that hold each combination of the special numbers, or many of them."""
        some = self.specials()
        if len(some) ** arity <= 4 * self.count:
            return [np.array(c) for c in zip(*itertools.product(some, repeat=arity))]
        return [self.rng.choice(some, 2 * self.count) for _ in range(arity)]

    def pointwise(self, arity, attrs=({},)):
        """Calls of an op that makes each result from one element of each array."""
        n = self.count
        for _ in range(ROUNDS if self.whole else 1):
            near = self.magnitudes([n])
            close = [near, *(near * self._ratios(n) for _ in range(arity - 1))]
            for given in ([self.magnitudes([n]) for _ in range(arity)],
                          [self.floats([n]) for _ in range(arity)],
                          [self.floats([n], -200, 200) for _ in range(arity)],
                          [self.bits([n]) for _ in range(arity)], close, self.every(arity)):
                for some in attrs:
                    yield call(*given, **some)

    def _ratios(self, n):
        """Factors near 1, and 1 itself: for ties and for what nearly is one."""
        if self.dtype.kind != "f":
            return self.rng.choice([True] if self.dtype.kind == "b" else [1, 1, -1, 3], n)
        return self.rng.choice([1, 1, -1, 1.5, 2, -3, 1 + 2**-20, 1 - 2**-20, 10], n).astype(
            self.dtype)


def asked(op, definition, dtype, whole=False):
    """All calls that are asked of an op in one dtype: (what it is, call)."""
    draw = Inputs(op, dtype, whole)
    for i, given in enumerate(definition.calls(draw)):
        yield f"own {i}", given
    for kind in KINDS:
        for case in cases(specs()[op], kind, "full" if whole else "smoke", dtypes=[dtype]):
            yield case.id, case.call


def seed(text):
    return zlib.crc32(text.encode())
