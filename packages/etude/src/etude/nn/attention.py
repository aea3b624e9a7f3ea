"""MultiheadAttention. The op: ``scaled_dot_product_attention`` in ``ops/attention.py``.

Legend: N sequences, L queries, S keys, E numbers per token, H heads of E/H numbers each. A mask of
the layer says with true who is *left out*, as PyTorch's layer does; a mask of the op says with true
who takes part, as PyTorch's function does.
"""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.creation import full, ones, zeros
from etude.core.errors import DTypeError, ShapeError
from etude.core.given import integer, real
from etude.core.shapes import FLOATS, Spec, bool_
from etude.core.tensor import Tensor
from etude.nn.init import xavier_normal_, xavier_uniform_, zeros_
from etude.nn.linear import Linear
from etude.nn.module import Module, Parameter, parameter, spec_given, tensor_of
from etude.nn.quantized import LinearInt8


class MultiheadAttention(Module):
    """Every token looks at others: ``num_heads`` attentions side by side, then a linear layer.

    query: (L, N, E); key: (S, N, kdim), value: (S, N, vdim), by default the query itself; with
    ``batch_first`` N comes first; one sequence alone has no N. ``forward`` returns (y, weights): y
    like the query, and who looked at whom, weights (N, L, S), the mean over the heads, or
    (N, H, L, S) without ``average_attn_weights``; None, and less work, without ``need_weights``.

    Masks are bool, true for what is left out, or float, added to the scores. key_padding_mask:
    (N, S), for keys that nobody sees; attn_mask: (L, S) or (N H, L, S). ``is_causal`` keeps
    queries from later keys, besides what the masks leave out; PyTorch wants a mask with it. A query
    that sees no key gets weights of 0. ``dropout`` drops weights, in training.

    in_proj_weight: (3E, E), for queries, keys and values; with kdim or vdim q_proj_weight (E, E),
    k_proj_weight (E, kdim) and v_proj_weight (E, vdim); in_proj_bias: (3E); out_proj: a Linear.
    ``add_bias_kv`` adds a trained key and value, bias_k and bias_v (1, 1, E), and
    ``add_zero_attn`` a key and value of zeros, which everybody sees. Source: Vaswani et al. 2017,
    Attention Is All You Need, section 3.2.2.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        E = integer("MultiheadAttention: embed_dim", embed_dim, 1)
        num_heads = integer("MultiheadAttention: num_heads", num_heads, 1)
        if E % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim="
                             f"{E}")
        dropout = real("MultiheadAttention: dropout", dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"MultiheadAttention: dropout is the share of weights dropped, "
                             f"0 <= dropout < 1, got {dropout}")
        self.embed_dim, self.num_heads, self.dropout = E, num_heads, dropout
        self.kdim = E if kdim is None else integer("MultiheadAttention: kdim", kdim, 1)
        self.vdim = E if vdim is None else integer("MultiheadAttention: vdim", vdim, 1)
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn

        place = {"device": device, "dtype": dtype}
        self.in_proj_weight: Parameter | None = None
        if self.kdim == self.vdim == E:
            self.in_proj_weight = parameter(3 * E, E, **place)
        else:
            self.q_proj_weight = parameter(E, E, **place)
            self.k_proj_weight = parameter(E, self.kdim, **place)
            self.v_proj_weight = parameter(E, self.vdim, **place)
        self.in_proj_bias = parameter(3 * E, **place) if bias else None
        self.bias_k = parameter(1, 1, E, **place) if add_bias_kv else None
        self.bias_v = parameter(1, 1, E, **place) if add_bias_kv else None
        self.in_proj: LinearInt8 | None = None  # of a quantised model, for the in_proj_weight
        self.out_proj = Linear(E, E, bias, **place)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again: Xavier's, those of out_proj as a Linear's, biases 0."""
        for name, p in vars(self).items():
            if name.endswith("_weight") and p is not None:
                xavier_uniform_(p.detach())
        self.out_proj.reset_parameters()
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                zeros_(b.detach())
        for b in (self.bias_k, self.bias_v):
            if b is not None:
                xavier_normal_(b.detach())

    def forward(self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None,
                key_padding_mask: Tensor | None = None, need_weights: bool = True,
                attn_mask: Tensor | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Any, Any]:
        query = tensor_of("MultiheadAttention: query", query)
        key = query if key is None else tensor_of("MultiheadAttention: key", key)
        value = key if value is None else tensor_of("MultiheadAttention: value", value)
        dims = (query.ndim, key.ndim, value.ndim)
        if dims not in ((2, 2, 2), (3, 3, 3)):
            layout = "(N, L, E)" if self.batch_first else "(L, N, E)"
            raise ShapeError(f"MultiheadAttention: query, key and value must be {layout}, or all "
                             f"three without N, got {list(query.shape)}, {list(key.shape)} and "
                             f"{list(value.shape)}")
        alone = query.ndim == 2
        # Contiguous, or attention and its gradient would copy each for themselves.
        q, k, v = [x.contiguous() for x in self._heads(query, key, value, alone)]
        masks = self._masks(q, k, attn_mask, key_padding_mask, alone)
        more = self.bias_k is not None or self.add_zero_attn
        if is_causal and (masks or more):  # else the op needs no mask for it
            everything = full((q.shape[2], k.shape[2]), True, bool_, device=q.device)
            masks.append(F.triu(everything, diagonal=1))
            is_causal = False
        k, v, left_out = self._with_more_keys(k, v, _joined(masks))
        y, weights = self._attend(q, k, v, left_out, is_causal, need_weights)
        y = self.out_proj(self._tokens(y, alone))
        if not need_weights:
            return y, None
        weights = F.mean(weights, dim=1) if average_attn_weights else weights
        return y, weights.squeeze(0) if alone else weights

    def after(self, x: Tensor, cache: Any) -> Any:
        """Causal self-attention of tokens that follow those in a ``KeyValueCache``; ``cache``
        is what it has ``coming`` for this layer. x, y: (N, L, E); no weights and no dropout.
        """
        together = self.in_proj_weight is not None or self.in_proj is not None
        if not (self.batch_first and together) or self.bias_k is not None or self.add_zero_attn:
            raise ValueError("MultiheadAttention: a cache is for self-attention with batch_first="
                             "True, and without add_bias_kv and add_zero_attn")
        q, k, v = self._heads(x, x, x, False)
        keys, values, mask = cache.add(k, v)
        y = F.scaled_dot_product_attention(q, keys, values, mask)
        return self.out_proj(self._tokens(y, False))

    def misfit(self, query: Any, key: Any = None, value: Any = None, *_: Any, **__: Any) -> str:
        key = query if key is None else key
        given = {"query": (query, "embed_dim", self.embed_dim), "key": (key, "kdim", self.kdim),
                 "value": (key if value is None else value, "vdim", self.vdim)}
        for name, (t, setting, size) in given.items():
            x = spec_given(t)
            if x.shape and x.shape[-1] != size:
                return (f"MultiheadAttention({setting}={size}, ...) got a {name} {x}, whose last "
                        f"size is {x.shape[-1]} and not {size}. Make the layer with {setting}="
                        f"{x.shape[-1]}, or change what comes before it")
        return ""

    # ------------------------------------------------------------------ the steps of forward

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Any]:
        """Query, key and value, (..., E) each, or one behind the other, (..., 3E)."""
        E, b = self.embed_dim, self.in_proj_bias
        if self.in_proj is not None:
            return self._quantized_projections(query, key, value)
        if self.in_proj_weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        elif query is key is value:  # one matrix product makes all three
            return [F.linear(query, self.in_proj_weight, b)]
        else:
            weights = list(F.split(self.in_proj_weight, E, 0))
        biases = [None] * 3 if b is None else list(F.split(b, E, 0))
        return [F.linear(x, w, b)
                for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def _quantized_projections(self, query: Tensor, key: Tensor, value: Tensor) -> list[Any]:
        """``_project`` by ``in_proj``. Of an x that only one of the three is, the rest is left."""
        assert self.in_proj is not None
        if query is key is value:
            return [self.in_proj(query)]
        return [F.split(self.in_proj(x), self.embed_dim, -1)[i]
                for i, x in enumerate((query, key, value))]

    def quantize_own(self) -> bool:
        """For ``nn.quantize``: its in_proj_weight in int8. Whether there was one; those of kdim and
        vdim stay float.
        """
        if self.in_proj_weight is None:
            return False
        self.in_proj = LinearInt8.of(self.in_proj_weight, self.in_proj_bias)
        self.in_proj_weight = self.in_proj_bias = None
        return True

    def _heads(self, query: Tensor, key: Tensor, value: Tensor, alone: bool) -> list[Any]:
        """(L, N, E), in whatever order and without N or not, -> q, k and v, (N, H, L, E/H), views.

        Heads are cut out of all three at once, so that the gradients of q, k and v go back to their
        places in one copy each.
        """
        size, found = self.embed_dim // self.num_heads, []
        for x in self._project(query, key, value):
            x = x.unsqueeze(0) if alone else x if self.batch_first else x.transpose(0, 1)
            n, length, width = x.shape
            heads = x.reshape(n, length, width // size, size)
            found += F.split(heads, self.num_heads, 2)
        return [x.permute(0, 2, 1, 3) for x in found]

    def _tokens(self, y: Any, alone: bool) -> Any:
        """(N, H, L, E/H) -> (L, N, E), in the order and with the axes of the query."""
        n, _, length, _ = y.shape
        y = y.permute(0, 2, 1, 3).reshape(n, length, self.embed_dim)
        return y.squeeze(0) if alone else y if self.batch_first else y.transpose(0, 1)

    def _masks(self, q: Any, k: Any, attn_mask: Tensor | None, key_padding_mask: Tensor | None,
               alone: bool) -> list[Any]:
        """The masks that were given, each in a shape that broadcasts to (N, H, L, S)."""
        (n, heads, length, _), size = q.shape, k.shape[2]
        found = []
        if attn_mask is not None:
            _check("attn_mask", attn_mask, (length, size), (n * heads, length, size))
            found.append(attn_mask if attn_mask.ndim == 2
                         else attn_mask.reshape(n, heads, length, size))
        if key_padding_mask is not None:
            _check("key_padding_mask", key_padding_mask, (size,) if alone else (n, size))
            found.append(key_padding_mask.reshape(n, 1, 1, size))
        return found

    def _with_more_keys(self, k: Any, v: Any, left_out: Any) -> tuple[Any, Any, Any]:
        """The same with the keys of ``add_bias_kv`` and ``add_zero_attn``, which all may see."""
        n, heads, before, size = k.shape
        if self.bias_k is not None and self.bias_v is not None:
            k, v = [F.cat([x, b.reshape(1, heads, 1, size).expand(n, heads, 1, size)], 2)
                    for x, b in ((k, self.bias_k), (v, self.bias_v))]
        if self.add_zero_attn:
            nothing = zeros(n, heads, 1, size, dtype=k.dtype, device=k.device)
            k, v = F.cat([k, nothing], 2), F.cat([v, nothing], 2)
        if left_out is not None and k.shape[2] > before:
            shape = (*left_out.shape[:-1], k.shape[2] - before)
            seen = full(shape, 0, left_out.dtype, device=left_out.device)
            left_out = F.cat([left_out, seen], -1)
        return k, v, left_out

    def _attend(self, q: Any, k: Any, v: Any, left_out: Any, is_causal: bool, need_weights: bool
                ) -> tuple[Any, Any]:
        """y (N, H, L, E/H) and the weights (N, H, L, S), or None where they are not needed."""
        mask = left_out
        if left_out is not None and left_out.dtype == bool_:
            mask = F.logical_not(left_out)
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal), None
        # A query that mixes the rows of the identity gets its weights: 0.7 (1, 0) + 0.3 (0, 1).
        n, heads, size, _ = k.shape
        identity = F.triu(F.tril(ones(size, size, dtype=k.dtype, device=k.device)))
        rows = identity.expand(n, heads, size, size)
        weights = F.scaled_dot_product_attention(q, k, rows, mask, is_causal=is_causal)
        weights = F.dropout(weights, dropout)
        return weights @ v, weights

    def extra_repr(self) -> str:
        text = f"{self.embed_dim}, num_heads={self.num_heads}"
        for name, plain in (("dropout", 0.0), ("add_zero_attn", False), ("kdim", self.embed_dim),
                            ("vdim", self.embed_dim), ("batch_first", False)):
            value = getattr(self, name)
            if value != plain:
                text += f", {name}={value}"
        return text


def _check(name: str, mask: Any, *allowed: tuple[int, ...]) -> None:
    """DTypeError or ShapeError for a mask that is none."""
    if mask.dtype != bool_ and mask.dtype not in FLOATS:
        raise DTypeError(f"MultiheadAttention: {name} is bool (true is left out) or float (added "
                         f"to the scores), got {Spec(mask.shape, mask.dtype)}")
    if mask.shape not in allowed:
        words = " or ".join(str(list(shape)) for shape in allowed)
        raise ShapeError(f"MultiheadAttention: {name} must be {words} here, got "
                         f"{Spec(mask.shape, mask.dtype)}")


def _joined(masks: list[Any]) -> Any:
    """One mask that leaves out what any of them does, and adds what the others add; or None."""
    out: Any = None
    added: Any = None
    for mask in masks:
        if mask.dtype == bool_:
            out = mask if out is None else F.logical_or(out, mask)
        else:
            added = mask if added is None else added + mask
    if out is None or added is None:
        return added if out is None else out
    return F.where(out, -math.inf, added)
