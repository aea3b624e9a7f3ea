"""gather picks elements, of which zeros keep their sign; scatter_add adds them up, exactly.

Integers add up modulo 2^64. A NaN or an infinity spoils the element it is added to.
"""

import numpy as np
from exact import definition, wrapped
from lines import last, total, wide
from places import at

from etude import TABLE
from etude_check.cases.spec import call


def _picks(draw):
    yield call(draw.rng.choice(draw.specials(), (7, 3)).astype(draw.dtype),
               draw.rng.integers(0, 7, (20, 2)), dim=0)


@definition("gather", calls=_picks)
def gather(arrays, attrs, output, places):
    x, index = arrays
    d = attrs["dim"] % x.ndim
    return [at(x, (*p[:d], index[p].item(), *p[d + 1 :])) for p in places]


def _sums(draw):
    for kind in (draw.magnitudes, lambda shape: draw.floats(shape, -2, 2),
                 lambda shape: draw.rng.choice(draw.specials()[:-1], shape).astype(draw.dtype)):
        yield call(kind((5, 4)), draw.rng.integers(0, 5, (40, 3)), kind((41, 4)), dim=0)
        yield call(kind((3, 6)), draw.rng.integers(0, 6, (3, 2)), kind((3, 2)), dim=-1)
    if draw.whole:  # every number into one element
        for n in (10**5, *([10**7] if draw.dtype == np.float32 else ())):
            ones = np.full(n, 7 if draw.dtype.kind == "i" else 0.1, draw.dtype)
            yield call(ones[:2], np.zeros(n, np.int64), ones, dim=0)


def _scale(arrays, attrs, output):
    """One rounding at the end, and before that those of a sum in float64."""
    x, index, src = arrays
    count = TABLE["scatter_add"](np.ones(x.shape), index, np.ones(src.shape), **attrs)
    size = TABLE["scatter_add"](np.abs(wide(x)), index, np.abs(wide(src)), **attrs)
    value = TABLE["scatter_add"](wide(x), index, wide(src), **attrs)
    return 2 * np.abs(value) + last(x.dtype) * count * size


@definition("scatter_add", calls=_sums, scale=_scale)
def scatter_add(arrays, attrs, output, places):
    x, index, src = arrays
    d = attrs["dim"] % x.ndim
    added = {}
    for target, where in zip(index.ravel().tolist(), np.ndindex(index.shape), strict=True):
        to = (*where[:d], target, *where[d + 1 :])
        added.setdefault(to, [at(x, to)]).append(at(src, where))

    def value(place):
        found = total(added.get(place, [at(x, place)]))
        return wrapped(found) if x.dtype.kind == "i" else found
    return [value(place) for place in places]
