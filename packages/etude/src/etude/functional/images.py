"""Public forms of convolution and pooling: an image without a batch, one number for two, words.

``conv1d`` and ``conv_transpose2d`` are no ops: they are other calls of conv2d and its gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.shapes import pair
from etude.core.tensor import Tensor
from etude.functional.calls import as_tensor, batched, per_channel
from etude.functional.shapes import pad

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "conv1d", "conv2d", "conv_transpose2d",
           "max_pool2d"]


def conv2d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Any:
    """Correlation of images with a kernel. input: (N, C, H, W) or (C, H, W); weight: (O, C/groups,
    KH, KW); bias: (O) or None; output: (N, O, OH, OW) or (O, OH, OW).

    stride, padding and dilation: one integer or two. padding "valid" is 0, and "same" keeps H and W
    at stride 1: an odd pixel goes behind.
    """
    weight = as_tensor(weight)

    def run(x: Tensor) -> Any:
        x, around = _padded_as("conv2d", x, weight.shape[2:], padding, stride, dilation)
        return OPS["conv2d"](x, weight, bias, stride=stride, padding=around, dilation=dilation,
                             groups=integer("conv2d: groups", groups, 1, ShapeError))
    return batched(run, input, 4)


def _padded_as(name: str, x: Tensor, kernel: Any, padding: Any, stride: Any, dilation: Any
              ) -> tuple[Tensor, Any]:
    """Padding given as a word: the image with what is odd of it in place, and the rest as numbers.
    """
    if not isinstance(padding, str):
        return x, padding
    if padding == "valid":
        return x, 0
    if padding != "same":
        raise ValueError(f"{name}: padding must be integers, 'valid' or 'same', got {padding!r}")
    if len(kernel) != 2:  # the op has words for that
        return x, 0
    if pair(name, "stride", stride, 1) != (1, 1):
        raise ValueError(f"{name}: padding='same' keeps the size at stride 1, got stride={stride}")
    total = [d * (k - 1) for d, k in zip(pair(name, "dilation", dilation, 1), kernel, strict=True)]
    odd = [t % 2 for t in total]
    if any(odd):
        x = OPS["pad"](x, padding=(0, odd[1], 0, odd[0]))
    return x, (total[0] // 2, total[1] // 2)


def _given(stride: Any) -> Any:
    """None for (), which is PyTorch's own default: the window."""
    return None if isinstance(stride, (tuple, list)) and not stride else stride


def max_pool2d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest pixel of each window; with ``return_indices`` also where it stands in its plane.

    input: (N, C, H, W) or (C, H, W). stride is the window by default; see ``etude.ops.max_pool2d``.
    """
    found = batched(lambda x: OPS["max_pool2d"](
        x, kernel_size=kernel_size, stride=_given(stride), padding=padding,
        dilation=dilation, ceil_mode=bool(ceil_mode)), input, 4)
    return found if return_indices else found[0]


def avg_pool2d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Any:
    """The mean of each window. input: (N, C, H, W) or (C, H, W); see ``etude.ops.avg_pool2d``."""
    return batched(lambda x: OPS["avg_pool2d"](
        x, kernel_size=kernel_size, stride=_given(stride), padding=padding,
        ceil_mode=bool(ceil_mode),
        count_include_pad=bool(count_include_pad), divisor_override=divisor_override), input, 4)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean of each of OH x OW bins that cover the image. input: (N, C, H, W) or (C, H, W);
    output_size: one integer or two, of which None keeps a size.
    """
    both = tuple(output_size) if np.iterable(output_size) else (output_size, output_size)

    def run(x: Tensor) -> Any:
        size = tuple([n if o is None else o for n, o in zip(x.shape[2:], both, strict=False)])
        return OPS["adaptive_avg_pool2d"](x, output_size=size if len(both) == 2 else output_size)
    return batched(run, input, 4)


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Any:
    """conv2d over images one pixel high. input: (N, C, L) or (C, L); weight: (O, C/groups, K);
    bias: (O) or None. stride, padding and dilation: an integer, or a tuple of one.
    """
    input, weight = as_tensor(input), as_tensor(weight)
    if weight.ndim != 3 or input.ndim not in (2, 3):
        raise ShapeError(f"conv1d: input must be (N, C, L) or (C, L) and weight (O, C/groups, K), "
                         f"got {list(input.shape)} and {list(weight.shape)}")
    by, apart = _single("stride", stride), _single("dilation", dilation)
    around = padding if isinstance(padding, str) else (0, _single("padding", padding))

    def run(x: Tensor) -> Any:
        return conv2d(x.unsqueeze(-2), weight.unsqueeze(2), bias, (1, by), around, (1, apart),
                      groups).squeeze(-2)
    return batched(run, input, 3)


def _single(arg: str, value: Any) -> Any:
    """An attribute along one axis: an integer, or a tuple of one."""
    one = tuple(value) if np.iterable(value) else (value,)
    if len(one) != 1:
        raise ShapeError(f"conv1d: {arg} must be an integer, or a tuple of one, got {value!r}")
    return one[0]


def conv_transpose2d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                     output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Any:
    """The transpose of conv2d: each pixel of the input spreads over a window of the output.

    input: (N, C, H, W) or (C, H, W); weight: (C, O/groups, KH, KW); bias: (O) or None; output:
    (N, O, OH, OW) with OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1. Its values are
    the gradient that conv2d gives its input, and that op computes it. ``output_padding`` is less
    than the larger of stride and dilation.
    """
    name = "conv_transpose2d"
    input, weight = as_tensor(input), as_tensor(weight)
    bias = None if bias is None else as_tensor(bias)
    shape = input.shape
    if len(shape) not in (3, 4) or weight.ndim != 4 or shape[-3] != weight.shape[0]:
        raise ShapeError(f"{name}: input must be (N, C, H, W) or (C, H, W) and weight (C, "
                         f"O/groups, KH, KW), got {list(shape)} and {list(weight.shape)}")
    groups = integer(f"{name}: groups", groups, 1, ShapeError)
    per_channel(name, weight.shape[1] * groups, bias=bias)
    steps, around, apart, extra = [pair(name, arg, value, least) for arg, value, least in (
        ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1),
        ("output_padding", output_padding, 0))]
    size = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in zip(
        shape[-2:], weight.shape[2:], steps, around, apart, strict=True)]
    for n, e, s, d in zip(size, extra, steps, apart, strict=True):
        if n + e < 1 or e >= max(s, d):
            found = [n + e for n, e in zip(size, extra, strict=True)]
            raise ShapeError(f"{name}: the output would be {found}; output_padding {list(extra)} "
                             f"must be less than the larger of stride {list(steps)} and dilation "
                             f"{list(apart)}, and padding {list(around)} must leave some of it")

    def run(x: Tensor) -> Any:
        """All of the output, without padding, of which the padding is then cut off."""
        full = [n + 2 * p for n, p in zip(size, around, strict=True)]
        y = OPS["conv2d_input"](x, weight, input_size=tuple(full), groups=groups, stride=steps,
                                padding=(0, 0), dilation=apart)
        rows, columns = [(-p, e - p) for p, e in zip(around, extra, strict=True)]
        return pad(y, (*columns, *rows))
    y = batched(run, input, 4)
    return y if bias is None else y + bias.reshape(-1, 1, 1)
