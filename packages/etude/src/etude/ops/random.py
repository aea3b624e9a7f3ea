"""Random numbers that every backend draws alike: rand, randn, dropout. C: c_src/cpu/random.c.

Philox 4x64-10 (Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3) is a function
from (key, counter) to bits, so element i is the same whoever computes it, in whatever order.
The key is an int64 array [seed, call number]; NumPy's own bit generator is the reference.
"""

import math

import numpy as np

from etude.core.shapes import float32
from etude.core.table import op


def words(key, n, first=0):
    """n 64-bit words of the stream that ``key`` names, from word ``first`` on."""
    philox = np.random.Philox(key=key.astype(np.int64).view(np.uint64))
    blocks, skipped = divmod(first, 4)  # Philox makes four words at a time
    return philox.advance(blocks).random_raw(skipped + n)[skipped:]


def uniform(key, n, dtype, first=0):
    """n numbers in [0, 1), from number ``first`` of the stream on: a float32 from each half of a
    word, low half first, a float64 from each whole word.
    """
    if dtype == np.float64:
        return (words(key, n, first) >> np.uint64(11)) * 2.0**-53
    at, skipped = divmod(first, 2)
    halves = words(key, (skipped + n + 1) // 2, at).astype("<u8").view("<u4")[skipped:skipped + n]
    return (halves >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def normal(key, n, dtype):
    """n normal numbers by Box-Muller, two from each word: radius from its low half, angle from
    its high one. Radius, sine and cosine are computed in float64 and rounded once to float32, so
    that any decent mathematics library gives the same bits; only then are they made ``dtype``.
    """
    halves = words(key, (n + 1) // 2).astype("<u8").view("<u4").reshape(-1, 2) >> np.uint32(8)
    u = (halves[:, 0] + 1.0) * 2.0**-24  # in (0, 1], for the logarithm
    angle = halves[:, 1] * (2.0**-24 * 2 * np.pi)
    radius = np.sqrt(-2 * np.log(u)).astype(np.float32).astype(dtype)
    z = [radius * f(angle).astype(np.float32).astype(dtype) for f in (np.cos, np.sin)]
    return np.stack(z, axis=1).reshape(-1)[:n]


@op("rand", shape="key: seed+call int64, shape = *S -> *S dtype", flops="30 *S",
    kernel="n = *S", internal=True)
def rand(key, *, shape, dtype=float32):
    """y = uniform numbers in [0, 1): 24 random bits for float32, 53 for float64.

    key: (2) int64, seed and call number; y: ``shape``. With h the 32-bit halves of the Philox
    words, low half first, float32 is (h >> 8) 2^-24; with w the words, float64 is (w >> 11) 2^-53.
    """
    return uniform(key, math.prod(shape), np.dtype(dtype)).reshape(shape)


rand.convention("rand([1, 2], shape=(0, 2)) -> empty(0, 2)")


@op("rand", shape="key: seed+call int64, shape = *S -> *S dtype", flops="40 *S",
    kernel="n = *S", internal=True)
def randn(key, *, shape, dtype=float32):
    """y = normal numbers of mean 0 and variance 1, by Box-Muller, at most 5.77 in size.

    key: (2) int64, seed and call number; y: ``shape``. With u = ((l >> 8) + 1) 2^-24 from the low
    half l of a Philox word and a = 2 pi (h >> 8) 2^-24 from its high half h, elements 2i and
    2i + 1 are sqrt(-2 ln u) cos a and sqrt(-2 ln u) sin a. Source: Box and Muller 1958.
    """
    return normal(key, math.prod(shape), np.dtype(dtype)).reshape(shape)


randn.convention("randn([1, 2], shape=(0, 2)) -> empty(0, 2)")


def _share(op, p):
    if not 0 <= p < 1:
        raise ValueError(f"{op}: p is the share of elements dropped, 0 <= p < 1, got {p}")


@op("dropout", shape="x: ..., key: seed+call int64 -> ...", sizes=_share, flops="31 ...",
    saves="key", kernel="n = ...", internal=True)
def dropout(x, key, *, p):
    """y = x / (1 - p) where u >= p, else 0, with u = rand(key) in float32 for every dtype.

    x, y: any shape, float; key: (2) int64. The scale is rounded once to the dtype of x. Linear in
    x, so its gradient is the op itself. Source: Srivastava et al. 2014, Dropout, section 4.
    """
    keep = uniform(key, x.size, float32).reshape(x.shape) >= np.float32(p)
    return np.where(keep, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))


dropout.gradient(lambda F, grad, key, *, p, **_: (F.dropout(grad, key, p=p), None))
dropout.convention("""
    dropout([nan, inf, -0.0], [1, 2], p=0.0) -> [nan, inf, -0.0]
    dropout([nan, inf], [1, 2], p=0.99) -> [0.0, 0.0]  # dropped, not multiplied
    dropout([], [1, 2], p=0.5) -> []""")
