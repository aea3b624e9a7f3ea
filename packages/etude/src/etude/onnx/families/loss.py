"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.families.arithmetic import log_of_more
from etude.onnx.graph import Node
from etude.onnx.record import expands
from etude.onnx.table import differs, reads, writes
from etude.onnx.values import filled, one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def _picked(x: Tensor, target: Tensor, weight: Tensor | None, node: Node) -> Any:
    """-x at the class of each target, times its weight; then their mean, sum, or neither.

    x: (N, C, d1, ...) log-probabilities; target: (N, d1, ...).
    """
    reduction = one_of(node, "reduction", "mean", "mean", "sum", "none")
    ignored = node.get("ignore_index")
    counts = F.eq(target, target) if ignored is None else F.ne(target, ignored)
    at = F.where(counts, target, 0)
    costs = F.neg(F.gather(x, 1, at.unsqueeze(1)).squeeze(1))
    shares = F.index_select(weight, 0, at.reshape(-1)).reshape(at.shape) if weight is not None \
        else filled(x, at.shape, 1.0)
    shares = F.where(counts, shares, 0.0)
    costs = F.where(counts, costs * shares, 0.0)
    if reduction == "none":
        return costs
    return F.sum(costs) / F.sum(shares) if reduction == "mean" else F.sum(costs)


@reads("NegativeLogLikelihoodLoss", since=12)
def _nll(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Any:
    return _picked(x, target, weight, node)


@reads("SoftmaxCrossEntropyLoss", since=12)
def _cross_entropy(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Any:
    logs = F.log_softmax(x, 1)
    return _picked(logs, target, weight, node), logs


differs("SoftmaxCrossEntropyLoss", "the mean is over the weights of the targets that count; no "
        "target that counts gives NaN", "the same", "handled: they agree")


# ------------------------------------------------------------------ To ONNX

differs("cross_entropy", "SoftmaxCrossEntropyLoss has no label smoothing",
        "has it, and refuses labels outside", "handled: written by its definition in other ops")

expands("cross_entropy")


def _reduced(loss: str, call: Call, build: Build) -> str:
    """The mean or the sum of losses, or the losses themselves."""
    kind = {"mean": "ReduceMean", "sum": "ReduceSum"}.get(call.attrs["reduction"])
    return loss if kind is None else build.reduce(kind, loss, range(len(call.shapes[0])))


@writes("mse_loss")
def mse_loss(call: Call, build: Build) -> str:
    off = build.node("Sub", *call.inputs)
    return _reduced(build.node("Mul", off, off), call, build)


@writes("l1_loss")
def l1_loss(call: Call, build: Build) -> str:
    return _reduced(build.node("Abs", build.node("Sub", *call.inputs)), call, build)


@writes("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(call: Call, build: Build) -> str:
    (x, target), dtype = call.inputs, call.dtype
    zero, size = build.constant(0, dtype), build.node("Abs", x)
    up = build.node("Greater", x, zero)
    w = build.node("Where", up, build.node("Sub", build.constant(1, dtype), target), target)
    cost = build.node("Mul", size, w)
    if not build.finite:  # 0 times infinity
        cost = build.node("Where", build.node("Equal", w, zero), zero, cost)
    rest = log_of_more(build.node("Exp", build.node("Neg", size)), np.dtype(dtype), build)
    return _reduced(build.node("Add", cost, rest), call, build)
