"""char_rnn: a recurrent network that reads characters and predicts the next one.

Legend: N sequences, T steps, V characters, H hidden numbers. Source: Graves 2013, Generating
Sequences With Recurrent Neural Networks, section 2.
"""

from __future__ import annotations

from typing import Any

from etude.core.tensor import Tensor
from etude.nn import GRU, LSTM, RNN, Embedding, Linear, Module

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


class CharRNN(Module):
    """Embedding, recurrent layers, and a linear layer to the logits of the next character."""

    def __init__(self, vocab: int, hidden: int, layers: int, cell: str, dropout: float) -> None:
        if cell not in CELLS:
            raise ValueError(f"char_rnn: cell must be one of {', '.join(map(repr, CELLS))}, got "
                             f"{cell!r}")
        self.embedding = Embedding(vocab, hidden)
        self.rnn = CELLS[cell](hidden, hidden, layers, batch_first=True, dropout=dropout)
        self.head = Linear(hidden, vocab)

    def forward(self, x: Tensor) -> Any:
        """x: (N, T) int64 -> logits (N, T, V)."""
        y, _ = self.rnn(self.embedding(x))
        return self.head(y)


def char_rnn(vocab: int, hidden: int = 128, layers: int = 1, cell: str = "lstm",
             dropout: float = 0.0) -> CharRNN:
    """The network over ``vocab`` characters. x: (N, T) int64; y: (N, T, vocab) logits.

    ``cell`` is "rnn", "lstm" or "gru". Raises ValueError for another.
    """
    return CharRNN(vocab, hidden, layers, cell, dropout)
