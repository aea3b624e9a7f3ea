"""KeyValueCache: what attention remembers of the tokens that it has read.

A model that writes text token by token would work out the keys and values of the whole text again
for each new token. They do not change, since no token looks ahead; so they are kept. A step then
costs one token and not the text.

Legend: N sequences, L new tokens, S places in all, H heads of D numbers each.

The memory is fixed, and how much of it is in use is an *array*: no shape and no attribute of a step
depends on it, so that ``etude.capture`` replays the step for every token. The price is that
attention goes over all S places, and a mask leaves out those behind the token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from etude import functional as F
from etude.core.creation import arange, zeros
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.live import effect
from etude.core.state import STATE
from etude.core.tensor import Tensor


class KeyValueCache:
    """Keys and values of up to ``size`` tokens of ``n`` sequences, in ``layers`` layers.

    ``length`` is how many tokens it has, an int64 Tensor without dimensions; ``used`` is the same
    number in Python. All sequences have the same length. ``clear()`` forgets them.
    """

    def __init__(self, layers: int, n: int, num_heads: int, size: int, head_dim: int,
                 dtype: Any = None, device: str = "cpu") -> None:
        shape = [integer(f"KeyValueCache: {name}", value, 1) for name, value in (
            ("n", n), ("num_heads", num_heads), ("size", size), ("head_dim", head_dim))]
        place = {"device": device} if dtype is None else {"device": device, "dtype": dtype}
        self.size = shape[2]
        count = integer("KeyValueCache: layers", layers, 1)
        self.keys, self.values = [[zeros(*shape, **place) for _ in range(count)] for _ in "kv"]
        self.length = zeros((), dtype="int64", device=device)
        self.used = 0

    def clear(self) -> None:
        """Forget all tokens. The memory stays."""
        self._count(-self.used)
        self.length.copy_(self.length * 0)

    def coming(self, count: int) -> tuple[Any, list[Coming]]:
        """Make room for ``count`` new tokens: their places, (L,) int64, and for each layer what
        takes their keys and values.

        To be called once for a step. RuntimeError where gradients are recorded, ShapeError where
        the cache has no room for so many, or there is none. Where the step fails after it, the
        tokens count as read: clear() the cache.
        """
        if count < 1:
            raise ShapeError("KeyValueCache: got no new token; each step adds one at least")
        if STATE.get().grad:
            raise RuntimeError("a KeyValueCache is for inference: what it keeps has no history. "
                               "Go on under no_grad()")
        effect(lambda: self._count(count), lambda: self._count(-count))
        device = self.length.device
        new = self.length + arange(count, device=device)
        there = arange(self.size, device=device)
        seen = F.le(there, new.reshape(count, 1))
        taken = F.logical_and(F.ge(there, self.length), F.lt(there, self.length + count))
        taken = taken.reshape(1, 1, self.size, 1)
        source = F.clamp(there - self.length, 0, count - 1) if count > 1 else None
        self.length.copy_(self.length + count)
        return new, [Coming(key, value, seen, taken, source)
                     for key, value in zip(self.keys, self.values, strict=True)]

    def _count(self, more: int) -> None:
        if self.used + more > self.size:
            raise ShapeError(f"KeyValueCache: {self.used} of {self.size} places are taken, and "
                             f"{more} more tokens do not fit. Make a larger one, or clear() it")
        self.used += more


class Coming(NamedTuple):
    """Where new tokens go, in one layer. key, value: (N, H, S, D)."""

    key: Tensor
    value: Tensor
    seen: Any  # (L, S): the places up to each new token
    taken: Any  # (1, 1, S, 1): those of the new tokens
    source: Any  # (S): which new token each place would take; None for one token, which broadcasts

    def add(self, key: Any, value: Any) -> tuple[Tensor, Tensor, Any]:
        """Keep keys and values of the new tokens, (N, H, L, D). Returns those of all places, and
        the mask of attention.
        """
        for mine, new in ((self.key, key), (self.value, value)):
            n, heads, _, size = mine.shape
            if new.shape != (n, heads, self.seen.shape[0], size):
                raise ShapeError(f"KeyValueCache: made for keys and values {list(mine.shape)}, got "
                                 f"{list(new.shape)}: N, H and D must agree")
            placed = new if self.source is None else F.index_select(new, 2, self.source)
            mine.copy_(F.where(self.taken, placed, mine))
        return self.key, self.value, self.seen
