"""Random numbers and dropout."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads
from etude.onnx.values import dtype_numbered, filled, number

# ------------------------------------------------------------------ From ONNX


@reads("Dropout", since=12)
def _dropout(node: Node, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None
             ) -> Any:
    """Drops where the file says so, or where the model is in training."""
    node.get("seed")  # Etude's generators give other numbers
    return _dropped(node, x, number(ratio, 0.5), node.training or bool(number(training, False)))


@reads("Dropout", since=7, to=11)
def _dropout_by_attribute(node: Node, x: Tensor) -> Any:
    return _dropped(node, x, node.get("ratio", 0.5), node.training)


def _dropped(node: Node, x: Tensor, share: float, active: bool) -> Any:
    if not node.wants(1):
        return F.dropout(x, share, active)
    ones = filled(x, x.shape, 1.0)
    kept = F.ne(F.dropout(ones, share, active), 0.0)
    return (F.where(kept, x / (1.0 - share), 0.0) if active and share < 1 else
            F.where(kept, x, 0.0)), kept


differs("Dropout", "drops where its input `training_mode` is true",
        "drops where the module is in training", "handled: either does; `load` gives the model in "
        "evaluation")
differs("Dropout, RandomNormal, ... with a seed", "the numbers are not said",
        "Philox 4x64-10, from `etude.manual_seed`", "handled: `seed` is read and not used")


def _drawn(node: Node, shape: Any, dtype: Any, device: str) -> Any:
    """Uniform or normal numbers with the attributes of the node."""
    node.get("seed")
    if "Uniform" in node.op:
        low, high = node.get("low", 0.0), node.get("high", 1.0)
        return F.rand(*shape, dtype=dtype, device=device) * (high - low) + low
    mean, scale = node.get("mean", 0.0), node.get("scale", 1.0)
    return F.randn(*shape, dtype=dtype, device=device) * scale + mean


@reads("RandomUniform")
@reads("RandomNormal")
def _random(node: Node) -> Any:
    return _drawn(node, node.get("shape"), dtype_numbered(node.get("dtype", 1)), "cpu")


@reads("RandomUniformLike")
@reads("RandomNormalLike")
def _random_like(node: Node, x: Tensor) -> Any:
    kind = node.get("dtype")
    dtype = x.dtype if kind is None else dtype_numbered(kind)
    if dtype.kind != "f":
        raise Refused(f"random numbers of {dtype.name}")
    return _drawn(node, x.shape, dtype, x.device)


@reads("Bernoulli", since=15)
def _bernoulli(node: Node, x: Tensor) -> Any:
    node.get("seed")
    kind = node.get("dtype")
    drawn = F.rand(*x.shape, dtype=x.dtype, device=x.device) < x
    return drawn.to(x.dtype if kind is None else dtype_numbered(kind))


# ------------------------------------------------------------------ To ONNX

differs("rand, randn, dropout", "draws by a generator of the runtime's own",
        "Philox, the same numbers everywhere", "refused: export the model in eval mode")
