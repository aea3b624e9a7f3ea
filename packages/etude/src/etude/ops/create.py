"""Creation: an array from no array. The device's upload makes it; no column implements it."""

import numpy as np

from etude.core.table import op


@op("create", shape="shape = *S -> *S dtype", domain="any")
def full(*, shape, value, dtype):
    """y = an array of ``shape`` with ``value`` everywhere, of the given dtype."""
    return np.full(shape, value, dtype)
