"""Tensor: an array that remembers how it was computed, with PyTorch's names.

This file holds the class: what a tensor is, how it leaves Etude, who may write into it. Methods
that call ops (``reshape``, ``x + y``, ``x.softmax(-1)``, ``backward``) are attached in
``methods.py``, because a call of an op (``dispatch.py``) needs this class first. How gradients
flow back is in ``tape.py``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from etude.core.array import IN_PLACE, WRITE, in_bytes, read_only
from etude.core.errors import DeviceError, DTypeError, ShapeError
from etude.core.live import WATCHER, Changes
from etude.core.shapes import (
    DTYPES,
    FLOATS,
    STORED,
    Shape,
    bool_,
    dtype_of,
    float32,
    float64,
    int64,
    supported,
)
from etude.core.state import STATE
from etude.core.table import Op
from etude.core.tape import Node, clock

#: Devices as DLPack numbers them: the host, and one that it has no number for.
_KDL_CPU, _KDL_EXTENSION = (1, 0), (12, 0)


class Tensor:
    """An n-dimensional array of float32, float64, int64 or bool on a device.

    ``data`` shows the array (NumPy's on "cpu"), ``grad`` is the gradient that ``backward`` left,
    or None. Make one with ``etude.tensor``. There is no item assignment and no in-place operator,
    and ``data`` is read-only: only optimisers and ``copy_`` write, and backward notices if they
    wrote too early.
    """

    __slots__ = ("__weakref__", "array", "base", "grad", "hooks", "index", "node", "requires_grad",
                 "written")

    def __init__(self, data: Any, requires_grad: bool = False, node: Node | None = None,
                 index: int = 0) -> None:
        self.array = data  # itself, for ops and optimisers; what people see of it is ``data``
        self.node = node  # the call that computed it; None for a leaf
        self.index = index  # which of the node's outputs it is
        if node is None:
            self.grad: Tensor | None = None  # of a result, methods.py warns that none is kept
        self.requires_grad = node is not None
        self.base: Tensor | Op | None = None  # the leaf, or the op, whose memory it views
        self.written = 0  # when copy_ or an optimiser last wrote into it, by the tape's clock
        #: what ``backward`` calls when the gradient is complete, in the order of registration
        self.hooks: dict[int, Callable[[Tensor], None]] | None = None
        if requires_grad:
            self.requires_grad_()

    # ------------------------------------------------------------------ what it is

    @property
    def data(self) -> Any:
        """The array: on "cpu" NumPy's, read-only, in the same memory; else a DeviceArray."""
        _tell_of_reading(self.array)
        return read_only(self.array)

    @data.setter
    def data(self, value: Any) -> None:
        raise TypeError(f"the data of a tensor cannot be replaced, because {WRITE}")

    @property
    def shape(self) -> Shape:
        return self.array.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        return self.array.device  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return len(self.array.shape)

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        return int(self.array.size)

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

    def __format__(self, spec: str) -> str:
        """``f"{loss:.4f}"``: a tensor without dimensions is formatted as the number it holds."""
        if not spec:
            return str(self)
        if self.shape:
            raise TypeError(f"the format {spec!r} is for one number; this tensor has shape "
                            f"{[*self.shape]}. Format its elements, or print the tensor itself")
        return format(self.item(), spec)

    def __hash__(self) -> int:
        return id(self)

    # ------------------------------------------------------------------ out of Etude

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a read-only NumPy array; on "cpu" the same memory, not a copy."""
        if self.requires_grad:
            raise RuntimeError("numpy() would lose the gradient; call detach() first to say so")
        _tell_of_reading(self.array)
        view = STATE.get().tables[self.device].download(self.array).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        """The memory for another library, as a DLPack capsule; ``copy`` makes it a copy.

        For whoever reads ``max_version`` 1.0 the capsule says read-only, as ``numpy()`` is. Older
        ones cannot say so, and PyTorch does not listen. So memory that may not be written, such as
        JAX's or a file's, is copied, unless ``copy=False`` asks for itself. So it is with steps
        backwards, at which PyTorch ends the process. BufferError for what cannot be lent. Source:
        the Python array API standard, 2024.12.
        """
        wanted = self.__dlpack_device__() if dl_device is None else tuple(dl_device)
        if wanted != _KDL_CPU or (self.device != "cpu" and copy is False):
            raise BufferError(f"__dlpack__ of a tensor on {self.device!r}: only memory of the host "
                              f"is lent, and DLPack device {list(wanted)} was asked for. Call "
                              f".to('cpu') first")
        if stream is not None:
            raise BufferError(f"__dlpack__: stream must be None for memory of the host, got "
                              f"{stream!r}")
        x = self.numpy()
        says_read_only = max_version is not None and max_version[0] >= 1
        array = self.array if self.device == "cpu" else x
        if not says_read_only:
            x = array
        may_be_written = array.flags.writeable or (says_read_only and copy is False)
        lent = may_be_written and min(x.strides, default=0) >= 0
        if copy is False and not lent:
            raise BufferError("__dlpack__: this memory cannot be lent without a copy: it is "
                              "stepped through backwards, or it is read-only, which capsules "
                              "older than DLPack 1.0 cannot say")
        x = x if lent else x.copy()
        return x.__dlpack__(max_version=max_version, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _KDL_CPU if self.device == "cpu" else _KDL_EXTENSION

    def item(self) -> bool | int | float:
        """The one element, as a Python number."""
        if self.array.size != 1:
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

    def __index__(self) -> int:
        """The one integer, as a place in a list: ``names[scores.argmax(1)[0]]``."""
        if self.dtype != int64 or self.array.size != 1:
            raise TypeError(f"one integer is wanted, an int64 tensor of one element; got "
                            f"{self.dtype.name}{list(self.shape)}")
        return int(self.item())

    # ------------------------------------------------------------------ gradients

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient (of a leaf of float dtype), or stop asking. Returns self."""
        if requires_grad and self.dtype not in FLOATS:
            raise DTypeError(f"only float tensors have gradients, this one is {self.dtype.name}")
        if not requires_grad and self.node is not None:
            raise RuntimeError("requires_grad_(False) is for leaves; use detach() here")
        self.requires_grad = requires_grad
        return self

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHook:
        """Have ``backward`` call ``hook(self)`` as soon as the gradient of this leaf is complete.

        The walk goes on afterwards, so the gradient of one parameter can travel or be summed
        while others are still worked out. ``.remove()`` on the result takes the hook away.
        """
        if self.node is not None:
            raise RuntimeError(f"a gradient hook belongs to a leaf; this is the result of "
                               f"{self.node.op.name!r}")
        if self.hooks is None:
            self.hooks = {}
        return RemovableHook(self.hooks, hook)

    def retain_grad(self) -> None:
        """Have ``backward`` leave the gradient of this result in ``grad``, as it does in leaves."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad: this tensor has no gradient, because nothing that led "
                               "to it was made with requires_grad=True")
        if self.node is not None and not any(t is self for t in self.node.kept()):
            self.grad = None
            self.node.keepers += (weakref.ref(self),)

    def detach(self) -> Tensor:
        """The same memory, without the history."""
        return view_of(self, Tensor(self.array))

    def mark_written(self) -> None:
        """To be called by whoever writes into ``array``, afterwards."""
        leaf = self.node is None and self.base is None
        owner = self if leaf else self._owner()
        if not isinstance(owner, Tensor):
            raise RuntimeError(f"the result of {owner.name!r} was written; only leaves may be")
        owner.written = next(clock)
        Changes.writes += 1

    def _owner(self) -> Tensor | Op:
        """The leaf whose memory this is, or the op that computed it."""
        if self.node is not None and self.base is None:
            return self.node.op
        return self if self.base is None else self.base

    def copy_(self, src: Tensor) -> Tensor:
        """Overwrite the values of this leaf with those of ``src``; the memory stays."""
        owner = self._owner()
        if not isinstance(owner, Tensor):
            raise RuntimeError(f"copy_ into the result of {owner.name!r}: backward may need its "
                               f"value. copy_ writes into leaves; clone() it first")
        if STATE.get().grad and owner.requires_grad:
            raise RuntimeError("copy_ into a leaf that requires a gradient: do it under no_grad()")
        if src.shape != self.shape or src.dtype != self.dtype:
            raise ShapeError(f"copy_: need {self.dtype.name}{list(self.shape)}, got "
                             f"{src.dtype.name}{list(src.shape)}")
        if src.device != self.device:
            raise DeviceError(f"copy_: from {src.device!r} to {self.device!r}; use .to() first")
        repeated = any(n > 1 and step == 0
                       for n, step in zip(self.shape, self.array.strides, strict=True))
        if repeated and self.array.size:
            raise RuntimeError("copy_ into an expanded view: several of its elements are one place "
                               "in memory. Copy into the tensor that was expanded, or into a "
                               "clone() of the view")
        if isinstance(self.array, np.ndarray) and not self.array.flags.writeable:
            raise RuntimeError("copy_ into memory that is read-only; clone() the tensor first")
        given, mine = src.array, self.array
        if self.dtype in STORED:
            given, mine = in_bytes(given), in_bytes(mine)
        STATE.get().tables[self.device]["contiguous"](given, out=mine)
        self.mark_written()
        return self

    # ------------------------------------------------------------------ what it refuses

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("tensors have no item assignment: backward could not see it. Build the "
                        "result with where, cat or scatter_add; into a leaf, such as a parameter, "
                        "write: with no_grad(): p[index].copy_(y)")

    if TYPE_CHECKING:  # operators and methods that call ops are attached in methods.py

        def __getattr__(self, name: str) -> Any: ...
        def _op(self, other: Any) -> Tensor: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _op
        __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _op
        __lt__ = __le__ = __gt__ = __ge__ = _op
        __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _op
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __round__(self) -> Tensor: ...

        @property
        def T(self) -> Tensor: ...
        def backward(self, gradient: Tensor | None = None, retain_graph: bool | None = None,
                     create_graph: bool = False) -> None: ...
        def _made(self, *given: Any, **options: Any) -> Tensor: ...

        clone = to = float = double = long = reshape = permute = expand = transpose = _made
        flatten = unsqueeze = squeeze = _made
        def __getitem__(self, index: Any) -> Tensor: ...


def _no_in_place(sign: str) -> Callable[[Tensor, Any], NoReturn]:
    """What ``x += y`` ends in. ``p = p - y`` for a parameter would name a new tensor ``p``, and
    train nothing, so a leaf is told what does.
    """
    def refuse(self: Tensor, other: Any) -> NoReturn:
        what = "tensors have no in-place operators, because backward may need the old values"
        if self.node is not None:
            raise TypeError(f"{what}. Write x = x {sign} y, which makes a new tensor")
        raise TypeError(f"{what}. To change a leaf, such as a parameter, write: with no_grad(): "
                        f"p.copy_(p {sign} y). For a new tensor: x = x {sign} y")

    return refuse


for _name, _sign in IN_PLACE.items():
    setattr(Tensor, _name, _no_in_place(_sign))


def _tell_of_reading(array: Any) -> None:
    """Python is about to see values: what it does then, a replay of this step would not."""
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.reads(array)


def view_of(x: Tensor, y: Tensor) -> Tensor:
    """``y``, noting whose memory it is; not ``x`` itself, which would keep its history alive."""
    y.base = x._owner()
    return y


class RemovableHook:
    """What registering a hook returns: ``remove()`` takes it away again."""

    def __init__(self, hooks: dict[int, Callable[[Tensor], None]],
                 hook: Callable[[Tensor], None]) -> None:
        self._hooks = hooks
        hooks[id(self)] = hook

    def remove(self) -> None:
        self._hooks.pop(id(self), None)


# ---------------------------------------------------------------------------- from data


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: str = "cpu"
           ) -> Tensor:
    """A new tensor with a copy of ``data``: numbers, nested lists, an array or a Tensor.

    Python floats become float32; arrays keep float32, float64, int64 and bool, and other dtypes
    take the nearest of these; int8, which ``linear_int8`` takes, is made where ``dtype`` names it.
    Raises ShapeError for ragged lists, DTypeError for text and the like.
    """
    if isinstance(data, Tensor):
        data = data.detach().to("cpu").numpy()
    try:
        x = np.array(data)
    except ValueError:
        raise ShapeError("tensor(): the nested lists have different lengths, so they form no "
                         "array; pad them first") from None
    if x.dtype.kind not in "fiub":
        raise DTypeError(f"tensor(): needs numbers or bools, got {type(data).__name__} that NumPy "
                         f"reads as {x.dtype}")
    if dtype is not None and dtype_of("tensor", dtype) in STORED:
        x = _stored(x, dtype_of("tensor", dtype))
    elif dtype is not None:
        x = x.astype(_float_or(dtype))
    elif x.dtype == float64 and not isinstance(data, (np.ndarray, np.generic)):
        x = x.astype(float32)
    kept = x if dtype is not None and x.dtype in STORED else supported(x)
    x = np.ascontiguousarray(kept).reshape(x.shape)
    array = STATE.get().tables[device].upload(x)
    watcher = WATCHER.get()
    if watcher is not None and isinstance(data, np.ndarray):
        watcher.copies(data, array)
    return Tensor(array, requires_grad)


def _stored(x: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """``x`` in a dtype that is only stored. DTypeError for a number that it does not hold."""
    with np.errstate(invalid="ignore"):
        found = x.astype(dtype)
    lost = found != x
    if lost.any():
        info = np.iinfo(dtype)
        raise DTypeError(f"tensor(): {x[lost].flat[0]} cannot be kept, because {dtype.name} holds "
                         f"{info.min} to {info.max}, whole numbers alone")
    return found


def _float_or(dtype: Any) -> Any:
    found = dtype_of("tensor", dtype)
    supported(np.empty(0, found))  # raises for what Etude does not have
    return found


def from_numpy(x: np.ndarray[Any, Any]) -> Tensor:
    """A tensor over the memory of ``x``, not a copy. ``x`` has one of Etude's four dtypes."""
    if not isinstance(x, np.ndarray) or supported(x) is not x:
        raise DTypeError(f"from_numpy(): needs a NumPy array of float32, float64, int64 or bool, "
                         f"got {getattr(x, 'dtype', type(x).__name__)}; etude.tensor converts")
    return Tensor(np.asarray(x))  # of a subclass, such as another tensor's data, the array


def from_dlpack(ext_tensor: Any, *, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of an array of another library: PyTorch's, JAX's, NumPy's.

    ``ext_tensor`` lends its memory by ``__dlpack__``: memory of the host, in one of Etude's four
    dtypes. With ``copy`` the values are copied, from a GPU too if it lends to the host as CuPy and
    PyTorch do, and other dtypes take the nearest of these. What is read-only stays so.
    TypeError for what lends nothing; BufferError, or DTypeError, if this memory cannot be shared.
    """
    x = ext_tensor
    kind = f"{type(x).__module__}.{type(x).__name__}"
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(f"from_dlpack(): needs an array that has __dlpack__, such as those of "
                        f"NumPy, PyTorch and JAX, got {kind}; etude.tensor takes lists and numbers")
    try:
        away = bool(copy) and x.__dlpack_device__()[0] != _KDL_CPU[0]
        array = np.from_dlpack(x, device="cpu", copy=True) if away else np.from_dlpack(x)
    except (BufferError, RuntimeError, ValueError, TypeError) as error:
        raise BufferError(f"from_dlpack(): this {kind} of dtype {getattr(x, 'dtype', 'unknown')} "
                          f"does not lend its memory ({error}). First move it to the host, detach "
                          f"it from its gradient, or convert it to a dtype that NumPy has"
                          ) from error
    if copy:
        return tensor(array)
    if supported(array) is not array:
        raise DTypeError(f"from_dlpack(): {array.dtype} cannot be shared, because Etude has "
                         f"{', '.join(d.name for d in DTYPES)}; copy=True converts")
    return Tensor(array)
