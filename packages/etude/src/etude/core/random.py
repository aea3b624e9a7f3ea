"""Where random numbers come from: a Generator hands out keys, and the ops do the rest.

A key is (seed, call number); the ops ``rand`` and ``dropout`` turn it into numbers, the same on
every backend and for any number of threads. So a whole run follows from its seed, and a
generator's state is two integers.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from etude.core.given import integer, whole
from etude.core.live import WATCHER, effect, live
from etude.core.state import STATE
from etude.core.tensor import Tensor


def _seed(given: Any) -> int:
    found = whole(given)
    if found is None or not 0 <= found < 2**64:
        raise ValueError(f"a seed is an integer from 0 to 2^64 - 1, got {given!r}")
    return found


def _signed(number: int) -> int:
    """64 bits, read as int64."""
    return number - 2**64 if number >= 2**63 else number


class Generator:
    """A stream of keys from ``seed``, 0 <= seed < 2^64."""

    def __init__(self, seed: int = 0) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of ``seed`` from its beginning."""
        self._go_to(_seed(seed), 0)
        return self

    def _go_to(self, seed: int, calls: int) -> None:
        before: dict[str, int] = {}

        def go() -> None:
            before.update(vars(self))
            self.seed, self.calls = seed, calls

        effect(go, lambda: vars(self).update(before))

    def key(self, device: str = "cpu") -> Any:
        """The next key, an array on ``device``: int64 [seed, call number], the seed as 64 bits."""
        return live(self._next, np.int64, STATE.get().tables[device], self._back)

    def _next(self) -> tuple[int, int]:
        calls = self.calls
        self.calls = calls + 1
        return _signed(self.seed), _signed(calls)

    def _back(self) -> None:
        self.calls -= 1

    def get_state(self) -> dict[str, int]:
        return {"seed": self.seed, "calls": self.calls}

    def set_state(self, state: dict[str, int]) -> None:
        """Go back to ``get_state()``. ValueError for numbers out of range, and then nothing has
        changed.
        """
        calls = integer("calls of a generator", state["calls"], 0)
        if calls >= 2**64:
            raise ValueError(f"calls of a generator must be below 2^64, got {calls}")
        self._go_to(_seed(state["seed"]), calls)

    def spawn(self) -> Generator:
        """A generator of its own stream, drawn from this one."""
        watcher = WATCHER.get()
        if watcher is not None:
            watcher.refuses("spawn() of a generator draws numbers that a replay would not draw")
        first, second = np.random.Philox(key=self.key().view(np.uint64)).random_raw(2)
        return Generator(int(first ^ second))


class Part(NamedTuple):
    """The samples ``first`` to ``first + samples - 1`` of a batch of ``whole`` samples."""

    first: int
    samples: int
    whole: int


#: What this process has of the batch whose forward pass is at work, where several processes share
#: it; None: all of it. Each sample then gets the dropout that it has in one process.
PART: ContextVar[Part | None] = ContextVar("PART", default=None)


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given. Returns it."""
    return default_generator.manual_seed(seed)


def key_tensor(generator: Generator | None, device: str) -> Tensor:
    """The next key of ``generator`` (or of the default one) on ``device``."""
    source = default_generator if generator is None else generator
    return Tensor(source.key(device))
