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

_DATA = tomllib.loads(Path(__file__).with_name("from_pytorch.toml").read_text(encoding="ascii"))
ROWS = _DATA["difference"]
COUNTERPARTS = _DATA["counterparts"]
FUNCTIONAL = set(_DATA["functional"])
KINDS = ("lacks", "adds", "default", "order", "dtypes", "says")
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
    text = [_everywhere()]
    for title, find in SECTIONS.items():
        text.append(f"## {title}\n\n" + _table(find()))
    return "\n\n".join(text) + "\n"


def _everywhere():
    lines = [f"- {_missing(row)}{row['why']}" for row in ROWS if row["of"] == "*"]
    return "\n".join(lines)


def _table(things):
    lines = ["| Etude | PyTorch | |", "| --- | --- | --- |"]
    for name, thing in things.items():
        theirs = counterpart(name, thing)
        said = " ".join(_sentence(row) for row in rows(name) if row["of"] != "*")
        if not said:
            said = "the same" if theirs else "Etude's own"
        lines.append(f"| `{_shown(name, thing)}` | {f'`{theirs}`' if theirs else ''} | {said} |")
    return "\n".join(lines)


def _shown(name, thing):
    """A call as help() shows it, without types."""
    signature = inspect.signature(thing)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()
            if p.name != "self" or not name.startswith("Tensor.")]
    return name + str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _sentence(row):
    return _missing(row) + row["why"]


def _missing(row):
    """What a row is about, in front of its reason."""
    for kind, word in (("lacks", "No "), ("adds", "Also "), ("default", "Another default of "),
                       ("order", "Another place for ")):
        if kind in row:
            return word + ", ".join(f"`{p}`" for p in row[kind]) + ": "
    return ""
