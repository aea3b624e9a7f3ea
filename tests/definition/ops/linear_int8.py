"""linear with a weight in int8: an exact dot product of whole numbers and x, scaled and moved."""

import numpy as np
from exact import definition
from lines import dot

from etude_check.cases.spec import call


def _calls(draw):
    for lead, k, n in (((9,), 7, 8), ((), 33, 5), ((2, 3), 65, 4), ((3,), 0, 2)):
        weight = draw.rng.integers(-128, 128, (n, k)).astype(np.int8)
        for bias in ((), (draw.floats((n,), -2, 2),)):
            yield call(draw.magnitudes((*lead, k), -60, 55), weight, draw.floats((n,), -1, 1),
                       *bias)
    some = [0, -0.0, 1, -2, np.inf, -np.inf, np.nan]
    yield call(draw.rng.choice(some, (20, 4), p=[.4, .1, .2, .2, .04, .03, .03]).astype(
        draw.dtype), draw.rng.integers(-2, 3, (6, 4)).astype(np.int8), draw.floats((6,), -1, 1))


@definition("linear_int8", calls=_calls)
def linear_int8(arrays, attrs, output, places):
    x, weight, scale, bias = (*arrays, None)[:4]

    def value(place):
        *lead, n = place
        y = dot([dot(x[tuple(lead)].tolist(), weight[n].astype(float).tolist())], [scale[n].item()])
        return y if bias is None else dot([y, 1.0], [1.0, bias[n].item()])
    return [value(place) for place in places]
