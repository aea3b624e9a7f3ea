"""The proof of an assignment: nothing earns points that should not, and every mistake is caught.

Whoever writes an assignment runs it, and so does CI. An empty answer, the starter and a file that is
not valid Python earn 0; so does an answer that only pretends: every region returns nothing, or
hands back its argument, or raises. The solution earns everything, in every language. Each named
mutant loses exactly the checks that it names, and is named to the student in one of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from etude_course.kit.kit import Kit
from etude_course.record import Result, Status
from etude_course.run.oracle import write
from etude_course.run.pack import kit_of
from etude_course.run.run import run
from etude_course.source import regions
from etude_course.source.assignment import Mutant
from etude_course.source.source import Source

SEED = "prove"
BROKEN = {".py": "\ndef broken(:\n", ".c": "\nint broken(;\n"}
PRETENDED = {
    "a pretender that returns nothing": {".py": "return None", ".c": "return 0;"},
    "a pretender that returns its argument": {".py": "return {first}", ".c": "return 0;"},
    "a pretender that returns zero": {".py": "return 0.0", ".c": "return 0;"},
    "a pretender that raises ValueError": {".py": "raise ValueError", ".c": "return 2;"},
    "a pretender that raises TypeError": {".py": "raise TypeError", ".c": "return 2;"},
}


@dataclass
class Proof:
    """One thing that was tried, and in ``wrong`` what should not be so."""

    what: str
    points: int
    wrong: list[str] = field(default_factory=list)
    result: Result | None = None


Texts = dict[str, str]


def prove(source: Source, *, seed: str = SEED, only: str = "",
          tell: Callable[[Proof], None] = lambda proof: None) -> list[Proof]:
    """Everything that was tried; ``only`` the mutant of this name. ``tell`` hears of each."""
    proofs = []
    for proof in _all(source, kit_of(source), seed, only):
        tell(proof)
        proofs.append(proof)
    return proofs


def _all(source: Source, kit: Kit, seed: str, only: str) -> Iterator[Proof]:
    a = source.assignment
    if not only:
        yield from _worthless(source, kit, seed)
        for values in a.combinations:
            name = ", ".join(f"{k} {v}" for k, v in values.items())
            yield _solved(source, kit, seed, f"the solution{f' ({name})' if name else ''}",
                          source.solutions(), values, None)
        yield from _other_languages(source, kit, seed)
    for i, mutant in enumerate(a.mutants):
        if only in ("", mutant.name):
            yield _mutant(source, kit, seed, mutant, a.combinations[i % len(a.combinations)])


def _run(source: Source, kit: Kit, seed: str, texts: Texts, values: dict[str, Any],
         only: Sequence[str] | None = None) -> Result:
    with tempfile.TemporaryDirectory(prefix="etude-course-prove-") as folder:
        write(texts, values, Path(folder))
        return run(source, Path(folder), kit=kit, student="prove", seed=seed, values=values,
                   only=only, timed=False)


# ------------------------------------------------------------------ what must earn nothing


def _worthless(source: Source, kit: Kit, seed: str) -> Iterator[Proof]:
    a = source.assignment
    solutions, starters = source.solutions(), source.starters()
    broken = {n: t + BROKEN.get(PurePath(n).suffix, "\n)\n") for n, t in solutions.items()}
    tried: dict[str, Texts] = {"nothing handed in": {}, "empty files": dict.fromkeys(solutions, ""),
                               "the starter": starters, "a syntax error": broken}
    for what, put in PRETENDED.items():
        tried[what] = {n: pretending(source, n, put) for n in a.sources}
    for what, texts in tried.items():
        result = _run(source, kit, seed, texts, a.combinations[0])
        proof = Proof(what, result.score, result=result)
        for c in result.checks:
            if c.points:
                proof.wrong.append(f"{c.id} gives {c.points} points: such a check could be passed "
                                   f"by whoever has done nothing")
            if not c.message:
                proof.wrong.append(f"{c.id} does not say why it gives nothing")
        if what == "a syntax error":
            proof.wrong += [f"{c.id} does not name the line: {c.message!r}" for c in result.checks
                            if c.status not in (Status.WAITING, Status.NOT_RUN)
                            and "line" not in c.message + c.detail and ":" not in c.message]
        yield proof


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


# ------------------------------------------------------------------ what must earn all


def _solved(source: Source, kit: Kit, seed: str, what: str, texts: Texts, values: dict[str, Any],
            only: Sequence[str] | None) -> Proof:
    result = _run(source, kit, seed, texts, values, only)
    return Proof(what, result.score, [
        f"{c.id} gives {c.points} of {c.max_points}: {c.status}, {c.message}"
        + (f"\n{c.case}\n{c.detail}" if c.detail else "")
        for c in result.checks if c.points != c.max_points
        and c.status is not Status.WAITING and not _timed(source, c.id)], result)


def _timed(source: Source, id_: str) -> bool:
    return source.assignment.check(id_).kind == "speed"


def _other_languages(source: Source, kit: Kit, seed: str) -> Iterator[Proof]:
    a = source.assignment
    for name in [n for n in a.sources if n not in a.files]:
        texts = {n: t for n, t in source.solutions().items() if n == name}
        yield _solved(source, kit, seed, f"the solution, {name}", texts, a.combinations[0],
                      _answered_in(source, name))


def _answered_in(source: Source, name: str) -> list[str]:
    """The checks of the questions that may be answered in a file of another language."""
    return [c.id for q in source.assignment.questions if name in q.also for c in q.checks]


# ------------------------------------------------------------------ what must lose


def _mutant(source: Source, kit: Kit, seed: str, mutant: Mutant, values: dict[str, Any]) -> Proof:
    a = source.assignment
    texts, only = source.mutated(mutant), None
    if mutant.file not in a.files:
        only = _answered_in(source, mutant.file)
        texts = {mutant.file: texts[mutant.file]}
    result = _run(source, kit, seed, texts, values, only)
    lost = {c.id: c for c in result.checks if c.points != c.max_points
            and c.status is not Status.WAITING and not _timed(source, c.id)}
    proof = Proof(f"mutant {mutant.name}", result.score, result=result)
    for id_ in sorted(set(mutant.loses) - set(lost)):
        if not _timed(source, id_):
            proof.wrong.append(f"{id_} gives its points all the same")
    for id_ in sorted(set(lost) - set(mutant.loses)):
        c = lost[id_]
        proof.wrong.append(f"{id_} is lost too, which it does not say: {c.status}, {c.message}\n"
                           f"{c.case}\n{c.detail}".rstrip())
    automatic = [id_ for id_ in mutant.loses if not _timed(source, id_)]
    if automatic and not any(c.mistake == mutant.mistake for c in lost.values()):
        said = "; ".join(f"{c.id}: {c.mistake or 'no mistake is named'}" for c in lost.values())
        proof.wrong.append(f"the student is not told which mistake it is ({said}). It must show "
                           f"in a visible case of a check that it loses, and not only as an error")
    return proof
