"""Public forms of what layers are made of: attention, normalisation, embedding, dropout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.errors import DTypeError, ShapeError
from etude.core.given import integer, real, whole
from etude.core.random import PART, Generator, Part, key_tensor
from etude.core.shapes import check_shape, float32, int64, varargs
from etude.core.state import STATE
from etude.core.tensor import Tensor, tensor
from etude.functional.calls import as_tensor, per_channel, refused
from etude.ops.random import uniform

__all__ = ["batch_norm", "dropout", "embedding", "group_norm", "one_hot", "rand", "randn",
           "scaled_dot_product_attention"]


def scaled_dot_product_attention(
        query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Any:
    """softmax(query key^T scale + mask) value, the softmax over the keys.

    query: (..., L, D); key: (..., S, D); value: (..., S, E); batch axes broadcast. attn_mask
    broadcasts to (..., L, S): bool (true takes part) or float (added). ``is_causal`` lets query l
    see the keys 0 .. l. scale is 1 / sqrt D unless given. A share ``dropout_p`` of the weights is
    dropped. With ``enable_gqa`` each head of key and value, axis -3, serves several of query.
    """
    name = "scaled_dot_product_attention"
    query, key, value = as_tensor(query), as_tensor(key), as_tensor(value)
    if enable_gqa:
        key, value = _repeated(name, key, query), _repeated(name, value, query)
    if min(query.ndim, key.ndim, value.ndim) >= 2:
        lead = _lead(name, query, key, value)
        query, key, value = [t if t.shape[:-2] == lead else t.expand(*lead, *t.shape[-2:])
                             for t in (query, key, value)]
    if not dropout_p:
        return OPS[name](query, key, value, attn_mask, is_causal=bool(is_causal), scale=scale)
    identity = tensor(np.eye(key.shape[-2]), dtype=query.dtype).to(query.device)
    seen = OPS[name](query, key, identity.expand(*key.shape[:-1], key.shape[-2]), attn_mask,
                     is_causal=bool(is_causal), scale=scale)  # the weights themselves
    return OPS["matmul"](dropout(seen, dropout_p), value)


def _lead(name: str, *tensors: Tensor) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*[t.shape[:-2] for t in tensors])
    except ValueError:
        given = ", ".join(str(list(t.shape)) for t in tensors)
        raise ShapeError(f"{name}: the batch axes of query, key and value do not broadcast: "
                         f"{given}") from None


def _repeated(name: str, x: Tensor, query: Tensor) -> Tensor:
    """The heads of key or value, each as often as query has heads for it."""
    if x.ndim < 3 or query.ndim < 3 or query.shape[-3] % x.shape[-3]:
        raise ShapeError(f"{name}: enable_gqa=True needs heads, axis -3, that divide those of "
                         f"query {list(query.shape)}, got {list(x.shape)}")
    *lead, heads, length, width = x.shape
    times = query.shape[-3] // heads
    more = x.unsqueeze(-3).expand(*lead, heads, times, length, width)
    return more.reshape(*lead, heads * times, length, width)


def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None,
               bias: Any = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5
               ) -> Any:
    """Normalise each channel by this batch's mean and variance (``training``) or the running ones.

    input: (N, C, ...); all others (C) or None. In training the running buffers, if given, move by
    ``momentum`` towards the batch's mean and unbiased variance, in place; an empty batch, which has
    neither, moves nothing.
    """
    x, moved = as_tensor(input), running_mean is not None
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        return OPS["batch_norm_eval"](x, running_mean, running_var, weight, bias, eps=eps)
    if moved is (running_var is None):
        raise ValueError("batch_norm: give running_mean and running_var, or neither")
    if moved and x.ndim > 1:  # all is checked before anything moves
        momentum = real("batch_norm: momentum", momentum)
        for buffer in (running_mean, running_var):
            if not isinstance(buffer, Tensor):
                raise TypeError(f"batch_norm: the running statistics are written, so they must be "
                                f"Tensors, got {type(buffer).__name__}")
        per_channel("batch_norm", x.shape[1], running_mean=running_mean, running_var=running_var)
        for buffer in (running_mean, running_var):
            if buffer.dtype != x.dtype or buffer.device != x.device:
                raise DTypeError(f"batch_norm: the running statistics must be {x.dtype.name} on "
                                 f"{x.device!r}, like input; got {buffer.dtype.name} on "
                                 f"{buffer.device!r}")
    y, mean, var = OPS["batch_norm"](x, weight, bias, eps=eps)
    if moved and x.numel():
        count = x.numel() // max(x.shape[1], 1)
        table = STATE.get().tables[x.device]
        unbiased = table["mul"](var.array, count / (count - 1))
        for buffer, new in ((running_mean, mean.array), (running_var, unbiased)):
            table["lerp"](buffer.array, new, momentum, out=buffer.array)
            buffer.mark_written()
    return y


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
               ) -> Any:
    """layer_norm of each of ``num_groups`` groups of channels, then scale and shift per channel.

    input: (N, C, ...); weight, bias: (C) or None. Source: Wu and He 2018, Group Normalization.
    """
    x, num_groups = as_tensor(input), integer("group_norm: num_groups", num_groups, 1, ShapeError)
    weight, bias = [None if t is None else as_tensor(t) for t in (weight, bias)]
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(f"group_norm: num_groups={num_groups} must divide the channels of x "
                         f"(N, C, ...), got {list(x.shape)}")
    per_channel("group_norm", x.shape[1], weight=weight, bias=bias)
    size = math.prod(x.shape[2:]) * (x.shape[1] // num_groups)
    rows = x.reshape(x.shape[0], num_groups, size)
    y = OPS["layer_norm"](rows, normalized_shape=rows.shape[2:], eps=eps).reshape(x.shape)
    column = (x.shape[1], *(1 for _ in x.shape[2:]))
    if weight is not None:
        y = y * weight.reshape(column)
    return y if bias is None else y + bias.reshape(column)


def embedding(input: Any, weight: Any, padding_idx: int | None = None,
              max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = False) -> Any:
    """weight[input]: input (...) int64, weight (V, D), output (..., D).

    No gradient flows into the row ``padding_idx``, which counts from the end where it is negative.
    """
    refused("embedding", "weights change in optimiser steps only, and gradients are dense",
            max_norm=(max_norm, None), norm_type=(norm_type, 2.0),
            scale_grad_by_freq=(scale_grad_by_freq, False), sparse=(sparse, False))
    input, weight, row = as_tensor(input), as_tensor(weight), whole(padding_idx)
    if row is not None and row < 0:
        row += weight.shape[0]
    return OPS["embedding"](input, weight, padding_idx=padding_idx if row is None else row)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """1 where the last axis of the result, which is new, is at the class, else 0. int64.

    num_classes -1: one more than the largest class there is.
    """
    index = as_tensor(input)
    if num_classes == -1 and index.dtype == int64:
        if index.numel() == 0:
            raise ShapeError("one_hot: no class is given, so give num_classes")
        num_classes = max(int(index.amax().item()), 0) + 1
    return OPS["one_hot"](index, num_classes=num_classes)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False,
            generator: Generator | None = None) -> Any:
    """input / (1 - p) with a share p of the elements set to 0; input itself unless ``training``."""
    refused("dropout", "an op changes nothing it is given; write x = dropout(x)",
            inplace=(inplace, False))
    x, share = as_tensor(input), real("dropout: p", p)
    if not 0 <= share <= 1:
        raise ValueError(f"dropout: p is the share of elements dropped, 0 <= p <= 1, got {p}")
    if not training or share == 0:
        return x
    if share == 1:
        return x * 0.0
    return dropped(x, share, generator)


def dropped(x: Tensor, p: float, generator: Generator | None = None, axis: int = 0) -> Any:
    """The op ``dropout``, 0 <= p < 1. In a part of a batch, which lies along ``axis``, each sample
    has the mask that it has in the whole batch.
    """
    key, part = key_tensor(generator, x.device), PART.get()
    if part is None:
        return OPS["dropout"](x, key, p=p)
    keep = tensor(_kept(key.detach().to("cpu").numpy(), x.shape, p, part, axis)).to(x.device)
    return OPS["where"](keep, x * float(x.dtype.type(1 / (1 - p))), 0.0)


def _kept(key: Any, shape: tuple[int, ...], p: float, part: Part, axis: int) -> Any:
    """Which elements dropout keeps in a part of a batch, bool of ``shape``: those that the whole
    batch, which is longer along ``axis``, keeps there.
    """
    rows = shape[axis] if shape else 0  # of the part; a sample may have several, of tokens
    if not shape or rows % max(part.samples, 1) or (rows and not part.samples):
        raise ShapeError(f"dropout in a part of a batch, of {part.samples} samples: x has the "
                         f"shape {list(shape)}, and axis {axis} is no row, or several, for each")
    if not part.samples:
        return np.empty(shape, bool)
    inner = rows // part.samples * math.prod(shape[axis + 1:])  # numbers of a sample
    runs = [uniform(key, part.samples * inner, float32,  # type: ignore[no-untyped-call]
                    (i * part.whole + part.first) * inner)
            for i in range(math.prod(shape[:axis]))]
    return np.concatenate(runs).reshape(shape) >= np.float32(p) if runs else np.empty(shape, bool)


def _of_all(name: str) -> None:
    """RuntimeError in a part of a batch, where each process would draw the same numbers for other
    samples.
    """
    if PART.get() is not None:
        raise RuntimeError(f"{name} in a forward pass that several processes share: each would "
                           f"draw the same numbers for other samples, so the result would not be "
                           f"that of one process. Dropout is drawn by sample; make other noise "
                           f"with the data, or train in one process")


def rand(*size: Any, generator: Generator | None = None, dtype: Any = float32,
         device: str = "cpu", requires_grad: bool = False, **named: Any) -> Any:
    """Uniform numbers in [0, 1), from ``generator`` or the one ``manual_seed`` sets."""
    _of_all("rand")
    sizes = check_shape("rand", varargs(size, "rand", named, "size"))
    x = OPS["rand"](key_tensor(generator, device), shape=sizes, dtype=dtype)
    return x.requires_grad_() if requires_grad else x


def randn(*size: Any, generator: Generator | None = None, dtype: Any = float32,
          device: str = "cpu", requires_grad: bool = False, **named: Any) -> Any:
    """Normal numbers of mean 0 and variance 1, from ``generator`` or ``manual_seed``'s."""
    _of_all("randn")
    sizes = check_shape("randn", varargs(size, "randn", named, "size"))
    x = OPS["randn"](key_tensor(generator, device), shape=sizes, dtype=dtype)
    return x.requires_grad_() if requires_grad else x
