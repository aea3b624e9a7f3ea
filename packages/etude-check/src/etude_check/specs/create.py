"""Creation. Reference: etude/ops/create.py. The device's upload makes arrays; a column may."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Exact
from etude_check.cases.plans import TAILS, shapes
from etude_check.cases.spec import Refusal, call, spec

VALUES = (2.5, -7.0, 0.0, 1.0, 1e30)


def _plans(kind):
    sized = {"tail": [[n] for n in TAILS[::2]] + [[3, 5]], "0d": [[]], "empty": [[0], [3, 0]],
             "large": [[70001]]}
    values = VALUES[::3] if kind == "large" else VALUES
    return [{"shape": s, "value": v} for s in sized.get(kind, ()) for v in values] + (
        [{"shape": [5], "value": v} for v in ("nan", "inf", "-inf")] if kind == "special" else [])


def _make(d, shape, value):
    """A plan writes NaN as a word, since JSON has none. int64 gets whole numbers, bool truth
    values.
    """
    value = float(value)
    if d.dtype.kind == "i":
        value = int(np.clip(np.nan_to_num(value), -(2**62), 2**53)) + (value > 2)
    return call(shape=tuple(shape), value=value > 0 if d.dtype.kind == "b" else value,
                dtype=d.dtype)


spec("full", plans=_plans, make=_make, model=Exact(),
     random=st.fixed_dictionaries({"shape": shapes(), "value": st.integers(-9, 9)}),
     blind={"mean": "every element is the mean"},
     refusals=(Refusal("a size below 0", lambda: call(shape=(-1,), value=0.0, dtype=np.dtype(
         "float32")), "ShapeError", "full"),))
