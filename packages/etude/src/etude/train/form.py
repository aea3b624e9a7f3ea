"""What JSON from a file must look like, written as data: ``checked(value, form)``.

A checksum says that a file is as it was written, not that the right thing was written. A form is

    int, float, str, dict, list    a value of that type; an integer, which has 64 bits and a sign,
                                   is a float too, a bool is neither
    object                         anything
    np.ndarray                     an array, which a checkpoint keeps beside its JSON
    None                           null
    {"seed": int}                  a dict with exactly these keys, each of its form
    [form]                         a list, each entry of that form
    Each(form)                     a dict with any keys, each value of that form
    (form, form)                   one of these
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NAMES = {int: "an integer", float: "a number", str: "a text", dict: "a table", list: "a list",
         None: "null", np.ndarray: "an array"}


@dataclass(frozen=True)
class Each:
    """A dict whose values are all of one form."""

    form: Any


def checked(value: Any, form: Any, where: str) -> None:
    """ValueError for the first place in ``value``, which is called ``where``, that is not of
    ``form``.
    """
    if isinstance(form, tuple):
        _one_of(value, form, where)
    elif isinstance(form, Each):
        _typed(value, dict, where)
        for key, part in value.items():
            checked(part, form.form, f"{where}.{key}")
    elif isinstance(form, dict):
        _typed(value, dict, where)
        missing, strange = form.keys() - value.keys(), value.keys() - form.keys()
        if missing:
            raise ValueError(f"{where} has no {sorted(missing)[0]!r}")
        if strange:
            raise ValueError(f"{where} has {sorted(strange)[0]!r}, which nothing reads")
        for key, part in form.items():
            checked(value[key], part, f"{where}.{key}")
    elif isinstance(form, list):
        _typed(value, list, where)
        for i, part in enumerate(value):
            checked(part, form[0], f"{where}[{i}]")
    else:
        _typed(value, form, where)


def _one_of(value: Any, forms: tuple[Any, ...], where: str) -> None:
    """A value that is not null is held against the last form, whose words say what is wrong."""
    for form in forms[:-1]:
        try:
            return checked(value, form, where)
        except ValueError:
            continue
    checked(value, forms[-1], where)


def _typed(value: Any, wanted: Any, where: str) -> None:
    if wanted is None:
        fits = value is None
    elif wanted in (int, float):
        fits = isinstance(value, (int, wanted)) and not isinstance(value, bool)
        if fits and isinstance(value, int):
            fits = abs(value) < 2**64  # seeds reach as far; much larger ones are no floats
    else:
        fits = isinstance(value, wanted)
    if not fits:
        shown = repr(value)
        raise ValueError(f"{where} must be {NAMES[wanted]}, and is "
                         f"{shown if len(shown) <= 60 else type(value).__name__}")
