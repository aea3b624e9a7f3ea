"""assignment.toml, read and checked: questions, checks, mutants.

The same document, without its mutants and what a person looks for in an answer, is in the kit that
students have; so what is read here is both. A check is one of four kinds: ``call`` calls a function
of the answer, ``op`` sets the conformance kit on it, ``speed`` times it, ``hand`` waits for a
person.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from etude.core.errors import did_you_mean
from etude_course.cases.compare import LOOSEST, TOLERANCES
from etude_course.errors import CourseError

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
KINDS = ("call", "op", "speed", "hand")
COMBINATIONS = 24  # of parameters: each has visible cases and fingerprints of its own


@dataclass(frozen=True)
class Check:
    """What earns points. The fields of the other kinds are empty."""

    id: str
    points: int
    title: str = ""
    call: str = ""  # a function of the answer, or "drivers:name"
    judge: str = ""  # "drivers:name", for answers of which more than one is right
    visible: int = 4  # cases
    hidden: int = 12
    tolerance: str | float = ""
    ops: tuple[str, ...] = ()
    kinds: tuple[str, ...] | None = None
    dtypes: tuple[str, ...] | None = None
    level: str = "smoke"
    speed: str = ""
    against: str = "reference"
    cases: tuple[str, ...] = ()
    ladder: tuple[tuple[float, int], ...] = ()
    hand: str = ""  # the rubric

    @property
    def kind(self) -> str:
        return "call" if self.call else "op" if self.ops else "speed" if self.speed else "hand"


@dataclass(frozen=True)
class Question:
    """Some checks on one part of an answer. ``file`` or one of ``also`` has the answer."""

    id: str
    title: str
    file: str
    checks: tuple[Check, ...]
    also: tuple[str, ...] = ()
    forbid: tuple[str, ...] | None = None
    hints: tuple[str, ...] = ()
    hint_cost: int = 0

    @property
    def points(self) -> int:
        return sum(c.points for c in self.checks)


@dataclass(frozen=True)
class Mutant:
    """A mistake: the solution with each ``old`` replaced by its ``new``."""

    name: str
    mistake: str
    file: str
    edits: tuple[tuple[str, str], ...]
    loses: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """Seconds that a call and a whole hand-in may take."""

    call: float = 2.0
    total: float = 30.0


@dataclass(frozen=True)
class Assignment:
    """What is asked for. ``document`` is what it was read from, as students have it."""

    id: str
    title: str
    version: int
    files: tuple[str, ...]
    questions: tuple[Question, ...]
    chapter: str = ""
    limits: Limits = Limits()
    parameters: dict[str, list[Any]] = field(default_factory=dict)
    mutants: tuple[Mutant, ...] = ()
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(c for q in self.questions for c in q.checks)

    @property
    def points(self) -> int:
        return sum(q.points for q in self.questions)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every file that may hold an answer: ``files``, then those of other languages."""
        also = [f for q in self.questions for f in q.also]
        return tuple(dict.fromkeys([*self.files, *also]))

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """Every set of parameters that a student can have."""
        return [dict(zip(self.parameters, values, strict=True))
                for values in product(*self.parameters.values())]

    def question(self, check: Check) -> Question:
        return next(q for q in self.questions if check in q.checks)

    def check(self, id_: str) -> Check:
        for c in self.checks:
            if c.id == id_:
                return c
        raise CourseError(f"{self.id} has no check called {id_!r}"
                          f"{did_you_mean(id_, [c.id for c in self.checks])}")


def read(path: Path) -> Assignment:
    """The assignment in a folder, or in its assignment.toml."""
    file = path / "assignment.toml" if path.is_dir() else path
    try:
        document = tomllib.loads(file.read_text())
    except OSError as error:
        raise CourseError(f"there is no assignment in {path}: {file.name} cannot be read "
                          f"({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{file} is not valid TOML: {error}") from None
    return of_document(document, str(file))


def of_document(document: dict[str, Any], where: str) -> Assignment:
    """What a document says. CourseError, naming ``where`` and the entry, for what it cannot say."""
    reader = _Reader(where)
    return reader.assignment(document)


def public(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what students must not have: mistakes, and the rubrics of ``hand``."""
    def check(table: dict[str, Any]) -> dict[str, Any]:
        return {**table, "hand": ""} if "hand" in table else table

    asked = [{**q, "check": [check(c) for c in q["check"]]} for q in document["question"]]
    return {**{k: v for k, v in document.items() if k != "mutant"}, "question": asked}


class _Reader:
    """Reads entries of the document, each with its type; ``where`` opens every complaint."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, sentence: str) -> CourseError:
        return CourseError(f"{self.where}: {sentence}")

    def get(self, table: dict[str, Any], name: str, kind: Any, of: str, default: Any = ...) -> Any:
        if name not in table:
            if default is ...:
                raise self.fail(f"{of} needs {name!r}")
            return default
        value = table[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fail(f"{name!r} of {of} should be {_kind(kind)}, got {value!r}")
        return value

    def strings(self, table: dict[str, Any], name: str, of: str, default: Any = ()) -> Any:
        value = self.get(table, name, list, of, default)
        if value is not default and not all(isinstance(v, str) for v in value):
            raise self.fail(f"{name!r} of {of} should be a list of strings")
        return value if value is None else tuple(value)

    def known(self, table: dict[str, Any], names: set[str], of: str) -> None:
        for name in table:
            if name not in names:
                raise self.fail(f"{of} has an entry {name!r}, which nothing reads"
                                f"{did_you_mean(name, names)}")

    def name(self, table: dict[str, Any], key: str, of: str) -> str:
        value: str = self.get(table, key, str, of)
        if not NAME.fullmatch(value):
            raise self.fail(f"the {key} of {of} is written in small letters, digits and hyphens, "
                            f"such as 'variance-values'; got {value!r}")
        return value

    def file(self, name: str, of: str) -> str:
        if PurePosixPath(name).name != name or name.startswith("."):
            raise self.fail(f"a file of {of} is a plain name without a folder, got {name!r}")
        return name

    def assignment(self, document: dict[str, Any]) -> Assignment:
        of = "the assignment"
        self.known(document, {"id", "title", "chapter", "version", "files", "limits", "parameters",
                              "question", "mutant"}, of)
        id_ = self.get(document, "id", str, of)
        if not re.fullmatch(r"[A-Z][A-Z0-9]*", id_):
            raise self.fail(f"'id' is a capital letter and a number, such as 'A2'; got {id_!r}")
        files = tuple(self.file(f, of) for f in self.strings(document, "files", of, ...))
        if not files:
            raise self.fail("'files' names no file")
        questions = tuple(self.question(q, files) for q in self.tables(document, "question"))
        found = Assignment(
            id_, self.get(document, "title", str, of), self.get(document, "version", int, of),
            files, questions, self.get(document, "chapter", str, of, ""),
            self.limits(self.get(document, "limits", dict, of, {})),
            self.parameters(self.get(document, "parameters", dict, of, {})),
            document=public(document))
        self.once([q.id for q in questions], "question")
        self.once([c.id for c in found.checks], "check")
        if not questions:
            raise self.fail("there is no [[question]]")
        if len(found.combinations) > COMBINATIONS:
            raise self.fail(f"the parameters have {len(found.combinations)} combinations; "
                            f"{COMBINATIONS} are the most")
        mutants = tuple(self.mutant(m, found) for m in self.tables(document, "mutant"))
        self.once([m.name for m in mutants], "mutant")
        return Assignment(**{**{f.name: getattr(found, f.name) for f in fields(found)},
                             "mutants": mutants})

    def tables(self, document: dict[str, Any], name: str) -> list[dict[str, Any]]:
        given: list[dict[str, Any]] = self.get(document, name, list, "the assignment", [])
        if not all(isinstance(t, dict) for t in given):
            raise self.fail(f"{name!r} should be written as [[{name}]]")
        return given

    def once(self, names: list[str], what: str) -> None:
        for name in names:
            if names.count(name) > 1:
                raise self.fail(f"two {what}s are called {name!r}")

    def limits(self, table: dict[str, Any]) -> Limits:
        self.known(table, {"call", "total"}, "limits")
        given = {k: float(self.get(table, k, (int, float), "limits")) for k in table}
        if any(v <= 0 for v in given.values()):
            raise self.fail("limits are seconds above 0")
        return Limits(**given)

    def parameters(self, table: dict[str, Any]) -> dict[str, list[Any]]:
        for name, values in table.items():
            if not name.isidentifier() or not isinstance(values, list) or len(values) < 2 \
                    or any(not isinstance(v, (int, float, str)) for v in values):
                raise self.fail(f"the parameter {name!r} should be a list of two or more numbers "
                                f"or strings, of which a student is given one")
        return table

    def question(self, table: dict[str, Any], files: tuple[str, ...]) -> Question:
        self.known(table, {"id", "title", "file", "also", "forbid", "hints", "hint_cost", "check"},
                   "a question")
        id_ = self.name(table, "id", "a question")
        of = f"question {id_!r}"
        file = self.get(table, "file", str, of, files[0])
        if file not in files:
            raise self.fail(f"{of} is answered in {file!r}, which 'files' does not list")
        checks = tuple(self.check(c) for c in self.get(table, "check", list, of))
        if not checks:
            raise self.fail(f"{of} has no check")
        cost = self.get(table, "hint_cost", int, of, 0)
        if cost < 0:
            raise self.fail(f"'hint_cost' of {of} is {cost}; a hint cannot give points")
        return Question(id_, self.get(table, "title", str, of), file, checks,
                        tuple(self.file(f, of) for f in self.strings(table, "also", of)),
                        self.strings(table, "forbid", of, None), self.strings(table, "hints", of),
                        cost)

    def check(self, table: dict[str, Any]) -> Check:
        names = {f.name for f in fields(Check)} | {"op"}
        self.known(table, names, "a check")
        id_ = self.name(table, "id", "a check")
        of = f"check {id_!r}"
        if "op" in table:
            table = {**{k: v for k, v in table.items() if k != "op"},
                     "ops": [self.get(table, "op", str, of)]}
        kinds = [k for k in KINDS if ("ops" if k == "op" else k) in table]
        if len(kinds) != 1:
            raise self.fail(f"{of} is one of {', '.join(KINDS)}; it says "
                            f"{' and '.join(kinds) or 'none of them'}")
        made = Check(id_, self.get(table, "points", int, of),
                     self.get(table, "title", str, of, id_.replace("-", " ")),
                     self.get(table, "call", str, of, ""), self.get(table, "judge", str, of, ""),
                     self.get(table, "visible", int, of, 4), self.get(table, "hidden", int, of, 12),
                     self.get(table, "tolerance", (str, int, float), of, ""),
                     self.strings(table, "ops", of), self.strings(table, "kinds", of, None),
                     self.strings(table, "dtypes", of, None),
                     self.get(table, "level", str, of, "smoke"),
                     self.get(table, "speed", str, of, ""),
                     self.get(table, "against", str, of, "reference"),
                     self.strings(table, "cases", of),
                     tuple(self.rung(r, of) for r in self.get(table, "ladder", list, of, [])),
                     self.get(table, "hand", str, of, ""))
        self.sensible(made, of)
        return made

    def rung(self, given: Any, of: str) -> tuple[float, int]:
        if not isinstance(given, list) or len(given) != 2 or type(given[1]) is not int \
                or not isinstance(given[0], (int, float)) or given[0] <= 0:
            raise self.fail(f"a rung in the ladder of {of} is [ratio, points], such as [4.0, 2]; "
                            f"got {given!r}")
        return float(given[0]), given[1]

    def sensible(self, check: Check, of: str) -> None:
        if check.points < 1:
            raise self.fail(f"{of} is worth {check.points} points; a check is worth 1 or more, in "
                            f"whole points")
        t = check.tolerance
        if isinstance(t, str) and t not in ("", *TOLERANCES):
            raise self.fail(f"'tolerance' of {of} is {t!r}; it is a number or one of "
                            f"{', '.join(TOLERANCES)}")
        if not isinstance(t, str) and not 0 <= t <= LOOSEST:
            raise self.fail(f"'tolerance' of {of} is {t}; it is relative, and lies between 0 and "
                            f"{LOOSEST}")
        if check.kind == "call" and (check.visible < 1 or check.hidden < 0):
            raise self.fail(f"{of} needs one visible case or more: a student can only work towards "
                            f"what is there to be seen")
        if check.judge and not check.judge.startswith("drivers:"):
            raise self.fail(f"'judge' of {of} names a function of drivers.py, such as "
                            f"'drivers:is_sorted'; got {check.judge!r}")
        rungs = check.ladder
        if check.kind == "speed" and (not rungs or rungs[-1][1] != check.points
                                      or list(rungs) != sorted(rungs)):
            raise self.fail(f"the ladder of {of} climbs to its {check.points} points, such as "
                            f"[[1.0, 1], [4.0, {check.points}]]; got {[list(r) for r in rungs]}")

    def mutant(self, table: dict[str, Any], a: Assignment) -> Mutant:
        self.known(table, {"name", "mistake", "file", "old", "new", "edits", "loses"}, "a mutant")
        name = self.name(table, "name", "a mutant")
        of = f"mutant {name!r}"
        if ("edits" in table) == ("old" in table):
            raise self.fail(f"{of} says what it changes with 'old' and 'new', or with 'edits'")
        edits = table.get("edits") or [[table.get("old"), self.get(table, "new", str, of)]]
        if not all(isinstance(e, list) and len(e) == 2 and all(isinstance(t, str) for t in e)
                   for e in edits):
            raise self.fail(f"'edits' of {of} is a list of [old, new]")
        file = self.get(table, "file", str, of, a.files[0])
        if file not in a.sources:
            raise self.fail(f"{of} is in {file!r}, which no question names")
        loses = self.strings(table, "loses", of, ...)
        if not loses:
            raise self.fail(f"{of} loses nothing: a mistake that costs no points shows that a "
                            f"check is missing")
        for id_ in loses:
            try:
                a.check(id_)
            except CourseError as error:
                raise self.fail(f"{of} loses {id_!r}: {error}") from None
        return Mutant(name, self.get(table, "mistake", str, of), file,
                      tuple((old, new) for old, new in edits), loses)


def _kind(kind: Any) -> str:
    names = {str: "a string", int: "a whole number", list: "a list", dict: "a table",
             float: "a number"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(names[k] for k in kinds)
