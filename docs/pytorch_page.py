"""Writes the tables of the page "Coming from PyTorch": a row for each public name.

The names are read from the packages, and what differs from ``from_pytorch.toml``, which tests/torch
holds against PyTorch. Nothing here needs PyTorch.
"""

import inspect
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import etude
from etude import nn, optim
from etude.core.table import TABLE

_DATA = tomllib.loads(Path(__file__).with_name("from_pytorch.toml").read_text(encoding="ascii"))
ROWS = _DATA["difference"]
COUNTERPARTS = _DATA["counterparts"]
FUNCTIONAL = set(_DATA["functional"])
KINDS = ("lacks", "adds", "default", "order", "dtypes", "says", "shows")
#: Files of core whose functions make tensors; they are public as ``etude.zeros`` and so on.
MAKING = ("etude.core.creation", "etude.core.tensor", "etude.core.random")


# ---------------------------------------------------------------------------- what there is


def functions():
    """Name -> public function of Tensors, and those that make tensors."""
    found = {name: getattr(etude.functional, name) for name in etude.functional.__all__}
    for name in etude.__all__:
        thing = getattr(etude, name)
        if inspect.isfunction(thing) and thing.__module__ in MAKING:
            found[name] = thing
    return dict(sorted(found.items()))


def methods():
    """"Tensor.to" -> method, for those that are not a function of the same name as well."""
    found = {}
    for name, thing in sorted(vars(etude.Tensor).items()):
        public = inspect.isfunction(thing) and not name.startswith("_")
        if public and thing is not getattr(etude.functional, name, None):
            found[f"Tensor.{name}"] = thing
    return found


def layers():
    """"nn.Linear" -> class."""
    return {f"nn.{n}": getattr(nn, n) for n in nn.__all__ if inspect.isclass(getattr(nn, n))}


def optimisers():
    """"optim.Adam" -> class or function."""
    return {f"optim.{n}": getattr(optim, n) for n in optim.__all__ if callable(getattr(optim, n))}


SECTIONS = {"Functions": functions, "Methods of Tensor": methods, "Layers": layers,
            "Optimisers and schedules": optimisers}


def counterpart(name, thing):
    """What PyTorch calls it: "torch.nn.functional.relu"; "" if it has nothing of the kind."""
    if name in COUNTERPARTS:
        return COUNTERPARTS[name]
    if name in FUNCTIONAL:
        return f"torch.nn.functional.{name}"
    bare = name.removeprefix("optim.")
    if bare.startswith("clip_"):
        return f"torch.nn.utils.{bare}"
    if inspect.isclass(thing) and issubclass(thing, optim.Scheduler):
        return f"torch.optim.lr_scheduler.{bare}"
    return f"torch.{name}"


def rows(name):
    """The rows of the table that speak of this name."""
    return [row for row in ROWS if any(fnmatchcase(name, of) for of in _listed(row["of"]))]


def _listed(value):
    return [value] if isinstance(value, str) else value


# ---------------------------------------------------------------------------- the page


def tables():
    """The rows that hold everywhere, then a table for each section, as text of a page."""
    everywhere = "\n".join(f"- {_sentence(row)}" for row in ROWS if row["of"] == "*")
    return "\n\n".join([everywhere, *(f"## {title}\n\n{_table(find())}"
                                     for title, find in SECTIONS.items())]) + "\n"


def _table(things):
    lines = ["| Etude | PyTorch | what differs |", "| --- | --- | --- |"]
    for name, thing in things.items():
        theirs = counterpart(name, thing)
        said = " ".join(_sentence(row) for row in rows(name) if row["of"] != "*")
        if not said:
            said = "the same" if theirs else "Etude's own"
        lines.append(f"| {_linked(name, thing)} | {f'`{theirs}`' if theirs else ''} | {said} |")
    return "\n".join(lines)


def _linked(name, thing):
    """A call as help() shows it, without types; the name leads to the page of the op."""
    call = f"`{_shown(name, thing)}`"
    if name in TABLE:
        return f"[{call}](ops/{TABLE[name].family}.md#op-{name.replace('_', '-')})"
    return call


def _shown(name, thing):
    words = []
    for p in inspect.signature(thing).parameters.values():
        default = getattr(p.default, "name", repr(p.default))  # float32, not dtype('float32')
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        words.append(star + p.name + ("" if p.default is p.empty else f"={default}"))
    if name.startswith("Tensor."):
        return f"x.{name.removeprefix('Tensor.')}({', '.join(words[1:])})"
    return f"{name}({', '.join(words)})"


def _sentence(row):
    """What a row is about, then its reason."""
    for kind, words in (("lacks", "No"), ("adds", "Also"), ("default", "Another default of"),
                        ("order", "Another place for")):
        if kind in row:
            return f"{words} {', '.join(f'`{p}`' for p in row[kind])}: {row['why']}"
    return row["why"][0].upper() + row["why"][1:]
