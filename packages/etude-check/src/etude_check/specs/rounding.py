"""Rounding to whole numbers, and isnan. Reference: etude/ops/rounding.py."""

import numpy as np

from etude_check.bounds.models import Exact
from etude_check.cases.plans import broadcasting
from etude_check.cases.spec import call, spec
from etude_check.specs.map import MAP, entry

#: halves, their neighbours (0.49999997 + 0.5 rounds to 1), and beyond int32, 2^23 and 2^52
HALVES = (0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.5, 0.0, -0.0, 1.0, -1.0, -2.0, 8388607.5, 4194304.5,
          8388609.0, 2147483648.0, -2147483649.0, 4503599627370495.5, 9007199254740993.0, 1e19,
          1e-45, -1e-45, 3e38, np.inf, -np.inf, np.nan)
DRAWN = {"kinks": HALVES, "wide": (-3, 70), "ranges": ((-100, 100),) * 2}

entry("floor", Exact(), **DRAWN)
entry("ceil", Exact(), **DRAWN)
entry("round", Exact(), **DRAWN)


def _with_nans(d, shapes, at=None):
    """Every case has a NaN among the numbers: without one, an answer of all False would be
    right.
    """
    (shape,) = shapes
    x = d.bits(shape) if at == "bits" else d.among(HALVES, shape) if at else d.floats(shape)
    nan = d.rng.choice([np.nan, np.copysign(np.nan, -1)], shape)
    return call(d.given(np.where(d.rng.random(shape) < 0.4, nan, x).astype(d.dtype)))


spec("isnan", plans=MAP, make=_with_nans, model=Exact(), random=broadcasting(1))
