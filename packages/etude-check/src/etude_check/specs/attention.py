"""scaled_dot_product_attention and its backward. Reference: etude/ops/attention.py.

Cases have more keys than queries and fewer, since a causal mask counts from the first of both;
values that are wider than the queries; and scores whose exponential overflows unless the maximum is
taken away first.
"""

import numpy as np
from hypothesis import strategies as st

from etude import TABLE
from etude_check.bounds.models import Ensemble
from etude_check.cases.draw import LINES, TOGETHER
from etude_check.cases.plans import COTANGENTS, common, crossed, layouts
from etude_check.cases.spec import Refusal, call, spec

SDPA = "scaled_dot_product_attention"
MASKS = ("bool", "float", "-inf", "one row", "stretched", "hidden rows", "padding", "left", "heads",
         "matrix", "-inf rows", "sequence", "-inf sequence")


def _plan(lead, queries, keys, width, out, **more):
    return {"lead": list(lead), "size": [queries, keys, width, out], **more}


BASE = [_plan((2,), 5, 7, 4, 3), _plan((2, 3), 6, 4, 3, 5, causal=True),
        _plan((), 6, 9, 8, 4, mask="bool"), _plan((2,), 6, 6, 6, 6, causal=True)]
TAIL = [_plan((), 1, 1, 1, 1), _plan((), 1, 9, 4, 4), _plan((), 9, 1, 4, 4)] + [
    _plan((), q, k, 4, 3, causal=c) for c in (False, True) for q, k in (
        (3, 8), (8, 3), (7, 9), (16, 17), (17, 16), (33, 31), (65, 64), (31, 129))] + [
    _plan((2,), 5, 6, d, e) for d, e in ((1, 7), (7, 1), (8, 9), (16, 17), (17, 16), (33, 8),
                                         (8, 33), (64, 65))] + crossed(
    [_plan((2, 3), 7, 9, 4, 5), _plan((2,), 33, 17, 8, 4), _plan((2, 2), 70, 131, 8, 9)],
    mask=MASKS) + [
    _plan((2,), 5, 7, 128, 96), _plan((1, 2), 9, 33, 96, 129, causal=True),
    _plan((2, 1, 2), 5, 6, 4, 3), _plan((2,), 20, 40, 4, 3, scale=0.3),
    _plan((2,), 20, 40, 4, 3, scale=0.3, mask="float"),
    _plan((2,), 70, 80, 4, 3, scale=0.3, causal=True)] + [
    _plan((2,), 5, 7, 4, 3, scale=s, causal=c) for s in (1.0, 0.2, -0.5) for c in (False, True)] + [
    _plan((2,), 5, 7, 4, 3, at="sharp"), _plan((), 33, 40, 8, 8, at="sharp", causal=True),
    _plan((), 6, 70, 8, 8, at="sharp", mask="bool"), _plan((2,), 5, 9, 4, 3, at="below"),
    _plan((2,), 5, 7, 4, 4, at="wide"), _plan((2, 3), 33, 40, 8, 8, at="wide", causal=True),
    *crossed([_plan((2, 3), 7, 9, 4, 5), _plan((), 33, 140, 8, 4)], mask=("-1e9 rows",)),
    _plan((2,), 128, 128, 8, 8), _plan((), 16, 128, 128, 128),
    _plan((), 128, 256, 8, 16, causal=True),
    _plan((128,), 3, 4, 8, 8), _plan((), 256, 128, 8, 8, mask="bool")]
TAIL += [_plan((2,), 5, 7, 4, 4, at="vast"), _plan((2,), 33, 9, 8, 8, at="vast", mask="bool")]
MASKED = crossed([_plan((2, 3), 7, 9, 4, 5, mask=m) for m in ("bool", "float")],
                 layout=("middle", "transposed", "stride0", "rows")) + crossed(
    [_plan((), 7, 9, 4, 5, mask="one row")], layout=LINES)
PACKED = crossed([_plan((), 9, 9, 9, 9), _plan((2,), 9, 9, 9, 9, causal=True)], together=TOGETHER)


def _plans(backward):
    def plans(kind):
        own = {"empty": [_plan((0,), 2, 3, 4, 5), _plan((2,), 0, 3, 4, 5), _plan((2,), 2, 3, 4, 0)],
               "0d": [_plan((), 1, 1, 1, 1, causal=True), _plan((1, 1), 1, 1, 1, 1)],
               "large": [_plan((2, 2), 129, 257, 33, 17), _plan((1, 2), 200, 200, 64, 64,
                                                                causal=True),
                         _plan((1,), 520, 24, 8, 8, causal=True)],
               "layout": [*PACKED, *crossed(MASKED, which=(3 + backward,))],
               "threads": [_plan((8, 2), 70, 150, 9, 9), _plan((1, 2), 260, 200, 64, 64,
                                                               causal=True)],
               "cotangent": crossed(BASE, cotangent=COTANGENTS) if backward else []}
        if kind == "special":
            return crossed(BASE[:2], special=("nan", "zero", "subnormal", "signalling"))
        return [*(common(kind, TAIL, BASE) or ()), *own.get(kind, ())]
    return plans


def _mask(d, kind, lead, queries, keys):
    own = [lead[0], *(1 for _ in lead[1:])] if lead else []  # a batch, the same for its heads
    shape = {"one row": [keys], "stretched": [*(1 for _ in lead), queries, keys],
             "padding": [*own, 1, keys], "heads": [*own, queries, keys],
             "matrix": [queries, keys]}.get(kind, [*lead, queries, keys])
    if kind == "float":
        return d.plain(shape)
    seen = d.rng.random(shape) < 0.6
    if kind == "left":  # the first keys hidden, as in batches padded on the left
        seen[...] = np.arange(keys) >= min(keys - 1, keys * 3 // 5)
    elif kind not in ("heads", "matrix"):
        seen[..., 0] = True
    if kind in ("hidden rows", "-inf rows", "-1e9 rows"):
        seen[..., 1::3, :] = False
    elif kind in ("sequence", "-inf sequence") and lead:  # the first of the batch, all padding
        seen[0] = False
    if kind == "-1e9 rows":  # those rows see all keys alike
        return d.given(np.where(seen, 0, -1e9).astype(d.dtype))
    if kind in ("-inf", "-inf rows", "-inf sequence"):
        return d.given(np.where(seen, d.rng.uniform(-1, 1, shape), -np.inf).astype(d.dtype))
    return d.given(seen)


def _operands(d, lead, size, mask, at, plain=False):
    queries, keys, width, out = size
    low, high = {"sharp": (19.5, 20.5), "below": (-20.5, -19.5), "wide": (-20, 20)}.get(
        at, (-2, 2))
    q = (d.plain if plain else d.floats)([*lead, queries, width], low, high)
    k = d.plain([*lead, keys, width], *((19.5, 20.5) if at == "below" else (low, high)))
    v = d.plain([*lead, keys, out], *((-d.vast, d.vast) if at == "vast" else (-2, 2)))
    if mask == "-1e9 rows":  # scores of 0 there, since any other are rounded away beside -1e9
        q = np.array(q)
        q[..., 1::3, :] = 0
        q = d.given(q)
    return q, k, v, _mask(d, mask, lead, queries, keys) if mask else None


def _make(d, lead, size, causal=False, mask="", scale=None, at=""):
    return call(*_operands(d, lead, size, mask, at), is_causal=causal, scale=scale)


def _backward(d, lead, size, causal=False, mask="", scale=None, at=""):
    grad = d.grad([*lead, size[0], size[3]])
    arrays, attrs = _operands(d, lead, size, mask, at, True), {"is_causal": causal, "scale": scale}
    saved = TABLE[SDPA](*arrays, **attrs)  # y, top, log_sum
    return call(grad, *arrays, *map(d.given, saved), **attrs)


def _convex(given, outputs):
    """How far y lies outside the range of the values. Rounding alone may bring it there."""
    value, y = given.arrays[2].astype(np.float64), outputs[0].astype(np.float64)
    if not y.size:
        return np.zeros(0), np.zeros(0)
    low, high = value.min(-2, keepdims=True), value.max(-2, keepdims=True)
    if given.arrays[3] is not None:  # a query that sees nothing gives 0
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    outside = np.fmax(np.fmax(y - high, low - y), 0)
    keys = value.shape[-2]
    u = float(np.finfo(outputs[0].dtype).eps) * (200 + 4 * keys)
    largest = max(np.abs(a).max() for a in given.arrays[:2])
    if not largest <= 9:  # NaN too
        return np.zeros(0), np.zeros(0)
    return outside, np.broadcast_to(u * np.abs(value).max(), outside.shape)


def _whole(given, outputs):
    """How far all dvalue of a head is from all grad of the queries that see a key."""
    grad, dvalue = (a.astype(np.float64) for a in (given.arrays[0], outputs[2]))
    grad = np.where(np.isfinite(given.arrays[7])[..., None], grad, 0)
    off = dvalue.sum(-2) - grad.sum(-2)
    if not np.isfinite(off).all() or 0 in given.arrays[7].strides:  # log_sum is not that of a row
        return np.zeros(0), np.zeros(0)
    largest = max(np.abs(a).max(initial=0) for a in given.arrays[1:3])
    if not largest <= 9:
        return np.zeros(0), np.zeros(0)
    info = np.finfo(outputs[2].dtype)
    room = float(info.eps) * (200 + 4 * dvalue.shape[-2]) * np.abs(grad).sum(-2)
    return off, room + float(info.tiny)


_random = st.builds(
    _plan, st.lists(st.integers(1, 3), max_size=2), st.integers(1, 17), st.integers(1, 17),
    st.sampled_from([1, 2, 3, 8, 9, 16]), st.sampled_from([1, 2, 7, 8, 17]), layout=layouts,
    mask=st.sampled_from(["", *MASKS]), scale=st.sampled_from([None, 0.3])) | st.builds(
    _plan, st.lists(st.integers(1, 3), max_size=2), st.integers(1, 17), st.integers(1, 17),
    st.integers(1, 9), st.integers(1, 9), layout=layouts, causal=st.booleans())

_Q = np.ones((2, 3, 4))
spec(SDPA, plans=_plans(False), make=_make, model=Ensemble(), random=_random,
     invariants={"between the values": _convex},
     refusals=(Refusal("keys of another width", lambda: call(_Q, np.ones((2, 3, 5)), _Q),
                       "ShapeError", f"{SDPA}.*key"),
               Refusal("fewer values than keys", lambda: call(_Q, _Q, _Q[:, :2]), "ShapeError",
                       f"{SDPA}.*value"),
               Refusal("another batch", lambda: call(_Q, _Q[:1], _Q[:1]), "ShapeError", SDPA),
               Refusal("both masks", lambda: call(_Q, _Q, _Q, np.ones((3, 3), bool),
                                                  is_causal=True), "ValueError", SDPA),
               Refusal("a mask that does not broadcast", lambda: call(
                   _Q, _Q, _Q, np.ones((2, 2), bool)), "ShapeError", f"{SDPA}.*attn_mask"),
               Refusal("a mask of whole numbers", lambda: call(
                   _Q, _Q, _Q, np.ones((3, 3), np.int64)), "DTypeError", f"{SDPA}.*attn_mask"),
               Refusal("no keys", lambda: call(_Q, _Q[:, :0], _Q[:, :0]), "ShapeError", SDPA)))
spec("attention_backward", plans=_plans(True), make=_backward, model=Ensemble(), random=_random,
     invariants={"probabilities add up to 1": _whole})
