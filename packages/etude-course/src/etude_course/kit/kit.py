"""The kit of an assignment: starters, visible cases and what is expected, fingerprints of mistakes.

One JSON file, made by ``etude course build`` and installed with the package. A fingerprint is what
the solution with a mistake in it answers on the visible cases: enough to recognise the mistake in
an answer, and nothing of its text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from etude.core.errors import did_you_mean
from etude_check.worker.values import from_plain, to_plain
from etude_course.cases.case import Case
from etude_course.errors import CourseError
from etude_course.source.assignment import Assignment, Check, of_document

SCHEMA = 1
RIGHT = "right"
VARIES = "varies"  # a wrong value that is another one each time: it was read where nothing lies
ASSIGNED = "assigned"  # the folder of package data


@dataclass(frozen=True)
class Answer:
    """What came of one call, in a fingerprint: a plain value, or how it ended ("raised ValueError",
    "timeout"). Where a mistake does not show, "right" stands for the value.
    """

    value: Any = None
    ended: str = ""

    def to_json(self) -> Any:
        return {"ended": self.ended} if self.ended else {"value": to_plain(self.value)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Answer:
        if "ended" in document:
            return cls(ended=document["ended"])
        return cls(from_plain(document["value"]))


@dataclass(frozen=True)
class Fingerprint:
    """A mistake, in a sentence, and what an answer that makes it returns, case by case."""

    mistake: str
    answers: tuple[Answer, ...]

    def to_json(self) -> dict[str, Any]:
        return {"mistake": self.mistake, "answers": [a.to_json() for a in self.answers]}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Fingerprint:
        return cls(document["mistake"], tuple(map(Answer.from_json, document["answers"])))


@dataclass(frozen=True)
class Visible:
    """What a student has of one check, for one set of parameters. Of a call ``cases`` are all
    visible ones; of an op they are names of cases of the conformance kit, on which mistakes are
    told apart.
    """

    cases: tuple[Any, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"cases": [c.to_json() if isinstance(c, Case) else c for c in self.cases],
                "fingerprints": [f.to_json() for f in self.fingerprints]}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Visible:
        return cls(tuple([c if isinstance(c, str) else Case.from_json(c)
                          for c in document["cases"]]),
                   tuple(map(Fingerprint.from_json, document["fingerprints"])))


@dataclass(frozen=True)
class Kit:
    """``shown``: check -> what there is of it for each set of parameters, by ``key``."""

    assignment: Assignment
    starters: dict[str, str]
    drivers: str
    handout: str
    shown: dict[str, dict[str, Visible]] = field(repr=False)
    source: str = ""  # digest of the folder that it was made from

    @classmethod
    def read(cls, id_: str) -> Kit:
        """The installed kit of an assignment, by its id. CourseError if there is none."""
        for path in installed():
            if path.stem == id_.lower():
                return cls.load(path)
        known = [p.stem.upper() for p in installed()]
        raise CourseError(f"there is no assignment {id_!r}{did_you_mean(id_.upper(), known)} "
                          f"'etude course list' shows them all")

    @classmethod
    def load(cls, path: Path) -> Kit:
        try:
            return cls.from_json(json.loads(path.read_text()), str(path))
        except OSError as error:
            raise CourseError(f"the kit {path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CourseError(f"{path} is no kit of an assignment: {error}") from None

    def visible(self, check: Check, values: dict[str, Any]) -> Visible:
        return self.shown.get(check.id, {}).get(key(values), Visible())

    @cached_property
    def text(self) -> str:
        """The file: the same bytes for the same kit."""
        return json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "assignment": self.assignment.document,
                "starters": self.starters, "drivers": self.drivers, "handout": self.handout,
                "source": self.source,
                "shown": {id_: _grouped(found) for id_, found in self.shown.items()}}

    @classmethod
    def from_json(cls, document: dict[str, Any], where: str) -> Kit:
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"a JSON object with schema {SCHEMA} is wanted")
        shown = {id_: {k: Visible.from_json(group["visible"]) for group in groups
                       for k in group["parameters"]}
                 for id_, groups in document["shown"].items()}
        return cls(of_document(document["assignment"], where), document["starters"],
                   document["drivers"], document["handout"], shown, document["source"])


def _grouped(found: dict[str, Visible]) -> list[dict[str, Any]]:
    """What is the same for several sets of parameters stands once."""
    groups: list[dict[str, Any]] = []
    for k, visible in found.items():
        made = visible.to_json()
        for group in groups:
            if group["visible"] == made:
                group["parameters"].append(k)
                break
        else:
            groups.append({"parameters": [k], "visible": made})
    return groups


def key(values: dict[str, Any]) -> str:
    """A set of parameters as the key of a dict."""
    return json.dumps(values, sort_keys=True)


def folder() -> Path:
    """Where the kits are that came with the package."""
    return Path(str(resources.files("etude_course"))) / ASSIGNED


def installed() -> list[Path]:
    """Their files, in the order of their numbers."""
    return sorted(folder().glob("*.json"), key=lambda p: (len(p.stem), p.stem))
