"""A program: the op calls of a function as data, with the memory that they read and write.

``capture`` (``captured.py``) makes one by watching a call of the function (``trace.py``). Passes
take a program and return a better one. An executor runs it: ``reference.py`` defines what running
means. ``show.py`` prints and draws it.

A *buffer* is memory; a *value* is an array over a buffer, with a shape and strides of its own.
Views are values, and no calls: the transpose of a weight is the weight's buffer, read otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from etude.core.columns import Table
from etude.core.live import Effect
from etude.core.shapes import Shape

if TYPE_CHECKING:
    from etude.inspect.draw import Graph

#: What a buffer holds.
#: argument: what the caller passes, other memory at every run
#: state: memory that outlives the step, such as a parameter, a moment, a running mean
#: constant: what never changes
#: live: numbers that Python makes anew before every run, such as a dropout's key or a rate
#: result: handed to the caller, or left in the ``grad`` of a leaf
#: temporary: nobody sees it, so passes may place, merge and remove it
Kind = Literal["argument", "state", "constant", "live", "result", "temporary"]


@dataclass(eq=False)
class Buffer:
    """Memory of a program, ``nbytes`` long, on ``device``."""

    name: str  # unique in its program: "x0", "w3", "t17"
    kind: Kind
    nbytes: int
    device: str = "cpu"
    #: state, constant, live: the array whose first element is offset 0 of this buffer
    source: Any = None
    label: str = ""  # what people call it: "0.weight", the name of a parameter of the function

    def __repr__(self) -> str:
        return f"<Buffer {self.name}: {self.kind}, {self.nbytes} bytes>"


@dataclass(frozen=True, eq=False)
class Value:
    """An array over a buffer. ``strides`` and ``offset`` count elements."""

    buffer: Buffer
    shape: Shape
    dtype: np.dtype[Any]
    strides: Shape
    offset: int = 0


Operand = Value | float | int | bool | None


@dataclass(eq=False)
class Call:
    """One op call. ``outputs`` may lie over buffers of inputs: the op is told to write there."""

    op: str
    inputs: tuple[Operand, ...]
    attrs: dict[str, Any]
    outputs: tuple[Value, ...]
    column: str  # who ran it when it was traced
    table: Table | None = field(default=None, repr=False)  # of that column; None: the one in force

    def reads(self) -> list[Value]:
        return [x for x in self.inputs if isinstance(x, Value)]


@dataclass(frozen=True)
class Group:
    """Calls ``first`` to ``last`` - 1, which may run together on some of their ``rows`` at a time.
    Nobody else touches the buffers ``inside``.
    """

    first: int
    last: int
    rows: int
    inside: frozenset[Buffer]


@dataclass(eq=False, repr=False)
class Program:
    """Calls in an order in which they may run. Passes return new ones and leave this one as it is.

    ``arguments`` are what the caller passes and the gradients that are there before; ``results``
    what he gets and the gradients that are there afterwards. ``effects`` are what Python does
    before every run, in order; each comes with the number of calls that it came after.
    """

    calls: list[Call]
    arguments: list[Value]
    results: list[Value]
    effects: list[tuple[int, Effect]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)  # an executor may run calls one by one, too
    passes: list[str] = field(default_factory=list)  # what each pass did, a line for each

    def buffers(self) -> Iterator[Buffer]:
        """Every buffer once, in the order in which calls meet them."""
        seen: set[int] = set()
        values = [*self.arguments, *[v for c in self.calls for v in (*c.reads(), *c.outputs)],
                  *self.results]
        for v in values:
            if id(v.buffer) not in seen:
                seen.add(id(v.buffer))
                yield v.buffer

    if TYPE_CHECKING:  # attached in show.py, which looks at values as memory.py does

        def draw(self, limit: int = 24) -> Graph: ...
        def _repr_svg_(self) -> str | None: ...
