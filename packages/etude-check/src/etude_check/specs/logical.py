"""Logic on bools. Reference: etude/ops/logical.py."""

import numpy as np

from etude_check.bounds.models import Exact
from etude_check.cases.plans import (
    TAILS,
    also,
    broadcasting,
    crossed,
    elementwise,
    over_axes,
    reductions,
)
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.binary import WIDTHS

BOOL = ("bool",)


def _numbers(op, arity):
    return Refusal("numbers for truth values", lambda: call(*[np.ones(2)] * arity), "DTypeError",
                   op)


def _bools(d, shapes):
    return call(*[d.bools(s) for s in shapes])


for _op in ("logical_and", "logical_or"):
    spec(_op, plans=also(elementwise(2, special=False), broadcast=WIDTHS), make=_bools,
         model=Exact(), dtypes=BOOL, random=broadcasting(2), refusals=(_numbers(_op, 2), Refusal(
             "shapes that do not broadcast", lambda: call(np.ones((2, 3), bool), np.ones(2, bool)),
             "ShapeError", _op)))
spec("logical_not", plans=elementwise(1, special=False), make=_bools, model=Exact(), dtypes=BOOL,
     random=broadcasting(1), refusals=(_numbers("logical_not", 1),))


# ------------------------------------------------------------------ all, any


def _reduced(odd):
    """Nearly all elements are alike: about half of the groups hold one that is ``odd``. Where the
    plan asks for it, that is the first or the last of all elements, which a loop that starts late
    or ends early does not see.
    """
    def make(d, shape, dim, keepdim=False, only=None):
        dims = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
        n = max(int(np.prod([shape[k] for k in dims])), 1)
        x = np.full(shape, not odd)
        if only == "every":  # 256 of them are 0 in a byte
            x[...] = odd
        elif only is None:
            x[d.rng.random(shape) < 1 - 0.5 ** (1 / n)] = odd
        else:
            x[(Ellipsis, only) if dim is not None else only] = odd
        return call(d.given(x), dim=dim, keepdim=keepdim)
    return make


ENDS = crossed([{"shape": [n], "dim": None, "keepdim": False} for n in TAILS] + [
    {"shape": [3, n], "dim": 1, "keepdim": False} for n in (7, 8, 33, 65, 129)], only=(0, -1))

_reductions = reductions()


def _plain(kind):
    return [] if kind == "special" else _reductions(kind)


EVERY = crossed([{"shape": [n], "dim": None, "keepdim": False} for n in (256, 65536)] + [
    {"shape": [256, 3], "dim": 0, "keepdim": False}, {"shape": [3, 512], "dim": 1,
                                                    "keepdim": True}], only=("every",))

for _op, _odd in (("all", False), ("any", True)):
    spec(_op, plans=also(_plain, tail=ENDS, special=EVERY),
         make=_reduced(_odd), model=Exact(), dtypes=BOOL, random=over_axes(),
         refusals=(_numbers(_op, 1), Refusal("an axis that is not there", lambda: call(
             np.ones((2, 3), bool), dim=2), "AxisError", _op)))
