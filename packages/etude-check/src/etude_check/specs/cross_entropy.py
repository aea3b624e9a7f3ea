"""cross_entropy and its backward. Reference: etude/ops/cross_entropy.py."""

import numpy as np
from hypothesis import strategies as st

from etude import TABLE
from etude_check.bounds.models import Ensemble
from etude_check.cases.plans import COTANGENTS, LAYOUTS, TAILS, common, crossed, layouts
from etude_check.cases.spec import Refusal, call, spec

REDUCTIONS = ("mean", "sum", "none")


def _plan(n, c, reduction="mean", ignore=-100, smoothing=0.0, **more):
    return {"n": n, "c": c, "reduction": reduction, "ignore": ignore, "smoothing": smoothing,
            **more}


BASE = [_plan(7, 5), _plan(6, 9, "none", 2), _plan(9, 4, "sum", -100, 0.1), _plan(6, 6, "mean", 1,
                                                                                 0.25)]
EVERY = crossed([{"n": 8, "c": 5}], reduction=REDUCTIONS, ignore=(-100, 0, 3),
                smoothing=(0.0, 0.1, 1.0))
TAIL = [_plan(3, n, REDUCTIONS[i % 3], -100, (0.0, 0.2)[i % 2]) for i, n in enumerate(TAILS)] + [
    _plan(n, 5, REDUCTIONS[i % 3], 1) for i, n in enumerate(TAILS[:16])] + EVERY + crossed(
    [_plan(6, 5), _plan(6, 33, "none", smoothing=0.1)], at=("big", "sure", "below", "hidden")
    ) + crossed([_plan(3, 129, "none"), _plan(3, 1025)], at=("big", "hidden")) + [
    _plan(5, 4, r, at="all ignored") for r in REDUCTIONS] + [
    _plan(3, 128, "none"), _plan(128, 5), _plan(128, 256, "sum", smoothing=0.1),
    _plan(256, 128, "mean", 1)]
#: Weights of the classes. "one": all but one class weigh nothing, and a row has that label.
WEIGHTS = ("drawn", "zeros", "one")
WEIGHTED = crossed([{"n": 8, "c": 5}], reduction=REDUCTIONS, ignore=(-100, 3),
                   smoothing=(0.0, 0.1, 1.0), weight=WEIGHTS) + [
    _plan(3, n, REDUCTIONS[i % 3], -100, (0.0, 0.2)[i % 2], weight="drawn")
    for i, n in enumerate((1, 2, 3, 7, 8, 9, 16, 17, 33, 65, 129, 257, 1025))] + [
    _plan(n, 5, REDUCTIONS[i % 3], 1, weight="drawn") for i, n in enumerate((1, 2, 9, 17, 65, 257))
    ] + crossed([_plan(6, 5), _plan(6, 33, "none", smoothing=0.1)], at=("big", "sure", "hidden"),
                weight=("drawn",)) + [
    _plan(5, 4, r, at="all ignored", weight="drawn") for r in REDUCTIONS] + [
    _plan(5, 4, r, weight="nothing") for r in REDUCTIONS]
TAIL += WEIGHTED
TAIL += [_plan(128, 128, "sum", weight="drawn")]
HEAVY = _plan(9, 4, "mean", 2, 0.1, weight="drawn")


def _plans(backward):
    def plans(kind):
        own = {"empty": [_plan(0, 3, "sum"), _plan(0, 3, "none")], "0d": [_plan(1, 1)],
               "large": [_plan(37, 30011), _plan(4099, 257, smoothing=0.1), _plan(9, 70001, "none"),
                         _plan(70001, 3, "none"), _plan(4099, 5, "sum", 2),
                         _plan(3, 2053, "sum", smoothing=0.2),
                         _plan(4099, 257, smoothing=0.1, weight="drawn"),
                         _plan(37, 30011, weight="drawn"), _plan(520, 24, layout="rows"),
                         _plan(512, 128, "none")],
               "threads": [_plan(4099, 257), _plan(2053, 129, "none", 3),
                           _plan(4099, 257, smoothing=0.1, weight="drawn")],
               "duplicate-index": crossed([*BASE, HEAVY], duplicates=(True,)),
               "layout": crossed([HEAVY], layout=LAYOUTS) + crossed(
                   [HEAVY], layout=LAYOUTS, which=(2, 3) if backward else (2,)),
               "cotangent": crossed([*BASE, HEAVY], cotangent=COTANGENTS) if backward else []}
        if kind == "special":
            return crossed(BASE[:2], special=(
                "nan", "zero", "subnormal", "signalling", "far")) + crossed(
                [_plan(6, 5, "none"), _plan(4, 33, "none", smoothing=0.1)], at=("level",)) + [
                _plan(4, 33, "none", smoothing=0.1, weight="drawn", at="level"),
                *crossed([HEAVY], special=("nan", "zero", "subnormal", "signalling")),
                *crossed([_plan(6, 5, "none"), _plan(4, 33, "none")], at=("masked",))]
        return [*(common(kind, TAIL, BASE) or ()), *own.get(kind, ())]
    return plans


def _logits(d, n, c, at, plain=False):
    if at == "level":  # all logits of a row alike, and far from 0
        level = d.rng.choice([1.0, 1e4, 1e6, 1e8, -1e9], [n, 1])
        return d.given(np.repeat(level, c, 1).astype(d.dtype))
    draw = d.plain if plain else d.floats
    x = draw([n, c], *{"big": (-1e4, 1e4), "sure": (-60, 60), "below": (-9, -4)}.get(at, (-4, 4)))
    if at == "masked":  # every other row from end to end
        x = np.array(x)
        x[::2] = -np.inf
        x = d.given(x)
    return x


def _target(d, n, c, ignore, at):
    """Labels. Some of them are ignored, and all of them only where the plan asks for it."""
    target = np.array(d.index(c, [n]))
    if at == "all ignored":
        target[:] = ignore
    elif n > 1:
        target[1::4] = ignore
        if c > 1 and (target == ignore).all():
            target[0] = (ignore + 1) % c
    return target


def _weight(d, c, kind, target, ignore):
    """The weights of the classes, far enough apart that one cannot pass for another."""
    weight = d.rng.uniform(0.1, 3, c)
    if kind == "zeros":
        weight[::2] = 0
    elif kind in ("one", "nothing"):
        weight[:] = 0
    if kind in ("one", "zeros") and (target != ignore).any():
        weight[target[target != ignore][0]] = 1.75
    return d.given(weight.astype(d.dtype))


def _given(d, n, c, ignore, at, plain, weight):
    x, target = _logits(d, n, c, at, plain), _target(d, n, c, ignore, at)
    if at == "hidden" and n:  # a class masked out, which no row has for a label
        x = np.array(x)
        x[:, -1] = -np.inf
        target = np.where((target == c - 1), 0, target)
    target = d.given(target)
    return x, target, _weight(d, c, weight, target, ignore) if weight else None


def _attrs(reduction, ignore, smoothing, at):
    smoothing = 0.0 if at == "hidden" else smoothing  # a share of -inf is no number
    return {"reduction": reduction, "ignore_index": ignore, "label_smoothing": smoothing}


def _make(d, n, c, reduction, ignore, smoothing, at="", weight=""):
    x, target, classes = _given(d, n, c, ignore, at, False, weight)
    return call(x, target, *([] if classes is None else [classes]),
                **_attrs(reduction, ignore, smoothing, at))


def _backward(d, n, c, reduction, ignore, smoothing, at="", weight=""):
    grad = d.grad([n] if reduction == "none" else [])
    x, target, classes = _given(d, n, c, ignore, at, True, weight)
    _, *saved = TABLE["cross_entropy"](x, target, reduction="none", ignore_index=ignore)
    return call(grad, x, target, classes, *map(d.given, saved),
                **_attrs(reduction, ignore, smoothing, at))


def _level(given, outputs):
    """How far a row of equal logits is from costing ln C, which it does at any level."""
    (x, target, *weight), attrs = given.arrays, given.attrs
    if attrs["reduction"] != "none" or not x.size or weight:
        return np.zeros(0), np.zeros(0)
    rows = (x == x[:, :1]).all(1) & np.isfinite(x[:, 0]) & (target != attrs["ignore_index"])
    cost = np.log(x.shape[1])
    room = 8 * float(np.finfo(x.dtype).eps) * (1 + cost)
    return np.where(rows, outputs[0] - cost, 0), np.full(len(x), room)


def _no_push(given, outputs):
    """How far each row of the gradient is from adding up to 0."""
    grad, _, target, weight, _, log_sum = given.arrays
    dx = outputs[0].astype(np.float64)
    if not np.isfinite(dx).all() or 0 in log_sum.strides:  # a log_sum that is no row's but the last
        return np.zeros(0), np.zeros(0)
    info = np.finfo(outputs[0].dtype)
    room = float(info.eps) * (64 + 4 * dx.shape[1]) * np.abs(grad) * _largest(
        target, weight, given.attrs) + float(info.tiny)
    return dx.sum(1), np.broadcast_to(room, len(dx))


def _largest(target, weight, attrs):
    """How much the largest weight may enlarge a row, which the mean divides by those of all."""
    if weight is None:
        return 1.0
    most, counts = float(weight.max()), target != attrs["ignore_index"]
    whole = float(weight[np.where(counts, target, 0)][counts].sum())
    return most / whole if attrs["reduction"] == "mean" and whole else most


_random = st.builds(
    _plan, st.integers(1, 17), st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 33]),
    st.sampled_from(REDUCTIONS), st.sampled_from([-100, 0, -1]), st.sampled_from([0.0, 0.1, 0.5]),
    layout=layouts, at=st.sampled_from(["", "big", "sure", "below"]),
    weight=st.sampled_from(["", "", *WEIGHTS]))

_X, _T = np.zeros((2, 3)), np.array([0, 2])


def _refused(op, make):
    return (Refusal("a label too large", lambda: make(_X, np.array([0, 3])), "IndexError",
                    "cross_entropy.*3"),
            Refusal("a negative label", lambda: make(_X, np.array([-1, 0])), "IndexError",
                    "cross_entropy.*-1"),
            Refusal("the usual ignore_index where that is another", lambda: make(
                _X, np.array([0, -100]), ignore_index=1), "IndexError", "cross_entropy.*-100"),
            Refusal("labels that are floats", lambda: make(_X, _T.astype(float)), "DTypeError",
                    f"{op}.*target"),
            Refusal("an unknown reduction", lambda: make(_X, _T, reduction="average"),
                    "ValueError", f"{op}.*reduction"),
            Refusal("a weight too few", lambda: make(_X, _T, np.ones(2)), "ShapeError",
                    f"{op}.*weight"),
            Refusal("a label too large, of weighted classes", lambda: make(
                _X, np.array([3, 0]), np.ones(3)), "IndexError", "cross_entropy.*3"))


spec("cross_entropy", plans=_plans(False), make=_make, model=Ensemble(), random=_random,
     invariants={"ln C for equal logits": _level},
     refusals=(*_refused("cross_entropy", call),
               Refusal("the mean of an empty batch", lambda: call(np.zeros((0, 3)), _T[:0]),
                       "ShapeError", "cross_entropy"),
               Refusal("no classes", lambda: call(np.zeros((2, 0)), _T), "ShapeError",
                       "cross_entropy"),
               Refusal("a label too many", lambda: call(_X, np.zeros(3, np.int64)), "ShapeError",
                       "cross_entropy.*target"),
               Refusal("a share above 1", lambda: call(_X, _T, label_smoothing=1.5), "ValueError",
                       "cross_entropy.*label_smoothing")))
spec("cross_entropy_backward", plans=_plans(True), make=_backward, model=Ensemble(),
     random=_random, invariants={"rows add up to 0": _no_push},
     refusals=_refused("cross_entropy_backward", lambda x, t, weight=None, **attrs: call(
         np.ones((), x.dtype), x, t, weight, np.ones(len(x)), np.ones(len(x)), **attrs)))
