"""What comes of a call of PyTorch when Etude gets the same: passed, decided, refused or wrong.

Arguments are converted, values, dtypes and shapes compared, and so are the gradients of a sum of
the outputs under random weights. What Etude has not by decision is in ``docs/from_pytorch.toml``;
``torch_samples.py`` counts the outcomes of all samples.
"""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from samples import short, with_names

import etude
from pytorch_page import rows

torch.set_num_threads(1)

DTYPES = {torch.float32: etude.float32, torch.float64: etude.float64,
          torch.int64: etude.int64, torch.bool: etude.bool}
#: For float64. Sums are taken in another order than PyTorch's: some roundings of 1e-16 per term.
TIGHT = 1e-12
#: Where PyTorch promises no order among equal elements: function -> its places in the results.
PLACES = {"topk": 1, "sort": 1, "argsort": 0}
#: Rows of the table that explained something, by id.
USED = set()


class Outcome(NamedTuple):
    """"passed", "decided", "refused" or "wrong", and why."""

    kind: str
    why: str = ""


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
                raise NotInEtude(f"dtype {short(value)}")
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
                raise NotInEtude(f"dtype {short(value.dtype)}")
            mine = etude.from_numpy(value.detach().numpy().copy(order="K"))
            if value.requires_grad:
                mine.requires_grad_()
            self.leaves[id(value)] = (value, mine)
        return self.leaves[id(value)][1]


# ---------------------------------------------------------------------------- one sample


def outcomes(call, backend):
    """(call, Outcome) of a sample in both frameworks; then with all names written, if it worked."""
    expected = _results(call.function(*call.args, **call.kwargs))
    first = _outcome(call, expected, backend)
    yield call, first
    if first.kind in ("passed", "wrong") and not call.large:
        named = with_names(call)
        if named is not None:
            second = _outcome(named, expected, backend)
            if second.kind == "refused":
                second = Outcome("refused", f"with names: {second.why}")
            if second != first or first.kind == "passed":
                yield named, second


def _outcome(call, expected, backend):
    for y in expected:
        if isinstance(y, torch.Tensor) and y.dtype not in DTYPES:
            return _refused(call, f"dtype {short(y.dtype)}")
    convert = Converted()
    try:
        args, kwargs = convert(call.args), convert(call.kwargs)
        with _on(backend):
            got = _results(call.door.mine(*args, **kwargs))
    except Exception as error:  # whatever is raised is a refusal, and is counted
        own = isinstance(error, NotInEtude)
        return _refused(call, str(error) if own else f"{type(error).__name__}: {error}")
    expected = _of_equals(call, got, expected)
    wrong = _different(call, got, expected) or (
        "" if call.random else _different_gradient(got, expected, convert, backend))
    if not wrong:
        return Outcome("passed")
    reason = why_refused(call.door, wrong, {})
    return Outcome("decided", reason) if reason else Outcome("wrong", wrong)


def _refused(call, said):
    named = {**getattr(with_names(call), "kwargs", {}), **call.kwargs}
    reason = why_refused(call.door, said, named)
    return Outcome("decided", reason) if reason else Outcome("refused", _grouped(said))


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


def _different(call, got, expected):
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
            return f"dtype {mine.dtype}, PyTorch has {short(theirs.dtype)}"
        if tuple(mine.shape) != tuple(theirs.shape):
            return _grouped(f"shape {list(mine.shape)}, PyTorch has {list(theirs.shape)}")
        if not call.random and (off := _off(mine.detach().numpy(), theirs.detach().numpy())):
            return f"values {off}"
    return ""


def _of_equals(call, got, expected):
    """The expected results, with Etude's choice among equal elements where PyTorch promises none.

    """
    at = PLACES.get(call.door.bare)
    if at is None or len(got) <= at or tuple(got[at].shape) != tuple(expected[at].shape):
        return expected
    given = getattr(with_names(call), "kwargs", call.kwargs)
    x, dim = call.args[0] if call.args else given["input"], given.get("dim", -1)
    places = torch.from_numpy(got[at].numpy().copy())
    if x.ndim == 0 or not places.numel():
        return expected
    distinct = (places.sort(dim).values.diff(dim=dim) != 0).all()
    if distinct and torch.equal(x.gather(dim, places), x.gather(dim, expected[at])):
        values = [x.gather(dim, places)] * len(expected)  # so that gradients go to the same places
        return [places if i == at else v for i, v in enumerate(values)]
    return expected


def _off(a, b, at=None):
    """How values are apart beyond tolerance, or "". at: the input that a gradient belongs to."""
    if b.dtype.kind != "f":
        return "" if np.array_equal(a, b) else "differ"
    size = np.abs(b[np.isfinite(b)]).max(initial=1)  # what is 0 but for rounding has no size
    tight = 1e-5 if b.dtype == np.float32 else TIGHT
    apart = ~np.isclose(a, b, rtol=tight, atol=tight * size, equal_nan=True)
    if not apart.any():
        return ""
    if at is not None and not np.isfinite(at[apart]).any():
        return "differ, only where the input is inf or NaN"
    return "differ, inf or NaN on one side" if (
        ~np.isfinite(a[apart]) | ~np.isfinite(b[apart])).all() else "differ"


def _different_gradient(got, expected, convert, backend):
    """What is wrong with the gradients of a sum of the outputs under random weights, or ""."""
    leaves = [(theirs, mine) for theirs, mine in convert.leaves.values() if theirs.requires_grad]
    total, my_total = _weighted(got, expected)
    if not leaves or total is None:
        return ""
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
            return _grouped(f"gradient: shape {list(a.shape)}, PyTorch has {list(b.shape)}")
        if off := _off(a, b, theirs.detach().numpy()):
            return f"gradients {off}"
    return ""


def _weighted(got, expected):
    """PyTorch's sum of the outputs that have gradients under random weights, and Etude's."""
    rng = np.random.default_rng(0)
    total = my_total = None
    for mine, theirs in zip(got, expected, strict=True):
        if isinstance(theirs, torch.Tensor) and theirs.requires_grad:
            w = np.asarray(rng.standard_normal(tuple(theirs.shape)) + 0.5)
            share = (theirs * torch.from_numpy(w).to(theirs.dtype)).sum()
            my_share = (mine * etude.tensor(w, dtype=mine.dtype)).sum()
            total = share if total is None else total + share
            my_total = my_share if my_total is None else my_total + my_share
    return total, my_total
