"""Normalisation: over a batch, a layer, an instance, groups, neighbours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import axis, float32, float64
from etude.core.tensor import Tensor
from etude.onnx.families.activation import exact
from etude.onnx.graph import Node
from etude.onnx.record import expands
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import axes_of, like

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


@reads("BatchNormalization", since=14)
def _batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
                ) -> Any:
    eps, share = node.get("epsilon", 1e-5), 1.0 - node.get("momentum", 0.9)
    if node.get("training_mode", 0):
        return _of_the_batch(x, scale, bias, mean, var, eps, share)
    return F.batch_norm(x, mean, var, scale, bias, node.training, share, eps)


@reads("BatchNormalization", since=9, to=13)
def _batch_norm_9(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
                  ) -> Any:
    eps, share = node.get("epsilon", 1e-5), 1.0 - node.get("momentum", 0.9)
    if any(node.wants(i) for i in range(1, 5)):
        raise Refused("the outputs of training below opset 14")
    return F.batch_norm(x, mean, var, scale, bias, node.training, share, eps)


def _of_the_batch(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float,
                  share: float) -> Any:
    """What the file itself calls training: the moved statistics are results, not buffers."""
    dims = tuple([d for d in range(x.ndim) if d != 1])
    now, spread = F.mean(x, dims), F.var(x, dims, correction=0)
    y = F.batch_norm(x, None, None, scale, bias, True, share, eps)
    return y, F.lerp(mean, now.detach(), share), F.lerp(var, spread.detach(), share)


differs("BatchNormalization with training_mode = 1", "the running variance is the biased one",
        "the unbiased one", "handled: the results are ONNX's")
differs("BatchNormalization with training_mode = 0, in a model under train()",
        "not said", "normalises by the batch, and moves its running statistics",
        "handled: as `nn.BatchNorm2d`, with 1 - momentum for momentum; evaluation is as the file "
        "says")


def _column(part: Tensor, x: Tensor) -> Any:
    """(C) as what broadcasts with x (N, C, ...)."""
    return part.reshape(-1, *[1] * (x.ndim - 2))


@reads("InstanceNormalization", since=6)
def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Any:
    return F.group_norm(x, x.shape[1], scale, bias, node.get("epsilon", 1e-5))


def _stage(node: Node, x: Tensor) -> None:
    """Refused where the file wants a precision that Etude does not change to by itself."""
    kind = node.get("stash_type", 1)
    if (kind, x.dtype) not in ((1, float32), (11, float64)):
        raise Refused(f"stash_type {kind} for {x.dtype.name}; Etude computes in the dtype of the "
                      f"input")


@reads("GroupNormalization", since=21)
def _group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Any:
    _stage(node, x)
    return F.group_norm(x, node.get("num_groups"), scale, bias, node.get("epsilon", 1e-5))


@reads("GroupNormalization", since=18, to=20)
def _group_norm_18(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Any:
    """One scale and bias for each group, where later versions have one for each channel."""
    groups, eps = node.get("num_groups"), node.get("epsilon", 1e-5)
    each = x.shape[1] // groups
    places = like(x, np.arange(x.shape[1]) // each, np.int64)
    y = F.group_norm(x, groups, None, None, eps)
    return y * _column(F.index_select(scale, 0, places), x) + _column(
        F.index_select(bias, 0, places), x)


differs("GroupNormalization below opset 21", "a scale for each group", "one for each channel",
        "handled: repeated")


@reads("LayerNormalization", since=17)
def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    first, eps = axis(node.op, node.get("axis", -1), x.ndim), node.get("epsilon", 1e-5)
    _stage(node, x)
    size = x.shape[first:]
    own = scale.shape == size and (bias is None or bias.shape == size)
    y = F.layer_norm(x, size, scale if own else None, bias if own else None, eps)
    if not own:
        y = y * scale if bias is None else y * scale + bias
    if not (node.wants(1) or node.wants(2)):
        return y
    dims = tuple(range(first, x.ndim))
    var = F.var(x, dims, correction=0, keepdim=True)
    return y, F.mean(x, dims, True), F.rsqrt(var + eps)


@reads("RMSNormalization", since=23)
def _rms_norm(node: Node, x: Tensor, scale: Tensor) -> Any:
    first, eps = axis(node.op, node.get("axis", -1), x.ndim), node.get("epsilon", 1e-5)
    _stage(node, x)
    size = x.shape[first:]
    if scale.shape == size:
        return F.rms_norm(x, size, scale, eps)
    return F.rms_norm(x, size, None, eps) * scale


differs("LayerNormalization, RMSNormalization, GroupNormalization with stash_type",
        "computes in float32 where it is 1", "computes in the dtype of the input",
        "refused: where the two are not the same")


@reads("LRN")
def _lrn(node: Node, x: Tensor) -> Any:
    """x / (bias + alpha / size * the sum of squares of ``size`` channels around)^beta."""
    size, n = node.get("size"), x.shape[1]
    alpha, beta, bias = node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    at = np.arange(n)
    near = (at[None] >= at[:, None] - before) & (at[None] <= at[:, None] + after)
    flat = F.square(x).reshape(x.shape[0], n, math.prod(x.shape[2:]))
    sums = F.matmul(like(x, near), flat).reshape(x.shape)
    return x / F.pow(sums * (alpha / size) + bias, beta)


@reads("LpNormalization")
def _lp_norm(node: Node, x: Tensor) -> Any:
    dim, p = node.get("axis", -1), node.get("p", 2)
    size = F.norm(x, p, dim, True)
    return F.where(size == 0.0, 0.0, x / F.where(size == 0.0, 1.0, size))


@reads("MeanVarianceNormalization", since=9)
def _mean_variance(node: Node, x: Tensor) -> Any:
    dims = axes_of(node, x, node.get("axes", (0, 2, 3)))
    centred = x - F.mean(x, dims, True)
    return centred / (F.sqrt(F.mean(F.square(centred), dims, True)) + 1e-9)


# ------------------------------------------------------------------ To ONNX

differs("layer_norm", "LayerNormalization: from opset 17 on, and in float32 inside",
        "from opset 13 on, float64 in float64",
        "handled: written out below opset 17, when that is asked for, and for float64")
differs("batch_norm_eval", "epsilon is a float32", "eps is a float64",
        "handled: float64 is written out where eps is no float32")
differs("rms_norm", "RMSNormalization: from opset 23 on", "from opset 13 on",
        "handled: written out")
differs("batch_norm", "BatchNormalization in training is another op to runtimes",
        "the statistics of the batch, where a layer keeps none",
        "handled: written out")

expands("rms_norm")
expands("layer_norm", lambda arrays, attrs, opset: arrays[0].dtype != np.float32 or (
    opset is not None and opset < 17))


@writes("batch_norm")
def batch_norm(call: Call, build: Build) -> list[str]:
    """Sums divided by counts: of an empty batch a mean is 0 in ONNX, and here NaN."""
    x, weight, bias = (*call.inputs, None, None)[:3]
    dims = [0, *range(2, len(call.shapes[0]))]
    count = build.count([call.shapes[0][d] for d in dims], call.dtype)
    mean = build.node("Div", build.reduce("ReduceSum", x, dims, True), count)
    centred = build.node("Sub", x, mean)
    squares = build.reduce("ReduceSum", build.node("Mul", centred, centred), dims, True)
    var = build.node("Div", squares, count)
    y = _normed(centred, var, weight, bias, call, build)
    return [y, build.squeeze(mean, *dims), build.squeeze(var, *dims)]


def _normed(centred: str, var: str, weight: str | None, bias: str | None, call: Call,
            build: Build) -> str:
    """centred / sqrt(var + eps) weight + bias, channel by channel."""
    deviation = build.node("Add", var, build.constant(call.attrs["eps"], call.dtype))
    y = build.node("Div", centred, build.node("Sqrt", deviation))
    if weight is not None:
        y = build.node("Mul", y, _lined_up(weight, call, build))
    return y if bias is None else build.node("Add", y, _lined_up(bias, call, build))


def _lined_up(vector: str, call: Call, build: Build) -> str:
    """(C) lined up with the channels of x: (N, C, ...)."""
    rest = range(1, len(call.shapes[0]) - 1)
    return build.unsqueeze(vector, *rest) if len(rest) else vector


@writes("batch_norm_eval")
def batch_norm_eval(call: Call, build: Build) -> str:
    x, mean, var, weight, bias = (*call.inputs, None, None)[:5]
    channels = call.shapes[1]
    if not exact(call.attrs["eps"], call.dtype):
        centred = build.node("Sub", x, _lined_up(mean, call, build))
        return _normed(centred, _lined_up(var, call, build), weight, bias, call, build)
    if weight is None:
        weight = build.constant(np.ones(channels), call.dtype)
    if bias is None:
        bias = build.constant(np.zeros(channels), call.dtype)
    return build.node("BatchNormalization", x, weight, bias, mean, var,
                      epsilon=float(call.attrs["eps"]))


@writes("layer_norm", since=17)
def layer_norm(call: Call, build: Build) -> str:
    x, weight, bias = (*call.inputs, None, None)[:3]
    size = call.attrs["normalized_shape"]
    if weight is None:
        weight = build.constant(np.ones(size), call.dtype)
    return build.node("LayerNormalization", x, weight, bias, axis=-len(size),
                      epsilon=float(call.attrs["eps"]))
