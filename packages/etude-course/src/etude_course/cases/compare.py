"""Whether what an answer returned is what was expected. The one place that knows tolerances.

``difference`` finds the first part that is wrong and says what is wrong with it, and
``run/feedback.py`` draws that part. Numbers are held to a tolerance relative to the largest
expected one of their array. NaN is right where NaN is expected, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

TOLERANCES = {"exact": 0.0, "float32": 1e-5, "float64": 1e-12}
LOOSEST = 0.5  # a tolerance of the size of the values themselves would hold nothing


@dataclass(frozen=True)
class Difference:
    """What is wrong. ``path`` is the part of the value, as Python would write it after its name:
    "[1]", "['loss']", or "" for the whole. ``wrong`` marks the elements of an array.
    """

    message: str
    path: str = ""
    expected: Any = None
    got: Any = None
    wrong: Array | None = None


def allowed(tolerance: str | float, expected: Any) -> float:
    """The tolerance as a number; "" is chosen for the dtype of what is expected."""
    if isinstance(tolerance, (int, float)):
        return float(tolerance)
    if tolerance:
        return TOLERANCES[tolerance]
    dtype = np.asarray(expected).dtype
    if dtype.kind != "f":
        return 0.0
    return TOLERANCES["float32" if dtype.itemsize <= 4 else "float64"]


def difference(expected: Any, got: Any, tolerance: str | float = "", path: str = ""
               ) -> Difference | None:
    """The first part of ``got`` that is not as expected; None if there is none."""
    if isinstance(expected, (list, tuple)):
        return _sequence(expected, got, tolerance, path)
    if isinstance(expected, dict):
        return _dict(expected, got, tolerance, path)
    if isinstance(expected, np.ndarray) and expected.ndim:
        return _array(expected, got, tolerance, path)
    if isinstance(expected, (bool, int, float, np.generic, np.ndarray)):
        return _number(expected, got, tolerance, path)
    if type(got) is not type(expected):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    if got != expected:
        return Difference("another value is expected", path, expected, got)
    return None


def _sequence(expected: Any, got: Any, tolerance: str | float, path: str) -> Difference | None:
    if not isinstance(got, (list, tuple)):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    if len(got) != len(expected):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    found = (difference(e, g, tolerance, f"{path}[{i}]")
             for i, (e, g) in enumerate(zip(expected, got, strict=True)))
    return next((d for d in found if d is not None), None)


def _dict(expected: Any, got: Any, tolerance: str | float, path: str) -> Difference | None:
    if not isinstance(got, dict):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    for what, keys in (("is missing", [k for k in expected if k not in got]),
                       ("should not be there", [k for k in got if k not in expected])):
        if keys:
            return Difference(f"the key {keys[0]!r} {what}", path, expected, got)
    found = (difference(e, got[k], tolerance, f"{path}[{k!r}]") for k, e in expected.items())
    return next((d for d in found if d is not None), None)


def _array(expected: Array, got: Any, tolerance: str | float, path: str) -> Difference | None:
    if not isinstance(got, np.ndarray):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    if got.shape != expected.shape:
        return Difference(f"the shape is {list(got.shape)}, expected is {list(expected.shape)}",
                          path, expected, got)
    if got.dtype != expected.dtype:
        return Difference(f"the dtype is {got.dtype.name}, expected is {expected.dtype.name}", path,
                          expected, got)
    wrong = wrong_elements(expected, got, tolerance)
    if not wrong.any():
        return None
    many = int(wrong.sum())
    return Difference(f"{many} of {wrong.size} elements {'is' if many == 1 else 'are'} wrong", path,
                      expected, got, wrong)


def _number(expected: Any, got: Any, tolerance: str | float, path: str) -> Difference | None:
    """A number may be Python's, NumPy's or an array without dimensions. A whole number passes for a
    float; a float for a whole number does not, nor does a number for a bool.
    """
    if not isinstance(got, (bool, int, float, np.generic, np.ndarray)) or np.ndim(got):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    if type(expected) is type(got) is int:  # of any length, which NumPy's are not
        return None if expected == got else Difference("another value is expected", path, expected,
                                                       got)
    one, two = np.asarray(expected), np.asarray(got)
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
    if two.dtype.kind not in kinds.get(one.dtype.kind, ""):
        return Difference(f"{describe(got)} was returned, expected is {describe(expected)}", path,
                          expected, got)
    if wrong_elements(one, two, tolerance).any():
        return Difference("another value is expected", path, expected, got)
    return None


def wrong_elements(expected: Array, got: Array, tolerance: str | float) -> Array:
    """True where an element is not within the tolerance. Both have the same shape."""
    eps = allowed(tolerance, expected)
    if expected.dtype.kind != "f" or eps == 0:
        same = expected == got
        if expected.dtype.kind == "f":
            same |= np.isnan(expected) & np.isnan(got)
        return np.asarray(~np.asarray(same))
    one, two = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(one)
    scale = float(np.abs(one[finite]).max(initial=0.0)) or 1.0
    with np.errstate(all="ignore"):
        near = np.abs(two - one) <= eps * scale
        same = np.where(finite, near, (one == two) | (np.isnan(one) & np.isnan(two)))
    return np.asarray(~same)


def describe(value: Any) -> str:
    """What a value is, in words: "a float32 array of shape [3, 4]", "a list of 2"."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"{_a(value.dtype.name)} array of shape {list(value.shape)}"
    if isinstance(value, np.generic):
        return f"{_a(value.dtype.name)} number"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return _a(type(value).__name__)


def _a(name: str) -> str:
    return f"{'an' if name[:1] in 'aeio' else 'a'} {name}"
