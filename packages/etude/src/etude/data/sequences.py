"""Sequences of different lengths, in one batch: padding, cutting, masking.

Legend: B batch, T time. ``Truncate``, ``PadTo`` and ``MaskTokens`` are transforms, called as
``t(x, rng)`` like those for images in ``transforms.py``. ``PadCollate`` goes into a DataLoader as
``collate=``, and makes a batch of samples whose first fields differ in length.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.errors import DTypeError, ShapeError
from etude.core.given import integer
from etude.core.shapes import int64
from etude.data.loader import as_numbers, collate
from etude.data.transforms import Array, needs_rng

if TYPE_CHECKING:
    from etude.data.transforms import Rng

IGNORE = -100  # the target that cross_entropy(ignore_index=-100) leaves out


@dataclass(frozen=True)
class Truncate:
    """Keep the first ``length`` steps of the last axis: (..., T) -> (..., min(T, length))."""

    length: int

    def __post_init__(self) -> None:
        integer("Truncate: length", self.length, 0)

    def __call__(self, x: Array, rng: Rng | None = None) -> Array:
        return x[..., : self.length]


@dataclass(frozen=True)
class PadTo:
    """Put ``value`` after the last step until there are ``length``: (..., T) -> (..., length).
    ShapeError for a longer sequence; ``Truncate`` cuts one.
    """

    length: int
    value: float = 0

    def __post_init__(self) -> None:
        integer("PadTo: length", self.length, 0)

    def __call__(self, x: Array, rng: Rng | None = None) -> Array:
        missing = self.length - x.shape[-1]
        if missing < 0:
            raise ShapeError(f"PadTo: a sequence of {x.shape[-1]} steps is longer than "
                             f"{self.length}; put Truncate({self.length}) before it")
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)], constant_values=self.value)


@dataclass(frozen=True)
class PadCollate:
    """Samples (sequence, ...) -> a batch (padded, lengths, ...).

    Sequences are (T_i) or (T_i, F); padded is (B, T) or (B, T, F) with ``value`` after the end of
    each, T the longest of the batch, or ``length``; lengths is int64 (B). The other fields are
    stacked as a DataLoader does. ShapeError if the sequences differ in more than T_i, or one is
    longer than ``length``.
    """

    value: float = 0
    length: int | None = None

    def __post_init__(self) -> None:
        if self.length is not None:
            integer("PadCollate: length", self.length, 0)

    def __call__(self, samples: list[tuple[Any, ...]]) -> tuple[Array, ...]:
        sequences = [as_numbers(sample[0]) for sample in samples]
        first = sequences[0]
        for x in sequences:
            if x.ndim == 0 or x.shape[1:] != first.shape[1:]:
                raise ShapeError(f"PadCollate: sequences of one batch may differ only in their "
                                 f"length, got shapes {list(first.shape)} and {list(x.shape)}")
            if x.dtype != first.dtype:
                raise DTypeError(f"PadCollate: sequences of one batch need one dtype, got "
                                 f"{first.dtype} and {x.dtype}")
        lengths = np.array([len(x) for x in sequences], int64)
        T = int(lengths.max()) if self.length is None else self.length
        if lengths.max() > T:
            raise ShapeError(f"PadCollate: a sequence of {lengths.max()} steps is longer than "
                             f"length={T}; cut it in the dataset")
        padded = np.full((len(samples), T, *first.shape[1:]), self.value, first.dtype)
        for row, x in zip(padded, sequences):
            row[: len(x)] = x
        fixed = [(row, n, *sample[1:]) for row, n, sample in zip(padded, lengths, samples)]
        return collate(fixed)


class MaskTokens:
    """Hide tokens for a model to guess: tokens x -> (masked, target), both int64 like x.

    Each token is chosen with probability ``share``. Of those chosen 80 % become ``mask``, 10 % a
    token drawn from 0..vocab_size-1, and 10 % stay as they are. target is the token itself where
    it was chosen, and -100 elsewhere: the ``ignore_index`` that ``cross_entropy`` leaves out.
    Tokens in ``never``, such as padding, are not chosen.
    Source: Devlin et al. 2018, BERT, section 3.1, task 1.
    """

    def __init__(self, mask: int, vocab_size: int, share: float = 0.15,
                 never: Iterable[int] = ()) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"MaskTokens: share is from 0 to 1, got {share!r}")
        self.mask = integer("MaskTokens: mask", mask, 0)
        self.vocab_size = integer("MaskTokens: vocab_size", vocab_size, 1)
        self.share = share
        self.never = tuple(never)

    def __call__(self, x: Array, rng: Rng | None = None) -> tuple[Array, Array]:
        draw = needs_rng(self, rng)
        if x.dtype.kind not in "iu":
            raise DTypeError(f"MaskTokens: tokens are integers, got {x.dtype}")
        chosen = (draw.random(x.shape) < self.share) & ~np.isin(x, self.never)
        fate = draw.random(x.shape)
        masked = np.where(chosen & (fate < 0.8), self.mask, x)
        drawn = draw.integers(0, self.vocab_size, x.shape)
        masked = np.where(chosen & (fate >= 0.8) & (fate < 0.9), drawn, masked)
        return masked.astype(int64), np.where(chosen, x, IGNORE).astype(int64)

    def __repr__(self) -> str:
        return f"MaskTokens({self.mask}, {self.vocab_size}, {self.share}, {self.never})"
