"""Holds a column to the op interface: its entries when it is chosen, its results on every call.

``columns.py`` puts ``guarded`` around each entry of a column that does not promise to check for
itself (``Column.checks``). What it finds is a BackendError that names the column and the op: there,
and not ten ops later.
"""

from __future__ import annotations

import inspect
import reprlib
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.errors import BackendError, did_you_mean
from etude.core.shapes import Spec
from etude.core.table import TABLE, Op, as_arrays, into

if TYPE_CHECKING:
    from etude.core.columns import Column, Implementation


# ------------------------------------------------------------------ the entries


@lru_cache(maxsize=64)
def unfit(column: Column) -> str:
    """A sentence about an entry of ``column`` that cannot run, or "" if all can."""
    ops: Any = column.ops
    if not isinstance(ops, Mapping):
        return f"ops must be a dict from names of ops to functions, got {reprlib.repr(ops)}"
    full = column.checks or column.device != "cpu"
    for name, entry in ops.items():
        if name not in TABLE:
            return f"there is no op called {name!r}{did_you_mean(str(name), TABLE)}"
        if not callable(entry):
            return (f"its entry for {name} is {reprlib.repr(entry)}, which cannot be called; it "
                    f"must be a function of the op's arrays and attributes")
        if full and not takes_out(entry):
            why = "checks=True promises" if column.checks else f"device {column.device!r} needs"
            return (f"its entry for {name} has no parameter out, and {why} the full interface: "
                    f"{name}(*arrays, out=None, **attrs)")
    return ""


def takes_out(fn: Implementation) -> bool:
    """Whether a function can be given ``out``; True where Python cannot tell."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # a ufunc, or another function in C
        return True
    return "out" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def with_out(fn: Implementation) -> Implementation:
    """Give a plain function the ``out`` of the column interface."""
    if "out" in inspect.signature(fn).parameters:
        return fn

    def call(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        result = fn(*arrays, **attrs)
        if disguised(result):  # a copy would hide it from whoever holds the result to the rules
            return result
        result = as_arrays(result)
        try:
            return into(out, result)
        except ValueError:  # not what the op promises: the dispatcher says how, and names the op
            return result

    return call


def full(column: Column, name: str) -> Implementation:
    """A column's entry as it is called: one without ``out`` is given it."""
    call = column.ops[name]
    return with_out(call) if column.device == "cpu" and not takes_out(call) else call


def disguised(result: Any) -> str:
    """A sentence about a result that an array made of it would hide: None, or a subclass of
    ndarray, which may compute only when somebody looks at it. "" for any other.
    """
    if type(result) is np.ndarray:
        return ""
    if result is None:
        return "returned None: is there a return?"
    for r in result if isinstance(result, tuple) else (result,):
        if isinstance(r, np.ndarray) and type(r) is not np.ndarray:
            return (f"returned a {type(r).__name__}, a subclass of ndarray; a result is a plain "
                    f"ndarray")
    return ""


# ------------------------------------------------------------------ a call


def guarded(op: Op, column: Column) -> Implementation:
    """A column's entry with the shape rule before it, and its result held against it."""
    name, call = column.name, full(column, op.name)

    def guarded(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        promised = op.check(arrays, attrs)
        if column.device == "cpu":
            result = _untouched(op, name, call, arrays, out, attrs)
            if (result is None or result is not out) and (wrong := disguised(result)):
                raise BackendError(f"column {name!r}: {op.name} {wrong}")
            result = as_arrays(result)
            _hold(op, name, promised, result, out)
            if out is None:
                column.results.enter(op, name, arrays, result)
        else:
            result = call(*arrays, out=out, **attrs)
            _hold(op, name, promised, result, out)
        return result

    return guarded


def _untouched(op: Op, column: str, call: Implementation, arrays: tuple[Any, ...], out: Any,
               attrs: dict[str, Any]) -> Any:
    """Call a column with read-only views of its inputs: a pure function changes nothing."""
    views = []
    for a in arrays:
        if isinstance(a, np.ndarray):
            a = a.view(np.ndarray)
            a.flags.writeable = False
        views.append(a)
    try:
        return call(*views, out=out, **attrs)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise BackendError(f"column {column!r}: {op.name} writes into one of its inputs. An op "
                           f"changes nothing it was given: work on a copy") from error


def without_end(op: Op, column: str, error: RecursionError) -> Exception:
    """What to raise where a call of a column used up the stack: a BackendError if the call came
    back to itself, and else ``error``. To be called by the function that made the call, whose
    names ``op`` and ``column`` are.
    """
    at = error.__traceback__
    code = at.tb_frame.f_code if at else None
    while at and (at := at.tb_next):
        inner = at.tb_frame
        if inner.f_code is code and inner.f_locals["op"] is op and (
                inner.f_locals["column"] == column):
            return BackendError(f"column {column!r}: {op.name} calls {op.name} again, which comes "
                                f"back to it without end. On arrays, etude.ops.{op.name} is the "
                                f"reference; or raise Unsupported, and the next column answers")
    return error


def _hold(op: Op, column: str, promised: Any, result: Any, out: Any) -> None:
    """BackendError unless ``result`` is what the shape rule says, in the buffers ``out``."""
    single = isinstance(promised, Spec)
    specs, results = ((promised,), (result,)) if single else (promised, result)
    if isinstance(result, tuple) is single or len(results) != len(specs):
        wanted = f"a tuple of {len(specs)} arrays ({', '.join(op.outputs)})"
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise BackendError(f"column {column!r}: {op.name} must return "
                           f"{'one array' if single else wanted}, got {got}")
    buffers = results if out is None else (out,) if single else out
    every = zip(specs, results, buffers, strict=True)
    for name, (spec, r, buffer) in zip(op.outputs, every, strict=False):
        if r.shape != spec.shape or r.dtype != spec.dtype:
            raise BackendError(f"column {column!r}: {op.name} returned {name} as "
                               f"{Spec(r.shape, r.dtype)}, but the op's shape rule says {spec}")
        if r is not buffer:
            raise BackendError(f"column {column!r}: {op.name} did not return the buffers it was "
                               f"given as out=, so it did not write there")


class Results:
    """What a column returned and somebody still holds: no later result may be in its memory.

    An array that owns its memory can be an earlier result only as the same object, and one that
    does not names the owner as its ``base``; so one look into a dict, by the owner, finds both.
    """

    def __init__(self) -> None:
        self._held: dict[int, Callable[[], Any]] = {}  # id of the owner -> weak reference
        self._most = 64  # entries; then those of dead results go

    def enter(self, op: Op, column: str, arrays: tuple[Any, ...], result: Any) -> None:
        """Note the results of a call. BackendError if one is in memory that is not its own."""
        for r in result if isinstance(result, tuple) else (result,):
            if not isinstance(r, np.ndarray):
                raise BackendError(f"column {column!r}: {op.name} must return NumPy arrays, got "
                                   f"{type(r).__name__}")
            owner = r.base
            if owner is None:
                owner = r
            else:  # an input is passed as a view: whatever comes of it has a base
                for a in arrays:
                    if isinstance(a, np.ndarray) and np.shares_memory(r, a):
                        raise _not_its_own(op, column, "of an input")
            if held := self._held.get(id(owner)):
                earlier = held()
                if earlier is not None and np.shares_memory(r, earlier):
                    raise _not_its_own(op, column, "that an earlier result is in")
            self._held[id(owner)] = weakref.ref(r)
        if len(self._held) > self._most:
            self._held = {k: held for k, held in [*self._held.items()] if held() is not None}
            self._most = max(64, 2 * len(self._held))


def _not_its_own(op: Op, column: str, whose: str) -> BackendError:
    return BackendError(f"column {column!r}: {op.name} returned memory {whose}, which changes "
                        f"when somebody writes there. An op returns memory of its own: a new "
                        f"array each time, or a copy")
