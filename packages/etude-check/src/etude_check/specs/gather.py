"""gather and scatter_add. Reference: etude/ops/gather.py."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Accumulate, Exact
from etude_check.cases.draw import COPIED, SPECIALS
from etude_check.cases.plans import COTANGENTS, LONG, common, crossed, layouts
from etude_check.cases.spec import Adjoint, Refusal, call, spec


def _plan(x, index, dim, **more):
    return {"x": list(x), "index": list(index), "dim": dim, **more}


#: index longer than x along dim, shorter along the others; squares, in which a wrong dim fits
BASE = [_plan((5, 7), (3, 7), 0), _plan((5, 7), (5, 11), 1), _plan((4, 5, 6), (3, 8, 4), -2),
        _plan((6, 6), (6, 6), 0), _plan((6, 6), (6, 6), -1)]
TAIL = [_plan((n,), (m,), 0) for n, m in ((1, 1), (1, 9), (7, 8), (9, 7), (64, 65), (129, 33))] + [
    _plan((4, n), (3, n), 0) for n in (1, 7, 8, 9, 17, 33)] + [
    _plan((3, n), (3, n + 1), 1) for n in (1, 7, 8, 15, 64)] + [
    _plan((2, n, 5), (2, 9, 3), 1) for n in (1, 8, 33)] + [
    _plan((5, 5, 5), (5, 5, 5), k) for k in (0, 1, 2)] + [
    _plan((2, 3, 4, 5), (1, 3, 7, 2), 2), _plan((2, 3, 4, 5), (2, 2, 2, 9), -1)] + [
    _plan((128,), (256,), 0), _plan((128, 3), (128, 3), 0), _plan((3, 128), (3, 128), 1),
    _plan((5, 128), (9, 128), 0)]
LARGE = [_plan((1031, 257), (1031, 513), 1), _plan((2053, 129), (4001, 129), 0),
         _plan((70001, 2), (129, 2), 0)]


def _plans(adds):
    def plans(kind):
        own = {
            "empty": [_plan((3, 4), (0, 4), 0), _plan((3, 4), (3, 0), 1), _plan((0, 4), (0, 4), 0),
                      _plan((3, 0), (3, 0), 0)],
            "0d": [_plan((1,), (1,), 0), _plan((1, 1), (1, 1), 1)],
            "duplicate-index": crossed([*BASE, _plan((9, 4), (65, 4), 0), _plan((33,), (257,), 0)],
                                       duplicates=(True,)),
            "layout": crossed([_plan((65, 33), (65, 40), 1)], layout=(
                "transposed", "sliced", "reversed")) + crossed(
                    [_plan((9, 5), (7, 3), 0), _plan((4, 5, 6), (3, 8, 4), -2)], layout=COPIED),
            "large": LARGE, "threads": [*LARGE, _plan((4097, 65), (4097, 65), 0)],
        }
        if adds:
            long = _plan((3, 5), (1000, 5), 0)  # many that meet
            own["exact"] = crossed([*BASE, *TAIL, long], values=("exact",)) + crossed(
                [*BASE, long], values=("exact",), duplicates=(True,))
            own["cotangent"] = crossed(BASE, cotangent=COTANGENTS)
            own["adjoint"] = crossed(BASE, values=("exact",), zeros=(True,), src=("index",))
            own["tail"] = crossed([*BASE, *TAIL[:12]], src=("larger",)) + [
                _plan((2, 3, 2, 3, 4), (2, 3, 2, 5, 4), 3)]
            own["special"] = crossed([*BASE, _plan((3, 5), (17, 5), 0)], at=("whole",))
        if kind == "special":
            names = [s for s in SPECIALS if not (adds and s == "huge")]
            return crossed(BASE, special=names) + own.get(kind, [])
        return [*(common(kind, TAIL, BASE, [_plan((n,), (150,), 0) for n in LONG]) or ()),
                *own.get(kind, ())]
    return plans


def _gather(d, x, index, dim):
    return call(d.floats(x), d.index(x[dim], index), dim=dim)


#: int64 values that float64 cannot hold, and whose sums still fit
WHOLE = (0, 1, -1, 200, 2**24 + 1, 2**31 + 3, 2**53 + 1, -(2**53) - 1)


def _scatter_add(d, x, index, dim, src="index", zeros=False, at=""):
    size = [n + (src == "larger") * (2 if i else 1) for i, n in enumerate(index)]
    start = d.given(np.zeros(x, d.dtype)) if zeros else d.floats(x)
    places = d.index(x[dim], index)
    if at == "whole" and d.dtype.kind == "i":
        return call(d.among((), x, WHOLE), places, d.among((), size, WHOLE), dim=dim)
    return call(start, places, d.grad(size), dim=dim)


@st.composite
def _random(draw, **more):
    x = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    dim = draw(st.integers(-len(x), len(x) - 1))
    index = [draw(st.integers(0, n)) for n in x]
    index[dim] = draw(st.integers(0, 17))
    return _plan(x, index, dim, layout=draw(layouts), duplicates=draw(st.booleans()),
                 **{k: draw(v) for k, v in more.items()})


def _refused(op, *src):
    x, i = np.ones((3, 4)), np.zeros((2, 4), np.int64)
    return (
        Refusal("an index too large", lambda: call(x, i + 3, *src, dim=0), "IndexError",
                f"{op}.*3"),
        Refusal("a negative index", lambda: call(x, i - 1, *src, dim=0), "IndexError", f"{op}.*-1"),
        Refusal("one wrong index, the last", lambda: call(
            x, np.array([[0, 0, 0, 0], [0, 0, 0, 7]]), *src, dim=0), "IndexError", f"{op}.*7"),
        Refusal("an index larger than x", lambda: call(x, np.zeros((2, 5), np.int64), *src, dim=0),
                "ShapeError", f"{op}.*index"),
        Refusal("an index of floats", lambda: call(x, np.zeros((2, 4)), *src, dim=0), "DTypeError",
                f"{op}.*index"),
        Refusal("an axis that is not there", lambda: call(x, i, *src, dim=2), "AxisError", op))


spec("gather", plans=_plans(False), make=_gather, model=Exact(), random=_random(),
     refusals=_refused("gather"))
spec("scatter_add", plans=_plans(True), make=_scatter_add, model=Accumulate(),
     random=_random(src=st.sampled_from(["index", "larger"])),
     adjoint=(Adjoint(2, "gather", lambda given, c: call(
         c, given.arrays[1], dim=given.attrs["dim"])),),
     refusals=_refused("scatter_add", np.ones((2, 4))))
