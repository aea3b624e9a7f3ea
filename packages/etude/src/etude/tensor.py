"""Tensor: an array that remembers how it was computed, with PyTorch's names.

This file holds the class and the move between devices. How a call of an op on Tensors reaches a
column is in ``dispatch.py``; how gradients flow back is in ``autograd.py``; operators and the
methods named after ops are attached from the table in ``functional.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import autograd
from etude.array import plain_index
from etude.autograd import Node, clock
from etude.backend import STATE
from etude.errors import AxisError, DeviceError, DTypeError, ShapeError
from etude.shapes import FLOATS, Shape, axis, bool_, float32, float64, int64
from etude.table import TABLE


class _TensorFunctions(dict[str, Callable[..., Any]]):
    """Op name -> function of Tensors with the op's own signature: arrays, then keywords."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        from etude.dispatch import function_of  # it needs the class Tensor, which needs this

        self[name] = fn = function_of(TABLE[name])
        return fn


OPS = _TensorFunctions()


class Tensor:
    """An n-dimensional array of float32, float64, int64 or bool on a device.

    ``data`` is the array (NumPy's on "cpu"), ``grad`` the gradient that ``backward`` left, or
    None. Make one with ``etude.tensor``. There is no item assignment and no in-place operator:
    only optimisers and ``copy_`` write, and backward notices if they wrote too early.
    """

    __slots__ = ("__weakref__", "_base", "_written", "data", "grad", "index", "node",
                 "requires_grad")
    __array_ufunc__ = None  # so that ndarray + Tensor asks the Tensor

    def __init__(self, data: Any, requires_grad: bool = False, node: Node | None = None,
                 index: int = 0) -> None:
        self.data = data
        self.node = node  # the call that computed it; None for a leaf
        self.index = index  # which of the node's outputs it is
        self.grad: Tensor | None = None
        self.requires_grad = node is not None
        self._base: Tensor | str | None = None  # the leaf, or the op, whose memory it views
        self._written = 0  # when copy_ or an optimiser last wrote into it, by autograd's clock
        if requires_grad:
            self.requires_grad_()

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> Shape:
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        return self.data.device  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return len(self.data.shape)

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        return int(self.data.size)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without dimensions has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        text = np.array2string(self.detach().numpy(), separator=", ", prefix="tensor(")
        extra = "" if self.dtype in (float32, int64, bool_) else f", dtype={self.dtype.name}"
        extra += "" if self.device == "cpu" else f", device={self.device!r}"
        if self.node is not None:
            extra += f", op={self.node.op.name}"
        elif self.requires_grad:
            extra += ", requires_grad=True"
        return f"tensor({text}{extra})"

    def __hash__(self) -> int:
        return id(self)

    # ------------------------------------------------------------------ out of Etude

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a read-only NumPy array; on "cpu" the same memory, not a copy."""
        if self.requires_grad:
            raise RuntimeError("numpy() would lose the gradient; call detach() first to say so")
        view = STATE.get().tables[self.device].download(self.data).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if self.device != "cpu":
            raise BufferError(f"__dlpack__ of a tensor on {self.device!r}: call .to('cpu') first")
        return self.numpy().__dlpack__(**{"max_version": (1, 0), **options})

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    def item(self) -> bool | int | float:
        """The one element, as a Python number."""
        if self.data.size != 1:
            raise ShapeError(f"item() is for one element; this tensor has shape {[*self.shape]}")
        return self.detach().numpy().item()  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        return self.detach().numpy().tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    # ------------------------------------------------------------------ gradients

    def requires_grad_(self, on: bool = True) -> Tensor:
        """Ask for a gradient (of a leaf of float dtype), or stop asking. Returns self."""
        if on and self.dtype not in FLOATS:
            raise DTypeError(f"only float tensors have gradients, this one is {self.dtype.name}")
        if not on and self.node is not None:
            raise RuntimeError("requires_grad_(False) is for leaves; use detach() here")
        self.requires_grad = on
        return self

    def backward(self, gradient: Tensor | None = None, retain_graph: bool | None = None,
                 create_graph: bool = False) -> None:
        """See ``etude.autograd.backward``."""
        autograd.backward(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same memory, without the history."""
        return view_of(self, Tensor(self.data))

    def clone(self) -> Tensor:
        """A copy in memory of its own; gradients flow through it."""
        return OPS["contiguous"](self)  # type: ignore[no-any-return]

    def written(self) -> int:
        """When the memory under this tensor was last written, by autograd's clock."""
        owner = self._owner()
        return 0 if isinstance(owner, str) else owner._written

    def mark_written(self) -> None:
        """To be called by whoever writes into ``data``, afterwards."""
        owner = self._owner()
        if isinstance(owner, str):
            raise RuntimeError(f"the result of {owner!r} was written; only leaves may be")
        owner._written = next(clock)

    def _owner(self) -> Tensor | str:
        """The leaf whose memory this is, or the name of the op that computed it."""
        if self.node is not None and self._base is None:
            return self.node.op.name
        return self if self._base is None else self._base

    def copy_(self, source: Tensor) -> Tensor:
        """Overwrite the values of this leaf with those of ``source``; the memory stays."""
        owner = self._owner()
        if isinstance(owner, str):
            raise RuntimeError(f"copy_ into the result of {owner!r}: backward may need its value. "
                               f"copy_ writes into leaves; clone() it first")
        if STATE.get().grad and owner.requires_grad:
            raise RuntimeError("copy_ into a leaf that requires a gradient: do it under no_grad()")
        if source.shape != self.shape or source.dtype != self.dtype:
            raise ShapeError(f"copy_: need {self.dtype.name}{list(self.shape)}, got "
                             f"{source.dtype.name}{list(source.shape)}")
        if source.device != self.device:
            raise DeviceError(f"copy_: from {source.device!r} to {self.device!r}; use .to() first")
        STATE.get().tables[self.device]["contiguous"](source.data, out=self.data)
        self.mark_written()
        return self

    # ------------------------------------------------------------------ conversion and views

    def to(self, *targets: Any, device: Any = None, dtype: Any = None) -> Tensor:
        """Convert to a dtype, move to a device, or both: ``x.to(etude.float64)``,
        ``x.to("cpu")``. Returns self where nothing changes.
        """
        x = self
        for target in (*targets, device, dtype):
            if target is None:
                continue
            if isinstance(target, str) and target not in np.sctypeDict:
                x = _move(x, target)
            elif np.dtype(target) != x.dtype:
                x = OPS["cast"](x, dtype=np.dtype(target))
        return x

    def float(self) -> Tensor:
        return self.to(float32)

    def double(self) -> Tensor:
        return self.to(float64)

    def long(self) -> Tensor:
        return self.to(int64)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; a view where the strides allow, else a copy."""
        return OPS["reshape"](self, shape=varargs(shape))  # type: ignore[no-any-return]

    def permute(self, *dims: Any) -> Tensor:
        """The axes in another order, as a view."""
        return OPS["permute"](self, dims=varargs(dims))  # type: ignore[no-any-return]

    def expand(self, *shape: Any) -> Tensor:
        """Repeat axes of size 1, as a view; -1 keeps a size."""
        sizes = varargs(shape)
        ahead = len(sizes) - self.ndim
        sizes = tuple(self.shape[i - ahead] if n == -1 and i >= ahead else n
                      for i, n in enumerate(sizes))
        return OPS["expand"](self, shape=sizes)  # type: ignore[no-any-return]

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two axes, as a view."""
        dims = list(range(self.ndim))
        i, j = axis("transpose", dim0, self.ndim), axis("transpose", dim1, self.ndim)
        dims[i], dims[j] = j, i
        return self.permute(*dims)

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix, as a view."""
        return self.transpose(-2, -1)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge the axes from ``start_dim`` to ``end_dim`` into one."""
        ndim = max(self.ndim, 1)
        start, end = axis("flatten", start_dim, ndim), axis("flatten", end_dim, ndim)
        if start > end:
            raise AxisError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
        if start == end and self.ndim:
            return self
        merged = math.prod(self.shape[start : end + 1])
        return self.reshape(*self.shape[:start], merged, *self.shape[end + 1 :])

    def unsqueeze(self, dim: int) -> Tensor:
        """Add an axis of size 1 at ``dim``."""
        at = axis("unsqueeze", dim, self.ndim + 1)
        return self.reshape(*self.shape[:at], 1, *self.shape[at:])

    def squeeze(self, dim: int) -> Tensor:
        """Take away axis ``dim`` if its size is 1."""
        at = axis("squeeze", dim, self.ndim)
        return self if self.shape[at] != 1 else self.reshape(*self.shape[:at],
                                                             *self.shape[at + 1 :])

    def __getitem__(self, index: Any) -> Tensor:
        """Basic indexing, as a view: integers, slices, None and Ellipsis. One Tensor, array or
        list of int64 takes whole rows, as a copy: ``x[index]`` is (*index.shape, *x.shape[1:]).
        """
        if isinstance(index, (list, np.ndarray)):
            index = Tensor(np.asarray(index))
        if isinstance(index, Tensor) and index.dtype == int64:
            rows = OPS["index_select"](self, index.reshape(-1), dim=0)
            return rows.reshape(*index.shape, *self.shape[1:])  # type: ignore[no-any-return]
        return OPS["slice"](self, index=plain_index(index, self.ndim))  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("tensors have no item assignment: backward could not see it. Build the "
                        "result with where, cat or scatter_add, or copy_ into a leaf")

    def _in_place(self, other: Any) -> Any:
        raise TypeError("tensors have no in-place operators: write x = x + y. Optimisers and "
                        "copy_ are the only writers")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _in_place

    if TYPE_CHECKING:  # operators and op methods are attached from the table, in functional.py

        def __getattr__(self, name: str) -> Any: ...
        def _op(self, other: Any) -> Tensor: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _op
        __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _op
        __lt__ = __le__ = __gt__ = __ge__ = _op
        def __neg__(self) -> Tensor: ...


def view_of(x: Tensor, y: Tensor) -> Tensor:
    """``y``, noting whose memory it is; not ``x`` itself, which would keep its history alive."""
    y._base = x._owner()
    return y


def varargs(given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


# ---------------------------------------------------------------------------- moving


def _move(x: Tensor, device: str) -> Tensor:
    if device == x.device:
        return x
    tables = STATE.get().tables
    y = Tensor(tables[device].upload(tables[x.device].download(x.data)))
    if STATE.get().grad and x.requires_grad:
        y.node = Node(_TO, [x], (), {"device": x.device}, (True,))
        y.requires_grad = True
    return y


def _move_back(F: Any, grad: Any, *, needs: Any, device: str) -> Any:
    if isinstance(grad, Tensor):
        return grad.to(device)
    tables = STATE.get().tables
    return tables[device].upload(tables[grad.device].download(grad))


#: What a move between devices leaves on the tape: it belongs to no column, so to no table.
_TO: Any = SimpleNamespace(name="to", arrays=("x",), outputs=("y",), saves=(), attrs={},
                           variadic=False, internal=False, rule=_move_back, composite_rule=None)
