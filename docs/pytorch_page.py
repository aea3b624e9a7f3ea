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
from etude.functional import BY_HAND, CASTS
from op_pages import page

_DATA = tomllib.loads(Path(__file__).with_name("from_pytorch.toml").read_text(encoding="ascii"))
ROWS = _DATA["difference"]
COUNTERPARTS = _DATA["counterparts"]
FURTHER = _DATA["names"]
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


def initialisation():
    """"nn.init.normal_" -> function: all that write into a tensor, and so end in an underscore."""
    return {f"nn.init.{n}": getattr(nn.init, n) for n in dir(nn.init)
            if n.endswith("_") and not n.startswith("_")}


def optimisers():
    """"optim.Adam" -> class or function."""
    return {f"optim.{n}": getattr(optim, n) for n in optim.__all__ if callable(getattr(optim, n))}


SECTIONS = {"Functions": functions, "Methods of Tensor": methods, "Layers": layers,
            "Initialisation": initialisation, "Optimisers and schedules": optimisers}


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


def names():
    """Name of a function -> all that PyTorch calls it, "torch.softmax" among them."""
    return {name: [n for n in (counterpart(name, thing), *FURTHER.get(name, ())) if n]
            for name, thing in functions().items()}


def parameters(name, thing):
    """Its parameters under the names that PyTorch has for them, which it takes as well."""
    found = list(inspect.signature(thing).parameters.values())
    if name in TABLE and name not in BY_HAND:  # help() shows the names that the formula has
        theirs = {own: other for other, own in TABLE[name].also.items()}
        found = [p.replace(name=theirs.get(p.name, p.name)) for p in found]
        if name in CASTS:
            found.append(inspect.Parameter("dtype", inspect.Parameter.KEYWORD_ONLY, default=None))
    return found


def rows(name):
    """The rows of the table that speak of this name."""
    return [row for row in ROWS if any(fnmatchcase(name, of) for of in _listed(row["of"]))]


def _listed(value):
    return [value] if isinstance(value, str) else value


# ---------------------------------------------------------------------------- the page


def tables():
    """The rows that hold everywhere, then a table for each section, as text of a page."""
    everywhere = "\n".join(f"- {_sentence(row)}" for row in ROWS if row["of"] == "*")
    operators = "\n".join(f"- {_sentence(row)}" for row in ROWS
                          if all(of.startswith("Tensor.__") for of in _listed(row["of"])))
    parts = [everywhere]
    for title, find in SECTIONS.items():
        parts.append(f"## {title}\n\n{_table(find())}")
        if title == "Methods of Tensor":
            parts.append(f"Of indexing and operators:\n\n{operators}")
    parts.append(f"## Names that Etude has once\n\n{_further_names()}")
    return "\n\n".join(parts) + "\n"


def _table(things):
    lines = ["{.pytorch}", "| Etude | PyTorch | what differs |", "| --- | --- | --- |"]
    for name, thing in things.items():
        theirs = counterpart(name, thing)
        said = " ".join(_sentence(row) for row in rows(name) if row["of"] != "*")
        if not said:
            said = "the same" if theirs else "Etude's own"
        short = theirs.replace("torch.nn.functional.", "F.")
        lines.append(f"| {_linked(name, thing)} | {f'`{short}`' if short else ''} | {said} |")
    return "\n".join(lines)


def _further_names():
    lines = ["| Etude | PyTorch |", "| --- | --- |"]
    for name, theirs in sorted(FURTHER.items()):
        lines.append(f"| `{name}` | {', '.join(f'`{n}`' for n in theirs)} |")
    return "\n".join(lines)


def _linked(name, thing):
    """A call as help() shows it, without types; the name leads to the page of the op."""
    call = f"`{_shown(name, thing)}`"
    if name in TABLE:
        return f"[{call}](ops/{page(TABLE[name].family)}.md#op-{name.replace('_', '-')})"
    return call


def _shown(name, thing):
    words = []
    for p in parameters(name, thing):
        if p.kind is p.KEYWORD_ONLY and "*" not in "".join(words):
            words.append("*")
        if p.kind is p.VAR_KEYWORD:  # there for the name of what the star takes
            continue
        default = getattr(p.default, "name", repr(p.default))  # float32, not dtype('float32')
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
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
