"""matmul and linear. Reference: etude/ops/matmul.py.

Cases have odd sizes around the tiles and unrolls of a kernel, a k that is smaller than any of them,
and operands that are transposes. Rows and columns have exponents of their own, which expose a
kernel that computes at a lower precision inside.
"""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Accumulate
from etude_check.cases.draw import LINES, TOGETHER, ZEROS
from etude_check.cases.plans import common, crossed, layouts
from etude_check.cases.spec import Adjoint, Refusal, call, spec

SIZES = [(1, 1, 1), (1, 5, 1), (7, 1, 9), (8, 8, 8), (5, 3, 7), (17, 16, 15), (6, 33, 4),
         (65, 64, 63), (2, 2, 3), (1, 257, 1), (1, 65, 33), (33, 65, 1), (13, 4, 129), (12, 7, 32),
         (11, 129, 31), (25, 255, 5), (3, 1025, 2), (4, 256, 65), (9, 2, 17), (129, 3, 8),
         (1, 65, 257), (257, 65, 1), (1, 300, 1000), (2, 33, 131), (128, 128, 128), (256, 128, 3),
         (3, 256, 128), (128, 5, 256), (4, 512, 8)]
SIDES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 31, 33, 65])
FINITE = ("nan", "inf", "zero", "subnormal")  # 3e38 and -3e38 overflow in one order or another


def _sizes(m, k, n, **more):
    return {"x": [m, k], "y": [k, n], **more}


def _kinds(kind, tail, base, exact, spoilt, **own):
    """The plans of those kinds for which matmul and linear answer alike."""
    if kind == "special":
        return crossed(base, special=FINITE) + crossed(
            base[:1], special=("far",), which=(0, 1)) + crossed(
            [base[0], *spoilt], special=("signalling", *ZEROS))
    if kind == "exact":
        return crossed(exact, values=("exact",))
    found = common(kind, tail, base)
    return [*(found or ()), *own.get(kind.replace("-", "_"), ())]


def _plans(kind):
    base = [_sizes(5, 7, 3), {"x": [2, 6, 9], "y": [9, 4]}, _sizes(6, 6, 6)]
    turned = crossed([_sizes(9, 17, 5), {"x": [2, 3, 7], "y": [2, 7, 9]}, _sizes(33, 33, 33)],
                     at=("tx", "ty", "txy"))
    turned += crossed([_sizes(67, 129, 71)], at=("tx", "ty", "txy")) + crossed(
        [_sizes(67, 129, 71)], layout=("rows", "sliced", "reversed")) + [
        {"x": [2, 3, 5, 4], "y": [2, 3, 4, 6], "layout": "swapped"}] + crossed(
        [_sizes(9, 9, 9)], together=TOGETHER) + crossed(
        [{"x": [3, 5, 4], "y": [3, 4, 6]}, {"x": [2, 3, 6, 5], "y": [2, 3, 5, 4]}],
        layout=("middle",))
    stacks = [([2, 1, 3, 4], [5, 4, 2]), ([1, 3, 4], [6, 4, 2]), ([3, 4], [2, 3, 4, 5]),
              ([5, 3, 4], [4, 2]), ([2, 1, 3, 4, 5], [1, 4, 3, 5, 2]), ([2, 3, 1, 4, 5], [4, 5, 3]),
              ([2, 1, 3, 9], [1, 3, 9, 2]), ([4, 4, 4], [4, 4, 4])]
    stacks = [{"x": x, "y": y} for x, y in stacks]
    tail = [_sizes(*s) for s in SIZES]
    return _kinds(
        kind, [*tail, *crossed([_sizes(9, 17, 7), _sizes(33, 65, 17)], at=("own", "biased"))],
        base, [*base, *tail, *stacks, *turned, _sizes(5, 1300, 9)], [_sizes(33, 40, 33)],
        broadcast=stacks, layout=turned,
        empty=[_sizes(0, 3, 2), _sizes(3, 0, 2), _sizes(2, 3, 0), {"x": [0, 2, 3], "y": [3, 4]}],
        **{"0d": [_sizes(1, 1, 1), {"x": [1, 1, 1], "y": [1, 1]}]},
        large=[_sizes(129, 4099, 67, at="biased"), _sizes(509, 509, 515, at="own"),
               _sizes(70001, 3, 2), _sizes(2, 3, 70001), _sizes(2, 70001, 3), _sizes(512, 256, 128),
               {"x": [70001, 2, 3], "y": [70001, 3, 2]}],
        repeat=crossed([_sizes(3, 300, 301), _sizes(300, 301, 3)], round=(0, 1, 2)),
        threads=[_sizes(257, 300, 131), {"x": [8, 65, 129], "y": [8, 129, 67]},
                 _sizes(3, 40001, 5)],
        adjoint=[_sizes(5, 7, 3, values="exact"), {"x": [2, 4, 9], "y": [2, 9, 5],
                                                   "values": "exact"}])


def swapped(a):
    """The same values, stored column by column."""
    return np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)


def _make(d, x, y, at=""):
    if at == "own":
        return call(d.own_exponents(x), d.own_exponents([*y[:-2], y[-1], y[-2]]).swapaxes(-1, -2))
    low, high = (-1, 3) if at == "biased" else (-2, 2)
    x, y = d.floats(x, low, high), d.floats(y, low, high)
    return call(swapped(x) if at in ("tx", "txy") else x, swapped(y) if at in ("ty", "txy") else y)


def _turned(a):
    return a.swapaxes(-1, -2)


@st.composite
def _random(draw):
    m, k, n = (draw(SIDES) for _ in range(3))
    lead = draw(st.lists(st.integers(1, 3), max_size=2))
    other = draw(st.sampled_from([lead, [], [1] * len(lead)]))
    return {"x": [*lead, m, k], "y": [*other, k, n], "layout": draw(layouts),
            "at": draw(st.sampled_from(["", "own", "tx", "ty"]))}


spec("matmul", plans=_plans, make=_make, model=Accumulate(), random=_random(),
     adjoint=(Adjoint(0, "matmul", lambda given, c: call(c, _turned(given.arrays[1]))),
              Adjoint(1, "matmul", lambda given, c: call(_turned(given.arrays[0]), c))),
     refusals=(
         Refusal("operands that do not meet", lambda: call(np.ones((2, 3)), np.ones((2, 3))),
                 "ShapeError", "matmul"),
         Refusal("a vector", lambda: call(np.ones(3), np.ones((3, 2))), "ShapeError", "matmul"),
         Refusal("batches that do not broadcast",
                 lambda: call(np.ones((2, 3, 4)), np.ones((3, 4, 5))), "ShapeError", "matmul"),
         Refusal("two dtypes", lambda: call(np.ones((2, 3)), np.ones((3, 2), np.float32)),
                 "DTypeError", "matmul")))


def _rows(lead, k, n, bias=True, **more):
    return {"x": [*lead, k], "n": n, "bias": bias, **more}


def _linear_plans(kind):
    base = [_rows([5], 7, 3), _rows([2, 6], 9, 4, False), _rows([6], 6, 6)]
    tail = [_rows([m], k, n, i % 2 == 0) for i, (m, k, n) in enumerate(SIZES)] + [
        _rows([], 9, 5), _rows([], 33, 17, None), _rows([2, 3, 4], 5, 7)]
    return _kinds(
        kind, [*tail, _rows([9], 17, 7, at="own"), _rows([33], 65, 17, at="own")], base,
        [*base, *tail, _rows([3], 1300, 2)], [_rows([33], 40, 33)],
        layout=crossed([_rows([], 131, 5)], layout=LINES) + crossed(
            [_rows([9], 9, 9)], together=TOGETHER),
        empty=[_rows([0], 3, 2), _rows([3], 0, 2), _rows([3], 0, 2, False), _rows([2], 3, 0)],
        **{"0d": [_rows([], 1, 1), _rows([1], 1, 1, False)]},
        large=[_rows([67], 4099, 129, at="biased"), _rows([509], 509, 515),
               _rows([70001], 3, 2), _rows([7], 3, 70001), _rows([512], 256, 128)],
        repeat=crossed([_rows([3], 300, 301)], round=(0, 1, 2)),  # a weight worth packing once
        threads=[_rows([257], 300, 131), _rows([8, 65], 129, 67, False)],
        adjoint=[_rows([5], 7, 3, False, values="exact"), _rows([9], 17, 8, None, values="exact")])


def _linear(d, x, n, bias, at=""):
    k = x[-1]
    if at == "own" and len(x) > 1:
        x, w = d.own_exponents(x), d.own_exponents([n, k])
    else:
        low, high = (-1, 3) if at == "biased" else (-2, 2)
        x, w = d.floats(x, low, high), d.floats([n, k], low, high)
    return call(x, w, d.floats([n])) if bias else call(x, w, *([None] if bias is None else []))


@st.composite
def _random_rows(draw):
    lead = draw(st.lists(st.integers(0, 9), max_size=3))
    return _rows(lead, draw(SIDES), draw(SIDES), draw(st.sampled_from([True, False, None])),
                 layout=draw(layouts))


spec("linear", plans=_linear_plans, make=_linear, model=Accumulate(), random=_random_rows(),
     adjoint=(Adjoint(0, "matmul", lambda given, c: call(c, given.arrays[1])),
              Adjoint(1, "matmul", lambda given, c: call(c.T, given.arrays[0]))),
     refusals=(
         Refusal("a weight stored as (in, out)", lambda: call(np.ones((2, 3)), np.ones((3, 4))),
                 "ShapeError", "linear.*weight"),
         Refusal("a bias of another length",
                 lambda: call(np.ones((2, 3)), np.ones((4, 3)), np.ones(3)), "ShapeError",
                 "linear.*bias"),
         Refusal("a bias of one number, which would broadcast",
                 lambda: call(np.ones((2, 3)), np.ones((4, 3)), np.ones(1)), "ShapeError",
                 "linear.*bias")))
