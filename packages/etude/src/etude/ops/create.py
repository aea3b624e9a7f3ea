"""Creation: an array from no array. The device's upload makes it; no column implements it."""

import numpy as np

from etude.errors import DTypeError
from etude.shapes import DTYPES, Spec, check_shape
from etude.table import op


def _full_shape(*, shape, value, dtype):
    if np.dtype(dtype) not in DTYPES:
        names = ", ".join(d.name for d in DTYPES)
        raise DTypeError(f"full: Etude has the dtypes {names}; got {np.dtype(dtype).name}")
    return Spec(check_shape("full", shape), np.dtype(dtype))


@op("create", shape=_full_shape, domain="any")
def full(*, shape, value, dtype):
    """y = an array of ``shape`` with ``value`` everywhere, of the given dtype."""
    return np.full(shape, value, dtype)
