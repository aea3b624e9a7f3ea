"""How the cases of A7 are drawn that are not those of the conformance kit."""

import numpy as np

from etude_course.source.checks import cases, expected


@cases("var-mean")
def far_from_zero(rng, parameters):
    yield "four neighbours", (np.float32([4096, 4097, 4098, 4099]),)
    yield "all the same", (np.full(5, 3000.1, np.float32),)
    while True:
        n = int(rng.integers(3, 40))
        yield f"{n} numbers around 5000", (np.float32(5000 + rng.normal(0, 1, n)),)


@expected("var-mean")
def of_all(x, parameters):
    return float(x.astype(np.float64).var(ddof=1))
