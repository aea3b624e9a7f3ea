"""capture(fn): a function whose op calls are traced once and then replayed.

``Captured`` is what capture returns: it finds a ``Take`` (``take.py``) that fits the call, or makes
one by running the function under a ``Trace``.
"""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import operator
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.core.errors import CaptureError
from etude.core.live import WATCHER
from etude.core.state import STATE, State, Tables, tap
from etude.core.tensor import Tensor
from etude.inspect.draw import Graph
from etude.replay.deferred import untapped
from etude.replay.guards import (
    OF_OBJECT,
    TRACING,
    Names,
    World,
    build,
    flatten,
    grad_of,
    words,
)
from etude.replay.memory import address, extent, owner_of
from etude.replay.program import Program
from etude.replay.results import Result, tensor_over
from etude.replay.take import SHARED, Take, array_in
from etude.replay.trace import Trace
from etude.replay.usual import UNUSUAL

MOST = 8  # takes that are kept
PATIENCE = 60.0  # seconds for which a trace waits for one in another thread


def capture(fn: Callable[..., Any], memory: int | None = None, generate: bool = False,
            freeze: bool = False) -> Captured:
    """``fn`` traced at its first call and replayed at later ones: the op calls alone, without the
    Python between them. Also a decorator.

    ``fn`` may do a whole step: forward, ``backward``, an optimiser, a schedule. What it returns,
    and what it leaves in parameters, gradients, optimisers and generators, is what a call of ``fn``
    itself would give, bit for bit. It is traced anew for arguments of other shapes, dtypes or
    values, under another backend, after ``train()`` or ``eval()``, when a layer was replaced, and
    when a number that ``fn`` names has changed: a closure's, a global, a default, an attribute of
    a module or an object of yours, an entry of a short list or dict. Its own helpers are followed.

    Tensors and NumPy arrays in the arguments, in nested lists and dicts too, may hold other numbers
    at every call. Everything else goes by value. Raises CaptureError, with the line, where ``fn``
    looks at numbers in Python (``item()``, ``if loss > 1``, ``print(x)``), keeps what it computed
    somewhere else than in its result, or does what no replay can do.

    It cannot notice: what Python does beside op calls (prints, counters of your own, NumPy's random
    numbers, files read), the inside of long lists and dicts, and objects of installed packages.
    ``.program`` is the program of the last call: print it, or ``.program.draw()``. ``memory`` is
    the most bytes that what is in between may take: at that price some of it is computed twice.
    With ``generate`` chains of elementwise calls become loops in C, compiled by your compiler at
    the first replay; ``.source()`` is their text. Without a compiler a warning says what lacks.

    ``freeze`` is for predictions: kernels keep what they make of weights, so that a weight is
    packed once and not at every call. The bits are the same. After ``copy_``, a step of an
    optimiser or ``load_state_dict`` it is made anew by itself. It cannot notice a write into a
    weight's memory through NumPy or DLPack: call ``.refreeze()`` after one. ``.kept_bytes`` is what
    it takes. CaptureError, naming it, where ``fn`` writes a weight or a buffer.
    """
    return fn if isinstance(fn, Captured) else Captured(fn, memory, generate, freeze)


class Captured:
    """What ``capture`` returns. ``traces`` counts how often the function was traced."""

    def __init__(self, fn: Callable[..., Any], memory: int | None = None, generate: bool = False,
                 freeze: bool = False) -> None:
        if not callable(fn):
            raise TypeError(f"capture takes a function, got {type(fn).__name__}; write "
                            f"step = etude.capture(step), and call step(x, y)")
        if isinstance(fn, type) or inspect.iscoroutinefunction(fn) or (
                inspect.isgeneratorfunction(fn)):
            raise TypeError("capture takes a function that returns its results, no class, no "
                            "generator and no async function")
        self.fn, self.memory, self.generate, self.freeze = fn, memory, generate, freeze
        self.traces = 0
        self._takes: list[Take] = []
        self._lock = threading.RLock()
        self._kept_outside = False  # whether a trace was dropped because something was kept outside
        self._warned = False
        functools.update_wrapper(self, fn, updated=())

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: of each instance a function of its own."""
        if instance is None:
            return self
        name = OF_OBJECT + self._name
        found = vars(instance).get(name)
        if found is None:
            found = Captured(self.fn.__get__(instance, owner), self.memory, self.generate,
                             self.freeze)
            object.__setattr__(instance, name, found)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Captured:
        """Of a copied object: the copy's own, which has no program yet."""
        return Captured(copy.deepcopy(self.fn, memo), self.memory, self.generate, self.freeze)

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

    def source(self) -> str:
        """The C that was generated for the program of the last call; "" where there can be none.
        CaptureError if nobody asked for any.
        """
        if not self.generate:
            raise CaptureError(f"capture: no C is generated for {self._name}; write "
                               f"etude.capture({self._name}, generate=True)")
        with self._lock:
            _ = self.program  # which there is after a call
            return self._takes[0].source()

    def refreeze(self) -> None:
        """To be called after a write that nobody could notice into the memory of a frozen weight,
        such as one through ``weight.numpy()``: the next call makes anew what is kept of weights.
        """
        with self._lock:
            for take in self._takes:
                take.refreeze()

    @property
    def kept_bytes(self) -> int:
        """Memory for what is kept of weights, in bytes; 0 without ``freeze``."""
        with self._lock:
            return sum([take.kept_bytes for take in self._takes])

    def draw(self, limit: int = 24) -> Graph:
        """The program of the last call as a graph."""
        return self.program.draw(limit)

    def _repr_svg_(self) -> str | None:
        return self.program._repr_svg_() if self._takes else None

    # ------------------------------------------------------------------ a call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = STATE.get()
        if state.tables.taps:
            return self._tapped(args, kwargs, state)
        with self._lock:
            takes = self._takes
            if takes and not kwargs:
                answer = takes[0].usual(takes[0], state, args)
                if answer is not UNUSUAL:
                    return answer
            if takes and takes[0].flat and not kwargs and takes[0].fits(args, state):
                answer = takes[0].run(args)
            else:
                leaves = self._find(args, kwargs, state)
                if leaves is None:
                    return self._trace(args, kwargs, state)
                answer = takes[0].run(leaves)
        return self.fn(*args, **kwargs) if answer is SHARED else answer

    def _find(self, args: Any, kwargs: Any, state: State) -> list[Any] | None:
        """Put the take that fits the call first, and give the arguments it takes; None if none is.
        """
        leaves, tree = _leaves(args, kwargs)
        for take in self._takes:
            if tree == take.tree and take.fits(leaves, state):
                self._takes.remove(take)
                self._takes.insert(0, take)
                return leaves
        return None

    def _tapped(self, args: Any, kwargs: Any, state: State) -> Any:
        """A call that somebody watches. Who wants to see every op call sees those of the function,
        as a trace does. Who takes many calls told as one, such as a profile, is told of the replay.
        """
        taps = state.tables.taps
        if not all(hasattr(t, "together") for t in taps):
            return self.fn(*args, **kwargs)
        plain = State(Tables({device: untapped(t) for device, t in state.tables.items()}),
                      state.grad)
        with self._lock:
            leaves = self._find(args, kwargs, plain)
            if leaves is None:
                return self._trace(args, kwargs, plain)
            take, token = self._takes[0], STATE.set(plain)
            start = time.perf_counter()
            try:
                answer = take.run(leaves)
            finally:
                STATE.reset(token)
            seconds = time.perf_counter() - start
        if answer is SHARED:
            return self.fn(*args, **kwargs)
        calls, column = take.told()
        for t in taps:
            t.together(self._name, calls, column, seconds)  # type: ignore[attr-defined]
        return answer

    # ------------------------------------------------------------------ a trace

    def _trace(self, args: Any, kwargs: Any, state: State) -> Any:
        """Call the function under a trace, and keep the take if it can be replayed.

        Where all its calls could be prepared, the first replay is the call. A function that others
        watch, or that was given copies, runs as it is written.
        """
        if not TRACING.acquire(timeout=PATIENCE):
            raise CaptureError(f"capture: {self._name} waited {PATIENCE:g} s for a trace in "
                               f"another thread. A captured function must not wait for a thread "
                               f"that calls one")
        try:
            return self._trace_alone(args, kwargs, state)
        finally:
            TRACING.release()

    def _trace_alone(self, args: Any, kwargs: Any, state: State) -> Any:
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
        defers = not STATE.get().tables.taps and all(map(operator.is_, given, leaves))
        trace = Trace(self._name, [(labels.get(id(leaves[i]), ""), a) for i, a in arrays], before,
                      defers)
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
            self._check_python(trace, world, names)
            out: list[Any] = []
            result_tree = flatten(result, out)
            results = [self._result(x, trace, world, leaves, given) for x in out]
            answers = [_answer(r, x, leaves) for r, x in zip(results, out, strict=True)]
            answer = build(result_tree, iter(answers))
            del positional, named, result, out, answers
            take = Take(trace, world, names, leaves, tree, state, results, result_tree,
                        self.memory, self.generate, self.freeze)
            escaped = self._escaped(trace)
            if trace.defers and not escaped:
                answer = self._first(take, trace, world, leaves, answer)
            trace.compute()
            _copy_back(leaves, given, take.program)
            if not escaped:
                self._takes.insert(0, take)
                del self._takes[MOST:]
            return answer
        except BaseException:
            trace.compute()  # all that was done up to here is done, as without a trace
            raise
        finally:
            trace.forget()

    def _first(self, take: Take, trace: Trace, world: World, leaves: Sequence[Any], answer: Any
               ) -> Any:
        """The values of a call that was only prepared, by the first replay. Where the program is
        not good for these arguments, ``answer`` as it is, and the calls still wait.
        """
        changed = [(t, before, grad_of(t)) for t, _, before, *_ in world.tensors
                   if grad_of(t) is not before]
        for t, before, _ in changed:
            t.grad = before
        trace.defers = False
        found = take.run(leaves, done=True)
        if found is not SHARED:
            return found
        for t, _, after in changed:
            t.grad = after
        trace.defers = True
        return answer

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

    def _check_python(self, trace: Trace, world: World, names: Names) -> None:
        """What the function did to Python's own variables would not be done again."""
        modules = world.related(trace.memories(), names.modules)
        what = world.changed_attribute(modules) or names.changed()
        if what:
            raise CaptureError(f"capture: {self._name} sets {what} while it runs, and a replay "
                               f"would not. Return what you want to keep, or copy_ it into a "
                               f"tensor that is there before")

    def _result(self, x: Any, trace: Trace, world: World, leaves: Sequence[Any],
                given: Sequence[Any]) -> Result:
        places = {id(y): i for row in (leaves, given) for i, y in enumerate(row)}
        if id(x) in places:
            return Result("argument", places[id(x)])
        if isinstance(x, float):
            raise CaptureError(f"capture: {self._name} returns the number {x}, and every replay "
                               f"would return the same one. Return a tensor, or work it out "
                               f"outside")
        before = {id(t) for t, *_ in world.tensors}
        if not isinstance(x, Tensor) or id(x) in before:
            return Result("same", x)
        base: Any = x.base if isinstance(x.base, Tensor) else None
        if base is not None:
            base = places.get(id(base), base if id(base) in before else None)
        return Result("new", None, trace.value(x.array), x.requires_grad, base)

    def _escaped(self, trace: Trace) -> bool:
        """Whether something that was computed is still held outside, as when a function makes
        memory of its own at its first call. The second time it is an error.
        """
        what = trace.escaped()
        if what:
            gc.collect()  # a circle of references may be all that holds it
            what = trace.escaped()
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
        if x is not passed and id(owner_of(array_in(x))) in owners:
            raise CaptureError(f"capture: an argument {words(x)} lies in memory that the function "
                               f"writes; pass its clone()")
    arrays = [i for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray))]
    for i, v in zip(arrays, program.arguments, strict=False):
        if leaves[i] is not given[i] and v.buffer in written:
            source, target = [getattr(x[i], "array", x[i]) for x in (given, leaves)]
            np.copyto(target, source)
