"""cumsum against sums of ever longer pieces in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from op_cases import Case, sample

from etude import AxisError, ops


def _cumsum(x, *, dim):
    y = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        d = dim % x.ndim
        y[at] = sum((Fraction(x[(*at[:d], i, *at[d + 1:])].item()) for i in range(at[d] + 1)),
                    Fraction(0))
    return y.astype(x.dtype)


PLACES = [((5,), 0), ((9,), -1), ((2, 3), 0), ((2, 3), 1), ((2, 3, 2), 1), ((0,), 0), ((2, 0), 0),
          ((1, 4), 0)]

CASES = {
    "cumsum": Case(
        lambda rng: [sample(rng.uniform(-1, 1, s), dim=d) for s, d in PLACES] + [
            sample(np.arange(6).reshape(2, 3), dim=1)],
        _cumsum, scale=lambda x, dim: np.abs(x).sum(dim, keepdims=True), analytic=True),
}


def test_a_single_number_has_no_axis_to_run_along():
    with pytest.raises(AxisError, match="cumsum: dim=0 is outside an array of 0 dimensions"):
        ops.cumsum(np.array(1.0), dim=0)
