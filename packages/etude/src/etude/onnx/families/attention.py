"""Attention and what stands beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import bool_
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import dtype_numbered, filled, ints, like, one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


# Legend: N samples, H heads, L queries, S keys, D numbers in each.


def _heads(x: Any, count: int | None) -> Any:
    """(N, L, H D) as (N, H, L, D)."""
    if count is None:
        raise Refused("inputs of three axes without q_num_heads and kv_num_heads")
    return x.reshape(*x.shape[:2], count, x.shape[2] // count).permute(0, 2, 1, 3)


def _seen(node: Node, q: Any, k: Any, before: int, valid: Tensor | None) -> Any:
    """Which keys each query may see by position, (L, S) or (N, 1, L, S); None: all of them."""
    left, right = node.get("left_window_size", -1), node.get("right_window_size", -1)
    causal = node.get("is_causal", 0)
    ends = None if valid is None else np.array(ints(valid)).reshape(-1, 1, 1)
    if not causal and left < 0 and right < 0 and ends is None:
        return None
    first: Any = before if ends is None or before else ends - q.shape[2]
    keys = np.arange(k.shape[2])
    ahead = keys - (np.arange(q.shape[2])[:, None] + first)  # of the query's own place
    seen = np.ones(ahead.shape, bool)
    if causal:
        seen &= ahead <= 0
    if left >= 0:
        seen &= -ahead <= left
    if right >= 0:
        seen &= ahead <= right
    if ends is not None:
        seen = seen & (keys < ends)
    return like(q, seen if seen.ndim == 2 else seen[:, None], bool)


def _bias(q: Any, k: Any, mask: Any, seen: Any) -> Any:
    """What is added to the scores, or bools, or None: mask and positions together."""
    if mask is not None and mask.shape[-1] < k.shape[2]:
        more = (0, k.shape[2] - mask.shape[-1])
        mask = (F.pad(mask.long(), more).to(bool_) if mask.dtype == bool_
                else F.pad(mask, more, value=-math.inf))
    if mask is None or seen is None:
        return seen if mask is None else mask
    if mask.dtype == bool_:
        return mask & seen
    return F.where(seen, mask, -math.inf)


@reads("Attention", since=23)
def _attention(node: Node, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None,
               past_key: Tensor | None = None, past_value: Tensor | None = None,
               valid: Tensor | None = None) -> Any:
    """softmax(q k^T scale + bias) v, of inputs with four axes, or three with the heads in one."""
    flat, mode = q.ndim == 3, node.get("qk_matmul_output_mode", 0)
    counts = node.get("q_num_heads"), node.get("kv_num_heads")
    scale, cap = node.get("scale"), node.get("softcap", 0.0)
    precise = node.get("softmax_precision")
    if flat:
        q, k, v = _heads(q, counts[0]), _heads(k, counts[1]), _heads(v, counts[1])
    before = 0 if past_key is None else past_key.shape[2]
    k = k if past_key is None else F.cat([past_key, k], 2)
    v = v if past_value is None else F.cat([past_value, v], 2)
    bias = _bias(q, k, mask, _seen(node, q, k, before, valid))
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    own = precise is None or dtype_numbered(precise) == q.dtype
    scores = None
    if own and not cap and not node.wants(3):
        y = F.scaled_dot_product_attention(q, k, v, bias, scale=scale, enable_gqa=True)
    else:
        y, scores = _in_steps(q, k, v, bias, scale, cap, mode,
                              q.dtype if own else dtype_numbered(precise))
    if flat:
        y = y.permute(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], y.shape[1] * y.shape[3])
    found = (y, k, v) if scores is None else (y, k, v, scores)
    return found[: max(len(node.outputs), 1)]


def _in_steps(q: Any, k: Any, v: Any, bias: Any, scale: float, cap: float, mode: int, dtype: Any
              ) -> tuple[Any, Any]:
    """(y, the scores at the stage ``mode``): what one op does, where its middle is asked for."""
    times = q.shape[1] // k.shape[1]
    if times > 1:
        k, v = [t.unsqueeze(2).expand(*t.shape[:2], times, *t.shape[2:]).reshape(
            t.shape[0], q.shape[1], *t.shape[2:]) for t in (k, v)]
    root = math.sqrt(scale)
    scores = F.matmul(q * root, (k * root).transpose(-1, -2))
    capped = F.tanh(scores / cap) * cap if cap else scores
    biased = capped
    if bias is not None:
        added = F.where(bias, 0.0, -math.inf) if bias.dtype == bool_ else bias
        biased = capped + added.to(capped.dtype)
    dead = F.amax(biased, -1, True) == -math.inf  # no key is seen: a row of 0
    chances = F.softmax(F.where(dead, 0.0, biased).to(dtype), -1)
    chances = F.where(dead, 0.0, chances).to(q.dtype)
    stages = (scores, capped, biased, chances)
    if mode not in range(4):
        raise Refused(f"qk_matmul_output_mode = {mode}")
    return F.matmul(chances, v), stages[mode]


differs("Attention", "a query that sees no key gives 0", "the same", "handled: they agree")
differs("Attention with is_causal and a cache", "query i sees the keys up to i + those before it",
        "`is_causal` lets query i see the keys 0 .. i", "handled: the mask is written out")


@reads("RotaryEmbedding", since=23)
def _rotary(node: Node, x: Tensor, cos: Tensor, sin: Tensor, places: Tensor | None = None) -> Any:
    """Pairs of numbers turned by an angle that grows with the place.  x: (N, H, L, D)."""
    count, width = node.get("num_heads", 0), node.get("rotary_embedding_dim", 0)
    apart, flat = node.get("interleaved", 0), x.ndim == 3
    y = x.reshape(*x.shape[:2], count, x.shape[2] // count) if flat else x.permute(0, 2, 1, 3)
    width = width or y.shape[-1]
    if places is not None:
        cos, sin = F.embedding(places, cos), F.embedding(places, sin)
    cos, sin = cos.unsqueeze(2), sin.unsqueeze(2)
    turned, rest = y[..., :width], y[..., width:]
    if apart:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., : width // 2], turned[..., width // 2 :]
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    if apart:
        turned = F.stack([real, imaginary], -1).reshape(turned.shape)
    else:
        turned = F.cat([real, imaginary], -1)
    y = F.cat([turned, rest], -1)
    return y.reshape(x.shape) if flat else y.permute(0, 2, 1, 3)


@reads("CausalConvWithState", since=27)
def _causal_conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None,
                 past: Tensor | None = None) -> Any:
    """A depthwise conv1d that sees what is past alone, and hands on its last K - 1 inputs."""
    after = one_of(node, "activation", "none", "none", "silu", "swish")
    keep = weight.shape[-1] - 1
    if past is None:
        past = filled(x, (*x.shape[:2], keep), 0.0)
    whole = F.cat([past, x], 2)
    y = F.conv1d(whole, weight, bias, groups=x.shape[1])
    return (y if after == "none" else F.silu(y)), whole[:, :, whole.shape[2] - keep :]


def _by_head(x: Tensor, heads: Any) -> Any:
    """Numbers for each head, or one for all of them, as (N, H or 1, L, D or 1)."""
    return _heads(x, 1 if x.shape[2] == 1 else heads)


@reads("LinearAttention", since=27)
def _linear_attention(node: Node, q: Tensor, k: Tensor, v: Tensor, state: Tensor | None = None,
                      decay: Tensor | None = None, beta: Tensor | None = None) -> Any:
    """Attention whose memory is one matrix S (N, H, D, E), step by step:
    S = e^decay S + beta k (v - S' k)^T, y = scale S' q; each rule leaves out what is not its own.
    """
    rule = one_of(node, "update_rule", "gated_delta", "linear", "gated", "delta", "gated_delta")
    node.get("chunk_size")  # how another implementation may cut the work up
    counts = node.get("q_num_heads"), node.get("kv_num_heads")
    q, k, v = _heads(q, counts[0]), _heads(k, counts[1]), _heads(v, counts[1])
    times, scale = q.shape[1] // k.shape[1], node.get("scale", 0.0) or 1 / math.sqrt(q.shape[-1])
    if state is None:
        state = filled(q, (*k.shape[:2], k.shape[3], v.shape[3]), 0.0)
    gate = None if decay is None or "gated" not in rule else F.exp(_by_head(decay, counts[1]))
    rate = None if beta is None or "delta" not in rule else _by_head(beta, counts[1])
    rows = []
    for t in range(q.shape[2]):
        key, value = k[:, :, t].unsqueeze(-1), v[:, :, t].unsqueeze(-2)
        if gate is not None:
            state = state * gate[:, :, t].unsqueeze(-1)
        if "delta" in rule:
            value = value - F.sum(state * key, 2, True)
        if rate is not None:
            value = value * rate[:, :, t].unsqueeze(-1)
        state = state + key * value
        seen = state if times == 1 else state.unsqueeze(2).expand(
            *state.shape[:2], times, *state.shape[2:]).reshape(-1, q.shape[1], *state.shape[2:])
        rows.append(F.sum(seen * q[:, :, t].unsqueeze(-1), 2) * scale)
    y = F.stack(rows, 1)  # (N, L, H, E)
    return y.reshape(*y.shape[:2], y.shape[2] * y.shape[3]), state


# ------------------------------------------------------------------ To ONNX

differs("scaled_dot_product_attention",
        "Softmax of a row of -inf is NaN; Attention (23) gives 0", "a query that sees no key: 0",
        "handled: such rows are set to 0 after the Softmax")


@writes("scaled_dot_product_attention")
def scaled_dot_product_attention(call: Call, build: Build) -> list[str]:
    from etude.onnx.build import numbers

    query, key, value, mask = (*call.inputs, None)[:4]
    L, S = call.shapes[0][-2], call.shapes[1][-2]
    n, dtype, scale = len(call.shapes[1]), call.dtype, call.attrs["scale"]
    if scale is None:
        scale = 1 / math.sqrt(numbers(call.shapes[0][-1:], "the width of a query")[0])
    turned = build.node("Transpose", key, perm=[*range(n - 2), n - 1, n - 2])
    scores = build.node("Mul", build.node("MatMul", query, turned), build.constant(scale, dtype))
    never = build.constant(-np.inf, dtype)
    if call.attrs["is_causal"]:
        seen = build.constant(np.tri(*numbers((L, S), "how many see how many"), dtype=bool), bool)
        scores = build.node("Where", seen, scores, never)
    elif mask is not None and call.dtypes[3].kind == "b":
        scores = build.node("Where", mask, scores, never)
    elif mask is not None:
        scores = build.node("Add", scores, mask)
    shares = build.node("Softmax", scores, axis=-1)
    if mask is not None or not build.finite:
        top = build.reduce("ReduceMax", scores, [len(call.out[0]) - 1], True)
        blind = build.node("Equal", top, never)
        shares = build.node("Where", blind, build.constant(0, dtype), shares)
    return [build.node("MatMul", shares, value)]
