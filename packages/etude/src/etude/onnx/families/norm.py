"""Normalisation: over a batch, a layer, an instance, groups, neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from etude import functional as F
from etude.core.shapes import axis, float32, float64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads
from etude.onnx.values import axes_of, like

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
    if node.get("stash_type", 1) != 1 or x.dtype != float32:
        if not (node.get("stash_type", 1) == 11 and x.dtype == float64):
            raise Refused(f"stash_type {node.get('stash_type', 1)} for {x.dtype.name}; Etude "
                          f"computes in the dtype of the input")


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
