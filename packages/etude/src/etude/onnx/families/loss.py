"""Losses."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads
from etude.onnx.values import one_of

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
        else F.full(at.shape, 1.0, x.dtype, device=x.device)
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
