"""Creation: an array from no array. The device's upload makes it; no column implements it."""

import numpy as np

from etude.shapes import Spec, check_shape
from etude.table import op


def _full_shape(*, shape, value, dtype):
    return Spec(check_shape("full", shape), np.dtype(dtype))


@op("create", shape=_full_shape, domain="any")
def full(*, shape, value, dtype):
    """y = an array of ``shape`` with ``value`` everywhere, of the given dtype."""
    return np.full(shape, value, dtype)
