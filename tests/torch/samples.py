"""PyTorch's own samples of how its functions are called, for every function that Etude has too.

PyTorch tests itself on them: its ``op_db`` has an ``OpInfo`` for each function, which draws calls
with all the forms of arguments that the function takes. ``outcomes.py`` calls them in both
frameworks.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from forms import as_function, forms, functions
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_map

import etude

#: Options that PyTorch's samples spell out, at the value that changes nothing.
NEUTRAL = {"memory_format": (torch.preserve_format, torch.contiguous_format),
           "layout": (torch.strided,)}
#: Whose samples have the first two arguments the other way round than the public function.
SWAPPED = {"einsum", "embedding", "where"}
#: Functions whose results are drawn at random.
RANDOM = {"dropout", "rand", "randn"}


# ---------------------------------------------------------------------------- which functions


class Door(NamedTuple):
    """A function or method that both have, with the samples PyTorch has for it."""

    name: str  # as a user writes it: "softmax", or "Tensor.softmax"
    mine: Callable
    infos: tuple  # of OpInfo

    def __str__(self):
        return self.name

    @property
    def bare(self):
        return self.name.removeprefix("Tensor.")

    @property
    def is_method(self):
        return self.name.startswith("Tensor.")


def doors():
    """Every function of ``etude`` and method of ``Tensor`` for which PyTorch has samples."""
    found = []
    for name, infos in sorted(_infos().items()):
        function = getattr(etude, name, None) if name in etude.__all__ else None
        method = getattr(etude.Tensor, name, None)
        if callable(function) and functions(name):
            found.append(Door(name, function, infos))
        if method is not None and method is not function and hasattr(torch.Tensor, name):
            found.append(Door(f"Tensor.{name}", as_function(etude.Tensor, name), infos))
    return found


def _infos():
    """Name -> the OpInfos that have it as a name or an alias, outside torch.special and so on."""
    found = {}
    for info in op_db:
        names = {info.name, *(alias.name for alias in info.aliases)}
        for name in {n.removeprefix("nn.functional.") for n in names}:
            if "." not in name:
                found[name] = (*found.get(name, ()), info)
    return found


# ---------------------------------------------------------------------------- samples


class Call(NamedTuple):
    """A sample as a call of PyTorch's public function or method."""

    door: Door
    function: Callable  # PyTorch's
    args: tuple
    kwargs: dict

    @property
    def large(self):
        """Of so many elements that one form of call has to do."""
        return any(isinstance(a, torch.Tensor) and a.numel() > 100_000 for a in self.args)

    @property
    def random(self):
        """Both frameworks draw numbers of their own, so shapes and dtypes are compared alone."""
        return self.door.bare in RANDOM or self.kwargs.get("dropout_p", 0) > 0

    def __str__(self):
        """The call as one would write it, tensors by dtype and shape."""
        words = [_shown(a) for a in self.args]
        words += [f"{k}={_shown(v)}" for k, v in self.kwargs.items()]
        return f"{self.door}({', '.join(words)})"


def _shown(value):
    if isinstance(value, torch.Tensor):
        return f"{short(value.dtype)}{list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


def calls(door):
    """All of PyTorch's samples, for each of Etude's dtypes that the function knows."""
    for info in door.infos:
        for dtype in (torch.float64, torch.int64, torch.bool):
            if dtype in info.supported_dtypes("cpu"):
                for sample in _samples(info, dtype):
                    kwargs = {k: v for k, v in sample.kwargs.items()
                              if k not in NEUTRAL or v not in NEUTRAL[k]}
                    args, kwargs = _as_leaves(((sample.input, *sample.args), kwargs))
                    yield _call(door, info, args, kwargs)


def _as_leaves(values):
    """Tensors as leaves of their own: some are views made without a record, and get no gradient.

    """
    leaves = {}

    def leaf(value):
        if not isinstance(value, torch.Tensor) or not value.requires_grad:
            return value
        return leaves.setdefault(id(value), value.detach().clone().requires_grad_())

    return tree_map(leaf, values)


def _samples(info, dtype):
    """In float64 the reference inputs too: shapes that broadcast, huge and tiny numbers, inf, NaN.

    For some functions PyTorch can draw those only where no gradient is asked.
    """
    if dtype != torch.float64:
        yield from info.sample_inputs("cpu", dtype)
        return
    grad = info.supports_autograd
    yield from info.sample_inputs("cpu", dtype, requires_grad=grad)
    if info.reference_inputs_func is not None:
        try:
            more = list(info.reference_inputs("cpu", dtype, requires_grad=grad))
        except ValueError:
            more = list(info.reference_inputs("cpu", dtype))
        yield from more


def _call(door, info, args, kwargs):
    if door.is_method:
        return Call(door, as_function(torch.Tensor, door.bare), args, kwargs)
    if door.bare in SWAPPED:
        return Call(door, functions(door.bare)[0], (args[1], args[0], *args[2:]), kwargs)
    return Call(door, info.op, args, kwargs)


def short(dtype):
    """Its name: "float64"."""
    return str(dtype).removeprefix("torch.")


# ---------------------------------------------------------------------------- all names written


def with_names(call):
    """The same call with the name that PyTorch has for every argument; None if that is no call."""
    for function, parameters in _forms(call.door):
        given = dict(zip((p.name for p in parameters), call.args, strict=False))
        if len(call.args) > len(parameters) or given.keys() & call.kwargs.keys():
            continue
        given |= call.kwargs
        positional = (given.pop("self"),) if call.door.is_method else ()
        try:
            function(*positional, **given)
        except (TypeError, RuntimeError):
            continue
        return Call(call.door, function, positional, given)
    return None


def _forms(door):
    if door.is_method:
        return forms(f"torch.{door.name}")
    homes = [where for lib, where in ((F, "torch.nn.functional"), (torch, "torch"))
             if callable(getattr(lib, door.bare, None))]
    return [form for where in homes for form in forms(f"{where}.{door.bare}")]
