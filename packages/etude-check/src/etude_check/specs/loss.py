"""Losses between two arrays of one shape. Reference: etude/ops/loss.py."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Ensemble
from etude_check.cases.plans import alike, elementwise
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.reduce import heavy

REDUCTIONS = ("mean", "sum", "none")
SPECIALS = {"mse_loss": ("nan", "inf", "zero", "subnormal", "signalling"),
            "l1_loss": ("nan", "inf", "zero", "subnormal", "signalling", "far"),
            "binary_cross_entropy_with_logits": ("nan", "zero", "subnormal", "signalling")}


def _plans(op):
    stock = elementwise(2, reduction=REDUCTIONS)

    def shapes(shape, **more):
        return [{"shapes": [shape, shape], "reduction": r, **more} for r in REDUCTIONS]

    def plans(kind):
        found = [] if kind == "broadcast" else stock(kind)
        found = [p for p in found if p["shapes"][0] == p["shapes"][1]]
        if kind == "large":
            found = [p for p in found if "special" not in p]
        if kind == "special":
            return [p for p in found if p["special"] in SPECIALS[op]] + shapes(
                [1031], special="nan") + (
                shapes([33], at="infinite") if op == "binary_cross_entropy_with_logits" else [])
        if kind == "empty":  # the mean of nothing is refused
            found = [{**p, "reduction": r} for p in found for r in REDUCTIONS[1:]]
        if kind == "threads":
            found = [{**p, "reduction": r} for p in found for r in ("mean", "none")]
        if kind == "tail":
            found = [{**p, "reduction": REDUCTIONS[i % 3]} for i, p in enumerate(found)]
            found += shapes([5, 9]) + shapes([1, 7]) + [
                p for at in ("large", "close", "same", "vast") for p in shapes([5, 9], at=at)]
        return found
    return plans


def _make(d, shapes, reduction, at=""):
    if heavy(shapes[0]):
        return call(d.floats(shapes[0], 0, 3), d.floats(shapes[1], -3, -2.5), reduction=reduction)
    high = {"large": 90, "vast": d.vast}.get(at, 3)
    x = d.floats(shapes[0], -high, high)
    if at == "same":
        return call(x, d.given(x.copy()), reduction=reduction)
    return call(x, d.floats(shapes[1], 2.9, 3.1) if at == "close" else d.floats(shapes[1]),
                reduction=reduction)


def _bce(d, shapes, reduction, at=""):
    if at == "infinite":
        x = d.among((-np.inf, np.inf, 0.0, -1.0, 1.0), shapes[0], near=False)
        return call(x, d.among((0.0, 1.0, 0.25), shapes[1], near=False), reduction=reduction)
    high = {"large": 200, "close": 1e-3, "vast": d.vast}.get(at, 6)
    target = d.given(d.rng.integers(0, 2, shapes[1]).astype(d.dtype)) if at == "same" else d.plain(
        shapes[1], 0, 1)
    return call(d.floats(shapes[0], -high, high), target, reduction=reduction)


def _refused(op):
    one = np.ones((3, 1))
    return (Refusal("shapes that would broadcast", lambda: call(one, np.ones(3)), "ShapeError", op),
            Refusal("the mean of no elements", lambda: call(one[:0], one[:0]), "ShapeError", op),
            Refusal("an unknown reduction", lambda: call(one, one, reduction="average"),
                    "ValueError", f"{op}.*reduction"))


for _op, _makes in (("mse_loss", _make), ("l1_loss", _make),
                    ("binary_cross_entropy_with_logits", _bce)):
    spec(_op, plans=_plans(_op), make=_makes, model=Ensemble(), refusals=_refused(_op),
         random=alike(2, reduction=st.sampled_from(REDUCTIONS)).filter(
             lambda p: p["reduction"] != "mean" or 0 not in p["shapes"][0]))
