"""PyTorch's own samples, called in both frameworks, and what came of each.

PyTorch tests its functions on samples that it keeps in ``op_db``: an ``OpInfo`` for each function,
which draws calls with all the forms of arguments that the function takes. Here every sample of a
function that Etude has too is converted, called in Etude as it stands, and compared: values,
dtypes, shapes, and the gradients of a sum of the outputs under random weights.

``torch_samples.py`` counts the outcomes; what Etude has not by decision is in ``differences.py``.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from differences import why_refused
from torch.testing._internal.common_methods_invocations import op_db

import etude

torch.set_num_threads(1)

DTYPES = {torch.float32: etude.float32, torch.float64: etude.float64,
          torch.int64: etude.int64, torch.bool: etude.bool}
#: Sums are taken in another order than PyTorch's: a few roundings of 1e-16, times their terms.
TIGHT = 1e-12
#: Where more is lost, and why.
LOOSER = {}
#: Both frameworks draw numbers of their own, so shapes and dtypes are compared, and no values.
RANDOM = {"dropout", "rand", "randn"}


class Outcome(NamedTuple):
    """What came of a sample: "passed", "decided", "refused" or "wrong", and why."""

    kind: str
    why: str = ""


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
        if callable(function) and theirs(name):
            found.append(Door(name, function, infos))
        if method is not None and method is not function and hasattr(torch.Tensor, name):
            found.append(Door(f"Tensor.{name}", _called(etude, name), infos))
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


def theirs(name):
    """PyTorch's public functions of that name: of torch.nn.functional, of torch, of both."""
    return [getattr(lib, name) for lib in (F, torch) if callable(getattr(lib, name, None))]


def _called(lib, name):
    """A method as a function, or a property as one."""
    if not callable(getattr(lib.Tensor, name)):
        return lambda x: getattr(x, name)
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


# ---------------------------------------------------------------------------- samples


class Call(NamedTuple):
    """A sample as a call of PyTorch's public function or method."""

    door: Door
    function: Callable  # PyTorch's
    args: tuple
    kwargs: dict

    def __str__(self):
        """The call as one would write it, tensors by dtype and shape."""
        words = [_shown(a) for a in self.args]
        words += [f"{k}={_shown(v)}" for k, v in self.kwargs.items()]
        return f"{self.door}({', '.join(words)})"


def _shown(value):
    if isinstance(value, torch.Tensor):
        return f"{_short(value.dtype)}{list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


#: Options that PyTorch's samples spell out, at the value that changes nothing.
NEUTRAL = {"memory_format": torch.preserve_format, "layout": torch.strided}

#: Whose samples have the first two arguments the other way round than the public function.
SWAPPED = {"embedding", "where"}


def calls(door):
    """All of PyTorch's samples, for each of Etude's dtypes that the function knows."""
    for info in door.infos:
        for dtype in (torch.float64, torch.int64, torch.bool):
            if dtype in info.supported_dtypes("cpu"):
                grad = dtype.is_floating_point and info.supports_autograd
                for sample in info.sample_inputs("cpu", dtype, requires_grad=grad):
                    kwargs = {k: v for k, v in sample.kwargs.items()
                              if k not in NEUTRAL or v != NEUTRAL[k]}
                    yield _call(door, info, (sample.input, *sample.args), kwargs)


def _call(door, info, args, kwargs):
    if door.is_method:
        return Call(door, _called(torch, door.bare), args, kwargs)
    if door.bare in SWAPPED:
        return Call(door, theirs(door.bare)[0], (args[1], args[0], *args[2:]), kwargs)
    return Call(door, info.op, args, kwargs)


# ---------------------------------------------------------------------------- conversion


class NotInEtude(Exception):
    """A value that Etude has nothing for: another dtype, say."""


class Converted:
    """Arguments of PyTorch as Etude's. A tensor that comes twice is one tensor here too."""

    def __init__(self):
        self.leaves = {}  # id -> (theirs, mine)

    def __call__(self, value):
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, torch.dtype):
            if value not in DTYPES:
                raise NotInEtude(f"dtype {_short(value)}")
            return DTYPES[value]
        if isinstance(value, torch.device):
            return str(value)
        if isinstance(value, Mapping):
            return {k: self(v) for k, v in value.items()}
        if isinstance(value, slice):
            return slice(self(value.start), self(value.stop), self(value.step))
        if isinstance(value, (tuple, list)):
            return type(value)(map(self, value)) if type(value) in (tuple, list) else tuple(
                map(self, value))
        if isinstance(value, (complex, torch.layout, torch.memory_format, torch.Generator)):
            raise NotInEtude(type(value).__name__)
        return value

    def tensor(self, value):
        if id(value) not in self.leaves:
            if value.dtype not in DTYPES:
                raise NotInEtude(f"dtype {_short(value.dtype)}")
            mine = etude.from_numpy(value.detach().numpy().copy(order="K"))
            if value.requires_grad:
                mine.requires_grad_()
            self.leaves[id(value)] = (value, mine)
        return self.leaves[id(value)][1]


def _short(dtype):
    return str(dtype).removeprefix("torch.")


# ---------------------------------------------------------------------------- one sample


def outcomes(call, backend):
    """(call, Outcome) of a sample in both frameworks; then with all names written, if it worked."""
    expected = _results(call.function(*call.args, **call.kwargs))
    first = _outcome(call, expected, backend)
    yield call, first
    if first.kind in ("passed", "wrong"):
        named = _with_names(call)
        if named is not None:
            second = _outcome(named, expected, backend)
            if second.kind == "refused":
                second = Outcome("refused", f"with names: {second.why}")
            if second != first or first.kind == "passed":
                yield named, second


def _outcome(call, expected, backend):
    name = call.door.bare
    for y in expected:
        if isinstance(y, torch.Tensor) and y.dtype not in DTYPES:
            return Outcome("decided", why_refused(call.door.name, f"dtype {_short(y.dtype)}", {}))
    convert = Converted()
    try:
        args, kwargs = convert(call.args), convert(call.kwargs)
        with _on(backend):
            got = _results(call.door.mine(*args, **kwargs))
    except Exception as error:  # whatever is raised is a refusal, and is counted
        said = str(error) if isinstance(error, NotInEtude) else f"{type(error).__name__}: {error}"
        names = {**getattr(_with_names(call), "kwargs", {}), **call.kwargs}
        reason = why_refused(call.door.name, said, names)
        return Outcome("decided", reason) if reason else Outcome("refused", _grouped(said))
    wrong = _different(name, got, expected) or (
        "" if name in RANDOM else _different_gradient(name, got, expected, convert, backend))
    if not wrong:
        return Outcome("passed")
    reason = why_refused(call.door.name, wrong, {})
    return Outcome("decided", reason) if reason else Outcome("wrong", wrong)


def _on(backend):
    return nullcontext() if backend == "reference" else etude.use(backend)


def _results(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def _grouped(said):
    """An error without its numbers, so that errors of one kind are counted together."""
    said = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "N", said.split("\n")[0])
    return re.sub(r"N(, N)+", "N, ..", said)[:160]


def _different(name, got, expected):
    """What is wrong with the values, or ""."""
    if len(got) != len(expected):
        return f"{len(got)} results, PyTorch has {len(expected)}"
    for mine, theirs in zip(got, expected, strict=True):
        if not isinstance(theirs, torch.Tensor):
            same = mine == theirs or (mine != mine and theirs != theirs)
            if not same:
                return f"{_grouped(repr(mine))}, PyTorch has {_grouped(repr(theirs))}"
            continue
        if not isinstance(mine, etude.Tensor):
            return f"a {type(mine).__name__}, PyTorch has a Tensor"
        if mine.dtype != DTYPES[theirs.dtype]:
            return f"dtype {mine.dtype}, PyTorch has {_short(theirs.dtype)}"
        if tuple(mine.shape) != tuple(theirs.shape):
            return _grouped(f"shape {list(mine.shape)}, PyTorch has {list(theirs.shape)}")
        if name not in RANDOM and (off := _off(name, mine.detach().numpy(),
                                               theirs.detach().numpy())):
            return f"values {off}"
    return ""


def _off(name, a, b):
    """How far values are apart beyond tolerance, or ""."""
    if b.dtype.kind != "f":
        return "" if np.array_equal(a, b) else "differ"
    finite = np.isfinite(b)
    size = np.abs(b[finite]).max(initial=0)
    tight = 1e-5 if b.dtype == np.float32 else LOOSER.get(name, TIGHT)
    if np.allclose(a, b, rtol=tight, atol=tight * size, equal_nan=True):
        return ""
    if not np.array_equal(finite, np.isfinite(a)):
        return "are not finite where PyTorch's are, or the other way round"
    return "differ"


def _different_gradient(name, got, expected, convert, backend):
    """What is wrong with the gradients of a sum of the outputs under random weights, or ""."""
    leaves = [(theirs, mine) for theirs, mine in convert.leaves.values() if theirs.requires_grad]
    smooth = [i for i, y in enumerate(expected)
              if isinstance(y, torch.Tensor) and y.requires_grad and y.is_floating_point()]
    if not leaves or not smooth:
        return ""
    rng = np.random.default_rng(0)
    total, my_total = 0, 0
    for i in smooth:
        w = rng.standard_normal(tuple(expected[i].shape)) + 0.5
        total = total + (expected[i] * torch.from_numpy(np.asarray(w)).to(expected[i].dtype)).sum()
        my_total = my_total + (got[i] * etude.tensor(w, dtype=got[i].dtype)).sum()
    grads = torch.autograd.grad(total, [t for t, _ in leaves], allow_unused=True)
    try:
        if my_total.requires_grad:
            with _on(backend):
                my_total.backward()
    except Exception as error:
        return _grouped(f"backward: {type(error).__name__}: {error}")
    for (theirs, mine), g in zip(leaves, grads, strict=True):
        a = np.zeros(mine.shape) if mine.grad is None else mine.grad.numpy()
        b = np.zeros(tuple(theirs.shape)) if g is None else g.numpy()
        if a.shape != b.shape or (off := _off(name, a, b)):
            return f"gradient: {off}"
    return ""


# ---------------------------------------------------------------------------- all names written


def _with_names(call):
    """The same call with the name that PyTorch has for every argument; None if that is no call."""
    for function, names in forms(call.door.name):
        given = dict(zip(names, call.args, strict=False))
        if len(call.args) > len(names) or given.keys() & call.kwargs.keys():
            continue
        given |= call.kwargs
        mine = call.door.mine
        positional = ()
        if call.door.is_method:
            positional = (given.pop("self"),)
        try:
            function(*positional, **given)
        except (TypeError, RuntimeError):
            continue
        return Call(call.door._replace(mine=mine), function, positional, given)
    return None


@cache
def forms(name):
    """PyTorch's forms of call: (function, names of its parameters)."""
    bare = name.removeprefix("Tensor.")
    if name.startswith("Tensor."):
        method = _called(torch, bare)
        return [(method, names) for names in _overloads(bare, "self") if names[:1] == ["self"]]
    found = []
    for function in theirs(bare):
        function = inspect.unwrap(function)
        if inspect.isfunction(function):
            found.append((function, list(inspect.signature(function).parameters)))
        found += [(function, names) for names in _overloads(bare, "input")]
    return found


def _overloads(name, first):
    """Names of the parameters in each overload of a function written in C++."""
    return [[first if a.name == "self" else a.name for a in schema.arguments]
            for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}")
            if not any(a.is_out for a in schema.arguments)]
