"""A program for people: as text, a line for each call, and as a graph."""

from __future__ import annotations

from typing import Any

from etude.core.table import TABLE
from etude.inspect.draw import SMALL, Box, Graph, laid_out
from etude.replay.memory import is_whole
from etude.replay.program import Buffer, Call, Operand, Program, Value


def text(program: Program) -> str:
    """One line for each call, in order, after what goes in."""
    buffers = list(program.buffers())
    kinds = {kind: [b for b in buffers if b.kind == kind]
             for kind in ("argument", "state", "constant", "live", "result", "temporary")}
    counted = ", ".join(_count(len(found), kind) for kind, found in kinds.items() if found)
    lines = [f"program: {_count(len(program.calls), 'call')}; {counted}"]
    for kind in ("argument", "state", "constant", "live"):
        lines += [f"  {b.name:<5} {kind:<9} {b.nbytes:>9} bytes  {b.label}".rstrip()
                  for b in kinds[kind]]
    lines += [f"  {_call(c)}" for c in program.calls]
    returned = ", ".join(_value(v) for v in program.results)
    lines.append(f"  return {returned}".rstrip())
    if program.effects:
        lines.append(f"  before every run: {_count(len(program.effects), 'effect')} of Python")
    return "\n".join(lines)


def _count(n: int, what: str) -> str:
    if what == "temporary":
        return f"{n} temporar{'y' if n == 1 else 'ies'}"
    return f"{n} {what}{'' if n == 1 or what in ('state', 'live') else 's'}"


def _call(c: Call) -> str:
    inputs = [_operand(x) for x in c.inputs]
    attrs = [f"{k}={_attr(v)}" for k, v in c.attrs.items()]
    outputs = ", ".join(f"{_value(y)} {y.dtype.name}{list(y.shape)}" for y in c.outputs)
    return f"{outputs} = {c.op}({', '.join([*inputs, *attrs])})"


def _attr(x: Any) -> str:
    return str(getattr(x, "name", None) or repr(x))


def _operand(x: Operand) -> str:
    return f"{_value(x)}{list(x.shape)}" if isinstance(x, Value) else repr(x)


def _value(v: Value) -> str:
    """The name of the buffer, and where in it the value is, if it is not all of it."""
    if is_whole(v):
        return v.buffer.name
    at = f"{v.offset}" if v.offset else ""
    return f"{v.buffer.name}<{at}:{','.join(map(str, v.strides))}>"


def graph(program: Program, limit: int = 24) -> Graph:
    """The calls as a graph, in the manner of ``etude.draw``: a box for each, with an edge from the
    call that wrote what it reads. There are about ``limit`` boxes at most.
    """
    boxes: list[Box] = []
    wrote: dict[Buffer, Box] = {}
    inputs: dict[Buffer, Box] = {}
    for i, c in enumerate(program.calls):
        op = TABLE.get(c.op)
        box = Box([c.op], small=op is not None and op.cls in SMALL, order=i + 1)
        for v in c.reads():
            source = wrote.get(v.buffer)
            if source is None and v.buffer.kind == "argument":
                source = inputs.get(v.buffer)
                if source is None:
                    source = inputs[v.buffer] = Box(
                        [f"{v.buffer.label or v.buffer.name} {list(v.shape)}"], "input")
                    boxes.append(source)
            if source is not None:
                box.into.append((source, str(list(v.shape))))
            elif v.buffer.kind in ("state", "live"):
                box.lines.append(f"{v.buffer.label or v.buffer.name} {list(v.shape)}")
        for y in c.outputs:
            wrote[y.buffer] = box
        boxes.append(box)
    for k, v in enumerate(program.results):
        if v.buffer in wrote:
            boxes.append(Box([f"result {v.buffer.name}"], "result", order=len(boxes) + k,
                             into=[(wrote[v.buffer], str(list(v.shape)))]))
    return laid_out(sorted(boxes, key=lambda b: -b.order), limit)


def svg(program: Program) -> str | None:
    """What a notebook shows; None without graphviz, and then it shows the text."""
    return graph(program)._repr_svg_()


Program.__str__ = Program.__repr__ = text  # type: ignore[method-assign, assignment]
Program.draw = graph  # type: ignore[method-assign, assignment]
Program._repr_svg_ = svg  # type: ignore[method-assign, assignment]
