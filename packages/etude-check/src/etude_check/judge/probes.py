"""Probes: what is asked of a candidate besides single calls held against the oracle.

Is the backward op the transpose of the forward op? Does the number of threads change the result?
Do two calls at once? Does memory leak? Do calls that follow one another disturb each other? Is a
wrong call refused? Each probe takes a Runner (``runner.py``), asks the candidate, and returns
Records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import etude
from etude import TABLE, use
from etude.core.columns import REFERENCE, Event
from etude.core.conventions import Convention
from etude.core.dispatch import function_of
from etude.core.state import tap
from etude.core.table import Op
from etude_check.cases.case import Case, Following, cases, prepared
from etude_check.cases.spec import Adjoint, Call, OpSpec, Refusal
from etude_check.report.record import DECLINED, Record, Verdict
from etude_check.specs import specs

if TYPE_CHECKING:
    from etude_check.judge.runner import Draft, Runner

THREADS = (1, 2, 3, 8)
RACES = 4  # calls on each number of threads: these may not have met in the first
ALONE = (f"{DECLINED}there are no threads to try it with: kernels share those of etude-cpu, which "
         f"is not installed here")
STEPS = 4  # of an optimiser, one after another in the same memory
LEAK_CALLS = (4, 40)  # in a round: at least, and at most
LEAK_SECONDS = 5.0  # that a round may take, if at least and at most allow it
LEAK_LEAST = 4 << 20  # bytes; the interpreter itself may grow by less than this


def adjoint(runner: Runner, case: Case) -> Iterator[Record]:
    """Whether <f(x), c> = <x, f*(c)>, where f and f* are both the candidate's. On integers both
    sides are exact, so they must be equal.
    """
    for pair in case.spec.adjoint:
        record = runner.blank(case)
        if pair.op in runner.ops:
            _transposed(runner, case, pair, record)
        else:
            record.verdict, record.message = Verdict.UNSUPPORTED, f"no {pair.op} to go with it"
        yield record


def _transposed(runner: Runner, case: Case, pair: Adjoint, record: Draft) -> None:
    x = case.call.arrays[pair.arg]
    y = runner.call(case.spec.op, case.call, record)
    if y is None:
        return
    c = np.random.default_rng(case.seed).integers(-2, 3, y[0].shape).astype(y[0].dtype)
    z = runner.call(pair.op, pair.back(case.call, c), record)
    if z is None:
        return
    left, right = _inner(y[0], c), _inner(x, z[0])
    if left != right:  # true of NaN as well
        record.verdict = Verdict.CERTAIN
        record.expected, record.got, record.error = left, right, abs(left - right)
        record.bound = 0.0
        record.message = (f"{case.spec.op} and {pair.op} are not adjoint: <f(x), c> is "
                          f"{left:.0f}, <x, f*(c)> is {right:.0f}, on integers")


def _inner(a: Any, b: Any) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return float((a * b).sum())


def threads(runner: Runner, case: Case) -> Record:
    """Whether 1, 2, 3 and 8 threads give the same bits. A library is not asked where there are no
    threads for it: its kernels would compute on one each time, and pass.
    """
    record = runner.blank(case)
    if runner.settings.candidate.kind == "library" and not _pooled(runner):
        record.verdict, record.message = Verdict.UNSUPPORTED, ALONE
        return record
    first: list[bytes] | None = None
    for n in (1, *np.repeat(THREADS[1:], RACES).tolist()):
        outputs = runner.call(case.spec.op, case.call, record, threads=n)
        if outputs is None:
            break
        bits = [y.tobytes() for y in outputs]
        first = first or bits
        if bits != first:
            record.verdict = Verdict.CERTAIN
            record.message = f"{n} threads give other bits than 1"
            break
    return record


def _pooled(runner: Runner) -> bool:
    """Whether kernels get as many threads as they are to be asked with."""
    return all(found.threads == n or found.error for n in THREADS
               for found in [runner.box(n).describe()])


def leak(runner: Runner, case: Case) -> Iterator[Record]:
    """Whether memory grows with the number of calls. A cache that is filled once grows once; a leak
    grows in each of three rounds.
    """
    record = runner.blank(case, suffix=" repeated")
    runner.call(case.spec.op, case.call, record)
    least, most = LEAK_CALLS
    calls = min(max(int(LEAK_SECONDS / max(record.seconds, 1e-9)), least), most)
    for _ in range(3):
        outputs = runner.call(case.spec.op, case.call, record, repeats=calls)
        if outputs is None:
            if record.verdict.failed:
                yield record
            return
        size = sum(y.nbytes for y in outputs)
        if record.growth <= max(LEAK_LEAST, calls * size // 2):
            return
    record.verdict = Verdict.CERTAIN
    record.message = (f"leaks: {calls} calls with results of {size} bytes left "
                      f"{record.growth} bytes behind, three times over")
    yield record


# ------------------------------------------------------------------ calls that follow one another


def in_turn(runner: Runner, case: Case, outputs: list[Any], record: Draft) -> None:
    """Further steps of an optimiser in place: each is given what the one before has left in the
    same memory, and another gradient. A kernel that remembers moments by address goes wrong here.
    """
    op = case.op
    if len(op.alias) < len(op.outputs) or not op.internal:
        return
    call = case.call
    for step in range(2, STEPS + 1):
        arrays = list(call.arrays)
        over = {op.arrays.index(a): outputs[op.outputs.index(o)] for o, a in op.alias.items()}
        for i, a in enumerate(arrays):
            if i in over:
                arrays[i] = over[i]
            elif a is not None and a.shape == arrays[0].shape:
                arrays[i] = a * a.dtype.type(-0.5)
        call = Call(tuple(arrays), call.attrs)
        following = Following(case.spec, case.kind, case.plan, case.dtype, case.seed, case.number,
                              given=call)
        found = runner.ask(following, record)
        if not runner.hold(following, found, record, f"step {step} in the same memory"):
            return
        assert found is not None
        outputs = found


def interleaved(runner: Runner, case: Case) -> Iterator[Record]:
    """Two calls as autograd makes them: forward A, forward B, backward B, backward A. What a
    backward op needs is in its arrays; one that looks at what the last forward op left somewhere
    goes wrong at A. Only failures make a record.
    """
    other = replace(case, plan={**case.plan, "round": 99}, number=None)
    calls = [(c.call, backward_calls(c)) for c in (case, other)]
    if not all(calls[0][1]) or not {op for op, _ in calls[0][1]} & runner.ops:
        return
    record = runner.blank(case, suffix="; forward A, forward B, backward B, backward A")
    (first, after_first), (second, after_second) = calls
    order = [(case.spec.op, first, "forward A"), (case.spec.op, second, "forward B"),
             *((op, c, "backward B") for op, c in after_second),
             *((op, c, "backward A") for op, c in after_first)]
    for op, call, when in order:
        if op not in runner.ops:
            continue
        asked = Following(specs()[op], case.kind, {}, case.dtype, case.seed, given=call)
        if not runner.hold(asked, runner.call(op, call, record, bits=1), record, f"{op}, {when}"):
            break
    if record.verdict.failed:
        yield record


def backward_calls(case: Case) -> list[tuple[str, Call]]:
    """The internal ops that the gradient rule of a case's op calls, with their arrays, found by
    letting the reference do it; none if it calls none.
    """
    if TABLE[case.spec.op].rule is None or case.dtype not in ("float32", "float64"):
        return []
    events: list[Event] = []
    with use(REFERENCE), np.errstate(all="ignore"):
        given = [None if a is None else etude.tensor(a, requires_grad=a.dtype.kind == "f")
                 if isinstance(a, np.ndarray) else a for a in case.call.arrays]
        if not any(isinstance(t, etude.Tensor) and t.requires_grad for t in given):
            return []
        y = function_of(case.op)(*given, **case.call.attrs)
        y = y[0] if isinstance(y, tuple) else y
        grad = np.random.default_rng(case.seed).uniform(-1, 1, y.shape).astype(y.dtype)
        with tap(events.append):
            y.backward(etude.tensor(grad))
    return [(e.op, Call(e.arrays, e.attrs)) for e in events if TABLE[e.op].internal]


def at_once(runner: Runner, case: Case) -> Iterator[Record]:
    """Two calls with different arrays in two threads at once, each held against the same call made
    alone. Only failures make a record.
    """
    op = case.op
    if not case.call.arrays or op.cls == "view" or runner.describe().device != "cpu":
        return
    record = runner.blank(case, suffix="; two threads at once")
    other = replace(case, plan={**case.plan, "round": 99}, number=None)
    first, second = [(c.call.arrays, {**op.attrs, **prepared(op, c.call.attrs)})
                     for c in (case, other)]
    runner.note_outcome(record, runner.outcome(
        record, lambda: runner.box(1).together(op.name, first, second)))
    if record.verdict.failed:
        yield record


# ------------------------------------------------------------------ calls that must be refused


def refusals(spec: OpSpec) -> list[Refusal]:
    """The calls that the spec says must raise, those of which the op's record declares it, and
    mistakes that any caller may make, as far as the reference refuses them.
    """
    op = TABLE[spec.op]
    declared = [Refusal(line.of(op).partition(" -> ")[0], partial(_declared, op, line), line.error)
                for line in op.conventions if line.error]
    plain = next((c for f in ("tail", "exact", "layout") for c in cases(spec, f, "smoke")), None)
    return [*spec.refusals, *declared] + ([] if plain is None else list(_shared(spec, plain)))


def _declared(op: Op, line: Convention) -> Call:
    return Call(tuple(line.given(op, line.dtypes(op)[0])), dict(line.attrs))


def _shared(spec: OpSpec, plain: Case) -> Iterator[Refusal]:
    op, given = TABLE[spec.op], plain.call
    arrays = given.arrays

    def made(why: str, *changed: Any, **attrs: Any) -> Iterator[Refusal]:
        call = Call(changed, {**given.attrs, **attrs})
        try:
            with np.errstate(all="ignore"):
                op(*call.arrays, **call.attrs)
        except Exception as error:
            yield Refusal(why, lambda: call, type(error).__name__, re.escape(spec.op))

    yield from made("an attribute it does not have", *arrays, no_such_attribute=1)
    if arrays:
        yield from made("an array too few", *arrays[: op.required - 1])
        if not op.variadic:
            yield from made("an array too many", *arrays, *arrays, *arrays)
            yield from made("None for an array", None, *arrays[1:])
        strange = tuple(a.astype(np.complex64) if isinstance(a, np.ndarray) else a for a in arrays)
        yield from made("complex numbers", *strange)


def refuse(runner: Runner, spec: OpSpec, number: int, refusal: Refusal) -> Record:
    """One call that must raise, made through the dispatcher."""
    call = refusal.make()
    record = Record(f"{spec.op}/errors/{number}@0", spec.op, TABLE[spec.op].family, "errors", "",
                    Verdict.PASS, asked=f"{spec.op} given {refusal.why}")
    outcome = runner.outcome(record, lambda: runner.box(1).refuse(
        spec.op, call.arrays, call.attrs))
    if outcome.status in ("crash", "timeout", "protocol"):
        record.verdict = Verdict.TIMEOUT if outcome.status == "timeout" else Verdict.CRASH
        record.message = outcome.message
    elif outcome.faults:
        record.verdict, record.message = Verdict.CERTAIN, "; ".join(outcome.faults)
    elif outcome.status != "raised":
        record.verdict = Verdict.CERTAIN
        record.message = f"no error where the reference raises {refusal.error}"
    elif refusal.error not in outcome.exceptions:
        record.verdict = Verdict.CERTAIN
        record.message = (f"raises {outcome.exception} where the reference raises "
                          f"{refusal.error}: {outcome.message}")
    elif refusal.match and not re.search(refusal.match, outcome.message):
        record.verdict = Verdict.INACCURATE
        record.message = f"the error does not say {refusal.match!r}: {outcome.message}"
    return record
