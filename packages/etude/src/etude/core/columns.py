"""Columns, and the table of a device: which code an op call runs.

A *column* implements some ops for one device. A ``Table`` is a stack of columns for that device
with the reference under them: ``table["softmax"](x, dim=-1)`` runs the first column that has the
op and does not decline the call. Calls in which the reference had to stand in are counted, never
silent. What is asked of a column is in ``contract.py``; which table is in force is kept in
``state.py`` and chosen in ``backends/use.py``.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from etude.core.contract import Results, guarded, without_end
from etude.core.errors import BackendError, DeviceError, ShapeError, Unsupported
from etude.core.shapes import float32
from etude.core.table import ENTERED, TABLE, Op, into

#: What runs an op: ``implementation(*arrays, out=None, **attrs)`` returns an array or a tuple.
Implementation = Callable[..., Any]

#: (op, dtype, reason) -> how often the reference stood in. Every ``with use(...)`` counts anew.
FALLBACKS: ContextVar[Counter[tuple[str, str, str]]] = ContextVar(
    "etude.fallbacks", default=Counter())  # noqa: B039 - one for the process is what is meant

#: How a column declines a call. NotImplementedError: it is not written yet, as an exercise begins.
DECLINED = (Unsupported, NotImplementedError)


@dataclass(frozen=True, eq=False)
class Column:
    """One column. ``ops[name](*arrays, out=None, **attrs)`` returns an array or a tuple.

    name, device: what it is called, and where its arrays are. For "cpu" they are NumPy's. Any
        other device also gives ``upload`` (NumPy array to DeviceArray) and ``download`` (a
        contiguous DeviceArray to a NumPy array).
    steps: for ops of optimisers, the same on many parameters of one dtype at once, in place:
        ``steps[name](rows, hyper, **attrs)``, a row being p, its gradient, in C order and in
        memory of its own, and its moments. It returns the rows that it declines, and the op
        moves those.
    isa, threads, dtypes: for people. ``etude backends`` and receipts show them, and nothing is
        decided by them: what it is made with ("python", "avx2"), on how many threads it computes,
        and op -> names of the dtypes it takes. An op declines the others itself.
    checks: it promises to run ``Op.check`` itself on every call it has not seen before, and is
        trusted. Without it the dispatcher checks each call, holds the result against it and
        hands over read-only inputs; an entry without ``out`` is then given one (``contract.py``).
    """

    name: str
    device: str
    ops: Mapping[str, Implementation] = field(repr=False)
    isa: str = ""
    threads: int = 1
    checks: bool = False
    upload: Implementation | None = None
    download: Implementation | None = None
    dtypes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    steps: Mapping[str, Callable[..., list[Any]]] = field(default_factory=dict, repr=False)
    results: Results = field(default_factory=Results, repr=False, init=False)


class Event(NamedTuple):
    """One op call as a tap sees it. ``declined`` lists the (column, reason) that refused it,
    ``out`` is where it was told to write, ``table`` the one it was called in.
    """

    op: str
    arrays: tuple[Any, ...]
    attrs: dict[str, Any]
    outputs: tuple[Any, ...]
    column: str
    seconds: float
    declined: tuple[tuple[str, str], ...]
    out: Any = None
    table: Table | None = None


#: Sees every call. It may have three methods more. ``together(op, calls, column, seconds)`` is told
#: of many calls that ran as one; ``calls`` holds the (op, arrays, attrs) of each. Where a tap lacks
#: it, they run one by one. ``waited(start, end, arrays)`` is told when a program waited for data.
#: ``carry(table, column, call, arrays, options)`` makes the call itself: a trace only prepares it.
Tap = Callable[[Event], None]
VIEW = "view"  # the column named for ops that belong to the array type
REFERENCE = "reference"


class Namespace:
    """``F`` of the gradient rules: the ops of one table as attributes."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        if name not in TABLE:
            raise AttributeError(f"there is no op called {name!r}")
        entry = self._table[name]
        setattr(self, name, entry)
        return entry


#: The tables there are, by id: in each of them an op that is entered anew must be found anew.
_EVERY: WeakValueDictionary[int, Table] = WeakValueDictionary()


def _forget(op: Op) -> None:
    for table in list(_EVERY.values()):
        table.pop(op.name, None)
        vars(table.F).pop(op.name, None)


ENTERED.append(_forget)


class Table(dict[str, Implementation]):
    """Op name -> what a call of it runs, for one device. Entries are made when first wanted."""

    def __init__(self, device: str, stack: tuple[Column, ...] = (), *, strict: bool = False,
                 fallback: bool = False, taps: tuple[Tap, ...] = ()) -> None:
        super().__init__()
        self.device = device
        self.stack = stack
        self.strict = strict
        self.fallback = fallback
        self.taps = taps
        self.F = Namespace(self)
        _EVERY[id(self)] = self

    def with_taps(self, taps: tuple[Tap, ...]) -> Table:
        """The same columns under other taps."""
        return Table(self.device, self.stack, strict=self.strict, fallback=self.fallback,
                     taps=taps)

    def __missing__(self, name: str) -> Implementation:
        op = TABLE[name]
        candidates = list(self._candidates(op))
        entry = self._tapped(op, candidates) if self.taps else self._chain(op, candidates)
        self[name] = entry
        return entry

    def _candidates(self, op: Op) -> Iterator[tuple[str, Implementation]]:
        """(column, call) in the order to try; the last one always answers or raises."""
        if op.cls == "view":
            yield VIEW, self._reshape(op) if op.name == "reshape" else _view(op)
            return
        if op.cls == "create":
            yield VIEW, self._create(op)
            return
        if not self.stack and self.device == "cpu":
            yield REFERENCE, _reference(op)
            return
        found = [(b.name, _checked(op, b)) for b in self.stack if op.name in b.ops]
        yield from found
        reason = "declined" if found else "not implemented"
        if self.strict:
            yield REFERENCE, self._refuse(op, reason)
        elif self.device != "cpu":
            yield REFERENCE, self._through_host(op, reason)
        else:
            yield REFERENCE, self._counted(op, reason, _reference(op))

    def _chain(self, op: Op, candidates: list[tuple[str, Implementation]]) -> Implementation:
        """One call that tries the candidates in order."""
        *columns, (_, entry) = candidates
        last = True  # of the columns: if it declines, the reference stands in
        for name, call in reversed(columns):
            entry = self._attempt(op, name, call, entry, last)
            last = False
        return entry

    def _attempt(self, op: Op, column: str, call: Implementation, following: Implementation,
                 last: bool) -> Implementation:
        """``call``, and what follows if it declines. Only the last column's refusal counts."""
        def attempt(*arrays: Any, **attrs: Any) -> Any:
            try:
                return call(*arrays, **attrs)
            except DECLINED as no:
                if last:
                    self._count(op, arrays, f"{column}: {_reason(op, column, no)}")
            except RecursionError as error:
                raise without_end(op, column, error) from None
            return following(*arrays, **attrs)

        return attempt

    def _tapped(self, op: Op, candidates: list[tuple[str, Implementation]]) -> Implementation:
        """An entry that tries the same candidates, and reports what happened."""
        last = len(candidates) - 1
        carry = next((tap.carry for tap in self.taps if hasattr(tap, "carry")), None)

        def tapped(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
            declined: tuple[tuple[str, str], ...] = ()
            given = attrs if out is None else {**attrs, "out": out}
            for i, (column, call) in enumerate(candidates):
                start = time.perf_counter()
                try:
                    result = (call(*arrays, **given) if carry is None
                              else carry(self, column, call, arrays, given))
                except DECLINED as no:
                    if i == last:
                        raise
                    reason = _reason(op, column, no)
                    declined += ((column, reason),)
                    if i == last - 1:
                        self._count(op, arrays, f"{column}: {reason}")
                    continue
                except RecursionError as error:
                    raise without_end(op, column, error) from None
                seconds = time.perf_counter() - start
                outputs = result if isinstance(result, tuple) else (result,)
                event = Event(op.name, arrays, attrs, outputs, column, seconds, declined, out,
                              self)
                for tap in self.taps:
                    tap(event)
                return result
            raise AssertionError("the last candidate answers or raises")

        return tapped

    def _count(self, op: Op, arrays: tuple[Any, ...], reason: str) -> None:
        dtype = next((a.dtype.name for a in arrays if hasattr(a, "dtype")), "-")
        FALLBACKS.get()[op.name, dtype, reason] += 1

    def _counted(self, op: Op, reason: str, call: Implementation) -> Implementation:
        """The reference, counting each time it stands in for columns that lack the op."""
        if reason == "declined":  # counted with its reason when the column declined
            return call

        def counted(*arrays: Any, **attrs: Any) -> Any:
            self._count(op, arrays, reason)
            return call(*arrays, **attrs)

        return counted

    def _names(self) -> str:
        return " + ".join(b.name for b in self.stack) or REFERENCE

    def _refuse(self, op: Op, reason: str) -> Implementation:
        """In strict mode, in place of the reference: an error that says why it would be needed."""
        def refuse(*arrays: Any, **attrs: Any) -> Any:
            op.check(arrays, {k: v for k, v in attrs.items() if k != "out"})
            declined = [why for (name, _, why) in FALLBACKS.get() if name == op.name]
            why = "; ".join(declined) if reason == "declined" else f"{reason} by {self._names()}"
            raise BackendError(f"strict mode: {op.name} would fall back to the reference ({why}). "
                               f"Add a column that has it, or leave strict=True away")

        return refuse

    def _reshape(self, op: Op) -> Implementation:
        """A view where the strides allow; else the device makes the array contiguous first."""
        view = _view(op)

        def reshape(x: Any, **attrs: Any) -> Any:
            try:
                return view(x, **attrs)
            except ShapeError:
                op.check((x,), attrs)  # raises if the shape itself is wrong
                return view(self["contiguous"](x), **attrs)

        return reshape

    def _create(self, op: Op) -> Implementation:
        """The reference makes the array, and the device takes it."""
        make = _reference(op)
        return make if self.device == "cpu" else lambda **attrs: self.upload(make(**attrs))

    def _through_host(self, op: Op, reason: str) -> Implementation:
        """Run the reference on copies in the host's memory, if the user allowed it."""

        def through_host(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
            if not self.fallback:
                op.check(arrays, attrs)
                raise DeviceError(
                    f"{op.name} is {reason} by {self._names()} on device {self.device!r}. Move "
                    f"the tensors with .to('cpu'), or allow copies through the host with "
                    f"use(..., fallback=True)")
            if reason != "declined":
                self._count(op, arrays, reason)
            if out is not None:
                raise DeviceError(f"{op.name}: out= is not available through the host")
            host = [self.download(a) if hasattr(a, "buffer") else a for a in arrays]
            result = op(*host, **attrs)
            if isinstance(result, tuple):
                return tuple(self.upload(r) for r in result)
            return self.upload(result)

        return through_host

    def steps(self, name: str) -> Callable[..., list[Any]] | None:
        """What does an optimiser's op for many parameters at once, of the column that has the op;
        None where it has no such thing, and where a tap wants to see every call.
        """
        for first in self.stack:
            if name in first.ops:
                break
        else:
            return None
        run = first.steps.get(name)
        if run is None or not self.taps:
            return run
        if not all(hasattr(tap, "together") for tap in self.taps):
            return None
        return self._told(name, first.name, run)

    def _told(self, op: str, column: str, run: Callable[..., Any]) -> Callable[..., Any]:
        """``run``, which steps many parameters, and tells the taps of those that it did not leave
        to others.
        """
        def told(rows: Any, hyper: Any, **attrs: Any) -> Any:
            start = time.perf_counter()
            left = run(rows, hyper, **attrs)
            seconds = time.perf_counter() - start
            calls = [(op, (*row, hyper), attrs) for row in rows
                     if not any(row is other for other in left or ())]
            for tap in self.taps if calls else ():
                tap.together(op, calls, column, seconds)  # type: ignore[attr-defined]
            return left

        return told

    def upload(self, x: np.ndarray[Any, Any]) -> Any:
        """``x`` in the memory of this table's device."""
        return x if self.device == "cpu" else self._transfer("upload")(x)

    def download(self, x: Any) -> np.ndarray[Any, Any]:
        """``x`` as a NumPy array, in the host's memory."""
        if self.device == "cpu":
            return x  # type: ignore[no-any-return]
        dense = x if x.is_contiguous() else self["contiguous"](x)
        return self._transfer("download")(dense)  # type: ignore[no-any-return]

    def _transfer(self, which: str) -> Implementation:
        for b in self.stack:
            if getattr(b, which) is not None:
                return getattr(b, which)  # type: ignore[no-any-return]
        raise DeviceError(f"no backend in use for device {self.device!r} offers {which}")


def table_of(device: str, stack: tuple[Column, ...], strict: bool = False, fallback: bool = False
             ) -> Table:
    """The table of a stack, kept: what its ops run is found once, however often it is used."""
    return _kept_table(device, stack, strict, fallback)


@lru_cache(maxsize=64)
def _kept_table(device: str, stack: tuple[Column, ...], strict: bool, fallback: bool) -> Table:
    return Table(device, stack, strict=strict, fallback=fallback)


def column_named(name: str) -> Column | None:
    """A column of that name that some table tries; None if there is none any more."""
    return next((c for table in list(_EVERY.values()) for c in table.stack if c.name == name), None)


def _reason(op: Op, column: str, no: Exception) -> str:
    """Why a column declined. Of an op that is not written yet it warns, each time from new code: a
    network that trains says nothing of who computed.
    """
    if isinstance(no, Unsupported):
        return str(no)
    warnings.warn(f"{op.name} of column {column!r} is not written yet (NotImplementedError), so "
                  f"the next column or the reference computes it", stacklevel=4)
    return "not written yet"


def _reference(op: Op) -> Implementation:
    """The reference behind its shape rule. Elementwise calls that cannot fail skip the rule."""
    reference, check = op.reference, op.check

    plain = not (op.attrs or op.variadic or op.fixed)
    if plain and op.cls in ("map", "binary", "equal") and len(op.arrays) <= 2:
        if len(op.arrays) == 1:

            def unary(x: Any = None, *more: Any, out: Any = None, **attrs: Any) -> Any:
                if more or attrs or type(x) is not np.ndarray or x.dtype is not float32:
                    check((x, *more), attrs)
                return into(out, reference(x))

            return unary

        def binary(x: Any = None, y: Any = None, *more: Any, out: Any = None, **attrs: Any) -> Any:
            if more or attrs or not (
                    type(x) is type(y) is np.ndarray and x.dtype is y.dtype is float32
                    and x.shape == y.shape):
                check((x, y, *more), attrs)
            return into(out, reference(x, y))

        return binary

    def run(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        check(arrays, attrs)
        return into(out, reference(*arrays, **attrs))

    return run


def _view(op: Op) -> Implementation:
    """The reference of a view behind its shape rule. What it returns is an array over the memory
    of ``x``, so there is nothing that it could write into ``out``.
    """
    reference, check = op.reference, op.check

    def view(*arrays: Any, **attrs: Any) -> Any:
        check(arrays, attrs)
        return reference(*arrays, **attrs)

    return view


def _checked(op: Op, column: Column) -> Implementation:
    """A column's entry, held to the op interface unless it promises to check for itself."""
    return column.ops[op.name] if column.checks else guarded(op, column)
