"""What the commands share: the console, dtypes in short, JSON, and where a backend stands.

Output is for people and for pipes: on a terminal rich colours and fits it; elsewhere it is plain
text of 80 columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from etude.core.columns import Column
from etude.core.layout import WORDS, Layout
from etude.core.shapes import DOMAINS, DTYPES
from etude.core.table import TABLE, Op

SHORT = {"float32": "f32", "float64": "f64", "int64": "i64", "bool": "bool"}


class Plain(Console):
    """A console for files and pipes: 80 columns, and no spaces at the ends of lines."""

    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as text:
            super().print(*objects, **options)
        for line in text.get().removesuffix("\n").split("\n"):
            click.echo(line.rstrip())


def console() -> Console:
    """A console over the stdout of this moment (tests and pagers swap it)."""
    made = Console(highlight=False, markup=False)
    return made if made.is_terminal else Plain(highlight=False, markup=False, width=80)


def grid(*heads: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the one style of these commands."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False,
                  header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left")
    return table


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def describe(stack: Sequence[Column]) -> str:
    """Instruction sets and threads of a stack of columns: "avx2, 2 threads"."""
    if not stack:
        return f"NumPy {'.'.join(np.__version__.split('.')[:2])}"
    words = [column.isa for column in stack if column.isa]
    threads = max(column.threads for column in stack)
    if threads > 1:
        words.append(f"{threads} threads")
    return ", ".join(words)


def countable() -> list[Op]:
    """The ops that a column can implement. Views belong to the array type, not to a column."""
    return [op for op in TABLE.values() if op.cls not in ("view", "create")]


def reference_dtypes(op: Op) -> tuple[str, ...]:
    """The dtypes the reference takes for an array that has none of its own; floats come first.
    Where each array has, as the bools of ``logical_and``, that of the result.
    """
    allowed = DOMAINS[op.domain]
    if isinstance(op.shape, Layout) and not op.shape.arrays.keys() - op.shape.fixed.keys():
        stated = [WORDS[word] for _, word in op.shape.results if word in WORDS]
        allowed = tuple(d for d in stated if d is not None) or allowed
    floats, others = DTYPES[2:], DTYPES[1::-1]
    return tuple(d.name for d in (*floats, *others) if d in allowed)


def short(dtypes: tuple[str, ...]) -> str:
    """("float32", "float64") as "f32 f64"."""
    return " ".join(SHORT.get(d, d) for d in dtypes)
