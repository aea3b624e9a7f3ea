"""capture(fn): a function whose op calls are traced once and then replayed.

``Captured`` is what capture returns: it finds a ``Take`` that fits the call, or makes one. A take is
one trace of the function: the program (``program.py``), what it is good for (``guards.py``) and the
memory that its results go into (``results.py``).
"""

from __future__ import annotations

import functools
import gc
import inspect
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.core.errors import CaptureError
from etude.core.live import WATCHER, Changes, Effect
from etude.core.state import STATE, State, current, tap
from etude.core.tape import clock
from etude.core.tensor import Tensor
from etude.inspect.draw import Graph
from etude.nn.module import Module, Parameter
from etude.replay.executor import Executor, executor_for
from etude.replay.guards import (
    MISSING,
    Names,
    World,
    alike,
    build,
    flatten,
    grad_of,
    test_of,
    words,
)
from etude.replay.memory import address, array_of, extent, is_whole, owner_of
from etude.replay.program import Buffer, Program, Value
from etude.replay.results import Gradient, Place, Result, tensor_over
from etude.replay.trace import Trace

MOST = 8  # takes that are kept


def capture(fn: Callable[..., Any]) -> Captured:
    """``fn`` traced at its first call and replayed at later ones: the op calls alone, without the
    Python between them. Also a decorator.

    ``fn`` may do a whole step: forward, ``backward``, an optimiser, a schedule. What it returns, and
    what it leaves in parameters, gradients, optimisers and generators, is what a call of ``fn``
    itself would give, bit for bit. It is traced anew for arguments of other shapes, dtypes or
    values, under another backend, after ``train()`` or ``eval()``, when a layer was replaced, and
    when a number that ``fn`` names has changed: a closure's, a global, a default, the attribute of
    a module or of a plain object, an entry of a short list or dict.

    Tensors and NumPy arrays in the arguments, in nested lists and dicts too, may hold other numbers
    at every call. Everything else goes by value. Raises CaptureError, with the line, where ``fn``
    looks at numbers in Python (``item()``, ``if loss > 1``, ``print(x)``), keeps what it computed
    somewhere else than in its result, or does what no replay can do.

    It cannot notice: what Python does beside op calls (prints, counters of your own, NumPy's random
    numbers, files read), the inside of long lists and dicts, and objects of installed packages.
    ``.program`` is the program of the last trace: print it, or ``.program.draw()``.
    """
    return Captured(fn)


class Captured:
    """What ``capture`` returns. ``traces`` counts how often the function was traced."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        if not callable(fn):
            raise TypeError(f"capture takes a function, got {type(fn).__name__}; write "
                            f"step = etude.capture(step), and call step(x, y)")
        if isinstance(fn, type) or inspect.iscoroutinefunction(fn) or (
                inspect.isgeneratorfunction(fn)):
            raise TypeError("capture takes a function that returns its results, no class, no "
                            "generator and no async function")
        self.fn = fn
        self.traces = 0
        self._takes: list[Take] = []
        self._lock = threading.RLock()
        self._kept_outside = False  # whether a trace was dropped because something was kept outside
        self._warned = False
        functools.update_wrapper(self, fn)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: of each instance a function of its own."""
        if instance is None:
            return self
        name = f"_captured_{self._name}"
        found = vars(instance).get(name)
        if found is None:
            found = Captured(self.fn.__get__(instance, owner))
            object.__setattr__(instance, name, found)
        return found

    @property
    def _name(self) -> str:
        return getattr(self.fn, "__name__", type(self.fn).__name__)

    def __repr__(self) -> str:
        kept = len(self._takes)
        return f"<capture of {self._name}: {kept} program{'s' if kept != 1 else ''}>"

    @property
    def program(self) -> Program:
        """The program of the last call. It may be set to another one, such as an edited copy."""
        if not self._takes:
            raise CaptureError(f"capture: {self._name} has no program yet; call it once")
        return self._takes[0].program

    @program.setter
    def program(self, program: Program) -> None:
        with self._lock:
            if not self._takes:
                raise CaptureError(f"capture: {self._name} has no program yet; call it once")
            self._takes[0].use(program)

    def draw(self, limit: int = 24) -> Graph:
        """The program of the last call as a graph."""
        return self.program.draw(limit)

    def _repr_svg_(self) -> str | None:
        return self.program._repr_svg_() if self._takes else None

    # ------------------------------------------------------------------ a call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = STATE.get()
        if state.tables.taps or WATCHER.get() is not None:  # whoever watches sees the function
            return self.fn(*args, **kwargs)
        with self._lock:
            takes = self._takes
            leaves: Sequence[Any] | None = None
            tree: Any = None
            for i, take in enumerate(takes):
                if take.flat and not kwargs:
                    given: Sequence[Any] = args
                else:
                    if leaves is None:
                        leaves, tree = _leaves(args, kwargs)
                    if tree != take.tree:
                        continue
                    given = leaves
                if take.fits(given, state):
                    if take.shares(given):
                        break
                    if i:
                        takes.insert(0, takes.pop(i))
                    return take.run(given)
            else:
                return self._trace(args, kwargs, state)
        return self.fn(*args, **kwargs)

    # ------------------------------------------------------------------ a trace

    def _trace(self, args: Any, kwargs: Any, state: State) -> Any:
        """Call the function under a trace, and keep the take if it can be replayed."""
        leaves, tree = _leaves(args, kwargs)
        self._check(leaves, state)
        self._warn_of_many(leaves)
        world = World()
        given = list(leaves)
        if not _apart(given, world):
            return self.fn(*args, **kwargs)
        arrays = [(i, x.array if isinstance(x, Tensor) else x) for i, x in enumerate(given)
                  if isinstance(x, (Tensor, np.ndarray))]
        labels = _argument_names(self.fn, args, kwargs)
        before = [(t, g.array) for t, _, g, _, _ in world.tensors if isinstance(g, Tensor)]
        trace = Trace(self._name, [(labels.get(id(leaves[i]), ""), a) for i, a in arrays], before)
        names = Names(self.fn, [x for x in leaves if not isinstance(x, (Tensor, np.ndarray))])
        positional, named = build(tree, iter(given))
        self.traces += 1
        try:
            with tap(trace):
                token = WATCHER.set(trace)
                try:
                    result = self.fn(*positional, **named)
                finally:
                    WATCHER.reset(token)
            self._check_python(world, names)
            out: list[Any] = []
            result_tree = flatten(result, out)
            results = [self._result(x, trace, world, leaves, given) for x in out]
            answers = [_answer(r, x, leaves) for r, x in zip(results, out, strict=True)]
            answer = build(result_tree, iter(answers))
            del positional, named, result, out, answers
            take = Take(trace, world, names, leaves, tree, state, results, result_tree)
            _copy_back(leaves, given, take.program)
            if not self._escaped(trace, take.program):
                self._takes.insert(0, take)
                del self._takes[MOST:]
            return answer
        finally:
            trace.forget()

    def _check(self, leaves: Sequence[Any], state: State) -> None:
        for x in leaves:
            if isinstance(x, Tensor) and x.node is not None and x.requires_grad and state.grad:
                raise CaptureError(f"capture: an argument {words(x)} of {self._name} has a history "
                                   f"of its own, so backward would leave the program; pass its "
                                   f"detach()")
            if isinstance(x, np.ndarray) and x.dtype.name not in (
                    "float32", "float64", "int64", "bool"):
                raise CaptureError(f"capture: an argument of {self._name} is an array of "
                                   f"{x.dtype.name}; pass etude.tensor(x), which converts it")

    def _warn_of_many(self, leaves: Sequence[Any]) -> None:
        if self.traces < MOST or self._warned:
            return
        self._warned = True
        why = self._takes[0].misfit(leaves, STATE.get()) if self._takes else ""
        warnings.warn(f"capture: {self._name} is traced for the {self.traces + 1}th time, which "
                      f"costs more than it saves. What changed last: {why or 'its surroundings'}. "
                      f"Numbers that change are better passed in a tensor", stacklevel=5)

    def _check_python(self, world: World, names: Names) -> None:
        """What the function did to Python's own variables would not be done again."""
        what = world.changed_attribute() or names.changed()
        if what:
            raise CaptureError(f"capture: {self._name} sets {what} while it runs, and a replay "
                               f"would not. Return what you want to keep, or copy_ it into a "
                               f"tensor that is there before")

    def _result(self, x: Any, trace: Trace, world: World, leaves: Sequence[Any],
                given: Sequence[Any]) -> Result:
        for i, (first, passed) in enumerate(zip(leaves, given, strict=True)):
            if x is passed or x is first:
                return Result("argument", i)
        if isinstance(x, float):
            raise CaptureError(f"capture: {self._name} returns the number {x}, and every replay "
                               f"would return the same one. Return a tensor, or work it out "
                               f"outside")
        if not isinstance(x, Tensor) or any(t is x for t, *_ in world.tensors):
            return Result("same", x)
        base = x._base if isinstance(x._base, Tensor) else None
        return Result("new", None, trace.value(x.array), x.requires_grad, base)

    def _escaped(self, trace: Trace, program: Program) -> bool:
        """Whether something that was computed is still held outside, as when a function makes
        memory of its own at its first call. The second time it is an error.
        """
        what = trace.escaped(program)
        if what:
            gc.collect()  # a circle of references may be all that holds it
            what = trace.escaped(program)
        if what and self._kept_outside:
            raise CaptureError(f"capture: {self._name} keeps {what} somewhere outside, where a "
                               f"replay would not put it. Return it, or copy_ it into a tensor "
                               f"that is there before")
        self._kept_outside = bool(what)
        return bool(what)


def _leaves(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    leaves: list[Any] = []
    return leaves, flatten((args, kwargs), leaves)


def _argument_names(fn: Any, args: Any, kwargs: Any) -> dict[int, str]:
    """id of an argument -> its name in the signature."""
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {}
    return {id(value): name for name, value in bound.items()}


def _apart(given: list[Any], world: World) -> bool:
    """Put a copy in the place of each array argument that lies in memory of another tensor, since
    the trace tells tensors apart by their memory. False where that cannot be, or where the tensor
    wants a gradient and so may be written while the function runs.
    """
    arrays = {id(x) for x in given}
    taken = [(owner_of(a), extent(a), wants) for t, a, _, wants, _ in world.tensors
             if id(t) not in arrays]
    for i, x in enumerate(given):
        if not isinstance(x, (Tensor, np.ndarray)):
            continue
        a = x.array if isinstance(x, Tensor) else x
        owner, (low, high) = owner_of(a), extent(a)
        others = [wants for o, (first, last), wants in taken
                  if o is owner and low < last and first < high]
        if others:
            if any(others) or not isinstance(a, np.ndarray) or (
                    isinstance(x, Tensor) and x.requires_grad):
                return False
            memory = np.empty(high - low, np.uint8)
            a = np.ndarray(a.shape, a.dtype, memory, address(a) - low, a.strides)
            np.copyto(a, x.array if isinstance(x, Tensor) else x)
            given[i] = Tensor(a) if isinstance(x, Tensor) else a
        taken.append((owner_of(a), extent(a), False))
    return True


def _answer(r: Result, x: Any, leaves: Sequence[Any]) -> Any:
    """A leaf of the result of the traced call, as a replay would return it: without history."""
    if r.kind == "argument":
        return leaves[r.what]
    return tensor_over(x.array, r, leaves) if r.kind == "new" else x


def _copy_back(leaves: Sequence[Any], given: Sequence[Any], program: Program) -> None:
    """What the function wrote into the copy of an argument belongs into the argument. CaptureError
    if it wrote where the argument itself lies, of which the copy knew nothing.
    """
    written = {y.buffer for c in program.calls for y in c.outputs}
    owners = {id(owner_of(b.source)) for b in written if b.kind == "state"}
    for x, passed in zip(leaves, given, strict=True):
        if x is not passed and id(owner_of(_array(x))) in owners:
            raise CaptureError(f"capture: an argument {words(x)} lies in memory that the function "
                               f"writes; pass its clone()")
    arrays = [i for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray))]
    for i, v in zip(arrays, program.arguments, strict=False):
        if leaves[i] is not given[i] and v.buffer in written:
            source, target = [getattr(x[i], "array", x[i]) for x in (given, leaves)]
            np.copyto(target, source)


def _array(x: Any) -> Any:
    return x if isinstance(x, np.ndarray) else x.array


class Take:
    """One trace of a function, and all that a replay of it needs."""

    def __init__(self, trace: Trace, world: World, names: Names, leaves: Sequence[Any], tree: Any,
                 state: State, results: list[Result], result_tree: Any) -> None:
        self.tree, self.flat = tree, _is_flat(tree, len(leaves))
        self._tests = [test_of(x) for x in leaves]
        self._said = [words(x) for x in leaves]
        self._arrays = [i for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray))]
        self._tables = [(device, state.tables[device]) for device in sorted(trace.devices)]
        self._grad, self._names, self._holds = state.grad, names, trace.tests

        modules = world.related(trace.memories(), names.modules)
        self._gradients = _gradients(trace, world, modules, leaves)
        values = [r.value for r in results if r.value is not None]
        after = [g for g in self._gradients if isinstance(g.after, Value)]
        program = trace.finish([*values, *[g.after for g in after]], world.memories(),
                               _labels(modules))
        own = iter(program.results)
        self._results = [r if r.value is None else r._replace(value=next(own)) for r in results]
        for g in after:
            g.after = next(own)
        self._result_tree = result_tree
        self._watch(world, modules, trace)
        self._written = [t for t, *_, written in world.tensors if t._written != written]
        self.use(program)

    def _watch(self, world: World, modules: list[Module], trace: Trace) -> None:
        """What is looked at before a replay, beside the arguments."""
        known = trace.memories()
        self._changes = Changes.count
        self._attributes = [(vars(m), dict(vars(m))) for m in modules]
        mine = [t for t, array, *_ in world.tensors if id(owner_of(array)) in known]
        self._memories = [(t, t.array) for t in mine if t.node is None]
        parameters = {id(t): t for t in mine if t.node is None and (
            t.requires_grad or isinstance(t, Parameter))}
        self._wanting = [t for t in parameters.values() if t.requires_grad]
        self._not_wanting = [t for t in parameters.values() if not t.requires_grad]

    def use(self, program: Program) -> None:
        """Replay ``program`` from now on."""
        self.program = program
        self.executor: Executor | None = None
        self._bound: list[Any] = [None] * len(program.arguments)
        n = len(self._arrays)
        self._given = program.arguments[:n]
        read = {id(v.buffer): v for v in program.arguments[n:]}
        self._read = [(k, g) for g in self._gradients if isinstance(g.before, Value)
                      for k, v in enumerate(program.arguments[n:], n) if v is g.before]
        del read
        written = {y.buffer for c in program.calls for y in c.outputs}
        self._writes_arguments = any(v.buffer in written for v in self._given)
        self._delicate = {id(owner_of(b.source)) for b in written if b.kind == "state"}
        self._places = self._make_places(program)

    def _make_places(self, program: Program) -> list[Place]:
        """Memory for every result buffer; a gradient that has one for itself keeps its Tensor."""
        uses: dict[Buffer, int] = {}
        for v in program.results:
            uses[v.buffer] = uses.get(v.buffer, 0) + 1
        alone = {g.after.buffer: g for g in self._gradients if isinstance(g.after, Value)
                 and uses[g.after.buffer] == 1}
        places: dict[Buffer, Place] = {}
        for v in sorted(program.results, key=lambda v: not is_whole(v)):
            if v.buffer.kind == "result" and v.buffer not in places:
                table = current(v.buffer.device)
                places[v.buffer] = Place(v, table, v.buffer in alone)
        for g in self._gradients:
            g.place = places[g.after.buffer] if isinstance(g.after, Value) else None
        self._place_of = places
        return list(places.values())

    # ------------------------------------------------------------------ does it fit

    def fits(self, given: Sequence[Any], state: State) -> bool:
        """Whether a call with these arguments, here and now, would run as the traced one did."""
        tests = self._tests
        if len(given) != len(tests) or state.grad is not self._grad:
            return False
        for x, test in zip(given, tests):
            if not test(x):
                return False
        for device, table in self._tables:
            if state.tables[device] is not table:
                return False
        if Changes.count != self._changes and not self._unchanged():
            return False
        for t in self._wanting:
            if not t.requires_grad:
                return False
        for t in self._not_wanting:
            if t.requires_grad:
                return False
        for g in self._gradients:
            if not g.fits(g.of(given)):
                return False
        for holds, _ in self._holds:
            if not holds():
                return False
        return self._names.same()

    def _unchanged(self) -> bool:
        """Something changed somewhere: whether modules and memory are what they were here."""
        for now, before in self._attributes:
            if len(now) != len(before):
                return False
            for name, value in before.items():
                found = now.get(name, MISSING)
                if found is not value and not alike(found, value):
                    return False
        for t, array in self._memories:
            if t.array is not array:
                return False
        self._changes = Changes.count
        return True

    def misfit(self, given: Sequence[Any], state: State) -> str:
        """Why ``fits`` says no, in words."""
        if len(given) != len(self._tests):
            return "the number of arguments"
        for x, test, said in zip(given, self._tests, self._said, strict=True):
            if not test(x):
                return f"an argument was {said} and is {words(x)}"
        if state.grad is not self._grad:
            return "whether gradients are recorded"
        if any(state.tables[device] is not table for device, table in self._tables):
            return "the backend"
        if not self._unchanged():
            return "an attribute of a module, or where its parameters are"
        for g in self._gradients:
            if not g.fits(g.of(given)):
                return "whether a parameter has a gradient before the call"
        for holds, what in self._holds:
            if not holds():
                return what
        return self._names.changed() or "whether a tensor wants a gradient"

    def shares(self, given: Sequence[Any]) -> bool:
        """Whether an argument lies in memory that the program writes: then only the function itself
        reads and writes in the right order.
        """
        delicate = self._delicate
        for i in self._arrays:
            x = given[i]
            a = x if x.__class__ is np.ndarray else x.array
            if id(owner_of(a)) in delicate:
                return True
        if not self._writes_arguments:
            return False
        owners = [id(owner_of(_array(given[i]))) for i in self._arrays]
        return len(set(owners)) < len(owners)

    # ------------------------------------------------------------------ a replay

    def run(self, given: Sequence[Any]) -> Any:
        """Replay the program with these arguments."""
        executor = self.executor
        if executor is None:
            executor = self.executor = executor_for(self.program)
        bound = self._bound
        for k, i in enumerate(self._arrays):
            x = given[i]
            a = x if x.__class__ is np.ndarray else x.array
            if a is not bound[k]:
                executor.bind(self._given[k].buffer, a)
                bound[k] = a
        for k, g in self._read:
            a = g.of(given).grad.array
            if a is not bound[k]:
                executor.bind(g.before.buffer, a)
                bound[k] = a
        for place in self._places:
            place.ready(executor)
        self._do(executor, given)
        for place in self._places:
            place.settle()
        for g in self._gradients:
            g.set(given)
        answers = [self._answer(r, given) for r in self._results]
        return build(self._result_tree, iter(answers))

    def _do(self, executor: Executor, given: Sequence[Any]) -> None:
        """Effects, then calls. If one fails, what would not have happened yet is taken back."""
        done: list[tuple[int, Effect]] = []
        try:
            for entry in self.program.effects:
                entry[1].do()
                done.append(entry)
            executor.run()
        except BaseException:
            at = executor.at if len(done) == len(self.program.effects) else 0
            for calls_before, effect in reversed(done):
                if calls_before > at:
                    effect.undo()
            for g in self._gradients:
                g.spoilt(given)
            raise
        finally:
            now = next(clock)
            for t in self._written:
                t._written = now

    def _answer(self, r: Result, given: Sequence[Any]) -> Any:
        if r.kind == "same":
            return r.what
        if r.kind == "argument":
            return given[r.what]
        v = r.value
        assert v is not None
        buffer = v.buffer
        if buffer.kind == "result":
            pair = self._place_of[buffer].now
            assert pair is not None
            base = pair.array
        elif buffer.kind == "argument":
            base = self._bound[self._given.index(v)] if v in self._given else next(
                a for a, x in zip(self._bound, self.program.arguments) if x.buffer is buffer)
        else:
            base = buffer.source
        return tensor_over(array_of(v, base), r, given)


def _is_flat(tree: Any, n: int) -> bool:
    """Whether the leaves are the positional arguments themselves."""
    positional, named = tree[1]
    return positional == (tuple, (None,) * n) and not named[1]


def _labels(modules: list[Module]) -> dict[int, str]:
    """id of a memory -> the name of the parameter that it is, in the outermost module."""
    found: dict[int, str] = {}
    for module in sorted(modules, key=lambda m: -len(list(m.modules()))):
        for path, p in module._named(parameters=True, buffers=True):
            found.setdefault(id(p.array), path)
    return found


def _gradients(trace: Trace, world: World, modules: list[Module], leaves: Sequence[Any]
               ) -> list[Gradient]:
    """What became of the gradients of all leaves that have to do with the call."""
    places = {id(x): i for i, x in enumerate(leaves)}
    known, read = trace.memories(), trace.read()
    parameters = {id(p) for m in modules for p in m.parameters()}
    found = []
    for t, array, before, wants, _ in world.tensors:
        if t.node is not None:
            continue
        now = grad_of(t)
        ours = isinstance(now, Tensor) and id(owner_of(now.array)) in known
        near = id(owner_of(array)) in known or id(t) in parameters or id(t) in trace.cleared
        is_read = id(t) in trace.gradients and trace.gradients[id(t)].buffer in read
        if not (near or is_read) or (now is before and not is_read and not (wants and now is None)):
            continue
        needs: Any = "none" if before is None else "some"
        if is_read:
            needs = trace.gradients[id(t)]
        elif id(t) in trace.cleared:
            needs = "any"
        after: Any = "same" if now is before else None
        if now is not before and isinstance(now, Tensor):
            if not ours:
                trace.refuses("a grad is set to a tensor that no op call made")
            after = trace.value(now.array)
        g = Gradient(places.get(id(t), t), needs, after)
        if is_read:
            g.strides = before.array.strides
        found.append(g)
    return found
