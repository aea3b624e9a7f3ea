"""PyTorch's own samples, called in both frameworks, and what came of each.

PyTorch tests its functions on samples that it keeps in ``op_db``: an ``OpInfo`` for each function,
which draws calls with all the forms of arguments that the function takes. Here every sample of a
function that Etude has too is converted, called in Etude as it stands, and compared: values,
dtypes, shapes, and the gradients of a sum of the outputs under random weights.

``torch_samples.py`` counts the outcomes. What Etude has not by decision is in
``docs/from_pytorch.toml``, one row for each decision.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from forms import as_function, forms, functions
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_map

import etude
from pytorch_page import rows

torch.set_num_threads(1)

DTYPES = {torch.float32: etude.float32, torch.float64: etude.float64,
          torch.int64: etude.int64, torch.bool: etude.bool}
#: Sums are taken in another order than PyTorch's: a few roundings of 1e-16, times their terms.
TIGHT = 1e-12
#: Where more is lost, and why.
LOOSER = {}
#: Functions whose results are drawn at random.
RANDOM = {"dropout", "rand", "randn"}
#: Where PyTorch promises no order among equal elements: function -> its places in the results.
PLACES = {"topk": 1, "sort": 1, "argsort": 0}
#: Rows of the table that explained a refusal, by id.
USED = set()


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
        return f"{_short(value.dtype)}{list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


#: Options that PyTorch's samples spell out, at the value that changes nothing.
NEUTRAL = {"memory_format": (torch.preserve_format, torch.contiguous_format),
           "layout": (torch.strided,)}

#: Whose samples have the first two arguments the other way round than the public function.
SWAPPED = {"einsum", "embedding", "where"}


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


# ---------------------------------------------------------------------------- conversion


class NotInEtude(Exception):  # noqa: N818 - a fact, not a mistake
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
    name = "random" if call.random else call.door.bare
    for y in expected:
        if isinstance(y, torch.Tensor) and y.dtype not in DTYPES:
            return Outcome("decided", why_refused(call.door, f"dtype {_short(y.dtype)}", {}))
    convert = Converted()
    try:
        args, kwargs = convert(call.args), convert(call.kwargs)
        with _on(backend):
            got = _results(call.door.mine(*args, **kwargs))
    except Exception as error:  # whatever is raised is a refusal, and is counted
        said = str(error) if isinstance(error, NotInEtude) else f"{type(error).__name__}: {error}"
        names = {**getattr(_with_names(call), "kwargs", {}), **call.kwargs}
        reason = why_refused(call.door, said, names)
        return Outcome("decided", reason) if reason else Outcome("refused", _grouped(said))
    expected = _of_equals(call, got, expected)
    wrong = _different(name, got, expected) or (
        "" if call.random else _different_gradient(name, got, expected, convert, backend))
    if not wrong:
        return Outcome("passed")
    reason = why_refused(call.door, wrong, {})
    return Outcome("decided", reason) if reason else Outcome("wrong", wrong)


def why_refused(door, said, named):
    """Why Etude refuses a call by decision, or "" if nobody decided it.

    said: the error; named: the arguments under PyTorch's names, as far as they are known.
    """
    for row in rows(door.name):
        if (any(p in named for p in row.get("lacks", ()))
                or said in {f"dtype {d}" for d in row.get("dtypes", ())}
                or ("says" in row and re.search(row["says"], said))):
            USED.add(id(row))
            return row["why"]
    return ""


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
        if name != "random" and (off := _off(name, mine.detach().numpy(),
                                               theirs.detach().numpy())):
            return f"values {off}"
    return ""


def _of_equals(call, got, expected):
    """The expected results, with Etude's choice among equal elements where PyTorch promises none.

    """
    at = PLACES.get(call.door.bare)
    if at is None or len(got) <= at or tuple(got[at].shape) != tuple(expected[at].shape):
        return expected
    given = getattr(_with_names(call), "kwargs", call.kwargs)
    x, dim = call.args[0] if call.args else given["input"], given.get("dim", -1)
    places = torch.from_numpy(got[at].numpy().copy())
    if x.ndim == 0 or not places.numel():
        return expected
    distinct = (places.sort(dim).values.diff(dim=dim) != 0).all()
    if distinct and torch.equal(x.gather(dim, places), x.gather(dim, expected[at])):
        values = [x.gather(dim, places)] * len(expected)  # so that gradients go to the same places
        return [places if i == at else v for i, v in enumerate(values)]
    return expected


def _off(name, a, b, at=None):
    """How values are apart beyond tolerance, or "". at: the input that a gradient belongs to."""
    if b.dtype.kind != "f":
        return "" if np.array_equal(a, b) else "differ"
    size = np.abs(b[np.isfinite(b)]).max(initial=1)  # what is 0 but for rounding has no size
    tight = 1e-5 if b.dtype == np.float32 else LOOSER.get(name, TIGHT)
    apart = ~np.isclose(a, b, rtol=tight, atol=tight * size, equal_nan=True)
    if not apart.any():
        return ""
    if at is not None and not np.isfinite(at[apart]).any():
        return "differ, only where the input is inf or NaN"
    return "differ, inf or NaN on one side" if (
        ~np.isfinite(a[apart]) | ~np.isfinite(b[apart])).all() else "differ"


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
    try:
        grads = torch.autograd.grad(total, [t for t, _ in leaves], retain_graph=True,
                                    allow_unused=True)
    except RuntimeError as error:
        if "is not implemented" in str(error):  # PyTorch has no gradient here
            return ""
        raise
    try:
        if my_total.requires_grad:
            with _on(backend):
                my_total.backward()
    except Exception as error:
        return _grouped(f"backward: {type(error).__name__}: {error}")
    for (theirs, mine), g in zip(leaves, grads, strict=True):
        a = np.zeros(mine.shape) if mine.grad is None else mine.grad.numpy()
        b = np.zeros(tuple(theirs.shape)) if g is None else g.numpy()
        if a.shape != b.shape:
            return f"gradient: shape {list(a.shape)}, PyTorch has {list(b.shape)}"
        if off := _off(name, a, b, theirs.detach().numpy()):
            return f"gradients {off}"
    return ""


# ---------------------------------------------------------------------------- all names written


def _with_names(call):
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
    homes = [(lib, where) for lib, where in ((F, "torch.nn.functional"), (torch, "torch"))
             if callable(getattr(lib, door.bare, None))]
    return [form for _, where in homes for form in forms(f"{where}.{door.bare}")]
