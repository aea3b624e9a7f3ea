"""Who runs a program: one native call where every op of it is native, else the reference."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any, Protocol

from etude.inspect.receipt import outside
from etude.replay.program import Buffer, Program
from etude.replay.reference import Reference


class Executor(Protocol):
    """What runs a program, again and again.

    State, constants and live numbers are found in ``Buffer.source``. Arguments and results are
    bound before the first run, and again whenever they are another array.
    """

    program: Program  # that is run: passes may have changed the one that was given

    @property
    def at(self) -> int:
        """After a run that raised: which of the calls did."""

    def bind(self, buffer: Buffer, array: Any) -> None:
        """From now on ``buffer`` is the memory that begins with the first element of ``array``."""

    def lent(self, buffer: Buffer) -> Any:
        """Where ``buffer`` may be bound beside the temporaries, as an array; None: nowhere. The
        next run uses this memory before it writes the result there.
        """

    #: all calls as one function, which returns a status: not 0 where ``run`` has to do the rest
    whole: Callable[[], int] | None

    def run(self, status: int = 0) -> None:
        """All calls, in order; with a ``status`` of ``whole``, those that it left."""

    def refreeze(self) -> None:
        """Frozen buffers hold other numbers now: make anew what is kept of them."""

    @property
    def kept_bytes(self) -> int:
        """Memory for what is kept of frozen buffers."""


def executor_for(program: Program, memory: int | None = None, lasting: Collection[Buffer] = (),
                 generate: bool = False, frozen: Collection[Buffer] | None = None) -> Executor:
    """The executor of ``program``, after the passes; ``memory``: at most so many bytes for
    temporaries, at the price of computing some of them twice, and a warning where it takes more all
    the same; ``lasting``: the results that it may lend memory for; ``generate``: pointwise chains
    as C, compiled here; ``frozen``: the state that holds the same numbers at every run, up to a
    ``refreeze``.
    """
    from etude.backends.native.generate import can_generate
    from etude.backends.native.replay import Native, takes
    from etude.replay.passes import optimised
    from etude.replay.passes.memory import memory_plan

    program = optimised(program, memory=memory)
    if memory is not None and (size := memory_plan(program).size) > memory:
        warnings.warn(f"capture(memory={memory}): what is in between takes {size} bytes, as few as "
                      f"could be had by computing some of it twice", stacklevel=outside())
    if takes(program):
        return Native(program, lasting, generate, frozen=frozen)
    if generate:
        can_generate(None)  # which says what is missing
    return Reference(program)
