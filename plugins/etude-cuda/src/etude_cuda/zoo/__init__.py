"""The zoo of GPU mistakes: small CUDA programs, and what the lab must say about each.

An animal is a CUDA file beside this one, a whole program of a screenful. Most are wrong in
one way: comments ``// EXPECT kind [scope]`` stand at the lines where the lab must find it, and the
same text with ``FIXED`` defined is the twin, which is right. A file without either is right and
looks wrong. Nothing here runs them; ``score.py`` does. The kit's zoo of wrong kernels, in
``etude_check.zoo``, is another one: there the answers are wrong, here the way to them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
PUBLISHED = HERE / "gpu_score.json"
EXPECT = re.compile(r"// EXPECT ([a-z-]+)(?: (block|warp|grid|streams))?$")
CONDITION = re.compile(r"\s*#\s*(if|ifdef|ifndef|else|elif|endif)\b\s*(\w*)")


@dataclass(frozen=True)
class Expected:
    """A finding that must come: its kind, a line it names, and for some races how far apart the two
    threads are ("" where it may be either).
    """

    line: int
    kind: str
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.kind}{' in a ' + self.scope if self.scope else ''} at line {self.line}"


@dataclass(frozen=True)
class Animal:
    """One file of the zoo."""

    path: Path

    @property
    def name(self) -> str:
        """As it is called on the command line."""
        return self.path.stem

    @cached_property
    def source(self) -> str:
        """The text, with both variants in it."""
        return self.path.read_text()

    @property
    def about(self) -> str:
        """The comment at its head."""
        head = re.match(r"(?://.*\n)+", self.source)
        return " ".join(re.sub(r"^//", "", head[0], flags=re.M).split()) if head else ""

    @cached_property
    def expected(self) -> tuple[Expected, ...]:
        """What must be found in the wrong variant; () for a program that is right."""
        return expectations(self.source)

    @property
    def innocent(self) -> bool:
        """Whether it only looks wrong."""
        return not self.expected

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of what must be found."""
        return tuple(dict.fromkeys(e.kind for e in self.expected))


def expectations(text: str) -> tuple[Expected, ...]:
    """The comments EXPECT of a program; not those in the part that only the twin has."""
    found, inside = [], []  # the conditions around a line: whether the wrong variant sees it
    for number, line in enumerate(text.split("\n"), 1):
        word = CONDITION.match(line)
        if word and word[1] in ("if", "ifdef", "ifndef"):
            inside.append((word[1], word[2]) != ("ifdef", "FIXED"))
        elif word and word[1] == "endif":
            inside.pop()
        elif word and word[1] == "else":
            inside[-1] = not inside[-1]
        elif (mark := EXPECT.search(line)) and all(inside):
            found.append(Expected(number, mark[1], mark[2] or ""))
    return tuple(found)


def animals() -> dict[str, Animal]:
    """Every animal by its name."""
    return {path.stem: Animal(path) for path in sorted(HERE.glob("*.cu"))}


def published() -> str:
    """The rates of the run whose JSON lies beside this file: ``etude zoo run --gpu --json
    gpu_score.json``.
    """
    score = json.loads(PUBLISHED.read_text())
    return f"{score['sentence']}, on {score['date']}"
