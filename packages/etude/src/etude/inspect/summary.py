"""summary(model, input): a table of layers, output shapes, parameters, FLOPs and memory.

The model runs once, in eval mode and without gradients, while a tap watches. The stated cost of an
op goes to the layers in whose ``forward`` it runs. This file knows no particular layer and no op.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from etude.core.columns import VIEW, Event
from etude.core.creation import zeros
from etude.core.errors import DTypeError
from etude.core.shapes import float32, int64
from etude.core.state import no_grad, tap
from etude.core.table import TABLE
from etude.core.tensor import Tensor

if TYPE_CHECKING:
    from etude.nn.module import Module


WIDEST = 46  # characters of a layer's name in the table


@dataclass
class Row:
    """One module and all inside it. ``parameters`` counts each parameter once; ``flops``, ``bytes``
    and ``memory`` add up over all calls.
    """

    path: str  # "" is the model itself
    name: str  # class and settings
    depth: int
    parameters: int
    shape: tuple[int, ...] | None = None  # of its first output Tensor; None if it was not called
    calls: int = 0
    flops: int = 0  # the ops' stated costs
    bytes: int = 0  # that they must move
    memory: int = 0  # bytes of their outputs: what training keeps for backward, at most


class Summary:
    """What ``summary`` found; print it. ``rows`` has the model first, then its layers."""

    def __init__(self, rows: list[Row], inputs: tuple[Tensor, ...], parameter_bytes: int,
                 trained: int) -> None:
        self.rows = rows
        self.inputs = [(t.shape, t.dtype.name) for t in inputs]
        self.parameter_bytes = parameter_bytes
        self.trained = trained  # parameters that require a gradient

    @property
    def parameters(self) -> int:
        return self.rows[0].parameters

    @property
    def flops(self) -> int:
        """FLOPs of one forward pass."""
        return self.rows[0].flops

    @property
    def memory(self) -> int:
        """Bytes of all op outputs in one forward pass."""
        return self.rows[0].memory

    def __str__(self) -> str:
        names = [_title(row) for row in self.rows]
        width = max(map(len, ["layer", *names]))
        lines = [f"{'layer':<{width}}  {'output':<20} {'parameters':>11} {'FLOPs':>9} "
                 f"{'memory':>9}"]
        lines.append("-" * len(lines[0]))
        for name, r in zip(names, self.rows, strict=True):
            shape = "not called" if r.shape is None else str(list(r.shape))
            if r.calls > 1:
                shape += f" x {r.calls}"
            count = f"{r.parameters:,}" if r.parameters else ""
            lines.append(f"{name:<{width}}  {shape:<20} {count:>11} {short(r.flops):>9} "
                         f"{short(r.memory, 'B'):>9}")
        given = ", ".join(f"{dtype}{list(shape)}" for shape, dtype in self.inputs)
        lines += [lines[1],
                  f"input {given}: {short(self.flops)} FLOPs forward, about three times that with "
                  f"backward",
                  f"{self.parameters:,} parameters ({self.trained:,} trained), "
                  f"{short(self.parameter_bytes, 'B')}; outputs of all ops "
                  f"{short(self.memory, 'B')}"]
        return "\n".join(lines)

    __repr__ = __str__


def _title(row: Row) -> str:
    """The name of a layer in the table: indented, and cut if it is too long."""
    text = "  " * row.depth
    if row.path:
        text += row.path.rpartition(".")[2] + ": "
    text += row.name
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def summary(model: Module, *inputs: Any, dtype: Any = None) -> Summary:
    """What ``model`` is made of: ``print(etude.summary(model, (1, 1, 28, 28)))``. It is run on the
    Tensors ``inputs``, or on zeros of one shape.

    Zeros are float32, or int64 if the model refuses that, or of ``dtype``. FLOPs are those the ops
    state (see ``etude ops NAME``); memory is the bytes of their outputs. Modes, buffers and random
    numbers stay as they were. TypeError for no input; the errors of the model if the input does
    not fit.
    """
    if not inputs:
        raise TypeError("summary needs an input: summary(model, x) with a Tensor, or a shape, "
                        "summary(model, (1, 64))")
    if all(isinstance(t, Tensor) for t in inputs):
        return _observe(model, inputs)
    shape = inputs[0] if len(inputs) == 1 and not isinstance(inputs[0], int) else inputs
    device = next((p.device for p in model.parameters()), "cpu")
    try:
        return _observe(model, (zeros(*shape, dtype=dtype or float32, device=device),))
    except DTypeError:
        if dtype is not None:
            raise
        return _observe(model, (zeros(*shape, dtype=int64, device=device),))


def _observe(model: Module, inputs: tuple[Tensor, ...]) -> Summary:
    rows: dict[int, Row] = {}
    for path, module in model.named_modules():
        label = f"{type(module).__name__}({module.extra_repr()})".removesuffix("()")
        depth = path.count(".") + 1 if path else 0
        count = sum(p.numel() for p in module.parameters())
        rows[id(module)] = Row(path, label, depth, count)
    inside: list[Row] = []  # the modules whose forward is running, the innermost last

    def charge(event: Event) -> None:
        if event.column == VIEW:
            return
        op = TABLE[event.op]
        flops = op.flops(*event.arrays, **event.attrs)
        moved = op.bytes(*event.arrays, **event.attrs)
        made = sum(int(a.size) * a.dtype.itemsize for a in event.outputs)
        for row in {id(r): r for r in inside}.values():  # one that calls itself counts once
            row.flops += flops
            row.bytes += moved
            row.memory += made

    def observed(row: Row, forward: Any, *args: Any, **kwargs: Any) -> Any:
        inside.append(row)
        try:
            result = forward(*args, **kwargs)
        finally:
            inside.pop()
        row.calls += 1
        first = result[0] if isinstance(result, tuple) else result
        if row.shape is None and isinstance(first, Tensor):
            row.shape = first.shape
        return result

    def observe(module: Module) -> Any:
        return partial(observed, rows[id(module)], module.forward)

    with _instead(model, observe), no_grad(), tap(charge):
        model(*inputs)
    held = [*model.parameters(), *model.buffers()]
    size = sum(t.numel() * t.dtype.itemsize for t in held)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Summary(list(rows.values()), inputs, size, trained)


@contextmanager
def _instead(model: Module, forward: Any) -> Iterator[None]:
    """Every module in eval mode, and ``forward(module)`` in place of its own forward."""
    modules = list(model.modules())
    before = [(m.training, vars(m).get("forward")) for m in modules]
    try:
        model.eval()
        for m in modules:
            object.__setattr__(m, "forward", forward(m))
        yield
    finally:
        for m, (mode, own) in zip(modules, before, strict=True):
            m.training = mode
            vars(m).pop("forward", None)
            if own is not None:
                object.__setattr__(m, "forward", own)


def short(n: float, unit: str = "") -> str:
    """1234567 as "1.23 M"; empty for 0."""
    if not n:
        return ""
    power = min(int(math.log10(n)) // 3, 4)
    n /= 1000.0**power
    digits = 3 if n < 999.5 else 4
    prefix = ("", "k", "M", "G", "T")[power]
    return f"{n:.{digits}g} {prefix}{unit}".rstrip()
