"""Running totals: each is a sum of its own. A NaN or an infinity spoils what comes after it."""

import numpy as np
from exact import definition, wrapped
from lines import INF, by_lines, last, wide
from mpmath import mpf

from etude_check.cases.spec import call


def _calls(draw):
    for x, dim in ((draw.magnitudes((12, 9)), 0), (draw.magnitudes((12, 9)), -1),
                   (draw.magnitudes((4, 5, 6), -20, 20), 1), (draw.offset((3, 300)), 1),
                   (_equal(draw, (3000, 2)), 0), (_specials(draw), 1), (draw.magnitudes((1,)), 0)):
        yield call(x, dim=dim)
    if draw.whole and draw.dtype.kind == "f":
        n = 10**7 if draw.dtype == np.float32 else 10**5
        for shape, dim in (((n,), 0), ((n, 2), 0), ((1, n, 2), 1)):
            yield call(_equal(draw, shape), dim=dim)
        yield call(draw.offset((n,), 0, 1), dim=0)


def _equal(draw, shape):
    return np.full(shape, 7 if draw.dtype.kind == "i" else 0.1, draw.dtype)


def _specials(draw):
    return np.array([draw.rng.permutation(draw.specials())[:6] for _ in range(40)])


def _scale(arrays, attrs, output):
    """One rounding of each total, and before that those of a sum in float64."""
    x, dim = wide(arrays[0]), attrs["dim"]
    size = np.abs(x).cumsum(dim)
    return 2 * np.abs(x.cumsum(dim)) + last(arrays[0].dtype) * x.shape[dim] * size


@definition("cumsum", calls=_calls, scale=_scale)
def cumsum(arrays, attrs, output, places):
    return by_lines(_running, arrays, attrs["dim"], places)


def _running(x):
    whole = isinstance(x[0], int)
    totals, running = [], 0 if whole else mpf(0)
    for v in x:
        if whole:
            running = wrapped(running + v)
        elif isinstance(running, float) or v != v or abs(v) == INF:
            running = float(running) + v
        else:
            running += v
        totals.append(running)
    return lambda i: totals[i]
