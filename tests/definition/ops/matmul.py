"""Matrix products: each element is a dot product, which is exact before it is rounded.

A product or a partial sum that leaves the range of the dtype is lost there, as in every library of
linear algebra: such a result is no longer told, and inputs here stay clear of it. NaN and
infinities spread as IEEE 754 has it.
"""

import numpy as np
from exact import definition
from lines import dot

from etude_check.cases.spec import call


def _calls(draw):
    for x, y in _operands(draw):
        yield call(x, y)
        yield call(x.swapaxes(-1, -2).copy().swapaxes(-1, -2), y)
    yield call(draw.magnitudes((2, 1, 3, 5), -30, 30), draw.magnitudes((4, 5, 2), -30, 30))
    yield call(draw.floats((3, 0)), draw.floats((0, 2)))
    if draw.whole:
        for n in (10**5, *([10**7] if draw.dtype == np.float32 else ())):
            for a, b in ((draw.offset((1, n), 1, 1), draw.offset((n, 1), 1, 1)), (
                    np.full((1, n), 0.1, draw.dtype), np.full((n, 2), 0.3, draw.dtype)),
                    (draw.offset((2, n), 0, 1), draw.offset((2, n), 0, 1).T)):
                yield call(a, b)


def _operands(draw):
    """Pairs of matrices whose products stay in the range of float32, together with their sums."""
    yield draw.magnitudes((9, 7), -60, 55), draw.magnitudes((7, 8), -60, 55)
    yield draw.magnitudes((9, 7), -140, -60), draw.magnitudes((7, 8), -40, -20)  # subnormal
    yield draw.magnitudes((9, 7), -140, 120), draw.magnitudes((7, 8), -9, 1)
    yield draw.offset((6, 65)), draw.offset((65, 5), 0, 1)
    yield draw.offset((6, 33), 1e4, 1), draw.offset((33, 5), -1e4, 1)
    yield draw.floats((3, 300), -1, 3), draw.floats((300, 4), -1, 3)
    some = [0, -0.0, 1, -2, 0.5, np.inf, -np.inf, np.nan]
    weights = [0.3, 0.1, 0.2, 0.2, 0.1, 0.04, 0.03, 0.03]
    yield tuple(draw.rng.choice(some, shape, p=weights).astype(draw.dtype)
                for shape in ((20, 4), (4, 20)))


@definition("matmul", calls=_calls)
def matmul(arrays, attrs, output, places):
    x, y = arrays

    def value(place):
        *lead, m, n = place
        return dot(within(x, lead)[m].tolist(), within(y, lead)[:, n].tolist())
    return [value(place) for place in places]


def within(x, lead):
    """The matrix of x at a place of the batch, whose axes broadcast."""
    axes = x.shape[:-2]
    return x[tuple(0 if n == 1 else i for i, n in zip(lead[len(lead) - len(axes) :], axes,
                                                      strict=True))]


def _rows(draw):
    for x, y in _operands(draw):
        yield call(x, y.T, draw.floats(y.shape[1:], -2, 2))
        yield call(x[0], y.T.copy())
    yield call(draw.floats((2, 3, 0)), draw.floats((4, 0)), draw.floats((4,)))


@definition("linear", calls=_rows)
def linear(arrays, attrs, output, places):
    x, weight, bias = (*arrays, None)[:3]

    def value(place):
        *lead, n = place
        line, row = x[tuple(lead)].tolist(), weight[n].tolist()
        return dot(line, row) if bias is None else dot([*line, 1.0], [*row, bias[n].item()])
    return [value(place) for place in places]
