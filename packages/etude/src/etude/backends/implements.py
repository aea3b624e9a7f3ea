"""A column of your own: functions marked with ``@etude.implements``, or a file of them."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from etude.core.columns import Column, Implementation, into
from etude.core.errors import BackendError, did_you_mean
from etude.core.table import TABLE, as_arrays


def implements(*names: str) -> Callable[[Implementation], Implementation]:
    """Decorator: this function implements the named ops. ``use`` then takes it, or its file.

    The function gets the op's arrays by position and its attributes by keyword, and returns the
    result; a parameter ``out`` is not needed. Raises BackendError for a name the table lacks.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise BackendError("@etude.implements wants the names of ops: @etude.implements('softmax')")
    for name in names:
        if name not in TABLE:
            raise BackendError(f"there is no op called {name!r}{did_you_mean(name, TABLE)}")

    def mark(fn: Implementation) -> Implementation:
        fn._etude_ops = names  # type: ignore[attr-defined]
        return fn

    return mark


@lru_cache(maxsize=64)
def column_of_function(fn: Implementation) -> Column:
    """The column of one marked function: the same each time, so that its table is kept too."""
    return column_of_functions(fn.__name__, [fn])


def column_of_functions(name: str, functions: list[Implementation]) -> Column:
    """One column of several marked functions."""
    ops = {op: with_out(fn) for fn in functions for op in fn._etude_ops}  # type: ignore[attr-defined]
    return Column(name, "cpu", ops, isa="python")


def with_out(fn: Implementation) -> Implementation:
    """Give a plain function the ``out`` of the column interface."""
    if "out" in inspect.signature(fn).parameters:
        return fn

    def call(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        result = as_arrays(fn(*arrays, **attrs))
        try:
            return into(out, result)
        except ValueError:  # not what the op promises: the dispatcher says how, and names the op
            return result

    return call


def column_of_module(name: str, module: Any) -> Column:
    """All marked functions of a module. Raises BackendError if there is none."""
    functions = [f for f in vars(module).values() if callable(f) and hasattr(f, "_etude_ops")]
    if not functions:
        raise BackendError(f"{name} has no function marked with @etude.implements('op name')")
    return column_of_functions(name, functions)


def must_exist(path: Path) -> None:
    """BackendError unless ``path`` is a file."""
    if not path.is_file():
        raise BackendError(f"there is no file {str(path)!r} (looked in {Path.cwd()})")


def column_of_file(path: Path) -> Column:
    """Run a .py file and take its marked functions. Raises BackendError if it does not run."""
    must_exist(path)
    spec = importlib.util.spec_from_file_location(f"etude_column_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses, for one, look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BackendError(f"{path} does not run: {type(error).__name__}: {error}") from error
    return column_of_module(path.name, module)
