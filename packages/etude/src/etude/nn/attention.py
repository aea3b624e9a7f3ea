"""MultiheadAttention and TransformerBlock.

The op: ``scaled_dot_product_attention`` in ``ops/attention.py``.

Legend: N sequences, L queries, S keys, E numbers per token, H heads of E/H numbers each.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.tensor import Tensor
from etude.nn.activations import GELU
from etude.nn.containers import Sequential
from etude.nn.dropout import Dropout
from etude.nn.linear import Linear
from etude.nn.module import Module
from etude.nn.norm import LayerNorm


class MultiheadAttention(Module):
    """Every token looks at others: ``num_heads`` attentions side by side, then a linear layer.

    query: (N, L, E); key, value: (N, S, E), by default the query itself; y: (N, L, E). attn_mask
    broadcasts to (N, H, L, S): bool (true takes part) or float (added). Projections: one matrix
    in_proj (3E, E) for queries, keys and values, and out_proj (E, E). ``dropout`` acts on y.
    Source: Vaswani et al. 2017, Attention Is All You Need, section 3.2.2.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 dtype: Any = "float32") -> None:
        embed_dim = integer("MultiheadAttention: embed_dim", embed_dim, 1)
        num_heads = integer("MultiheadAttention: num_heads", num_heads, 1)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim="
                             f"{embed_dim}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.in_proj = Linear(embed_dim, 3 * embed_dim, bias, dtype)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None,
                attn_mask: Tensor | None = None, is_causal: bool = False) -> Any:
        if any(t is not None and t.ndim != 3 for t in (query, key, value)):
            raise ShapeError(f"MultiheadAttention: query, key and value must be (N, L, E), got a "
                             f"query {list(query.shape)}")
        if key is None and value is None:  # one matrix product makes all three
            q, k, v = F.split(self.in_proj(query), self.embed_dim, -1)
        else:
            key = query if key is None else key
            value = key if value is None else value
            q, k, v = self._project(query, key, value)
        y = F.scaled_dot_product_attention(self._heads(q), self._heads(k), self._heads(v),
                                           attn_mask=attn_mask, is_causal=is_causal)
        n, _, length, _ = y.shape  # N, H, L, E/H
        side_by_side = y.permute(0, 2, 1, 3).reshape(n, length, self.embed_dim)
        return self.dropout(self.out_proj(side_by_side))

    def _project(self, *given: Tensor) -> list[Any]:
        """Query, key and value, each by its own third of ``in_proj``."""
        weights = F.split(self.in_proj.weight, self.embed_dim, 0)
        biases: Any = [None, None, None]
        if self.in_proj.bias is not None:
            biases = F.split(self.in_proj.bias, self.embed_dim, 0)
        return [F.linear(x, w, b) for x, w, b in zip(given, weights, biases, strict=True)]

    def _heads(self, x: Tensor) -> Tensor:
        """(N, L, E) -> (N, H, L, E/H)."""
        n, length, _ = x.shape
        size = self.embed_dim // self.num_heads
        return x.reshape(n, length, self.num_heads, size).permute(0, 2, 1, 3)

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, num_heads={self.num_heads}"


class TransformerBlock(Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm block of GPT-2.

    x, y: (N, L, E). The mlp widens to ``widen`` E with GELU in between. ``is_causal`` keeps
    tokens from looking ahead. Source: Radford et al. 2019, Language Models are Unsupervised
    Multitask Learners, section 2.3.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, widen: int = 4,
                 is_causal: bool = True, dtype: Any = "float32") -> None:
        embed_dim = integer("TransformerBlock: embed_dim", embed_dim, 1)
        widen = integer("TransformerBlock: widen", widen, 1)
        self.norm1 = LayerNorm(embed_dim, dtype=dtype)
        self.attention = MultiheadAttention(embed_dim, num_heads, dropout, dtype=dtype)
        self.norm2 = LayerNorm(embed_dim, dtype=dtype)
        self.mlp = Sequential(Linear(embed_dim, widen * embed_dim, dtype=dtype), GELU("tanh"),
                              Linear(widen * embed_dim, embed_dim, dtype=dtype), Dropout(dropout))
        self.is_causal = is_causal

    def forward(self, x: Tensor) -> Any:
        x = x + self.attention(self.norm1(x), is_causal=self.is_causal)
        return x + self.mlp(self.norm2(x))
