"""Copies: which element of which array stands at a place. Zeros keep their sign."""

import math
from itertools import accumulate

import numpy as np
from exact import definition, number
from places import at, source

from etude_check.cases.spec import call


def _specials(draw):
    yield call(draw.specials())
    yield call(draw.bits((draw.count,)) if draw.dtype.kind == "f" else draw.floats((9,)))


@definition("contiguous", calls=_specials)
def contiguous(arrays, attrs, output, places):
    return [at(arrays[0], place) for place in places]


def _casts(draw):
    """Numbers around every edge of a conversion; what has no int64 value is not asked for it."""
    edges = [0.5, -0.5, 1.5, 2.5, 2.0**24 + 1, 2.0**24 + 3, 2.0**53 + 2, 2.0**62, -(2.0**63), 1e-45,
             2.0**-150, 2.0**-149 * 1.5, 2.0**128 - 2.0**103, 2.0**128 - 2.0**103 * 1.001]
    with np.errstate(over="ignore"):
        more = np.array(edges if draw.dtype.kind == "f" else [
            2**24 + 1, 2**24 + 3, 2**53 + 1, 2**53 + 3, 2**60 + 2**36 + 1]).astype(draw.dtype)
    for x in (draw.specials(), more, draw.magnitudes((draw.count,))):
        for to in ("float32", "float64", "int64", "bool"):
            whole = to == "int64" and x.dtype.kind == "f"
            yield call(x[np.abs(x) < 2.0**63] if whole else x, dtype=np.dtype(to))


@definition("cast", calls=_casts)
def cast(arrays, attrs, output, places):
    """Towards 0 for int64; to bool whether it is other than 0, as a NaN is; else rounded."""
    to = attrs["dtype"].kind
    change = {"b": lambda v: v != 0, "i": int, "f": _in_floats}[to]
    return [change(at(arrays[0], place)) for place in places]


def _in_floats(v):
    return v if isinstance(v, float) and v == 0 else number(v)


def _pair(draw):
    x = draw.specials()
    yield call(x, x[::-1], x, dim=0)


@definition("cat", calls=_pair)
def cat(arrays, attrs, output, places):
    d = attrs["dim"] % arrays[0].ndim
    ends = list(accumulate(a.shape[d] for a in arrays))

    def value(place):
        which = next(i for i, end in enumerate(ends) if place[d] < end)
        begin = ends[which] - arrays[which].shape[d]
        return at(arrays[which], (*place[:d], place[d] - begin, *place[d + 1 :]))
    return [value(place) for place in places]


@definition("stack", calls=_pair)
def stack(arrays, attrs, output, places):
    d = attrs["dim"] % (arrays[0].ndim + 1)
    return [at(arrays[p[d]], (*p[:d], *p[d + 1 :])) for p in places]


def _bordered(draw):
    for value in (0.0, -0.0, 1.5, -2, True) if draw.dtype.kind == "f" else (0, 1, True):
        yield call(draw.specials(), padding=(1, 2), value=value)
    if draw.dtype.kind == "f":
        for value in (math.nan, -math.inf, 0.1):
            yield call(draw.specials().reshape(3, -1), padding=(0, 2, 1, 0), value=value)


@definition("pad", calls=_bordered)
def pad(arrays, attrs, output, places):
    x, given = arrays[0], list(attrs["padding"])
    pairs = [(0, 0)] * (x.ndim - len(given) // 2) + [
        (given[i], given[i + 1]) for i in reversed(range(0, len(given), 2))]
    fill = {"b": bool, "i": int, "f": float}[x.dtype.kind](attrs["value"])

    def value(place):
        inside = [i - before for i, (before, _) in zip(place, pairs, strict=True)]
        if all(0 <= i < n for i, n in zip(inside, x.shape, strict=True)):
            return at(x, inside)
        return fill
    return [value(place) for place in places]


@definition("slice_backward", calls=lambda draw: [
    call(draw.specials(), shape=(80,), index=((None, 2 * draw.specials().size, 2),))])
def slice_backward(arrays, attrs, output, places):
    grad = arrays[0]
    place_of = source(attrs["index"], attrs["shape"])
    given = {place_of(place): at(grad, place) for place in np.ndindex(grad.shape)}
    return [given.get(place, 0) for place in places]
