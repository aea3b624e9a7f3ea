"""Calling an op on Tensors: promotion, the call, and the record that the tape keeps of it.

Three closures turn an op of the table into a function of Tensors, kept in ``OPS``: calls with one
operand and with two are frequent and small, and have a short road of their own; everything else
takes the general one. Which column then runs is decided in ``columns.py``. The public functions
with PyTorch's signatures are made from these in ``functional/``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy import ndarray

from etude.core.errors import DeviceError, DTypeError
from etude.core.shapes import (
    DOMAINS,
    DTYPES,
    FLOATS,
    STORED,
    Spec,
    bool_,
    float32,
    float64,
    int64,
    require,
    supported,
)
from etude.core.state import STATE
from etude.core.table import ENTERED, TABLE, Op
from etude.core.tape import Node
from etude.core.tensor import Tensor, tensor, view_of

Function = Callable[..., Any]


class _TensorFunctions(dict[str, Function]):
    """Op name -> function of Tensors with the op's own signature: arrays, then keywords."""

    def __missing__(self, name: str) -> Function:
        self[name] = fn = function_of(TABLE[name])
        return fn


OPS = _TensorFunctions()
ENTERED.append(lambda op: OPS.pop(op.name, None))


def _result_dtype(op: Op, operands: Sequence[Any]) -> np.dtype[Any]:
    """bool < int64 < float32 < float64 over the Tensors; Python numbers only raise the kind."""
    dtype = max((t.dtype for t in operands if isinstance(t, Tensor)), key=DTYPES.index,
                default=bool_)
    for n in operands:
        if isinstance(n, float) and dtype not in FLOATS:
            dtype = float32
        elif isinstance(n, int) and not isinstance(n, bool) and dtype == bool_:
            dtype = int64
    if op.domain == "float" and dtype not in FLOATS:
        return float32
    return int64 if op.domain == "number" and dtype == bool_ else dtype


def _operand(op: Op, x: Any) -> Any:
    """What a user may pass for an array: a Tensor, a number, an ndarray or a list of numbers."""
    if isinstance(x, np.generic):  # before float: np.float64 is one
        x = x.item()
    if x is None or isinstance(x, (Tensor, bool, int, float)):
        return x
    if isinstance(x, np.ndarray):
        return Tensor(supported(x))
    if isinstance(x, list):
        return tensor(x)
    foreign = f"{type(x).__module__}.{type(x).__name__}" if hasattr(x, "__dlpack__") else ""
    hint = "; etude.from_dlpack takes its memory" if foreign else ""
    raise TypeError(f"{op.name}: expected a Tensor or a number, got "
                    f"{foreign or type(x).__name__}{hint}")


def _promote(op: Op, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], str]:
    """Operands of one dtype on one device, and that device. Casts are ops, so they have
    gradients. Arguments with a dtype of their own (an index, a mask, a key) are left alone.
    """
    operands = [_operand(op, x) for x in inputs]
    names = op.arrays * len(operands) if op.variadic else op.arrays
    for name, x in zip(names, operands, strict=False):
        if x is None and name not in op.optional:
            raise TypeError(f"{op.name}: {name} is required, got None")
    free = [i for i, name in zip(range(len(operands)), names, strict=False)
            if name not in op.fixed and operands[i] is not None]
    devices = {t.device for t in operands if isinstance(t, Tensor)}
    if len(devices) > 1:
        raise DeviceError(f"{op.name}: operands on different devices ({', '.join(sorted(devices))}"
                          f"); move one with .to(device)")
    device = devices.pop() if devices else "cpu"
    for i in free:
        if isinstance(operands[i], Tensor) and operands[i].dtype in STORED:
            require(op.name, names[i], Spec(operands[i].shape, operands[i].dtype),
                    DOMAINS[op.domain])
    dtype = _result_dtype(op, [operands[i] for i in free])
    for i in free:
        t = operands[i]
        if isinstance(t, Tensor):
            operands[i] = t if t.dtype == dtype else OPS["cast"](t, dtype=dtype)
        elif dtype == int64 and not -(2**63) <= t < 2**63:
            raise DTypeError(f"{op.name}: a number of {t.bit_length()} bits does not go with "
                             f"int64, which ends at 2^63 - 1; use floats, or a smaller number")
    if free and not any(isinstance(operands[i], Tensor) for i in free):
        first = np.asarray(operands[free[0]], dtype)
        operands[free[0]] = Tensor(STATE.get().tables[device].upload(first))
    return tuple(operands), device


def general(op: Op, leading: int = 0, otherwise: Callable[..., Any] | None = None) -> Function:
    """Any number of operands. Operands of one dtype on one device need no promotion; the loop
    finds that out while it collects their arrays.

    ``otherwise(inputs, attrs)``, where it is given, is called for a call in other words: more
    than ``leading`` arguments by position, or a keyword that is no attribute of the op.
    """
    name, taken, attributes = op.name, op.taken, op.attrs.keys()
    kinds = {"float": "f", "number": "fi", "any": "fib"}[op.domain]
    roles: Any = [(a in op.optional, a in op.fixed) for a in op.arrays]
    if op.variadic:
        roles = itertools.repeat((False, False))
    one = op.shown == 1 and not op.many and op.cls != "view"  # result: a Tensor like any other
    #: the attribute that may follow the arrays by position
    next_name = op.order[leading] if len(op.arrays) == leading < len(op.order) else ""

    def call(*inputs: Any, **attrs: Any) -> Any:
        if otherwise is not None:
            if len(inputs) == leading + 1 and next_name and not attrs:  # such as softmax(x, -1)
                attrs, inputs = {next_name: inputs[leading]}, inputs[:leading]
            elif len(inputs) > leading or (attrs and not attrs.keys() <= attributes):
                return otherwise(inputs, attrs)
        state = STATE.get()
        arrays: list[Any] = []
        needs: list[bool] = []
        dtype = device = None
        for t, (optional, own_dtype) in zip(inputs, roles):
            if not isinstance(t, Tensor):
                if t is None and optional:
                    arrays.append(None)
                    needs.append(False)
                    continue
                break
            array = t.array
            place = "cpu" if array.__class__ is ndarray else array.device
            if place != device:
                if device is not None:
                    break
                device = place
            if not own_dtype and array.dtype is not dtype:
                if dtype is not None or array.dtype.kind not in kinds:
                    break
                dtype = array.dtype
            arrays.append(array)
            needs.append(t.requires_grad)
        if device is None or len(arrays) < len(inputs):  # something to promote, or to refuse
            inputs, device = _promote(op, inputs)
            arrays = [t.array if isinstance(t, Tensor) else t for t in inputs]
            needs = [isinstance(t, Tensor) and t.requires_grad for t in inputs]
        if attrs:
            attrs = taken(attrs)
        result = state.tables[device][name](*arrays, **attrs)
        outputs = result if isinstance(result, tuple) else (result,)
        node = None
        if state.grad and True in needs and outputs and outputs[0].dtype.kind == "f":
            node = Node(op, inputs, outputs, attrs, tuple(needs))
            if op.internal:
                _has_a_rule(op)
        return Tensor(outputs[0], node=node) if one else _results(op, inputs, outputs, node)

    return call


def _results(op: Op, inputs: Sequence[Any], outputs: tuple[Any, ...], node: Node | None) -> Any:
    """The Tensors that an op returns which returns several, or views of its input."""
    if op.many:
        return tuple([view_of(inputs[0], Tensor(y, node=node, index=i))
                      for i, y in enumerate(outputs)])
    first = Tensor(outputs[0], node=node)
    if op.cls == "view":
        return view_of(inputs[0], first)
    return (first, *map(Tensor, outputs[1 : op.shown]))


def _has_a_rule(op: Op) -> None:
    """RuntimeError for a backward op that cannot be differentiated itself."""
    if op.rule is None and op.composite_rule is None:
        raise RuntimeError(f"{op.name} has no gradient rule, so the op it belongs to cannot be "
                           f"differentiated twice")


def _by_name(op: Op) -> Function:
    """For the short roads, which know positions only: a call with some operands by name."""
    def call(placed: tuple[Any, ...], names: dict[str, Any]) -> Any:
        arrays, rest = op.arguments(tuple([x for x in placed if x is not None]), names)
        return general(op)(*arrays, **rest)

    return call


def _unary(op: Op) -> Function:
    name, slow, by_name = op.name, general(op), _by_name(op)

    def call(x: Any = None, **names: Any) -> Any:
        if names:
            return by_name((x,), names)
        if not (isinstance(x, Tensor) and x.array.dtype.kind == "f"):
            return slow(x)
        state = STATE.get()
        data = x.array
        device = "cpu" if data.__class__ is ndarray else data.device
        y = state.tables[device][name](data)
        if x.requires_grad and state.grad:
            return Tensor(y, node=Node(op, (x,), (y,), {}, (True,)))
        return Tensor(y)

    return call


def _binary(op: Op) -> Function:
    name, slow, by_name = op.name, general(op), _by_name(op)
    differentiable = op.cls != "compare"  # whose results are bools

    def call(x: Any = None, y: Any = None, **names: Any) -> Any:
        if names:
            return by_name((x, y), names)
        if not isinstance(x, Tensor):
            return slow(x, y)
        a, b = x.array, y
        dtype, device = a.dtype, "cpu" if a.__class__ is ndarray else a.device
        grad_x, grad_y = x.requires_grad, False
        if isinstance(y, Tensor):
            b = y.array
            grad_y = y.requires_grad
            place = "cpu" if b.__class__ is ndarray else b.device
            if b.dtype is not dtype or place != device:
                return slow(x, y)
        elif type(y) is not float and type(y) is not int:
            return slow(x, y)
        if dtype is not float32 and dtype is not float64:
            return slow(x, y)
        state = STATE.get()
        z = state.tables[device][name](a, b)
        if differentiable and state.grad and (grad_x or grad_y):
            return Tensor(z, False, Node(op, (x, y), (z,), {}, (grad_x, grad_y)))
        return Tensor(z)

    return call


def _creation(op: Op) -> Function:
    def call(*, device: str = "cpu", **attrs: Any) -> Tensor:
        return Tensor(STATE.get().tables[device][op.name](**attrs))

    return call


def short(op: Op) -> bool:
    """Whether calls take one of the two short roads: one or two operands, and nothing else."""
    small = op.cls in ("map", "binary", "equal", "compare") and len(op.arrays) <= 2
    return small and not (op.attrs or op.fixed)


def function_of(op: Op) -> Function:
    """The function of Tensors for ``op``; ``OPS`` keeps it."""
    if op.cls == "create":
        return _creation(op)
    if not short(op):
        return general(op)
    return _unary(op) if len(op.arrays) == 1 else _binary(op)


class TensorOps:
    """``F`` under create_graph: the same rules, but every step is recorded."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        if name not in TABLE:
            raise AttributeError(f"there is no op called {name!r}")
        if TABLE[name].cls == "create":
            return lambda **attrs: OPS[name](device=self._device, **attrs)
        return OPS[name]


class _TensorTables(dict[str, Any]):
    """Device -> what has the ops on its Tensors as ``F``, as a ``Table`` has those on arrays."""

    def __missing__(self, device: str) -> Any:
        self[device] = found = SimpleNamespace(F=TensorOps(device))
        return found


TENSOR_TABLES = _TensorTables()
