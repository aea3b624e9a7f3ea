"""checks.py of an assignment: how the cases of its calls are drawn, and what is expected.

    @cases("spread-values")
    def spread_values(rng, parameters):
        while True:
            x = rng.standard_normal((int(rng.integers(1, 6)), 4)).astype(np.float32)
            yield f"{len(x)} rows", (x,)

    @expected("spread-values")
    def spread_values(x, parameters):
        return ((x - x.mean(1, keepdims=True)) ** 2).mean(1)

The first cases that are drawn are taken. Without ``expected`` it is what the solution returns. The
file never leaves the instructor.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from etude_course.cases.case import Case, Raises
from etude_course.errors import CourseError
from etude_course.source.parameters import number

__all__ = ["Case", "Raises", "cases", "expected"]

Draw = Callable[[np.random.Generator, dict[str, Any]], Iterable[tuple[str, tuple[Any, ...]]]]


@dataclass
class Checks:
    """What a checks.py has, by the id of the check."""

    draws: dict[str, Draw] = field(default_factory=dict)
    oracles: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def draw(self, id_: str, seed: int, parameters: dict[str, Any], count: int, hidden: bool
             ) -> list[Case]:
        """``count`` cases of a check. CourseError if there are fewer, or two of one name."""
        rng = np.random.default_rng(seed)
        found = []
        for name, args in islice(self.draws[id_](rng, dict(parameters)), count):
            if type(args) is not tuple:
                raise CourseError(f"checks.py: a case of {id_!r} is a name and a tuple of "
                                  f"arguments; {name!r} has {type(args).__name__}")
            found.append(Case(str(name), args, hidden=hidden))
        if len(found) < count:
            raise CourseError(f"checks.py: {id_!r} declares {count} cases and draws {len(found)}")
        return _numbered(found)


def _numbered(found: list[Case]) -> list[Case]:
    """The cases, with a number behind the name where several have the same."""
    names = [c.name for c in found]
    seen: dict[str, int] = {}
    made = []
    for case in found:
        seen[case.name] = seen.get(case.name, 0) + 1
        several = names.count(case.name) > 1
        name = f"{case.name} ({seen[case.name]})" if several else case.name
        made.append(Case(name, case.args, case.expected, case.hidden))
    return made


_loading: ContextVar[Checks] = ContextVar("checks")


def cases(id_: str) -> Callable[[Draw], Draw]:
    """Decorator: this function draws the cases of a check, from a random generator."""
    def mark(function: Draw) -> Draw:
        _enter(_loading.get().draws, id_, function, "draw the cases")
        return function

    return mark


def expected(id_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: this function computes what is expected of the arguments of a case."""
    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        _enter(_loading.get().oracles, id_, function, "say what is expected")
        return function

    return mark


def _enter(into: dict[str, Any], id_: str, function: Any, what: str) -> None:
    if id_ in into:
        raise CourseError(f"checks.py: two functions {what} of {id_!r}")
    into[id_] = function


def load(path: Path) -> Checks:
    """Run a checks.py. CourseError for one that fails."""
    found = Checks()
    token = _loading.set(found)
    try:
        module_of(path, f"etude_course_checks_{number(str(path.absolute())):x}")
    finally:
        _loading.reset(token)
    return found


def module_of(path: Path, name: str) -> Any:
    """A Python file of the instructor's, run in this process."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except CourseError:
        raise
    except Exception as error:
        raise CourseError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module
