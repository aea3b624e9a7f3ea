"""The methods and operators of ``Tensor`` that call ops. Importing this file attaches them.

``Tensor`` itself (``tensor.py``) stands below the calls of ops (``dispatch.py``), so what needs
both is written here. Below come the methods with a text of their own; every other op with an
array in front becomes a method by its name, read from the table (``attach``).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from etude.core.array import plain_index
from etude.core.autograd import backward
from etude.core.dispatch import OPS
from etude.core.errors import AxisError
from etude.core.live import WATCHER
from etude.core.shapes import (
    axes,
    axis,
    bool_,
    dtype_of,
    float32,
    float64,
    int64,
    supported,
    varargs,
)
from etude.core.state import STATE
from etude.core.tape import Node
from etude.core.tensor import Tensor


def method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: make the function a method of Tensor."""
    setattr(Tensor, fn.__name__, fn)
    return fn


# ---------------------------------------------------------------------------- gradients, copies


method(backward)


@method
def clone(self: Tensor) -> Tensor:
    """A copy in memory of its own; gradients flow through it."""
    return OPS["contiguous"](self)  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------- conversion, moving


@method
def to(self: Tensor, *targets: Any, device: Any = None, dtype: Any = None,
       non_blocking: bool = False, copy: bool = False) -> Tensor:
    """Convert to a dtype, move to a device, or both: ``x.to(etude.float64)``, ``x.to("cpu")``; or
    to those of another tensor, ``x.to(y)``. Returns self where nothing changes, but for ``copy``.

    ``non_blocking``, which may also follow the targets, changes nothing: every move is complete.
    """
    flags = [t for t in targets if isinstance(t, bool)]
    targets = tuple([t for t in targets if not isinstance(t, bool)])
    x = self.clone() if copy or flags[1:] == [True] else self
    for target in (*targets, device, dtype):
        if target is None:
            continue
        if isinstance(target, Tensor):
            x = x.to(target.dtype, device=target.device)
            continue
        if isinstance(target, str) and target not in np.sctypeDict:
            x = _move(x, target)
        elif (dtype := dtype_of("to", target)) != x.dtype:
            x = OPS["cast"](x, dtype=dtype)
    return x


def _float(self: Tensor) -> Tensor:
    """The values as float32."""
    return self.to(float32)


def _double(self: Tensor) -> Tensor:
    """The values as float64."""
    return self.to(float64)


def _long(self: Tensor) -> Tensor:
    """The values as int64."""
    return self.to(int64)


for _name, _fn in {"float": _float, "double": _double, "long": _long}.items():
    _fn.__name__ = _name  # not by @method alone: a function called float would hide Python's
    method(_fn)


def _move(x: Tensor, device: str) -> Tensor:
    if device == x.device:
        return x
    tables = STATE.get().tables
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.refuses(f"a tensor is moved from {x.device!r} to {device!r}, which is no op")
    node = None
    if STATE.get().grad and x.requires_grad:
        node = Node(_TO, [x], (), {"device": x.device}, (True,))
    return Tensor(tables[device].upload(tables[x.device].download(x.array)), node=node)


def _move_back(F: Any, grad: Any, *, needs: Any, device: str) -> Any:
    if isinstance(grad, Tensor):
        return grad.to(device)
    tables = STATE.get().tables
    return tables[device].upload(tables[grad.device].download(grad))


#: What a move between devices leaves on the tape: it belongs to no column, so to no table.
_TO: Any = SimpleNamespace(name="to", arrays=("x",), outputs=("y",), saved_from=(), attrs={},
                           variadic=False, many=False, internal=False, rule=_move_back,
                           composite_rule=None, written=0)


# ---------------------------------------------------------------------------- views


@method
def reshape(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same elements in another shape; a view where the strides allow, else a copy."""
    y: Tensor = OPS["reshape"](self, shape=varargs(shape, "reshape", named, "shape"))
    return y


@method
def permute(self: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The axes in another order, as a view."""
    y: Tensor = OPS["permute"](self, dims=varargs(dims, "permute", named, "dims"))
    return y


@method
def expand(self: Tensor, *size: Any, **named: Any) -> Tensor:
    """Repeat axes of size 1, as a view; -1 keeps a size."""
    sizes = varargs(size, "expand", named, "size")
    ahead = len(sizes) - self.ndim
    sizes = tuple([self.shape[i - ahead] if n == -1 and i >= ahead else n
                   for i, n in enumerate(sizes)])
    return OPS["expand"](self, shape=sizes)  # type: ignore[no-any-return]


@method
def transpose(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes, as a view."""
    dims = list(range(self.ndim))
    i, j = axis("transpose", dim0, self.ndim), axis("transpose", dim1, self.ndim)
    dims[i], dims[j] = j, i
    return self.permute(*dims)


def _transposed(self: Tensor) -> Tensor:
    """The transpose of a matrix, as a view."""
    return self.transpose(-2, -1)


Tensor.T = property(_transposed)  # type: ignore[method-assign, assignment]


@method
def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the axes from ``start_dim`` to ``end_dim`` into one."""
    ndim = max(self.ndim, 1)
    start, end = axis("flatten", start_dim, ndim), axis("flatten", end_dim, ndim)
    if start > end:
        raise AxisError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
    if start == end and self.ndim:
        return self
    merged = math.prod(self.shape[start : end + 1])
    return self.reshape(*self.shape[:start], merged, *self.shape[end + 1 :])


@method
def unsqueeze(self: Tensor, dim: int) -> Tensor:
    """Add an axis of size 1 at ``dim``."""
    at = axis("unsqueeze", dim, self.ndim + 1)
    return self.reshape(*self.shape[:at], 1, *self.shape[at:])


@method
def squeeze(self: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Take away axis ``dim``, several, or (None) all, where the size is 1."""
    dims = axes("squeeze", dim, self.ndim)
    kept = [n for d, n in enumerate(self.shape) if n != 1 or d not in dims]
    return self if len(kept) == self.ndim else self.reshape(*kept)


@method
def __round__(self: Tensor, ndigits: int | None = None) -> Tensor:  # noqa: N807
    """To whole numbers, halves to the even one."""
    if ndigits is not None:
        raise TypeError(f"round(x) of a tensor gives whole numbers; for {ndigits} digits write "
                        f"(x * 10**{ndigits}).round() / 10**{ndigits}, or format its item()")
    return OPS["round"](self)  # type: ignore[no-any-return]


@method
def __getitem__(self: Tensor, index: Any) -> Tensor:  # noqa: N807 - it becomes a method
    """Basic indexing, as a view: integers, slices, None and Ellipsis. One Tensor, array or list
    of int64 takes whole rows, as a copy: ``x[index]`` is (*index.shape, *x.shape[1:]).
    """
    if isinstance(index, (list, np.ndarray)):
        index = Tensor(supported(np.asarray(index))).to(self.device)
    if isinstance(index, Tensor) and index.dtype == int64:
        rows: Tensor = OPS["index_select"](self, index.reshape(-1), dim=0)
        return rows.reshape(*index.shape, *self.shape[1:])
    y: Tensor = OPS["slice"](self, index=plain_index(index, self.ndim))
    return y


# ---------------------------------------------------------------------------- what is missing

#: Names that people know from PyTorch and NumPy -> what to write in Etude.
INSTEAD = {
    "view": "x.reshape(...)",
    "t": "x.T",
    "mm": "x @ y", "bmm": "x @ y", "dot": "x @ y",
    "repeat": "x.expand(...), or cat([x, x], dim)", "tile": "x.expand(...), or cat([x, x], dim)",
    "cpu": "x.to('cpu')", "cuda": "x.to(device)", "type": "x.to(dtype)", "astype": "x.to(dtype)",
    "int": "x.long()", "bool": "x.to('bool')", "half": "float32, there is no float16",
    "grad_fn": "x.node", "dim": "x.ndim", "mT": "x.transpose(-2, -1)",
}


def instead(name: str) -> str:
    """The end of a sentence about a name that is not there."""
    return f"; write {INSTEAD[name]}" if name in INSTEAD else ""


def _missing(self: Tensor, name: str) -> Any:
    # Python asks only for what is missing; with name and obj it adds the nearest name there is.
    if name == "grad":  # which a leaf has from the start, and a result from retain_grad() on
        op = "an op" if self.node is None else f"{self.node.op.name!r}"
        warnings.warn(f"grad of the result of {op}: backward fills the grad of leaves only, so "
                      f"this is None. Call retain_grad() on the result before backward, or "
                      f"etude.grad(loss, result)", stacklevel=2)
        return None
    raise AttributeError(f"a Tensor has no {name!r}{instead(name)}", name=name, obj=self)


Tensor.__getattr__ = _missing  # type: ignore[method-assign] # a def would be this module's own


# ---------------------------------------------------------------------------- NumPy's functions

#: NumPy's functions behind its operators -> the method of the right operand, a Tensor.
_RIGHT = {"add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__",
          "divide": "__rtruediv__", "true_divide": "__rtruediv__", "power": "__rpow__",
          "floor_divide": "__rfloordiv__", "remainder": "__rmod__", "matmul": "__rmatmul__",
          "less": "__gt__", "less_equal": "__ge__", "greater": "__lt__", "greater_equal": "__le__",
          "equal": "__eq__", "not_equal": "__ne__", "bitwise_and": "__rand__",
          "bitwise_or": "__ror__", "bitwise_xor": "__rxor__"}

#: NumPy's names -> Etude's, where they differ.
_CALLED = {"absolute": "abs", "negative": "neg", "subtract": "sub", "multiply": "mul",
           "divide": "div", "true_divide": "div", "invert": "logical_not"}


@method
def __array_ufunc__(self: Tensor, ufunc: Any, how: str, *inputs: Any, **options: Any  # noqa: N807
                    ) -> Any:
    """``array + x`` is the Tensor's own ``x.__radd__``; a function of NumPy is refused, since its
    result would have no gradient, and Etude's is named.
    """
    name = ufunc.__name__
    if how == "__call__" and not options and name in _RIGHT and not isinstance(inputs[0], Tensor):
        return getattr(inputs[1], _RIGHT[name])(inputs[0])
    own = _CALLED.get(name, name)
    hint = "write x.numpy() for its values, without gradients"
    if how == "__call__" and hasattr(Tensor, own):
        hint = f"write x.{own}()" if len(inputs) == 1 else f"write etude.{own}(x, y)"
    raise TypeError(f"np.{name} does not take Tensors, because it would lose the gradient; {hint}")


# ---------------------------------------------------------------------------- from the table


SIGNS = {"and": "&", "or": "|", "xor": "^", "not": "~"}


def _of_bools(python: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that Python also has for the bits of integers; here it is for bools."""
    def operator(*operands: Any) -> Any:
        for x in operands:
            array = x if isinstance(x, Tensor) else np.asarray(x)
            if array.dtype != bool_:
                raise TypeError(f"{SIGNS[python]} is for tensors of bools, such as x > 0; got "
                                f"{getattr(x, 'dtype', type(x).__name__)}")
        return fn(*operands)

    return operator


def attach(functions: dict[str, Callable[..., Any]]) -> None:
    """Give Tensor a method for each of these public functions, and Python's operators."""
    for name, fn in functions.items():
        if not hasattr(Tensor, name):
            setattr(Tensor, name, fn)
    operators = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow",
                 "floordiv": "floor_divide", "mod": "remainder"}
    for python, name in (*operators.items(), ("matmul", "matmul")):
        fn = functions[name] if name == "matmul" else OPS[name]
        setattr(Tensor, f"__{python}__", fn)
        setattr(Tensor, f"__r{python}__", lambda self, other, fn=fn: fn(other, self))
    for name in ("lt", "le", "gt", "ge", "neg", "abs"):
        setattr(Tensor, f"__{name}__", OPS[name])
    logical = {"and": "logical_and", "or": "logical_or", "xor": "ne"}
    for python, name in logical.items():
        fn = _of_bools(python, functions[name])
        setattr(Tensor, f"__{python}__", fn)
        setattr(Tensor, f"__r{python}__", fn)
    Tensor.__invert__ = _of_bools("not", functions["logical_not"])  # type: ignore[method-assign]
    for name in ("eq", "ne"):  # x == None is a fair question, whose answer is False
        setattr(Tensor, f"__{name}__", lambda self, other, fn=functions[name]: (
            NotImplemented if other is None or isinstance(other, str) else fn(self, other)))
