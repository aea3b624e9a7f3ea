"""batch_norm, its backward, and its form for evaluation. Reference: etude/ops/batch_norm.py."""

import numpy as np
from hypothesis import strategies as st

from etude import TABLE
from etude_check.bounds.models import Ensemble, updating
from etude_check.cases.plans import COTANGENTS, common, crossed, layouts
from etude_check.cases.spec import Refusal, call, spec


def _plan(shape, affine="wb", **more):
    return {"shape": list(shape), "affine": affine, **more}


BASE = [_plan((5, 3, 4, 2)), _plan((9, 7), ""), _plan((4, 3, 5), "w"), _plan((3, 3, 3))]
RANGES = ("far", "small", "large", "vast")
TAIL = [_plan((2, 3, n), ("wb", "", "w", "b")[i % 4])
        for i, n in enumerate((1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 65, 129, 1023))] + [
    _plan((n, 5)) for n in (2, 3, 7, 8, 9, 17, 65)] + [
    _plan((3, c, 2, 2)) for c in (1, 7, 8, 9, 16, 17, 33)] + [
    _plan((3, 2053), "b"), _plan((2, 1025, 2), ""), _plan((4, 3, 5), eps=0.1),
    _plan((4, 128, 4, 8)), _plan((128, 5), "w"), _plan((2, 3, 64), ""), _plan((128, 128), "b"),
    _plan((4, 3, 5), "b", eps=0.1), _plan((4, 3, 5), "", eps=0.1),
    _plan((4, 3, 33, 33), at="far"), _plan((2, 3, 2, 2, 2, 3))] + [
    _plan((2, 2, 2, 3, 3)), _plan((1, 3, 5, 5)), _plan((1, 2, 1, 2), "")] + crossed(
    [_plan((4, 3, 5)), _plan((33, 2), ""), _plan((2, 3, 7, 9), "w")], at=RANGES) + [
    _plan((4, 3, 5), at="small", eps=1e-8)]
STILL = [_plan((4, 7, 5), at="still"), _plan((9, 5), "", at="still")]  # channels that never vary


def _plans(evaluating=False, cotangent=False):
    def plans(kind):
        own = {"tail": STILL * evaluating,
               "layout": crossed([_plan((5, 3, 4))], together=("window",)),
               "empty": [_plan((3, 0, 4)), _plan((2, 0))] + [_plan((0, 3, 4))] * evaluating,
               "0d": [_plan((2, 1)), _plan((1, 1, 2), "")],
               "alias": [*BASE, _plan((2, 65)), _plan((2, 3, 33, 33))] * evaluating,
               "large": [_plan((8, 17, 65, 67)), _plan((2053, 129)),
                         _plan((520, 24), layout="rows")],
               "threads": [_plan((8, 17, 65, 67)), _plan((2053, 129), "")],
               "cotangent": crossed(BASE, cotangent=COTANGENTS) if cotangent else []}
        if kind == "special":  # no infinity: the mean is one in two passes, NaN by Welford's
            return crossed(BASE, special=("nan", "zero", "subnormal", "signalling"))
        return [*(common(kind, TAIL, BASE) or ()), *own.get(kind, ())]
    return plans


def _x(d, shape, at, plain=False):
    low, high = {"far": (998, 1002), "small": (-2e-3, 2e-3), "large": (-2e4, 2e4),
                 "vast": (-d.vast, d.vast)}.get(at, (-2, 3))
    return (d.plain if plain else d.floats)(shape, low, high)


def _eps(affine, eps):
    eps = 0.1 if affine == "w" and eps is None else eps
    return {} if eps is None else {"eps": eps}


def _affine(d, channels, affine):
    return [d.plain([channels]) if c in affine else None for c in "wb"]


def _make(d, shape, affine, at="", eps=None):
    return call(_x(d, shape, at), *_affine(d, shape[1], affine),
                **_eps(affine, eps))


def _backward(d, shape, affine, at="", eps=None):
    grad, x = d.grad(shape), _x(d, shape, at, plain=True)
    weight, _ = _affine(d, shape[1], affine)
    _, mean, var = TABLE["batch_norm"](x)
    return call(grad, x, weight, d.given(mean), d.given(var),
                **_eps(affine, eps))


def _evaluate(d, shape, affine, at="", eps=None):
    mean = d.plain(shape[1:2], *((998, 1002) if at == "far" else (-1, 1)))
    var = d.plain(shape[1:2], *((1e-7, 1e-5) if at == "small" else (0.1, 4)))
    if at == "still":
        var = d.given(np.where(d.rng.random(var.shape) < 0.5, 0, var).astype(d.dtype))
    return call(_x(d, shape, at), mean, var, *_affine(d, shape[1], affine),
                **_eps(affine, eps))


@st.composite
def _random(draw):
    shape = [draw(st.integers(2, 9)), draw(st.integers(1, 9)),
             *draw(st.lists(st.integers(1, 9), max_size=3))]
    return _plan(shape, draw(st.sampled_from(["", "w", "b", "wb"])), layout=draw(layouts),
                 at=draw(st.sampled_from(["", *RANGES])))


_x34, _three, _four = np.ones((3, 4)), np.ones(3), np.ones(4)
_VAR = Ensemble(more=lambda q, i: updating(q, (0, *range(2, q.arrays[0].ndim))))
spec("batch_norm", plans=_plans(), make=_make, model={"var": _VAR, "*": Ensemble()},
     random=_random(),
     refusals=(Refusal("one value per channel", lambda: call(np.ones((1, 4))), "ShapeError",
                       "batch_norm"),
               Refusal("a weight per sample", lambda: call(_x34, _three), "ShapeError",
                       "batch_norm.*weight"),
               Refusal("a bias of another length", lambda: call(_x34, None, _three), "ShapeError",
                       "batch_norm.*bias"),
               Refusal("no channels", lambda: call(_three), "ShapeError", "batch_norm")))
spec("batch_norm_backward", plans=_plans(cotangent=True), make=_backward, model=Ensemble(),
     random=_random(),
     refusals=(Refusal("a grad of another shape", lambda: call(
         _x34.T, _x34, None, _four, _four), "ShapeError", "batch_norm_backward"),))


def _folded(q, i):
    """An honest kernel may compute y = x a + (bias - mean a), a = weight / sqrt(var + eps). The
    terms may cancel: 4 u times their size.
    """
    x, mean, var, weight = (*q.arrays, None, None)[:4]
    column = (-1, *(1 for _ in x.shape[2:]))
    a = (1 if weight is None else weight) / np.sqrt(
        var.astype(np.float64) + {**q.op.attrs, **q.attrs}["eps"])
    return 4 * q.u * (np.abs(x) + np.abs(mean).reshape(column)) * np.abs(a).reshape(column)


spec("batch_norm_eval", plans=_plans(evaluating=True), make=_evaluate, random=_random(),
     model=Ensemble(more=_folded),
     refusals=(Refusal("a mean per sample", lambda: call(_x34, _three, _four), "ShapeError",
                       "batch_norm_eval"),))
