"""Settings in TOML: values checked against types and ranges, and written back.

``setting`` makes a field of a dataclass, with a sentence about it and its range. ``read`` makes the
dataclass from a TOML table. ``checked`` holds a value against an annotation, for example of an
argument of the function that makes a model. ``dump`` writes TOML, which ``tomllib`` can only read.
Every error names the setting by its full path, such as ``training.epochs``.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


class ConfigError(ValueError):
    """A setting that is unknown, of another type, or out of range; or a file that is no TOML."""


def setting(default: Any, about: str, least: float | None = None, most: float | None = None,
            choices: tuple[str, ...] = (), above: float | None = None) -> Any:
    """The field of a dataclass: its default, a sentence for people, and what it may be."""
    return dataclasses.field(default=default, metadata={
        "about": about, "least": least, "most": most, "choices": choices, "above": above})


def read(cls: type[T], section: str, table: Any) -> T:
    """An instance of the dataclass from a TOML table. A field called ``options``, a dict, takes
    what no other field does. Raises ConfigError.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{section} must be a table, [{section}], got {table!r}")
    kinds = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for key, value in table.items():
        path = f"{section}.{key}"
        if key in fields and key != "options":
            found[key] = checked(path, value, kinds[key])
            _check_range(path, found[key], fields[key].metadata)
        elif "options" in fields:
            found.setdefault("options", {})[key] = value
        else:
            raise ConfigError(unknown(path, "setting", key, fields))
    return cls(**found)


def _check_range(path: str, value: Any, metadata: Mapping[str, Any]) -> None:
    """ConfigError if ``value`` is not what ``setting`` allows. None is always allowed here."""
    least = metadata.get("least")
    most = metadata.get("most")
    choices = metadata.get("choices")
    if choices and value not in choices:
        raise ConfigError(f"{path} must be one of {_listed(choices)}, got {value!r}")
    bound = metadata.get("above")
    if bound is not None and value is not None and not value > bound:
        raise ConfigError(f"{path} must be > {bound}, got {value!r}; leave it out for none")
    below = least is not None and value is not None and not value >= least
    above = most is not None and value is not None and not value <= most
    if below or above:
        allowed = f">= {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{path} must be {allowed}, got {value!r}")


def checked(path: str, value: Any, kind: Any) -> Any:
    """``value`` as the annotation ``kind`` has it: where a float is wanted an integer becomes one,
    and a list becomes a tuple. Raises ConfigError.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()  # a number of NumPy's: TOML, JSON and optimisers take Python's
    if kind in (Any, inspect.Parameter.empty):
        return value
    kinds = typing.get_args(kind) if _is_union(kind) else (kind,)
    if type(value) in kinds:  # an integer stays one where both are allowed
        return value
    for one in kinds:
        try:
            return _as(path, value, one)
        except ConfigError:
            continue
    raise ConfigError(f"{path} must be {_words(kind)}, got {value!r}")


def _as(path: str, value: Any, kind: Any) -> Any:
    """``value`` as one kind, which is no union. ConfigError if it is not; ``checked`` words it."""
    if typing.get_origin(kind) in (tuple, list):
        return _as_sequence(path, value, typing.get_args(kind))
    if isinstance(value, bool) and kind is not bool:  # True is an int to Python, not to TOML
        raise ConfigError(path)
    if kind is float and isinstance(value, int):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise ConfigError(path)


def _as_sequence(path: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list as a tuple. ``kinds`` are one kind for all elements, or one for each."""
    if not isinstance(value, (list, tuple)):
        raise ConfigError(path)
    if Ellipsis in kinds or len(kinds) == 1:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ConfigError(path)
    return tuple(checked(f"{path}[{i}]", v, k) for i, (v, k) in enumerate(zip(value, kinds)))


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _words(kind: Any) -> str:
    """An annotation in words, for an error: "an integer", "a list, each a number"."""
    inner = typing.get_args(kind)
    if _is_union(kind):
        return " or ".join(dict.fromkeys(_words(k) for k in inner if k is not type(None)))
    if typing.get_origin(kind) in (tuple, list):
        some = "a list" if Ellipsis in inner or len(inner) == 1 else f"a list of {len(inner)}"
        return f"{some}, each {_words(inner[0])}"
    return WORDS.get(kind, "text")


# ------------------------------------------------------------------ names, and arguments by name


def unknown(path: str, what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not among ``known``."""
    names = list(known)
    folded = {n.casefold(): n for n in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
    return f"{path}: there is no {what} {name!r}.{hint} There are: {', '.join(names) or 'none'}"


def chosen(path: str, what: str, name: str, table: Mapping[str, T]) -> T:
    """``table[name]``, or a ConfigError that lists what there is."""
    if name not in table:
        raise ConfigError(unknown(path, what, name, table))
    return table[name]


def parameters(make: Callable[..., Any], skip: int = 0) -> dict[str, Any]:
    """Name -> annotation of what ``make``, a function or class, takes after ``skip`` arguments."""
    function = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    kinds = typing.get_type_hints(function)
    names = list(inspect.signature(make).parameters)[skip:]
    return {name: kinds.get(name, Any) for name in names}


def arguments(section: str, make: Callable[..., Any], options: Mapping[str, Any],
              skip: int = 0) -> dict[str, Any]:
    """``options`` as keyword arguments of ``make``. ConfigError for a name it does not take, or a
    value of another type.
    """
    kinds = parameters(make, skip)
    for name in options:
        if name not in kinds:
            raise ConfigError(unknown(f"{section}.{name}", "setting", name, ["name", *kinds]))
    return {name: checked(f"{section}.{name}", value, kinds[name])
            for name, value in options.items()}


def missing(make: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
    """The arguments that ``make`` needs and that are not given."""
    return [p.name for p in inspect.signature(make).parameters.values()
            if p.default is p.empty and p.name not in given]


# ------------------------------------------------------------------ writing


def dump(document: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """TOML of a dict of tables. ``comments`` has sentences by path. None is left out: TOML has
    no such value.
    """
    lines: list[str] = []
    _table("", document, comments or {}, lines)
    return "\n".join(lines).strip("\n") + "\n"


def _table(path: str, table: Mapping[str, Any], comments: Mapping[str, str],
           lines: list[str]) -> None:
    """Add the lines of a table, and after them those of the tables inside it."""
    inner = {k: v for k, v in table.items() if isinstance(v, Mapping)}
    only_tables = bool(inner) and len(inner) == len(table)  # these need no head of their own
    if path and not only_tables:
        lines += ["", f"[{path}]"]
        lines += [f"# {line}" for line in comments.get(path, "").splitlines()]
    for key, value in table.items():
        if key in inner or value is None:
            continue
        line = f"{_key(key)} = {_value(value)}"
        about = comments.get(f"{path}.{key}")
        lines.append(f"{line}  # {about}" if about else line)
    for key, value in inner.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        _table(name, value, comments, lines)


def _key(key: str) -> str:
    """A key as TOML writes it: bare where that is allowed, else quoted."""
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"TOML has no form for {type(value).__name__}: {value!r}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
