"""first_divergence: the first op of a program whose result leaves its error bound.

The program runs twice. On the second backend every column is wrapped, so that each call is held
against the oracle *for the inputs it really got*: an op that merely passes on a wrong input is not
blamed. Every op of a program may be within its bound, and the runs part all the same; then
``divergence/runs.py`` compares their calls and values, and ``divergence/reproducer.py`` writes what
is saved for later. The function is public as ``etude_check.first_divergence``; ``engine.py``
checks whole columns.
"""

from __future__ import annotations

import copy
import inspect
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from etude.backends.resolve import resolve
from etude.backends.use import use
from etude.core.columns import REFERENCE, Column
from etude.core.errors import Unsupported
from etude.core.random import default_generator
from etude.core.shapes import Spec
from etude.core.state import tap
from etude.core.table import TABLE
from etude_check.bounds.models import Ensemble
from etude_check.bounds.question import Question
from etude_check.cases.case import Case
from etude_check.cases.spec import Call, OpSpec
from etude_check.divergence import reproducer
from etude_check.divergence.runs import Divergence, Recorder, compare, host, line, line_of
from etude_check.errors import CheckError
from etude_check.judge import judge
from etude_check.specs import specs

Array = np.ndarray[Any, Any]
Fn = Callable[..., Any]


def first_divergence(fn: Fn, first: Any = REFERENCE, second: Any = "cpu", *,
                     state: Sequence[Any] = (), drift: float = 1e-3,
                     save: str | os.PathLike[str] | bool = True) -> Divergence | None:
    """Run ``fn()`` on two backends; the first op of the second that is wrong, or None.

    ``first`` and ``second`` are what ``etude.use`` takes, or tuples of columns. If they are of
    different devices, ``fn`` takes the name of the one to work on. ``fn`` must do the same each
    time. Etude's default random generator is put back before each run; whatever else a
    run changes (a model, an optimiser, a generator of its own) is either made inside ``fn`` or
    listed in ``state``: objects with ``state_dict`` and ``load_state_dict``, or ``get_state`` and
    ``set_state``. They are as before when this returns.

    Each op call of the second run is held against its reference in float64, on copies of its inputs
    taken before the call. If all are within their error bounds, but the runs call different
    ops, or an output differs by more than ``drift`` of its largest element, that is reported.

    ``save`` is a folder for a reproducer of the wrong call, ``divergence-<op>`` by default and
    numbered if that exists; False saves nothing. Raises FileExistsError for a folder that is
    there, CheckError if not one call reached the second backend, and whatever ``fn`` raises on the
    first backend. The values of every op call of the first run are kept in memory.
    """
    if not isinstance(save, bool) and Path(save).exists():
        raise FileExistsError(f"first_divergence: {os.fspath(save)!r} exists, and is not "
                              f"overwritten. Give another folder as save=")
    with _kept(state) as put_back:
        before = Recorder()
        with use(*_columns(first)) as chosen, tap(before):
            _run(fn, chosen.device)
        put_back()
        watch = Watch()
        stack = [b for c in _columns(second) for b in resolve(c)]
        raised: Exception | None = None
        watched = map(watch.wrap, stack) if stack else [REFERENCE]
        with use(*watched) as chosen, tap(watch.steps):
            try:
                _run(fn, chosen.device)
            except Exception as error:
                raised = error
    found = watch.found
    if found is None and raised is not None:
        found = watch.raised or Divergence("raised", "", where=line_of(raised))
        found.message = (f"{found.op or 'the program'} raised {type(raised).__name__}, and did not "
                         f"on the first backend: {raised}")
    elif found is not None and raised is not None:
        found.message += f"; later the run raised {type(raised).__name__}: {raised}"
    if found is None:
        if stack and not watch.calls:
            raise CheckError(f"not one of {len(watch.steps.steps)} op calls ran on {second!r}: the "
                             f"reference stood in for all of them, so nothing was compared")
        return compare(before.steps, watch.steps.steps, drift)
    if save is not False and watch.evidence is not None:
        folder = _free(f"divergence-{found.op}") if save is True else Path(save)
        try:
            reproducer.write(folder, found, watch.evidence, _name(second))
        except OSError as error:
            error.add_note(f"Only the reproducer is missing. This was found: {found}")
            raise
        found.saved = folder
    return found


def _run(fn: Fn, device: str) -> None:
    try:
        inspect.signature(fn).bind()
    except TypeError:
        fn(device)
    else:
        fn()


def _columns(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _name(given: Any) -> list[str] | None:
    """The columns as a script can name them; None if it cannot."""
    names = [os.fspath(c) if isinstance(c, (str, Path)) else None for c in _columns(given)]
    if None in names:
        return None
    return [str(Path(n).absolute()) if os.path.isfile(n) else n for n in names if n is not None]


def _free(name: str) -> Path:
    numbers = iter(range(2, 1000))
    folder = Path(name)
    while folder.exists():
        folder = Path(f"{name}-{next(numbers)}")
    return folder


# ------------------------------------------------------------------ state


@contextmanager
def _kept(objects: Sequence[Any]) -> Iterator[Callable[[], None]]:
    """Gives a function that puts ``objects`` and the default generator back; also does so last."""
    for thing in objects:
        if not (hasattr(thing, "load_state_dict") or hasattr(thing, "set_state")):
            raise TypeError(f"state= takes objects with state_dict and load_state_dict, such as "
                            f"models and optimisers; got {type(thing).__name__}")
    everything = [default_generator, *objects]
    kept = [copy.deepcopy(_state(thing)) for thing in everything]
    grads = [(p, p.grad) for thing in objects if hasattr(thing, "parameters")
             for p in thing.parameters()]

    def put_back() -> None:
        for thing, state in zip(everything, kept, strict=True):
            load = getattr(thing, "load_state_dict", None) or thing.set_state
            load(copy.deepcopy(state))
        for p, grad in grads:
            p.grad = grad

    try:
        yield put_back
    finally:
        put_back()


def _state(thing: Any) -> Any:
    return thing.state_dict() if hasattr(thing, "load_state_dict") else thing.get_state()


# ------------------------------------------------------------------ following the calls


class Watch:
    """The second run: wraps columns, and judges calls until one is wrong."""

    def __init__(self) -> None:
        self.steps = Recorder()
        self.calls: Counter[str] = Counter()  # that columns have answered, by op
        self.found: Divergence | None = None
        self.raised: Divergence | None = None
        self.evidence: reproducer.Evidence | None = None
        self._lock = threading.Lock()
        self._here = threading.local()  # ``busy``: this thread is looking at a call

    def wrap(self, backend: Column) -> Column:
        """The same column, watched. A tap would come too late: by then an optimiser's step has
        written over its inputs.
        """
        return replace(backend, ops={op: self._watched(op, backend, call)
                                     for op, call in backend.ops.items()})

    def _watched(self, op: str, backend: Column, call: Fn) -> Fn:
        def watched(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
            if self.found is not None or getattr(self._here, "busy", False):
                return call(*arrays, out=out, **attrs)
            with self._looking():
                given = tuple(_laid_copy(a) for a in arrays)
            try:
                result = call(*arrays, out=out, **attrs)
            except Unsupported:
                raise
            except Exception:
                self.raised = self._at(op, backend, given, attrs, "raised")
                raise
            with self._lock, self._looking():
                self.calls[op] += 1
                if self.found is None:
                    self._judge(op, backend, given, attrs, result, _aliases(arrays, out))
            return result

        return watched

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Arrays are fetched from a device with ops of the column: those are not the program's."""
        self._here.busy = True
        try:
            yield
        finally:
            self._here.busy = False

    def _at(self, op: str, backend: Column, given: tuple[Any, ...], attrs: dict[str, Any],
            kind: str) -> Divergence:
        case = _case(op, given, attrs)
        earlier = sum(s.op == op for s in self.steps.steps)
        return Divergence(kind, "", op, len(self.steps.steps) + 1, earlier + 1, line(),
                          backend.name, case.asked)

    def _judge(self, op: str, backend: Column, given: tuple[Any, ...], attrs: dict[str, Any],
               result: Any, aliases: dict[int, int]) -> None:
        results = result if isinstance(result, tuple) else (result,)
        outputs = [host(y) for y in results]
        case = _case(op, given, attrs)
        promised = TABLE[op].check(given, attrs)
        wanted = [promised] if isinstance(promised, Spec) else list(promised)
        if [(s.shape, s.dtype) for s in wanted] != [
                (getattr(y, "shape", None), getattr(y, "dtype", None)) for y in outputs]:
            return  # the dispatcher refuses such a result, in words of its own
        for i, y in enumerate(outputs):
            verdict = judge.compare(case, y, i)
            if not verdict.verdict.failed:
                continue
            self.found = found = self._at(op, backend, given, attrs, "op")
            for name in ("verdict", "index", "expected", "got", "error", "bound", "ratio", "wrong"):
                setattr(found, name, getattr(verdict, name))
            found.size = y.size
            names = TABLE[op].outputs
            found.output = f"{names[0][1:]}[{i}]" if names[0].startswith("*") else names[i]
            alike = judge.looks_like(case.question, y, i, None, verdict.caught)
            found.likely = judge.SAID.get(alike, "") if verdict.wrong > judge.FEW else ""
            found.message = (f"{op} is wrong on {backend.name}: call {found.call} of the run, "
                             f"call {found.nth} of {op}. {verdict.verdict.value}")
            self.evidence = reproducer.Evidence(given, attrs, _expected(case, outputs), aliases, i)
            return


def _case(op: str, given: tuple[Any, ...], attrs: dict[str, Any]) -> Case:
    """The call as a case, so that the judge of ``etude check`` judges it. An op of the user's own
    has no spec; its bound is that of any composite.
    """
    spec = specs().get(op) or OpSpec(op, lambda kind: (), Call, Ensemble())
    dtype = next((a.dtype.name for a in given if isinstance(a, np.ndarray)), "float32")
    case = Case(spec, "random", {}, dtype, 0)
    vars(case)["call"] = Call(given, attrs)  # where cached_property would keep what it had drawn
    vars(case)["question"] = Question(TABLE[op], given, attrs)
    return case


def _expected(case: Case, outputs: list[Array]) -> list[tuple[Array, Array]]:
    """(expected values, bounds) of every output, for the reproducer."""
    found = []
    for i, y in enumerate(outputs):
        q, model = case.question, case.spec.model_of(case.op.outputs[min(i, len(
            case.op.outputs) - 1)].lstrip("*"))
        same = q.same_dtype[i]
        if model.exact or y.dtype.kind != "f":
            found.append((same, np.zeros(same.shape)))
        else:  # what overflows at this dtype is decided by the reference at this dtype
            want = np.where(np.isfinite(same), q.oracle[i], same)
            found.append((want, np.broadcast_to(model.bound(q, i).allowed, want.shape)))
    return found


def _aliases(arrays: tuple[Any, ...], out: Any) -> dict[int, int]:
    """Output buffer -> the input that is the same memory, by number."""
    buffers = out if isinstance(out, tuple) else (out,)
    return {i: j for i, b in enumerate(buffers) for j, a in enumerate(arrays)
            if isinstance(b, np.ndarray) and isinstance(a, np.ndarray)
            and b.__array_interface__["data"][0] == a.__array_interface__["data"][0]
            and (b.shape, b.strides) == (a.shape, a.strides)}


def _laid_copy(a: Any) -> Any:
    """A copy with the same strides: what goes wrong may go wrong in this layout only."""
    a = host(a)
    return reproducer.laid(a, a.strides) if isinstance(a, np.ndarray) else a
