"""PyTorch's forms of call: the parameters of its functions, methods and classes, as it states them.

Those written in Python have a signature; of those in C++ the schemas of all overloads are read.
``differences`` holds a signature of Etude against them.
"""

import inspect
import operator
import re
import typing
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

EMPTY = inspect.Parameter.empty
#: What PyTorch's schemas have for its own use, and its documentation does not know.
UNDOCUMENTED = {"implicit"}
#: Whose schema leaves out what the documentation has.
DOCUMENTED = {"size"}


class Parameter(NamedTuple):
    name: str
    default: Any = EMPTY
    by_keyword: bool = False  # and not by position


class Form(NamedTuple):
    """One way to call a function of PyTorch."""

    function: Any
    parameters: tuple[Parameter, ...]

    @property
    def names(self):
        return [p.name for p in self.parameters]


def functions(name):
    """PyTorch's public functions of that name: of torch.nn.functional, of torch, of both."""
    return [getattr(lib, name) for lib in (F, torch) if callable(getattr(lib, name, None))]


@cache
def forms(where):
    """The forms of ``torch.softmax``, ``torch.nn.functional.relu``, ``torch.Tensor.abs``, ..."""
    home, _, name = where.rpartition(".")
    lib = operator.attrgetter(home)(SimpleNamespace(torch=torch))
    thing = getattr(lib, name)
    if inspect.isclass(thing):
        return [Form(thing, form) for form in _of_class(thing)]
    method = lib is torch.Tensor
    function = as_function(lib, name) if method else thing
    python = inspect.unwrap(thing)
    if inspect.isfunction(python):
        found = [of_signature(python)]
        if [p.name for p in found[0]] == ["*"]:
            one_of_two = getattr(lib, f"_{name}", None)  # which, an argument says
            found = [of_signature(inspect.unwrap(one_of_two))] if one_of_two else _documented(
                thing, method)
    else:
        first = "self" if method else "input"
        found = ([] if name in DOCUMENTED else _overloads(name, first)) or _documented(
            thing, method)
        found = [form for form in found if not method or form[0].name == "self"]
    return [Form(function, form) for form in found]


def as_function(cls, name):
    """A method, or a property, as a function of the object."""
    if callable(getattr(cls, name)):
        return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)
    return lambda self: getattr(self, name)


def of_signature(function):
    """The parameters of a function or class in Python, but for private ones."""
    return plain(inspect.signature(function).parameters.values())


def plain(parameters):
    """The same of inspect's parameters. "*" stands for all that follow, whatever their name, since
    nobody writes that; where there are two stars the name may be written.
    """
    named = any(p.kind is p.VAR_KEYWORD for p in parameters)
    found = []
    for p in parameters:
        open_ended = p.kind is p.VAR_POSITIONAL and (p.name == "args" or not named)
        name = "*" if open_ended else p.name
        if not name.startswith("_") and p.kind is not p.VAR_KEYWORD:
            found.append(Parameter(name, p.default, p.kind is p.KEYWORD_ONLY))
    return tuple(found)


def _of_class(cls):
    """The parameters of its constructor, or of the overloads that are stated for it."""
    made = cls.__init__
    overloads = typing.get_overloads(made) if inspect.isfunction(made) else []
    stated = [of_signature(f)[1:] for f in overloads]
    return [form for form in stated if form[0].name != "*"] or [of_signature(cls)]


def _overloads(name, first):
    """The parameters in each overload of a function in C++, but for the one with names of axes."""
    found = []
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        full = schema.name + (f".{schema.overload_name}" if schema.overload_name else "")
        if not torch._C._dispatch_has_kernel(full):
            continue  # one of TorchScript's own, for plain numbers
        form = []
        for a in schema.arguments:
            if a.name in UNDOCUMENTED:
                continue
            default = a.default_value if a.has_default_value() else EMPTY
            form.append(Parameter(first if a.name == "self" else a.name, default, a.kwarg_only))
        named_axes = {"names", "dimname"} & set(re.split("[_A-Z]", schema.overload_name.lower()))
        makes = name != "to" and any(p.name == "pin_memory" for p in form)
        if makes:  # a new tensor: Python adds this parameter
            form.append(Parameter("requires_grad", False, True))
        if not named_axes and not any(a.is_out for a in schema.arguments):
            found.append(tuple(form))
    return found


def _documented(thing, method):
    """The parameters in the first line of the documentation, for want of anything better."""
    shown = re.match(r"\s*\w+\((.*)\)", thing.__doc__ or "")
    try:
        made = eval(f"lambda {shown[1]}: 0", {"torch": torch})
    except (SyntaxError, TypeError):
        return []
    return [((Parameter("self"),) if method else ()) + of_signature(made)]


# ---------------------------------------------------------------------------- beside Etude


def differences(mine, theirs):
    """What differs between a signature of Etude and the forms of its counterpart.

    A set of ("lacks", parameter), ("adds", parameter), ("default", parameter) and
    ("order", parameter): one that stands at no position it has in PyTorch.
    """
    found = set()
    have = {p.name: p for p in mine}
    known = {p.name for form in theirs for p in form.parameters}
    found |= {("adds", name) for name in have if name not in known and name != "*"}
    found |= {("lacks", name) for name in known - {"*"} if name not in have}
    places = {p.name: i for i, p in enumerate(mine) if not p.by_keyword}
    placed = {}  # name -> where it stands in the forms; None: by keyword
    for form in theirs:
        for i, p in enumerate(form.parameters):
            placed.setdefault(p.name, set()).add(None if p.by_keyword else i)
    found |= {("order", name) for name in have.keys() & placed.keys()
              if places.get(name) not in placed[name] and placed[name] != {None}}
    for name in have.keys() & known - {"*"}:
        defaults = [_plain(p.default) for form in theirs for p in form.parameters
                    if p.name == name]
        ours = _plain(have[name].default)
        optional = ours in (None, False) and (
            any(name not in form.names for form in theirs) or len(placed[name]) > 1)
        if ours not in defaults and not optional:
            found.add(("default", name))
    return found


def _plain(value):
    """A default so that one value has one spelling."""
    if isinstance(value, (tuple, list)) and len(set(value)) <= 1:
        value = value[0] if value else None  # (1, 1) for height and width is 1
    if isinstance(value, np.dtype):
        value = value.name
    return None if value in ("float32", "cpu") else value  # both stand where PyTorch has None
