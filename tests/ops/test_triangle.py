"""tril and triu against the inequality that defines them."""

import numpy as np
import pytest
from op_cases import Case, sample

from etude import ShapeError, ops


def _kept(holds):
    def oracle(x, *, diagonal):
        y = np.zeros(x.shape, x.dtype)
        for at in np.ndindex(x.shape):
            if holds(at[-1] - at[-2], diagonal):
                y[at] = x[at]
        return y
    return oracle


def _samples(rng):
    return [sample(rng.uniform(-1, 1, s), diagonal=k)
            for s in ((3, 3), (4, 4), (2, 4), (4, 2), (2, 3, 3), (0, 3), (1, 1))
            for k in (-2, -1, 0, 1, 5)] + [sample(np.ones((3, 3), bool))]


CASES = {
    "tril": Case(_samples, _kept(lambda n, k: n <= k), ulps=0, analytic=True),
    "triu": Case(_samples, _kept(lambda n, k: n >= k), ulps=0, analytic=True),
}


def test_a_vector_has_no_triangle():
    with pytest.raises(ShapeError, match=r"tril: x must have at least 2 dim.*got float64\[3\]"):
        ops.tril(np.ones(3))
