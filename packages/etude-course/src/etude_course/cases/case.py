"""A case: the arguments of one call, and what should come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from etude_check.worker.values import from_plain, to_plain


@dataclass(frozen=True)
class Raises:
    """Expected instead of a value: an exception of this class or of one made from it.

    NotImplementedError is what an unfinished answer raises, so it is never what was expected.
    """

    exception: str

    def __post_init__(self) -> None:
        if not self.exception.isidentifier() or self.exception in VAGUE:
            raise ValueError(f"Raises names one class of exceptions, such as 'ValueError'; "
                             f"{self.exception!r} says nothing: an empty answer raises it too")


VAGUE = ("BaseException", "Exception", "NotImplementedError", "RuntimeError", "object")


@dataclass(frozen=True)
class Case:
    """``expected`` is a plain value, or Raises; None until somebody has computed it."""

    name: str
    args: tuple[Any, ...]
    expected: Any = None
    hidden: bool = False

    @property
    def size(self) -> int:
        """How much there is to read, for the smallest failing case to be shown."""
        return sum(extent(a) for a in self.args)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "args": [to_plain(a) for a in self.args],
                "expected": expected_to_json(self.expected)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Case:
        return cls(document["name"], tuple([from_plain(a) for a in document["args"]]),
                   expected_from_json(document["expected"]))


def expected_to_json(value: Any) -> Any:
    return {"raises": value.exception} if isinstance(value, Raises) else to_plain(value)


def expected_from_json(document: Any) -> Any:
    if isinstance(document, dict) and "raises" in document:
        return Raises(document["raises"])
    return from_plain(document)


def extent(value: Any) -> int:
    """Elements of a plain value."""
    if isinstance(value, np.ndarray):
        return 1 + value.size
    if isinstance(value, (list, tuple)):
        return 1 + sum(extent(v) for v in value)
    if isinstance(value, dict):
        return 1 + sum(extent(v) for v in value.values())
    return len(value) if isinstance(value, str) else 1
