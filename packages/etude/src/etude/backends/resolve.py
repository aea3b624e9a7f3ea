"""From what people write to columns: "cpu", "softmax.py", "softmax.so", "softmax.cu", a function,
a module.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from etude.backends.implements import (
    column_of_file,
    column_of_function,
    column_of_module,
    must_exist,
)
from etude.backends.native.library import open_library, pool
from etude.backends.plugins import registry
from etude.core.columns import REFERENCE, Column
from etude.core.contract import unfit
from etude.core.errors import BackendError


def default_stack(device: str) -> tuple[Column, ...]:
    """What runs on ``device`` when nobody said ``use``: ETUDE_BACKEND, else its first backend.

    On "cpu" the default is the reference alone: accelerators are asked for.
    """
    wanted = [n.strip() for n in os.environ.get("ETUDE_BACKEND", "").split(",") if n.strip()]
    stack = [b for n in wanted for b in resolve(n)]
    chosen = tuple(b for b in stack if b.device == device)
    if chosen or device == "cpu":
        return chosen
    offers = [n for n, (info, _) in registry().backends.items() if info.device == device]
    if not offers:
        raise BackendError(f"no installed backend offers the device {device!r}. "
                           f"'etude backends' lists what there is")
    return (registry().load(offers[0]),)


def resolve(column: Any) -> tuple[Column, ...]:
    """The columns that one argument of ``use`` stands for; none for the reference."""
    if isinstance(column, str):
        if column == REFERENCE:
            return ()  # asks no plugin
        plugins = registry()
        if column in plugins.backends:  # most often; needs no path
            return (plugins.load(column),)
    if isinstance(column, Column):
        if wrong := unfit(column):
            raise BackendError(f"column {column.name!r}: {wrong}")
        return (column,)
    if callable(column) and hasattr(column, "_etude_ops"):
        return (column_of_function(column),)
    if inspect.ismodule(column):
        return (column_of_module(column.__name__, column),)
    text = os.fspath(column) if isinstance(column, (str, Path)) else None
    if text is None:
        raise BackendError(f"a column is a name, a path, a function with @etude.implements or a "
                           f"Column; got {type(column).__name__}")
    path = Path(text)
    if path.suffix == ".py":
        return (column_of_file(path),)
    if path.suffix in (".so", ".dylib"):
        must_exist(path)
        ops = open_library(path)
        return (Column(path.name, "cpu", ops, isa="native", threads=pool(), checks=True,
                       steps=ops.steps),)
    if path.suffix == ".cu":
        must_exist(path)
        return (_column_of_cuda(path),)
    return (registry().load(text),)


def _column_of_cuda(path: Path) -> Column:
    """The kernels of a CUDA source, compiled for the lab."""
    try:
        from etude_cuda.column import open_source
    except ImportError:
        raise BackendError(f"{path.name} is a CUDA source, which the package etude-cuda compiles "
                           f"and runs, with a card or without: pip install etude-cuda") from None
    column: Column = open_source(path)
    return column
