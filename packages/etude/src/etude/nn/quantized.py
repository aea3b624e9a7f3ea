"""LinearInt8, and ``quantize``: a trained model with the weights of its linear layers in int8.

A weight takes one byte in place of four, and each output has a scale of its own: w is about
scale_n q_nk, q from -127 to 127, scale_n = max_k |w_nk| / 127. Nothing but weights is quantised.
Biases, norms, embeddings and everything that is computed stay float (LLM.int8(), Dettmers et al.,
arXiv:2208.07339, calls such scales vector-wise; PyTorch has this as torch.ao's int8 weight-only).
The op: ``linear_int8`` in ``ops/linear_int8.py``.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from etude import functional as F
from etude.core.shapes import FLOATS, int8
from etude.core.tensor import Tensor, tensor
from etude.nn.linear import Linear, misfit_of_linear
from etude.nn.module import Module, constant

MOST = 127  # -128 is left out, so that both signs reach as far


class LinearInt8(Module):
    """y = x W^T + b, with W = scale q.  x: (..., in_features); y: (..., out_features). Inference
    only: there is nothing to train, and no gradient. ``from_float`` makes one from a Linear.

    weight: q, (out_features, in_features) int8; scale: (out_features); bias: (out_features) or
    None. All are buffers.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        place = {"device": device, "dtype": dtype}
        zeros = np.zeros((out_features, in_features), np.int8)
        self.register_buffer("weight", tensor(zeros, int8, device=device or "cpu"))
        self.register_buffer("scale", constant(out_features, value=1.0, **place))
        self.register_buffer("bias", constant(out_features, **place) if bias else None)

    @classmethod
    def from_float(cls, linear: Module) -> LinearInt8:
        """A Linear with its weight quantised. TypeError for another layer; ValueError as
        ``quantize_weight``.
        """
        if not isinstance(linear, Linear):
            raise TypeError(f"LinearInt8 is made from a Linear, got {type(linear).__name__}")
        return cls.of(linear.weight, linear.bias)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> LinearInt8:
        """From a float weight (out_features, in_features), and a bias or None."""
        q, scale = quantize_weight(weight)
        made = cls(1, 1, bias=False)
        made.register_buffer("weight", q)
        made.register_buffer("scale", scale)
        made.register_buffer("bias", None if bias is None else bias.detach().clone())
        return made

    def forward(self, input: Tensor) -> Any:
        return F.linear_int8(input, self.weight, self.scale, self.bias)

    def misfit(self, input: Any) -> str:
        return misfit_of_linear(type(self).__name__, self.weight.shape, input)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        text = f"{in_features}, {out_features}"
        return text if self.bias is not None else text + ", bias=False"


def quantize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(q, scale) of a float weight (N, K): int8 (N, K), and (N) of its dtype, with
    scale_n = max_k |w_nk| / 127 and q the nearest whole number to w / scale. The error of an
    element is at most scale / 2. A row of zeros has the scale 0.

    Raises TypeError for what is no float Tensor of two dimensions, ValueError for NaN and infinity.
    """
    if not isinstance(weight, Tensor) or weight.dtype not in FLOATS or weight.ndim != 2:
        got = (f"{weight.dtype.name}{list(weight.shape)}" if isinstance(weight, Tensor) else
               type(weight).__name__)
        raise TypeError(f"quantize_weight: a weight is a float Tensor (N, K), got {got}")
    w = weight.detach().to("cpu").numpy().astype(np.float64)
    if not np.isfinite(w).all():
        raise ValueError(f"the weight holds {np.sum(~np.isfinite(w))} numbers that are NaN or "
                         f"infinite, for which no scale can be found")
    scale = (np.abs(w).max(1, initial=0) / MOST).astype(weight.dtype)
    divisor = np.where(scale > 0, scale, np.inf)[:, None].astype(np.float64)
    q = np.clip(np.rint(w / divisor), -MOST, MOST)
    return tensor(q, int8, device=weight.device), tensor(scale, device=weight.device)


def quantize(model: Module) -> Module:
    """A copy of ``model`` for inference whose linear layers have int8 weights: every Linear, the
    projections of MultiheadAttention, and the output layer of a gpt, which so gets a weight of
    its own beside the embedding. The copy is in eval mode and needs no gradients; ``model`` stays.

    Raises TypeError for what is no Module; ValueError for a model without such layers, for one that
    is quantised, and, by the name of the layer, for a weight with NaN or infinity.
    """
    if not isinstance(model, Module):
        raise TypeError(f"quantize: got {type(model).__name__}, and it takes an nn.Module")
    there = [path for path, m in model.named_modules() if isinstance(m, LinearInt8)]
    if there:
        raise ValueError(f"quantize: this {type(model).__name__} is quantised already: "
                         f"{there[0] or 'it'} is a LinearInt8. Quantise the float model")
    made: dict[int, Module] = {}  # a layer that comes twice stays one
    found = _quantized("", copy.deepcopy(model), made)
    if not made:
        raise ValueError(f"quantize: this {type(model).__name__} has no Linear, and nothing else "
                         f"whose weight goes into int8")
    return found.eval().requires_grad_(False)


def _quantized(path: str, module: Module, made: dict[int, Module]) -> Module:
    """``module`` as it is in the quantised model; its layers are replaced inside it."""
    if id(module) in made:
        return made[id(module)]
    if isinstance(module, Linear):
        made[id(module)] = _named(path, lambda: LinearInt8.from_float(module))
        return made[id(module)]
    for name, child in [*module.named_children()]:
        setattr(module, name, _quantized(f"{path}.{name}" if path else name, child, made))
    own = getattr(module, "quantize_own", None)
    if own is not None and _named(path, own):
        made[id(module)] = module
    return module


def _named(path: str, work: Any) -> Any:
    """``work()``, whose error names the layer."""
    try:
        return work()
    except ValueError as error:
        raise ValueError(f"quantize: {path or 'the layer'}: {error}") from None
