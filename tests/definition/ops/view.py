"""Views: which element of x stands at a place. Nothing is computed, and zeros keep their sign."""

import math
from itertools import accumulate

from exact import definition
from places import at, source

from etude_check.cases.spec import call


def _drawn(draw, shape):
    return draw.rng.choice(draw.specials(), shape)


def _some(**attrs):
    return lambda draw: [call(draw.specials(), **attrs)]


@definition("reshape", calls=lambda draw: [call(_drawn(draw, (4, 6)), shape=(3, -1, 2))])
def reshape(arrays, attrs, output, places):
    x, sizes = arrays[0], list(attrs["shape"])
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.size // -math.prod(sizes)
    elements = x.ravel()  # in C order
    return [at(elements, [position(place, sizes)]) for place in places]


def position(place, sizes):
    """Where a place stands in C order: i_0 n_1 n_2 ... + i_1 n_2 ... + ..."""
    found = 0
    for i, n in zip(place, sizes, strict=True):
        found = found * n + i
    return found


@definition("permute", calls=lambda draw: [call(_drawn(draw, (2, 3, 4)), dims=(2, -3, 1))])
def permute(arrays, attrs, output, places):
    x, dims = arrays[0], [d % arrays[0].ndim for d in attrs["dims"]]
    return [at(x, [place[dims.index(d)] for d in range(x.ndim)]) for place in places]


@definition("expand", calls=lambda draw: [call(_drawn(draw, (3, 1)), shape=(2, 3, 4))])
def expand(arrays, attrs, output, places):
    x = arrays[0]
    return [at(x, [0 if n == 1 else i for i, n in zip(place[len(place) - x.ndim :], x.shape,
                                                      strict=True)]) for place in places]


@definition("slice", calls=_some(index=((None, None, -3), None)))
def slice_(arrays, attrs, output, places):
    place_of = source(attrs["index"], arrays[0].shape)
    return [at(arrays[0], place_of(place)) for place in places]


@definition("split", calls=lambda draw: [call(_drawn(draw, (7, 2)), sizes=(3, 0, 4))])
def split(arrays, attrs, output, places):
    d = attrs["dim"] % arrays[0].ndim
    begin = [0, *accumulate(attrs["sizes"])][output]
    return [at(arrays[0], (*p[:d], p[d] + begin, *p[d + 1 :])) for p in places]


@definition("flip", calls=_some(dims=(0,)))
def flip(arrays, attrs, output, places):
    x = arrays[0]
    dims = {d % x.ndim for d in ([attrs["dims"]] if isinstance(attrs["dims"], int)
                                 else range(x.ndim) if attrs["dims"] is None else attrs["dims"])}
    return [at(x, [n - 1 - i if d in dims else i for d, (i, n) in enumerate(
        zip(place, x.shape, strict=True))]) for place in places]
