"""The proof of an assignment: nothing earns points that should not, every mistake is caught.

Whoever writes an assignment runs it, and so does CI. An empty answer, the starter and a file that
is not valid Python earn 0; so does an answer that only pretends: every region returns nothing, or
hands back its argument, or raises. The solution earns everything, in every language. Each named
mutant loses exactly the checks that it names, and is named to the student in one of them.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from etude.core.errors import did_you_mean
from etude_check.worker.values import to_plain
from etude_course.cases.case import Case
from etude_course.errors import CourseError
from etude_course.kit.kit import Kit, key
from etude_course.record import CONTENDED, CheckResult, Result, Status
from etude_course.run.oracle import Hidden, write
from etude_course.run.pack import kit_of
from etude_course.run.run import run
from etude_course.source import regions
from etude_course.source.assignment import Mutant
from etude_course.source.source import Source

SEED, STUDENT = "prove", "prove"
MUTANTS = 8  # the least that an assignment should have
SYNTAX = "a syntax error"
BROKEN = {".py": "\ndef broken(:\n", ".c": "\nint broken(;\n"}
PRETENDED = {
    "a pretender that returns nothing": {".py": "return None", ".c": "return 0;"},
    "a pretender that returns its argument": {".py": "return {first}", ".c": "return 0;"},
    "a pretender that returns zero": {".py": "return 0.0", ".c": "return 0;"},
    "a pretender that raises ValueError": {".py": "raise ValueError", ".c": "return 2;"},
    "a pretender that raises TypeError": {".py": "raise TypeError", ".c": "return 2;"},
}
NO_COMPILER = "no compiler was found"


@dataclass(frozen=True)
class Trial:
    """A hand-in that is made up, and what it must earn. ``only``: the checks that it is for."""

    what: str
    texts: dict[str, str]  # file -> text
    values: dict[str, Any]  # parameters
    earns: str  # "nothing", "everything", or the name of a mutant
    only: tuple[str, ...] | None = None
    timed: bool = False  # its speed checks alone are run, which want a quiet machine


@dataclass
class Proof:
    """What came of a trial, and in ``wrong`` what should not be so."""

    what: str
    points: int
    wrong: list[str] = field(default_factory=list)
    result: Result | None = None
    not_run: str = ""  # why it could not be tried here


def prove(source: Source, *, seed: str = SEED, only: str = "", jobs: int = 1,
          timed: bool = False, tell: Callable[[Proof], None] = lambda proof: None) -> list[Proof]:
    """Everything that was tried, in order; ``only`` the mutant of this name. ``tell`` hears of each
    as soon as it is done. ``jobs`` processes share the work. With ``timed`` the solution is also
    held to the checks of speed, alone, at the end.
    """
    names = [m.name for m in source.assignment.mutants]
    if only and only not in names:
        raise CourseError(f"{source.folder} has no mutant {only!r}{did_you_mean(only, names)} It "
                          f"has {', '.join(names)}.")
    count = sum(t.earns == only or not only for t in trials(source))
    kit_of(source)  # made once, and found by the other processes
    proofs = []
    with ExitStack() as open_:
        found: Iterator[Proof]
        if not only:
            tell(first := of_cases(source, seed))
            proofs.append(first)
        if jobs > 1:
            context = multiprocessing.get_context("spawn")
            pool = open_.enter_context(ProcessPoolExecutor(jobs, context))
            found = pool.map(_in_process, [(source.folder, seed, only, i) for i in range(count)])
        else:
            prover = open_.enter_context(_Prover(source, seed))
            found = map(prover.prove, [t for t in trials(source) if only in ("", t.earns)])
        for proof in found:
            tell(proof)
            proofs.append(proof)
    if timed:
        with _Prover(source, seed) as prover:
            tell(last := prover.prove(of_speed(source)))
            proofs.append(last)
    return proofs


_provers: dict[tuple[Path, str], _Prover] = {}  # of a process that does a share of the work


def _in_process(task: tuple[Path, str, str, int]) -> Proof:
    folder, seed, only, number = task
    if (folder, seed) not in _provers:
        _provers[folder, seed] = _Prover(Source.read(folder), seed)
    prover = _provers[folder, seed]
    return prover.prove([t for t in trials(prover.source) if only in ("", t.earns)][number])


# ------------------------------------------------------------------ what is asked


def of_cases(source: Source, seed: str) -> Proof:
    """That cases follow from their seed, that whoever knows the visible ones by heart does not know
    the hidden ones, and that each check has a mistake that it catches.
    """
    proof = Proof("the cases", 0)
    lost = {id_ for m in source.assignment.mutants for id_ in m.loses}
    values = source.assignment.combinations[0]
    for check in source.assignment.checks:
        if check.kind in ("call", "op") and check.id not in lost:
            proof.wrong.append(f"no mutant loses {check.id}: nothing shows that it catches a "
                               f"mistake")
        if check.kind != "call":
            continue
        known = _asked(source.visible(check, values))
        one, two = (_asked(source.hidden(check, values, seed, STUDENT)) for _ in range(2))
        if one != two:
            proof.wrong.append(f"{check.id}: the same seed draws other cases the second time; "
                               f"everything is to be drawn from rng")
        if set(one) <= set(known):
            proof.wrong.append(f"{check.id}: whoever knows the answers to the visible cases by "
                               f"heart has them all: no hidden case is another one")
    return proof


def _asked(cases: Sequence[Case]) -> list[str]:
    return [json.dumps([to_plain(a) for a in c.args]) for c in cases]


# ------------------------------------------------------------------ what is tried


def trials(source: Source) -> Iterator[Trial]:
    """Every hand-in of a proof."""
    a = source.assignment
    first = a.combinations[0]
    solutions = source.solutions()
    broken = {n: t + BROKEN.get(PurePath(n).suffix, "\n)\n") for n, t in solutions.items()}
    for what, texts in (("nothing handed in", {}), ("empty files", dict.fromkeys(solutions, "")),
                        ("the starter", source.starters()), (SYNTAX, broken)):
        yield Trial(what, texts, first, "nothing")
    for what, put in PRETENDED.items():
        yield Trial(what, {n: pretending(source, n, put) for n in a.sources}, first, "nothing")
    for values in a.combinations:
        of = ", ".join(f"{k} {v}" for k, v in values.items())
        yield Trial(f"the solution ({of})" if of else "the solution", solutions, values,
                    "everything")
    for name in [n for n in a.sources if n not in a.files]:
        yield Trial(f"the solution, {name}", {name: solutions[name]}, first, "everything",
                    _answered_in(source, name))
    for i, mutant in enumerate(a.mutants):
        yield _of_mutant(source, mutant, a.combinations[i % len(a.combinations)])


def of_speed(source: Source) -> Trial:
    """The solution in every language at once, to be timed."""
    return Trial("the solution, timed", source.solutions(), source.assignment.combinations[0],
                 "everything", timed=True)


def pretending(source: Source, name: str, put: dict[str, str]) -> str:
    """A file with the same line in all of its regions; outside functions, with none."""
    suffix = PurePath(name).suffix
    text = regions.emptied(source.solved(name), name, put.get(suffix, ""))
    if suffix != ".py":
        return text
    try:
        compile(text, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        text = regions.emptied(source.solved(name), name, "pass")
    return text


def _of_mutant(source: Source, mutant: Mutant, values: dict[str, Any]) -> Trial:
    """A mistake in a file of another language is handed in without the first one."""
    texts, only = source.mutated(mutant), None
    if mutant.file not in source.assignment.files:
        texts, only = {mutant.file: texts[mutant.file]}, _answered_in(source, mutant.file)
    return Trial(f"mutant {mutant.name}", texts, values, mutant.name, only)


def _answered_in(source: Source, name: str) -> tuple[str, ...]:
    """The checks of the questions that may be answered in a file of another language."""
    return tuple(c.id for q in source.assignment.questions if name in q.also for c in q.checks)


# ------------------------------------------------------------------ what came of it


class _Prover:
    """Runs trials. Hidden cases, and what is expected of them, are the same for all."""

    def __init__(self, source: Source, seed: str) -> None:
        self.source, self.seed = source, seed
        self.kit: Kit = kit_of(source)
        self._hidden: dict[str, Hidden] = {}
        self._open = ExitStack()

    def __enter__(self) -> _Prover:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def prove(self, trial: Trial) -> Proof:
        result = self._run(trial)
        proof = Proof(trial.what, result.score, result=result)
        unable = [c.message for c in result.checks
                  if NO_COMPILER in c.message or c.message.startswith(CONTENDED)]
        if unable and len(unable) == len([c for c in result.checks
                                          if c.status is not Status.WAITING]):
            proof.not_run = unable[0]
        elif trial.timed:
            proof.wrong = [f"{c.id} gives {_told(c)}" for c in result.checks
                           if c.points != c.max_points]
        elif trial.earns == "nothing":
            proof.wrong = [*_worthless(result, trial.what)]
        elif trial.earns == "everything":
            proof.wrong = [f"{c.id} gives {_told(c)}" for c in self._lost(result)]
        else:
            mutant, = (m for m in self.source.assignment.mutants if m.name == trial.earns)
            proof.wrong = [*self._mutant(mutant, self._lost(result))]
        return proof

    def _run(self, trial: Trial) -> Result:
        values = key(trial.values)
        if values not in self._hidden:
            self._hidden[values] = self._open.enter_context(
                Hidden(self.source, trial.values, self.seed, STUDENT))
        with tempfile.TemporaryDirectory(prefix="etude-course-prove-") as folder:
            write(trial.texts, trial.values, Path(folder))
            return run(self.source, Path(folder), kit=self.kit, values=trial.values,
                       hidden=self._hidden[values], only=trial.only,
                       timed="only" if trial.timed else False)

    def _lost(self, result: Result) -> list[CheckResult]:
        """The checks that did not give their points, of those that are run without a clock."""
        return [c for c in result.checks if c.points != c.max_points
                and c.status is not Status.WAITING and not self._timed(c.id)]

    def _timed(self, id_: str) -> bool:
        return self.source.assignment.check(id_).kind == "speed"

    def _mutant(self, mutant: Mutant, lost: Sequence[CheckResult]) -> Iterator[str]:
        ids = [c.id for c in lost]
        for id_ in mutant.loses:
            if id_ not in ids and not self._timed(id_):
                yield f"{id_} gives its points all the same"
        for c in lost:
            if c.id not in mutant.loses:
                yield f"{c.id} is lost too, which it does not say: {_told(c)}"
        if lost and not any(c.mistake == mutant.mistake for c in lost):
            said = "; ".join(f"{c.id}: {c.mistake or 'no mistake is named'}" for c in lost)
            others = {m.mistake: m.name for m in self.source.assignment.mutants}
            like = [others[c.mistake] for c in lost if c.mistake in others]
            if like:
                yield (f"{mutant.name} and {like[0]} look alike in the visible cases ({said}): "
                       f"give them one sentence, or draw a visible case that tells them apart")
                return
            yield (f"the student is not told which mistake it is ({said}). It must show in a "
                   f"visible case of a check that it loses, and not only as an error")


def _worthless(result: Result, what: str) -> Iterator[str]:
    for c in result.checks:
        if c.points:
            yield (f"{c.id} gives {c.points} points: such a check could be passed by whoever has "
                   f"done nothing")
        if not c.message:
            yield f"{c.id} does not say why it gives nothing"
        named = "line" in c.message or ":" in c.message
        if what == SYNTAX and not named and c.status is Status.FAILED:
            yield f"{c.id} does not name the line: {c.message!r}"


def _told(c: CheckResult) -> str:
    """What a student is told, for whoever writes the assignment."""
    said = f"{c.points} of {c.max_points}: {c.status}, {c.message}"
    return f"{said}\n{c.case}\n{c.detail}" if c.detail else said
