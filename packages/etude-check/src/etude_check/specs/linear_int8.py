"""linear_int8. Reference: etude/ops/linear_int8.py.

Weights are drawn from all of int8, -128 too, which a kernel loses that negates or saturates. Scales
have exponents of their own, so that a channel with its neighbour's scale is seen; sizes lie around
the vectors of a kernel, for weights that are read by vectors of another width than x.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Accumulate
from etude_check.cases.draw import LINES, ZEROS
from etude_check.cases.plans import common, crossed, layouts
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.matmul import FINITE, SIDES, SIZES


@dataclass(frozen=True)
class Widened(Accumulate):
    """Accumulate, with the weight as one more float array: it has a magnitude too."""

    def bound(self, q, i):
        x, weight, *rest = q.arrays
        return super().bound(replace(q, arrays=(x, weight.astype(np.float64), *rest)), i)


def _plan(lead, k, n, bias=True, **more):
    return {"x": [*lead, k], "n": n, "bias": bias, **more}


def _plans(kind):
    base = [_plan([5], 7, 3), _plan([2, 6], 9, 4, False), _plan([6], 6, 6)]
    tail = [_plan([m], k, n, i % 2 == 0) for i, (m, k, n) in enumerate(SIZES)] + [
        _plan([], 9, 5), _plan([], 33, 17, None), _plan([2, 3, 4], 5, 7),
        *crossed([_plan([1], 47, 9), _plan([3], 79, 13), _plan([17], 95, 37)],
                 at=("own", "ends"))]
    if kind == "special":
        return crossed(base, special=FINITE) + crossed(base[:1], special=("signalling", *ZEROS)) + (
            crossed(base[:1], special=("far",), which=(0, 2)))
    if kind == "exact":
        return crossed([*base, *tail[:25], _plan([3], 1300, 2), _plan([33], 40, 33)],
                       values=("exact",))
    own = {"layout": crossed([_plan([], 131, 5)], layout=LINES),
           "empty": [_plan([0], 3, 2), _plan([3], 0, 2), _plan([3], 0, 2, False), _plan([2], 3, 0)],
           "0d": [_plan([], 1, 1), _plan([1], 1, 1, False)],
           "large": [_plan([67], 4099, 129), _plan([509], 509, 515), _plan([70001], 3, 2),
                     _plan([7], 3, 70001), _plan([1], 4099, 515), _plan([512], 256, 128)],
           "threads": [_plan([257], 300, 131), _plan([1], 1031, 1021), _plan([5], 517, 515)]}
    return [*(common(kind, tail, base) or ()), *own.get(kind, ())]


def _make(d, x, n, bias, at=""):
    k = x[-1]
    data = d.own_exponents(x) if at == "own" else d.floats(x)
    if d.exact:  # sums that float32 holds
        weight = d.rng.integers(-3, 4, (n, k))
    elif at == "ends":
        weight = d.rng.choice([-128, -127, 127], (n, k))
    else:
        weight = d.rng.integers(-128, 128, (n, k))
    weight = d.given(weight.astype(np.int8))
    scale = d.floats([n])
    if not d.exact:
        scale = scale * np.exp2(d.rng.integers(-12, 13, n)).astype(d.dtype)
    return call(data, weight, scale, *([d.floats([n])] if bias else [None] if bias is None else []))


@st.composite
def _random(draw):
    lead = draw(st.lists(st.integers(0, 9), max_size=3))
    return _plan(lead, draw(SIDES), draw(SIDES), draw(st.sampled_from([True, False, None])),
                 layout=draw(layouts), at=draw(st.sampled_from(["", "own", "ends"])))


_X, _W, _S = np.ones((2, 3)), np.ones((4, 3), np.int8), np.ones(4)
spec("linear_int8", plans=_plans, make=_make, model=Widened(), random=_random(),
     mutants=("linear_int8_neighbour", "linear_int8_unsigned", "linear_int8_saturates",
              "linear_int8_tail"),
     refusals=(
         Refusal("a weight of floats", lambda: call(_X, np.ones((4, 3)), _S), "DTypeError",
                 "linear_int8.*weight.*int8"),
         Refusal("a weight stored as (in, out)", lambda: call(_X, _W.T.copy(), _S), "ShapeError",
                 "linear_int8.*weight"),
         Refusal("one scale for all", lambda: call(_X, _W, np.ones(1)), "ShapeError",
                 "linear_int8.*scale"),
         Refusal("scales of another dtype", lambda: call(_X, _W, _S.astype(np.float32)),
                 "DTypeError", "linear_int8"),
         Refusal("a bias of another length", lambda: call(_X, _W, _S, np.ones(3)), "ShapeError",
                 "linear_int8.*bias")))
