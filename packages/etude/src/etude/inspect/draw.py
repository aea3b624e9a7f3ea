"""draw(tensor): the graph of ops behind a tensor, as graphviz text and, where ``dot`` is
installed, as SVG.

Nothing is recorded for it: it draws the tape that backward walks, from ``Node`` (``core/tape.py``)
to node. The picture is kept small enough to read:

    a parameter is a line in the box of the op that uses it; views and casts lie on the edge
    if there are too many boxes, an elementwise op joins the op that it follows
    if there still are, each straight line of ops becomes one box
    if there still are, the boxes farthest from the result become one box, "n more"
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.core.tape import Node
from etude.core.tensor import Tensor

if TYPE_CHECKING:
    from etude.nn.module import Module

QUIET = {"cast", "contiguous"}  # drawn like views: on the edge
SMALL = {"map", "binary", "compare", "equal"}  # classes of ops that join the op before them
STYLE = """\
  rankdir=BT; nodesep=0.25; ranksep=0.35;
  node [fontname="sans-serif", fontsize=11, shape=box, style="rounded,filled", color="#3d5a98",
        fillcolor="#eef2fb", margin="0.12,0.06"];
  edge [fontname="sans-serif", fontsize=9, color="#8d8d99", fontcolor="#5a5a66", arrowsize=0.6];
"""
KINDS = {"op": "", "leaf": ', fillcolor="#fdf1e4", color="#e07a1f"',
         "input": ', fillcolor="#f4f4f4", color="#8d8d99"',
         "result": ', fillcolor="#e7f4ee", color="#2a7f62"',
         "more": ', style="dashed", color="#8d8d99"'}


@dataclass(eq=False)
class Box:
    """One box: its lines, and where each edge into it comes from, with a label."""

    lines: list[str]
    kind: str = "op"
    small: bool = False
    order: int = 0  # of the newest op in it
    into: list[tuple[Box, str]] = field(default_factory=list)


class Graph:
    """What ``draw`` returns: ``boxes`` is what is drawn, ``dot`` the graphviz text of it. ``print``
    shows the text, a notebook the picture.
    """

    def __init__(self, boxes: list[Box]) -> None:
        self.boxes = boxes

    @property
    def dot(self) -> str:
        names = {box: f"n{i}" for i, box in enumerate(self.boxes)}
        lines = ["digraph {", STYLE.rstrip("\n")]
        for box, name in names.items():
            label = _quoted("\n".join(box.lines))
            lines.append(f"  {name} [label={label}{KINDS[box.kind]}];")
        for box, name in names.items():
            for source, label in box.into:
                lines.append(f"  {names[source]} -> {name} [label={_quoted(label)}];")
        return "\n".join([*lines, "}", ""])

    def __str__(self) -> str:
        return self.dot

    def svg(self) -> str:
        """The picture. RuntimeError, with what to do, without graphviz's program ``dot``."""
        import shutil
        import subprocess

        program = shutil.which("dot")
        if program is None:
            raise RuntimeError("drawing SVG needs the program dot of graphviz, which is not "
                               "installed: apt install graphviz, or brew install graphviz. "
                               "Without it, .dot is the graph as text, which any graphviz viewer "
                               "draws")
        done = subprocess.run([program, "-Tsvg"], input=self.dot, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture (.svg) or the text (.dot, .gv), whole or not at all. ValueError for
        another ending, OSError as from ``open``.
        """
        from etude.data.files import write_atomically  # here: import etude stays quick

        ending = Path(path).suffix
        if ending not in (".svg", ".dot", ".gv"):
            raise ValueError(f"a graph is saved as .svg, .dot or .gv, got {os.fspath(path)!r}")
        write_atomically(path, (self.svg() if ending == ".svg" else self.dot).encode())

    def _repr_svg_(self) -> str | None:
        try:
            return self.svg()
        except RuntimeError:
            return None  # the notebook falls back to the text

    __repr__ = __str__


def draw(tensor: Tensor, model: Module | None = None, limit: int = 24) -> Graph:
    """The graph of the ops that computed ``tensor``: inputs at the bottom, ``tensor`` on top,
    shapes on the edges. With ``model``, parameters have their names.

    There are about ``limit`` boxes at most; the top of this file says what is put together. Call it
    before ``backward``, which lets go of the graph: after it there is a RuntimeError. ValueError
    for a limit below 2.
    """
    if limit < 2:
        raise ValueError(f"draw: limit must be at least 2 boxes, got {limit}")
    names = {} if model is None else {id(p): path for path, p in model.named_parameters()}
    return laid_out(_boxes(tensor, names), limit)


def laid_out(boxes: list[Box], limit: int) -> Graph:
    """A graph of about ``limit`` boxes, the newest first; see the top of this file."""
    if len(boxes) > limit:
        boxes = _join(boxes, lambda box: box.small)
    if len(boxes) > limit:
        boxes = _join(boxes, lambda box: True)
    if len(boxes) > limit:
        boxes = _cut(boxes, limit)
    return Graph(boxes)


def _boxes(tensor: Tensor, names: dict[int, str]) -> list[Box]:
    """A box for each op, input and the result, the newest first."""
    from etude.nn.module import Parameter  # here: import etude does without nn

    made: dict[Any, Box] = {}
    boxes: list[Box] = []

    def box_of(t: Tensor) -> tuple[Box, list[str]]:
        """The box that ``t`` comes out of, and the views between it and ``t``."""
        on_the_way: list[str] = []
        while t.node is not None and _quiet(t.node):
            on_the_way.append(t.node.op.name)
            t = _parents(t.node)[0]
        key = id(t) if t.node is None else t.node
        if key not in made:
            if t.node is None:
                box = _leaf(t, names)
            else:
                op = t.node.op
                box = Box([op.name], small=op.cls in SMALL, order=t.node.order)
                todo.append((t.node, box))
            made[key] = box
            boxes.append(box)
        return made[key], on_the_way

    todo: list[tuple[Node, Box]] = []
    source, views = box_of(tensor)
    boxes.insert(0, Box(["result"], "result", order=source.order + 1,
                        into=[(source, _label(tensor, views))]))
    while todo:
        node, box = todo.pop()
        _parents(node)  # raises if there are none any more
        for name, t in _inputs(node):
            if t is None:
                continue
            if not isinstance(t, Tensor):  # a number, as in x * 2
                box.lines[0] += f" {t:g}"
            elif t.node is None and (id(t) in names or isinstance(t, Parameter)):
                box.lines.append(f"{names.get(id(t), name)} {list(t.shape)}")
            else:
                source, views = box_of(t)
                box.into.append((source, _label(t, views)))
    return sorted(boxes, key=lambda b: -b.order)


def _inputs(node: Node) -> Iterator[tuple[str, Any]]:
    """(name, what went in) of each argument of the op."""
    assert node.inputs is not None
    names = node.op.arrays * len(node.inputs) if node.op.variadic else node.op.arrays
    return zip(names, node.inputs, strict=False)


def _quiet(node: Node) -> bool:
    """Whether an op has no box of its own: it only passes one tensor on."""
    return (node.op.cls == "view" or node.op.name in QUIET) and len(_parents(node)) == 1


def _parents(node: Node) -> Sequence[Tensor]:
    if node.inputs is None:
        raise RuntimeError(f"draw: backward has let go of what led to {node.op.name!r}. Draw the "
                           f"graph before backward(), or call backward(retain_graph=True)")
    return node.parents()


def _leaf(t: Tensor, names: dict[int, str]) -> Box:
    what = names.get(id(t), "leaf" if t.requires_grad else "input")
    return Box([f"{what} {list(t.shape)}"], "leaf" if t.requires_grad else "input")


def _label(t: Tensor, views: list[str]) -> str:
    """What an edge says: the shape, and each kind of view once."""
    return "\n".join([str(list(t.shape)), *dict.fromkeys(views)])


def _join(boxes: list[Box], allowed: Callable[[Box], bool]) -> list[Box]:
    """Put each ``allowed`` box into the one that it follows, if it follows no other and that one
    feeds no other.
    """
    uses: dict[Box, int] = {}
    for box in boxes:
        for source, _ in box.into:
            uses[source] = uses.get(source, 0) + 1
    instead: dict[Box, Box] = {}
    for box in reversed(boxes):  # the oldest first, so that lines grow
        box.into = [(instead.get(source, source), label) for source, label in box.into]
        if len(box.into) == 1 and box.kind == "op" and allowed(box):
            before = box.into[0][0]
            if before.kind == "op" and uses[before] == 1:
                before.lines += box.lines
                before.order = box.order
                instead[box] = before
                uses[before] = uses.get(box, 0)
    return sorted((b for b in boxes if b not in instead), key=lambda b: -b.order)


def _cut(boxes: list[Box], limit: int) -> list[Box]:
    """The newest boxes, and one for all the others."""
    kept = boxes[: limit - 1]
    more = Box([f"{len(boxes) - len(kept)} more"], "more")
    for box in kept:
        into = [(source if source in kept else more, label) for source, label in box.into]
        box.into = list(dict.fromkeys(into))
    return [*kept, more]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
