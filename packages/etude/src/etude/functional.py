"""The public functions of Tensors, made from the table: PyTorch's names, order and defaults.

``etude.functional.softmax(x, dim=-1)`` and ``x.softmax(-1)`` are one function. Ops whose public
form differs from the op (a list for cat, a generator for dropout) are written out below; all
others need no line here, a new op included.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude import ops  # noqa: F401 - fills the table, before anything is made from it
from etude.core.creation import full  # noqa: F401 - public here too
from etude.core.dispatch import OPS
from etude.core.errors import ShapeError
from etude.core.given import in_order, integer
from etude.core.methods import attach, instead
from etude.core.random import Generator, key_tensor
from etude.core.shapes import axis, check_shape, float32, pair, varargs
from etude.core.state import STATE
from etude.core.table import TABLE, Op
from etude.core.tensor import Tensor, tensor


def _public(op: Op) -> Callable[..., Any]:
    """The function of Tensors for an op, with attributes by position or keyword."""
    run = OPS[op.name]
    leading = 0  # how many arguments by position are arrays, in the op's own order
    for name, array in zip(op.order, op.arrays, strict=False):
        if name != array:
            break
        leading += 1

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= leading and (not kwargs or kwargs.keys() <= op.attrs.keys()):
            return run(*args, **kwargs)
        if len(args) > len(op.order):
            raise TypeError(f"{op.signature} takes {len(op.order)} arguments, got {len(args)}")
        given = dict(zip(op.order, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                raise TypeError(f"{op.name}: {name} given twice")
            given[name] = value
        arrays = [given.pop(name, None) for name in op.arrays]
        return run(*arrays, **given)

    # The closure in OPS is already the public function where there is nothing to sort.
    plain = not op.attrs and not op.optional and op.order == op.arrays
    return _introduced(run if plain else call, op)


def _introduced(fn: Callable[..., Any], op: Op) -> Callable[..., Any]:
    """``fn`` with the name, text and parameters that help() shows."""
    fn.__name__ = fn.__qualname__ = op.name
    fn.__doc__ = op.__doc__
    fn.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if name in op.optional else op.attrs.get(name, inspect.Parameter.empty))
        for name in op.order])
    return fn


# ------------------------------------------------------------------ written out by hand


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after another along ``dim``; all other sizes agree."""
    given = in_order("cat", tensors)
    if not given:
        raise ShapeError("cat: needs at least one tensor, got an empty list")
    return OPS["cat"](*given, dim=dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors, all of one shape, one after another along a new axis ``dim``."""
    given = in_order("stack", tensors)
    if not given:
        raise ShapeError("stack: needs at least one tensor, got an empty list")
    return OPS["stack"](*given, dim=dim)


def clamp(x: Any, min: float | None = None, max: float | None = None) -> Any:
    """y = x kept within min .. max, either of which may be None; NaN stays NaN.

    The gradient passes where min <= x <= max. float or int64.
    """
    for name, bound, other in (("min", min, "maximum"), ("max", max, "minimum")):
        if isinstance(bound, (Tensor, np.ndarray)):
            raise TypeError(f"clamp: {name} is one number, got a {type(bound).__name__}; "
                            f"{other}(x, {name}) takes two tensors, with gradients for both")
    return OPS["clamp"](x, min=min, max=max)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> Any:
    """``x`` cut along ``dim`` into views: equal pieces of one size, or pieces of given sizes."""
    if np.iterable(split_size_or_sections):
        sizes = check_shape("split", split_size_or_sections)
    else:
        size = integer("split: the size of a piece", split_size_or_sections, 1, ShapeError)
        n = x.shape[axis("split", dim, x.ndim)]
        sizes = tuple([min(size, n - at) for at in range(0, n, size)]) or (0,)
    return OPS["split"](x, sizes=sizes, dim=dim)


def matmul(x: Any, y: Any) -> Any:
    """Matrix product; a vector on the left is a row, on the right a column, and loses that axis.

    x: (..., M, K) or (K); y: (..., K, N) or (K); batch axes broadcast.
    """
    x, y = [t if isinstance(t, Tensor) else tensor(t) for t in (x, y)]
    row, column = x.ndim == 1, y.ndim == 1
    z = OPS["matmul"](x.unsqueeze(0) if row else x, y.unsqueeze(1) if column else y)
    z = z.squeeze(-1) if column else z
    return z.squeeze(-1 if column else -2) if row else z


def reshape(x: Any, shape: Any) -> Any:
    """See ``Tensor.reshape``."""
    return x.reshape(shape)


def expand(x: Any, shape: Any) -> Any:
    """See ``Tensor.expand``."""
    return x.expand(shape)


def conv1d(x: Any, weight: Any, bias: Any = None, stride: int = 1, padding: int = 0,
           dilation: int = 1, groups: int = 1) -> Any:
    """conv2d over images one pixel high. x: (N, C, L); weight: (O, C/groups, K); bias: (O)."""
    if x.ndim != 3 or weight.ndim != 3:
        raise ShapeError(f"conv1d: x must be (N, C, L) and weight (O, C/groups, K), got "
                         f"{list(x.shape)} and {list(weight.shape)}")
    y = OPS["conv2d"](x.unsqueeze(2), weight.unsqueeze(2), bias, stride=(1, stride),
                      padding=(0, padding), dilation=(1, dilation), groups=groups)
    return y.squeeze(2)


def conv_transpose2d(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                     output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Any:
    """The transpose of conv2d: each pixel of x spreads over a window of the output.

    x: (N, C, H, W); weight: (C, O/groups, KH, KW); bias: (O) or None; y: (N, O, OH, OW) with
    OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1. Its values are the gradient that
    conv2d gives its input, and that op computes it. ``output_padding`` is less than the stride.
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[0]:
        raise ShapeError(f"conv_transpose2d: x must be (N, C, H, W) and weight (C, O/groups, KH, "
                         f"KW), got {list(x.shape)} and {list(weight.shape)}")
    _per_channel("conv_transpose2d", weight.shape[1] * groups, bias=bias)
    given = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1),
             "output_padding": (output_padding, 0)}
    two = {k: pair("conv_transpose2d", k, v, least) for k, (v, least) in given.items()}
    extra = two.pop("output_padding")
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in zip(
        x.shape[2:], weight.shape[2:], two["stride"], two["padding"], two["dilation"], extra,
        strict=True))
    for n, e, s in zip(size, extra, two["stride"], strict=True):
        if n < 1 or e >= s:
            raise ShapeError(f"conv_transpose2d: the output would be {list(size)}; output_padding "
                             f"{list(extra)} must be less than stride {list(two['stride'])}, and "
                             f"padding {list(two['padding'])} must leave some of it")
    y = OPS["conv2d_input"](x, weight, input_size=size, groups=groups, **two)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def _per_channel(name: str, channels: int, **given: Any) -> None:
    """ShapeError for a vector that has not one number per channel."""
    for arg, t in given.items():
        if t is not None and t.shape != (channels,):
            raise ShapeError(f"{name}: {arg} must have shape [{channels}], one number per channel, "
                             f"got {list(t.shape)}")


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
               ) -> Any:
    """layer_norm of each of ``num_groups`` groups of channels, then scale and shift per channel.

    x: (N, C, ...); weight, bias: (C) or None. Source: Wu and He 2018, Group Normalization.
    """
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(f"group_norm: num_groups={num_groups} must divide the channels of x "
                         f"(N, C, ...), got {list(x.shape)}")
    _per_channel("group_norm", x.shape[1], weight=weight, bias=bias)
    size = math.prod(x.shape[2:]) * (x.shape[1] // num_groups)
    rows = x.reshape(x.shape[0], num_groups, size)
    y = OPS["layer_norm"](rows, normalized_shape=rows.shape[2:], eps=eps).reshape(x.shape)
    column = (x.shape[1], *(1 for _ in x.shape[2:]))
    if weight is not None:
        y = y * weight.reshape(column)
    return y if bias is None else y + bias.reshape(column)


def batch_norm(x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """Normalise each channel by this batch's mean and variance (``training``) or the running ones.

    x: (N, C, ...); all others (C) or None. In training the running buffers, if given, move by
    ``momentum`` towards the batch's mean and unbiased variance, in place; an empty batch, which has
    neither, moves nothing.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        return OPS["batch_norm_eval"](x, running_mean, running_var, weight, bias, eps=eps)
    y, mean, var = OPS["batch_norm"](x, weight, bias, eps=eps)
    if running_mean is not None and x.numel():
        count = x.numel() // max(x.shape[1], 1)
        table = STATE.get().tables[x.device]
        unbiased = table["mul"](var.data, count / (count - 1))
        for buffer, new in ((running_mean, mean.data), (running_var, unbiased)):
            table["lerp"](buffer.data, new, momentum, out=buffer.data)
            buffer.mark_written()
    return y


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None
            ) -> Any:
    """x / (1 - p) with a share p of the elements set to 0; x itself unless ``training``."""
    if not training or p == 0:
        return x
    return OPS["dropout"](x, key_tensor(generator, x.device), p=float(p))


def rand(*shape: Any, generator: Generator | None = None, dtype: Any = float32,
         device: str = "cpu", requires_grad: bool = False) -> Any:
    """Uniform numbers in [0, 1), from ``generator`` or the one ``manual_seed`` sets."""
    sizes = check_shape("rand", varargs(shape))
    x = OPS["rand"](key_tensor(generator, device), shape=sizes, dtype=dtype)
    return x.requires_grad_() if requires_grad else x


def randn(*shape: Any, generator: Generator | None = None, dtype: Any = float32,
          device: str = "cpu", requires_grad: bool = False) -> Any:
    """Normal numbers of mean 0 and variance 1, from ``generator`` or ``manual_seed``'s."""
    sizes = check_shape("randn", varargs(shape))
    x = OPS["randn"](key_tensor(generator, device), shape=sizes, dtype=dtype)
    return x.requires_grad_() if requires_grad else x


# ------------------------------------------------------------------ the rest, from the table

BY_HAND = {name for name, value in dict(globals()).items() if name in TABLE and callable(value)}

for _op in TABLE.values():
    if _op.name not in BY_HAND and not _op.internal:
        globals()[_op.name] = _public(_op)

COMPOSED = {"conv1d", "conv_transpose2d", "group_norm"}  # of other ops, so no rows of the table
__all__ = sorted({op.name for op in TABLE.values() if not op.internal} | BY_HAND | COMPOSED)


def signature(op: Op) -> str:
    """How the public function of ``op`` is called; an internal op is called as it stands."""
    if op.name not in BY_HAND:
        return op.signature
    words = []
    for p in inspect.signature(globals()[op.name]).parameters.values():
        default = getattr(p.default, "name", repr(p.default))  # float32, not dtype('float32')
        words.append(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name
                     + ("" if p.default is p.empty else f"={default}"))
    return f"{op.name}({', '.join(words)})"


def __getattr__(name: str) -> Any:  # an op entered later, by a user's own file
    if name in TABLE and not TABLE[name].internal:
        return _public(TABLE[name])
    raise AttributeError(f"etude.functional has no function {name!r}{instead(name)}")


def _methods() -> dict[str, Callable[..., Any]]:
    """The public functions that are methods of Tensor too: those whose first argument is one."""
    found = {}
    for name in __all__:
        op = TABLE.get(name)
        if name in ("split", "matmul") or (
                op is not None and op.arrays and op.order[0] == op.arrays[0] and not op.variadic
                and name != "where"):
            found[name] = globals()[name]
    return found


attach(_methods())
