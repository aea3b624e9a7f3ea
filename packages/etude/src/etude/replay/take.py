"""A take: one trace of a function, and all that a replay of it needs.

The program, what it is good for (``fits``), and the memory that goes in and comes out (``run``).
``usual.py`` has both in one function, for calls in which everything is as it was; what is looked at
here is looked at there too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from etude.core.errors import CaptureError
from etude.core.live import Changes
from etude.core.state import State, current
from etude.core.tape import clock
from etude.core.tensor import Tensor
from etude.nn.module import Module, Parameter
from etude.replay.executor import Executor, executor_for
from etude.replay.guards import (
    Names,
    World,
    alike,
    build,
    grad_of,
    test_of,
    test_of_all,
    words,
)
from etude.replay.memory import array_of, is_whole, owner_of
from etude.replay.program import Buffer, Program, Value
from etude.replay.results import FEW, Copied, Gradient, Grads, Place, Result, tensor_over
from etude.replay.trace import Trace
from etude.replay.usual import Usual, never, usual_call

#: What ``run`` returns where an argument lies in memory that the program writes.
SHARED = object()


def array_in(x: Any) -> Any:
    """The array of an argument that is one."""
    return x if isinstance(x, np.ndarray) else x.array


class Take:
    """One trace of a function, and all that a replay of it needs."""

    def __init__(self, trace: Trace, world: World, names: Names, leaves: Sequence[Any], tree: Any,
                 state: State, results: list[Result], result_tree: Any, memory: int | None,
                 generate: bool, freeze: bool = False) -> None:
        self._memory, self._generate, self._lends = memory, generate, True
        self.tree, self.flat = tree, _is_flat(tree, len(leaves))
        self._tests, self._fit = [test_of(x) for x in leaves], test_of_all(leaves)
        self._said = [words(x) for x in leaves]
        self._arrays = [i for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray))]
        self._tables = [(device, state.tables[device]) for device in sorted(trace.devices)]
        self._grad, self._names = state.grad, names
        self._holds = [test for test, _ in trace.tests]
        self._about = [what for _, what in trace.tests]

        modules = world.related(trace.memories(), names.modules)
        self._gradients = _gradients(trace, world, modules, leaves)
        values = [r.value for r in results if r.value is not None]
        after = [g.value for g in self._gradients if g.value is not None]
        program = trace.finish([*values, *after], world.memories(), _labels(modules))
        own = iter(program.results)
        self._results = [r if r.value is None else r._replace(value=next(own)) for r in results]
        for g in self._gradients:
            g.value = None if g.value is None else next(own)
        self._result_tree = result_tree
        self._watch(world, modules, trace)
        known = trace.memories()
        self._written = [t for t, array, *_, written in world.tensors
                         if t.written != written and id(owner_of(array)) in known]
        self._frozen = Frozen(trace.name, program, world) if freeze else None
        self.use(program)

    def _watch(self, world: World, modules: list[Module], trace: Trace) -> None:
        """What is looked at before a replay, beside the arguments."""
        known = trace.memories() - trace.untouched()
        asking = [g for g in self._gradients if g.before != "any"]
        #: leaves that had no grad, and are no arguments: one look at each is enough
        self._without: list[Any] = [g.leaf for g in asking if g.has_none()]
        self._asking = [g for g in asking if not g.has_none()]
        self._changes = Changes.count
        self._attributes = [(m, self._names.of_module(m)) for m in modules]
        mine = [t for t, array, *_ in world.tensors if id(owner_of(array)) in known]
        self._memories = [(t, t.array) for t in mine if t.node is None]
        parameters = {id(t): t for t in mine if t.node is None and (
            t.requires_grad or isinstance(t, Parameter))}
        self._wanting = [t for t in parameters.values() if t.requires_grad]
        self._not_wanting = [t for t in parameters.values() if not t.requires_grad]

    def use(self, program: Program) -> None:
        """Replay ``program`` from now on."""
        self.program = program
        self._executor: Executor | None = None
        self.usual: Usual = never
        self._calls: tuple[list[tuple[str, tuple[Any, ...], dict[str, Any]]], str] | None = None
        self._bound: list[Any] = [None] * len(program.arguments)
        n = len(self._arrays)
        self._given = [(k, i, v.buffer) for k, (i, v) in enumerate(
            zip(self._arrays, program.arguments, strict=False))]
        self._read = [(k, g) for k, v in enumerate(program.arguments[n:], n)
                      for g in self._gradients if g.before is v]
        written = {y.buffer for c in program.calls for y in c.outputs}
        self._writes_arguments = any(b in written for _, _, b in self._given)
        self._delicate = {id(owner_of(b.source)) for b in written if b.kind == "state"}
        #: live numbers on a device, which are other memory at every run
        self._renewed = [b for b in program.buffers() if b.kind == "live" and b.device != "cpu"]
        self._effects = [effect.do for _, effect in program.effects]
        self._make_places(program)

    def _make_places(self, program: Program) -> None:
        """Memory for every result buffer. One that has a single use keeps the Tensor as well."""
        uses: dict[Buffer, int] = {}
        for v in program.results:
            uses[v.buffer] = uses.get(v.buffer, 0) + 1
        tensors: dict[Buffer, Any] = {}
        uses_of: list[Result | Gradient] = [*self._results, *self._gradients]
        for x in uses_of:
            if x.value is not None and uses[x.value.buffer] == 1:
                tensors[x.value.buffer] = x
        places: dict[Buffer, Place] = {}
        copied: dict[Buffer, Copied] = {}
        for v in sorted(program.results, key=lambda v: not is_whole(v)):
            b, use = v.buffer, tensors.get(v.buffer)
            if b.kind != "result" or b in places or b in copied:
                continue
            if (isinstance(use, Result) and use.base is None and is_whole(v) and b.nbytes <= FEW
                    and b.device == "cpu"):
                copied[b] = Copied(v, use.wants)
            else:
                places[b] = Place(v, current(b.device), use)
        self._copied = copied
        self._place_of: dict[Buffer, Place | Copied] = {**places, **copied}
        for g in self._gradients:
            g.place = places[g.value.buffer] if g.value is not None else None
        staying = [(g.leaf, g.place) for g in self._gradients if g.place and g.stays()]
        self._grads = Grads(staying) if staying else None
        lasting = [g.value for g in self._gradients if self._lends and g.value and g.stays()]
        self._lasting = frozenset([v.buffer for v in lasting
                                   if is_whole(v) and v.buffer.device == "cpu"])
        self._sets = [g for g in self._gradients if g.changes and not g.stays()]
        looked_after = {id(place) for _, place in staying}
        self._places = [p for p in places.values() if id(p) not in looked_after]
        #: each result, and its place where the Tensor for the caller is all of that
        self._answers = [(r, None if r.value is None else self._whole(places, r.value))
                         for r in self._results]
        only = self._results[0].value if self._result_tree is None else None
        self._only = None if only is None else copied.get(only.buffer)  # few numbers, and all

    @staticmethod
    def _whole(places: Mapping[Buffer, Place], v: Value) -> Place | None:
        place = places.get(v.buffer)
        return None if place is None or place.keeps_tensor or not place.is_like(v) else place

    # ------------------------------------------------------------------ does it fit

    def fits(self, given: Sequence[Any], state: State) -> bool:
        """Whether a call with these arguments, here and now, would run as the traced one did."""
        if len(given) != len(self._tests) or state.grad is not self._grad or not self._fit(*given):
            return False
        tables = state.tables
        for device, table in self._tables:
            if tables[device] is not table:
                return False
        if Changes.count != self._changes and not self._unchanged():
            return False
        for t in self._wanting:
            if not t.requires_grad:
                return False
        for t in self._not_wanting:
            if t.requires_grad:
                return False
        for t in self._without:
            if t.grad is not None:
                return False
        for g in self._asking:
            if not g.fits(g.of(given)):
                return False
        for holds in self._holds:
            if not holds():
                return False
        return self._names.same()

    def _unchanged(self) -> bool:
        """Something changed somewhere: whether modules and memory are what they were here."""
        for module, before in self._attributes:
            now = self._names.of_module(module)
            if now.keys() != before.keys():
                return False
            for name, value in before.items():
                if now[name] is not value and not alike(now[name], value):
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
        for holds, what in zip(self._holds, self._about, strict=True):
            if not holds():
                return what
        return self._names.changed() or "whether a tensor wants a gradient"

    # ------------------------------------------------------------------ a replay

    def run(self, given: Sequence[Any], done: bool = False) -> Any:
        """Replay the program with these arguments; SHARED, before anything is done, where one lies
        in memory that the program writes, so that only the function itself is right. ``done``: the
        effects are, as the function has just run.
        """
        executor = self._executor or self._made()
        if self._frozen is not None and self._frozen.seen != Changes.writes and (
                self._frozen.written()):
            executor.refreeze()
        if self._writes_arguments and self._overlap(given):
            return SHARED
        bound = self._bound
        for k, i, buffer in self._given:
            x = given[i]
            a = x if x.__class__ is np.ndarray else x.array
            if a is not bound[k]:
                if self._delicate and id(owner_of(a)) in self._delicate:
                    return SHARED
                executor.bind(buffer, a)
                bound[k] = a
        for k, g in self._read:
            a = g.of(given).grad.array  # type: ignore[union-attr]
            if a is not bound[k]:
                executor.bind(g.before.buffer, a)
                bound[k] = a
        grads = self._grads
        if grads is not None and not grads.ready(executor):
            self._lends = False  # somebody looks at gradients later, and may do so again
            self.use(self.program)
            return self.run(given, done)
        for place in self._places:
            if place.is_held():
                place.renew(executor)
        did = len(self._effects) if done else 0
        try:
            for do in self._effects[did:]:
                do()
                did += 1
            for buffer in self._renewed:
                executor.bind(buffer, buffer.source)
            if executor.whole is None:
                executor.run()
            elif status := executor.whole():
                executor.run(status)
        except BaseException:
            self._take_back(executor, given, did)
            raise
        finally:
            if self._written:
                now = next(clock)
                for t in self._written:
                    t.written = now
                Changes.writes += 1
        if grads is not None and grads.counts is None:
            grads.set()
        for g in self._sets:
            g.set(given)
        return self._answered(given)

    def _answered(self, given: Sequence[Any]) -> Any:
        """After a run: what the caller gets."""
        if self._only is not None:
            return self._only.tensor()
        answers = [self._answer(r, given) if place is None else
                   tensor_over(place.array, r, given) for r, place in self._answers]
        return answers[0] if self._result_tree is None else build(self._result_tree, iter(answers))

    def _made(self) -> Executor:
        """The executor, which is made at the first replay."""
        frozen = None if self._frozen is None else self._frozen.buffers
        executor = executor_for(self.program, self._memory, self._lasting, self._generate, frozen)
        for b, few in self._copied.items():
            executor.bind(b, few.array)
        self._executor = executor
        self.usual = usual_call(self, executor)
        return executor

    def refreeze(self) -> None:
        """Make anew, at the next replay, what is kept of weights."""
        if self._executor is not None:
            self._executor.refreeze()

    @property
    def kept_bytes(self) -> int:
        """Memory for what is kept of weights."""
        return 0 if self._executor is None else self._executor.kept_bytes

    def source(self) -> str:
        """The C that was generated for the program; "" if none was."""
        made = getattr(self._executor or self._made(), "generated", None)
        return "" if made is None else str(made.source())

    def told(self) -> tuple[list[tuple[str, tuple[Any, ...], dict[str, Any]]], str]:
        """What ran, for a tap that takes many calls as one: the same list every time."""
        if self._calls is None:
            assert self._executor is not None
            ran = self._executor.program.calls
            columns = dict.fromkeys([c.column for c in ran if c.column])
            self._calls = [(c.op, c.inputs, c.attrs) for c in ran], " + ".join(columns)
        return self._calls

    def _take_back(self, executor: Executor, given: Sequence[Any], did: int) -> None:
        """After a run that failed, of whose effects so many were done: what would not have happened
        yet is taken back.
        """
        effects = executor.program.effects  # the same, beside the calls that were run
        at = executor.at if did == len(effects) else -1
        for calls_before, effect in reversed(effects[:did]):
            if calls_before > at:
                effect.undo()
        for g in self._gradients:
            g.spoilt(given)

    def _overlap(self, given: Sequence[Any]) -> bool:
        """Whether two arguments lie in one memory."""
        owners = [id(owner_of(array_in(given[i]))) for i in self._arrays]
        return len(set(owners)) < len(owners)

    def _answer(self, r: Result, given: Sequence[Any]) -> Any:
        """One leaf of the result."""
        if r.value is None:
            return given[r.what] if r.kind == "argument" else r.what
        buffer = r.value.buffer
        if buffer.kind == "result":
            place = self._place_of[buffer]
            if isinstance(place, Copied):
                return place.tensor()
            if place.keeps_tensor:
                return place.tensor
            base = place.array
        elif buffer.kind == "argument":
            base = next(a for a, v in zip(self._bound, self.program.arguments)
                        if v.buffer is buffer)
        else:
            base = buffer.source
        return tensor_over(array_of(r.value, base), r, given)


class Frozen:
    """What a program reads and never writes: the weights. Of these an executor may keep what it
    makes, as long as nobody else has written them either; their Tensors have the dates of that.

    CaptureError where the program writes state, so that there is nothing to rely on.
    """

    def __init__(self, name: str, program: Program, world: World) -> None:
        for call in program.calls:
            for v in call.outputs:
                if v.buffer.kind == "state":
                    what = v.buffer.label or f"a tensor {words(v.buffer.source)}"
                    raise CaptureError(
                        f"capture: {name} writes {what} (in {call.op}), and freeze=True is for "
                        f"functions that only read weights and buffers. Call model.eval() if it "
                        f"predicts; capture a training step without freeze")
        self.seen = Changes.writes
        tensors: dict[int, list[Tensor]] = {}
        for t, array, *_ in world.tensors:
            tensors.setdefault(id(owner_of(array)), []).append(t)
        self.buffers = frozenset([b for b in program.buffers() if b.kind == "state"
                                  and id(owner_of(b.source)) in tensors])
        self._tensors = [t for b in self.buffers for t in tensors.get(id(owner_of(b.source)), ())]
        self._dates = [t.written for t in self._tensors]

    def written(self) -> bool:
        """Whether one of these was written since this was asked last."""
        self.seen = Changes.writes  # before the dates: a write that comes now is seen next time
        before, self._dates = self._dates, [t.written for t in self._tensors]
        return before != self._dates


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
        value = None
        if now is not before and isinstance(now, Tensor):
            if not ours:
                trace.refuses("a grad is set to a tensor that no op call made")
            value = trace.value(now.array)
        g = Gradient(places.get(id(t), t), needs, value, now is not before)
        if is_read:
            g.strides = before.array.strides
        found.append(g)
    return found
