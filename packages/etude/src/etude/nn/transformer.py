"""TransformerBlock, attention and then an mlp. ``MultiheadAttention`` is in ``attention.py``.

Legend: N sequences, L tokens, E numbers per token, H heads.
"""

from __future__ import annotations

from typing import Any

from etude.core.given import integer
from etude.core.tensor import Tensor
from etude.nn.activations import GELU
from etude.nn.attention import MultiheadAttention
from etude.nn.containers import Sequential
from etude.nn.dropout import Dropout
from etude.nn.linear import Linear
from etude.nn.module import Module
from etude.nn.norm import LayerNorm


class TransformerBlock(Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm block of GPT-2.

    x, y: (N, L, E). The mlp widens to ``widen`` E with GELU in between. ``is_causal`` keeps
    tokens from looking ahead; key_padding_mask (N, L) and attn_mask (L, L) or (N H, L, L) leave
    out more, with the meaning of MultiheadAttention. ``cache`` is what a KeyValueCache has
    ``coming`` for this layer: x then follows the tokens in it, and there are no other masks.
    ``dropout`` acts on what either half adds.
    Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.3.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, widen: int = 4,
                 is_causal: bool = True, device: Any = None, dtype: Any = None) -> None:
        embed_dim = integer("TransformerBlock: embed_dim", embed_dim, 1)
        widen = integer("TransformerBlock: widen", widen, 1)
        place = {"device": device, "dtype": dtype}
        self.norm1 = LayerNorm(embed_dim, **place)
        self.attention = MultiheadAttention(embed_dim, num_heads, batch_first=True, **place)
        self.dropout = Dropout(dropout)
        self.norm2 = LayerNorm(embed_dim, **place)
        self.mlp = Sequential(Linear(embed_dim, widen * embed_dim, **place), GELU("tanh"),
                              Linear(widen * embed_dim, embed_dim, **place), Dropout(dropout))
        self.is_causal = is_causal

    def forward(self, x: Tensor, attn_mask: Tensor | None = None,
                key_padding_mask: Tensor | None = None, cache: Any = None) -> Any:
        normed = self.norm1(x)
        if cache is not None:
            y = self.attention.after(normed, cache)
        else:
            y, _ = self.attention(normed, normed, normed, key_padding_mask, need_weights=False,
                                  attn_mask=attn_mask, is_causal=self.is_causal)
        x = x + self.dropout(y)
        return x + self.mlp(self.norm2(x))
