"""How the cases of A2 are drawn."""

import numpy as np

from etude_course.source.checks import cases


@cases("variance-values")
def variance_values(rng, parameters):
    while True:
        n, m = rng.integers(1, 6), rng.integers(2, 9)
        yield f"{n} rows of {m}", (rng.normal(1, 2, (n, m)).astype(np.float32),)
