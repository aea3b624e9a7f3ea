"""Text that comes with Etude, names and Shakespeare, and blocks of tokens to learn from.

Sources and licences (both public domain) are in names.LICENSE.txt and shakespeare.LICENSE.txt
beside this file. ``tokenizers.py`` holds ``CharTokenizer`` and ``BPETokenizer``, which turn text
into tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from etude.core.errors import DTypeError, ShapeError
from etude.core.given import integer
from etude.data.dataset import position, positions


def names() -> list[str]:
    """5,163 first names of the 1990 US census: lower case, a to z, in the order of the alphabet."""
    return _packaged("names").splitlines()


def shakespeare() -> str:
    """Four plays, 439,693 characters: As You Like It, Macbeth, A Midsummer Night's Dream, Twelfth
    Night. ASCII, 72 different characters.
    """
    return _packaged("shakespeare")


def _packaged(name: str) -> str:
    import gzip  # here, so that import etude stays quick

    return gzip.decompress(Path(__file__).with_name(f"{name}.txt.gz").read_bytes()).decode("ascii")


def text_split(text: Any, validation: float = 0.1) -> tuple[Any, Any]:
    """Cut a text, a list or an array of tokens in two, (train, validation), in its order.

    ``validation`` is the share of the second part, 0 < validation < 1. Text is cut and not
    shuffled, because a model must not have read the neighbours of what it is tested on. ValueError
    if a part would be empty.
    """
    n = len(text)
    if not 0 < validation < 1:
        raise ValueError(f"text_split: validation is a share between 0 and 1, got {validation!r}")
    cut = n - round(n * validation)
    if cut in (0, n):
        raise ValueError(f"text_split: {n} elements are too few to hold out a share of "
                         f"{validation}: one part would be empty")
    return text[:cut], text[cut:]


class LanguageModelDataset:
    """Blocks of ``block`` + 1 tokens: x is the first ``block`` of them, y the last, so that y[t]
    is what comes after x[0..t]. Both are int64 (T), T = ``block``.

    tokens: (n) integers; block i starts at token i * ``stride``. With the default stride, T, an
    epoch goes through the text once; with 1, blocks start at every token. Tokens at the end that
    fill no block are left out. ShapeError if there are too few for one block.
    """

    def __init__(self, tokens: Any, block: int, stride: int | None = None) -> None:
        block = integer("LanguageModelDataset: block", block, 1)
        stride = block if stride is None else integer("LanguageModelDataset: stride", stride, 1)
        if isinstance(tokens, str):
            raise DTypeError("LanguageModelDataset: needs token numbers, got text; encode it "
                             "first, with CharTokenizer or BPETokenizer")
        x = np.asarray(tokens)
        if x.dtype.kind not in "iu":
            raise DTypeError(f"LanguageModelDataset: tokens are integers, got {x.dtype}")
        if x.ndim != 1 or len(x) < block + 1:
            raise ShapeError(f"LanguageModelDataset: needs one sequence of at least block + 1 = "
                             f"{block + 1} tokens, got shape {list(x.shape)}")
        self.tokens = x.astype(np.int64)
        self.block = block
        self.stride = stride

    def __len__(self) -> int:
        return (len(self.tokens) - self.block - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], ...]:
        start = position(self, index) * self.stride
        return (self.tokens[start : start + self.block],
                self.tokens[start + 1 : start + self.block + 1])

    def batch(self, indices: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """Blocks ``indices``: x and y, each int64 (B, T)."""
        picked = positions("LanguageModelDataset", indices, len(self))
        at = picked[:, None] * self.stride + np.arange(self.block + 1)
        found = self.tokens[at]
        return np.ascontiguousarray(found[:, :-1]), np.ascontiguousarray(found[:, 1:])
