"""What a user gives as an integer, a number or a list of things: taken as Python's, or refused.

NumPy's numbers count as Python's, which JSON and TOML can hold; a bool counts as neither.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from etude.core.errors import ShapeError


def whole(value: Any) -> int | None:
    """``value`` as a Python int if it is an integer of Python or NumPy, or an array without
    dimensions that holds one; None for anything else, bools included.
    """
    if type(value) is int:
        return value
    if isinstance(value, bool):  # Python takes True for 1; as a size it is a mistake
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def integer(what: str, value: Any, least: int, error: type[Exception] = ValueError) -> int:
    """A setting that is an integer from ``least`` on, as a Python int; else raises ``error``."""
    found = whole(value)
    if found is None or found < least:
        raise error(f"{what} must be an integer >= {least}, got {value!r}")
    return found


_INTEGERS = {int}


def plain(op: str, name: str, value: Any) -> Any:
    """An attribute in the form that columns see: NumPy's numbers as Python's, lists and arrays as
    tuples. ShapeError for bools among several values: as sizes they are a mistake.
    """
    if type(value) is tuple and set(map(type, value)) == _INTEGERS:
        return value  # as most are, and cost little
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return value
    if any(isinstance(v, (bool, np.bool_)) for v in value):
        raise ShapeError(f"{op}: {name} is made of integers, and a bool is none; got {value!r}")
    return tuple([plain(op, name, v) for v in value])


def real(what: str, value: Any) -> float:
    """One number as a Python float: of Python, of NumPy, or in a Tensor or array of one element,
    which keeps no graph alive. TypeError for a bool, text, or several numbers.
    """
    found = value
    if hasattr(value, "item") and math.prod(value.shape) == 1:
        found = value.item()
    if isinstance(found, bool) or not isinstance(found, Real):
        raise TypeError(f"{what} must be a number, got {value!r}{_without_quotes(found)}")
    return float(found)


def _without_quotes(value: Any) -> str:
    """The end of a sentence about a number that was given as a text."""
    try:
        float(value)
    except (TypeError, ValueError):
        return ""
    return f"; write {value}, without quotes" if isinstance(value, str) else ""


def eps_of(what: str, eps: Any) -> float:
    """What is added to a variance, as a Python float. ValueError below 0, where roots are NaN."""
    found = real(f"{what}: eps", eps)
    if not found >= 0:
        raise ValueError(f"{what}: eps must be >= 0, because a root is taken of what it is added "
                         f"to; got {eps!r}")
    return found


def in_order(what: str, given: Any) -> list[Any]:
    """``given`` as a list. TypeError for a set, whose order differs from run to run, and a dict."""
    if isinstance(given, (set, frozenset)):
        raise TypeError(f"{what}: needs an order, and a set has another one in each run; give a "
                        f"list")
    if not isinstance(given, Iterable) and hasattr(given, "__name__"):
        raise TypeError(f"{what}: got {given.__name__} itself and not what it returns; write "
                        f"{given.__name__}(), with brackets")
    if not isinstance(given, Iterable):
        raise TypeError(f"{what}: give a list, got {given!r}")
    if isinstance(given, Mapping):
        raise TypeError(f"{what}: got a dict; give a list of its values, such as "
                        f"list(d.values())")
    return list(given)
