"""layer_norm and its backward. Reference: etude/ops/layer_norm.py.

Rows far from 0 expose a variance that is computed in one pass. Rows of small numbers show where eps
is added, and short rows what the variance is divided by. rms_norm draws the same calls.
"""

import numpy as np
from hypothesis import strategies as st

from etude import TABLE
from etude_check.bounds.models import Ensemble, LayerNorm, updating
from etude_check.cases.draw import LINES
from etude_check.cases.plans import COTANGENTS, LONG, TAILS, common, crossed, layouts
from etude_check.cases.spec import Refusal, call, spec


def plan(shape, over=1, affine="wb", **more):
    return {"shape": list(shape), "over": over, "affine": affine, **more}


BASE = [plan((5, 9)), plan((2, 3, 8), affine=""), plan((3, 4, 5), 2, "w"), plan((6, 6))]
RANGES = ("far", "small", "large", "vast")
TAIL = [plan((3, n), affine=("wb", "", "w")[i % 3]) for i, n in enumerate(TAILS)] + [
    plan((n, 5)) for n in (1, 7, 8, 9, 17, 65)] + crossed(
    [plan((5, 9)), plan((3, 33), affine=""), plan((3, 257), affine="w")], at=RANGES) + [
    plan((5, 9), eps=0.1), plan((3, 33), affine="", eps=0.5), plan((5, 9), affine="b"),
    plan((2, 3, 2, 3, 5)), plan((2, 3, 17)), plan((3, 2, 2, 65), affine="w"), plan((3, 9, 17), 2),
    plan((9,)), plan((2, 2, 3, 4), 3), plan((4, 3, 2), 3, ""), plan((3, 2), affine="", at="small"),
    plan((5, 9), at="small", eps=1e-8), plan((128,)), plan((3, 128), affine="w"), plan((2, 256)),
    plan((128, 5)), plan((3, 4, 32), 2), plan((3, 1024), affine="")]


def plans(cotangent=False, bias=True):
    """For layer_norm, rms_norm and their backward ops; without ``bias``, which some do not take."""
    def found(kind):
        own = {"empty": [plan((0, 5)), plan((2, 0, 3)), plan((0, 2, 3), 2)],
               "0d": [plan((1,)), plan((1, 1), affine="")],
               "large": [plan((37, 30011)), plan((4099, 257)), plan((70001, 3)),
                         plan((3, 4097), at="far"), plan((512, 128)),
                         plan((520, 24), layout="rows")],
               "layout": crossed([plan((n,)) for n in LONG], layout=LINES[:2]) + crossed(
                   [plan((4, 3, 4, 5), 3)], layout=("middle",)) + (
                   crossed([plan((9, 9))], together=("window", "packed")) if bias else []),
               "threads": [plan((4099, 257)), plan((1031, 513), affine="")],
               "cotangent": crossed(BASE, cotangent=COTANGENTS) if cotangent else []}
        if kind == "special":  # no infinity: the mean is one in two passes, NaN by Welford's
            return crossed(BASE, special=("nan", "zero", "subnormal", "signalling"))
        answer = [*(common(kind, TAIL, BASE) or ()), *own.get(kind, ())]
        if not bias:
            answer = [{**p, "affine": p["affine"].replace("b", "")} for p in answer]
        return [{**p, "affine": p["affine"].replace("b", "")} if cotangent else p for p in answer]
    return found


def rows(d, shape, at, plain=False):
    low, high = {"far": (998, 1002), "small": (-2e-3, 2e-3), "large": (-2e4, 2e4),
                 "vast": (-d.vast, d.vast),
                 "tiny": (-2e-8, 2e-8), "nothing": (0, 0)}.get(at, (-2, 3))
    return (d.plain if plain else d.floats)(shape, low, high)


@st.composite
def random(draw, affine=("", "w", "b", "wb")):
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    shape[-1] = draw(st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 33, 65]))
    return plan(shape, draw(st.integers(1, len(shape))), draw(st.sampled_from(affine)),
                at=draw(st.sampled_from(["", *RANGES])), layout=draw(layouts))


def refused(op, least=""):
    x = np.ones((3, 4))
    return (Refusal("a size x does not end in", lambda: call(x, normalized_shape=(3,)),
                    "ShapeError", op),
            Refusal("a weight of another shape", lambda: call(x, np.ones(3), normalized_shape=(4,)),
                    "ShapeError", f"{op}.*weight"),
            Refusal("a weight that would broadcast", lambda: call(
                x, np.ones(1), normalized_shape=(4,)), "ShapeError", f"{op}.*weight"),
            Refusal("empty rows", lambda: call(np.ones((3, 0)), normalized_shape=(0,)),
                    "ShapeError", op))


def _make(d, shape, over, affine, at="", eps=None):
    size = tuple(shape[len(shape) - over:])
    x = rows(d, shape, at)
    weight, bias = (d.plain(size) if c in affine else None for c in "wb")
    return call(x, weight, bias, normalized_shape=size, **({} if eps is None else {"eps": eps}))


def _backward(d, shape, over, affine, at="", eps=None):
    size = tuple(shape[len(shape) - over:])
    grad, x = d.grad(shape), rows(d, shape, at, plain=True)
    weight = d.plain(size) if "w" in affine else None
    _, mean, rstd = TABLE["layer_norm"](x, normalized_shape=size)
    return call(grad, x, weight, d.given(mean), d.given(rstd), normalized_shape=size)


def _welford(q, i):
    """How far rstd = (var + eps)^-1/2 may be off: rstd^3 / 2 times the error of the variance."""
    ndim, last = q.arrays[0].ndim, len(q.attrs["normalized_shape"])
    return q.oracle[i] ** 3 / 2 * updating(q, tuple(range(ndim - last, ndim))).reshape(
        q.oracle[i].shape)


spec("layer_norm", plans=plans(), make=_make,
     model={"y": LayerNorm(), "rstd": Ensemble(more=_welford), "*": Ensemble()},
     random=random(), refusals=refused("layer_norm"))
spec("layer_norm_backward", plans=plans(cotangent=True), make=_backward, model=Ensemble(),
     random=random(("", "w")))
