"""Two-dimensional convolution and its two transposes. C: c_src/cpu/conv2d.c.

Legend: N images, C input channels, H x W pixels; O output channels, KH x KW the kernel, OH x OW
the output. As everywhere in deep learning the kernel is not flipped: it is a correlation.
The three ops are linear in each argument and are one another's derivatives.
"""

import math

import numpy as np

from etude.errors import ShapeError
from etude.shapes import Spec, common_dtype, pair, require_ndim
from etude.table import DOMAINS, op


def prepare(attrs):
    """stride and padding as users write them: one integer or two."""
    for name, least in (("stride", 1), ("padding", 0)):
        if name in attrs:
            attrs[name] = pair("conv2d", name, attrs[name], least)
    return attrs


def output_size(name, size, kernel, stride, padding):
    """OH and OW: how often the kernel fits, floor((H + 2 PH - KH) / SH) + 1."""
    found = tuple((n + 2 * p - k) // s + 1
                  for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
    if min(found) < 1:
        raise ShapeError(f"{name}: kernel {list(kernel)} does not fit into an image of "
                         f"{list(size)} with padding {list(padding)}")
    return found


def _conv2d_shape(x, weight, bias=None, *, stride, padding):
    dtype = common_dtype("conv2d", [x, weight, bias], DOMAINS["float"])
    require_ndim("conv2d", "x", x, 4, "N, C, H, W")
    require_ndim("conv2d", "weight", weight, 4, "O, C, KH, KW")
    if x.shape[1] != weight.shape[1]:
        raise ShapeError(f"conv2d: x {x} has {x.shape[1]} channels but weight {weight} expects "
                         f"{weight.shape[1]}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"conv2d: bias must have shape [{weight.shape[0]}], one number per "
                         f"output channel, got {bias}")
    stride, padding = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding)
    return Spec((x.shape[0], weight.shape[0], *size), dtype)


def windows(x, kernel, stride, padding, value=0):
    """Every kernel-sized window of x as a view: (N, C, OH, OW, KH, KW); ``value`` outside."""
    (ph, pw), (sh, sw) = padding, stride
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=value)
    every = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    return every[:, :, ::sh, ::sw]


def _flops(images, weight_size, pixels):
    return 2 * images * weight_size * pixels


@op("conv2d", shape=_conv2d_shape, saves=("x", "weight"), prepare=prepare,
    flops=lambda x, weight, bias=None, **a: _flops(
        x.shape[0], weight.size,
        math.prod(output_size("conv2d", x.shape[2:], weight.shape[2:], a["stride"], a["padding"]))))
def conv2d(x, weight, bias=None, *, stride=(1, 1), padding=(0, 0)):
    """y[n,o,h,w] = bias[o] + sum_{c,i,j} x[n, c, h SH + i - PH, w SW + j - PW] weight[o,c,i,j].

    x: (N, C, H, W), taken as 0 outside; weight: (O, C, KH, KW); bias: (O) or None;
    y: (N, O, OH, OW) with OH = floor((H + 2 PH - KH) / SH) + 1. float32 or float64.
    """
    patches = windows(x, weight.shape[2:], stride, padding)
    y = np.tensordot(patches, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(y if bias is None else y + bias[:, None, None])


@conv2d.gradient
def _(F, grad, x, weight, *, needs, **attrs):
    dx = dweight = dbias = None
    if needs[0]:
        dx = F.conv2d_input(grad, weight, input_size=x.shape[2:], **attrs)
    if needs[1]:
        dweight = F.conv2d_weight(grad, x, kernel_size=weight.shape[2:], **attrs)
    if len(needs) > 2 and needs[2]:
        dbias = F.sum(grad, dim=(0, 2, 3))
    return dx, dweight, dbias


def _conv2d_input_shape(grad, weight, *, input_size, stride, padding):
    dtype = common_dtype("conv2d_input", [grad, weight], DOMAINS["float"])
    size = output_size("conv2d_input", input_size, weight.shape[2:], stride, padding)
    if grad.shape[1:] != (weight.shape[0], *size):
        raise ShapeError(f"conv2d_input: grad {grad} is not the output of weight {weight} on "
                         f"images of {list(input_size)}")
    return Spec((grad.shape[0], weight.shape[1], *input_size), dtype)


@op("conv2d_input", shape=_conv2d_input_shape, saves=("grad", "weight"), internal=True,
    flops=lambda grad, weight, **_: _flops(
        grad.shape[0], weight.size, math.prod(grad.shape[2:])))
def conv2d_input(grad, weight, *, input_size, stride=(1, 1), padding=(0, 0)):
    """dx[n,c,y,x] = sum of grad[n,o,h,w] weight[o,c,i,j] with y = h SH + i - PH, x = w SW + j - PW.

    The gradient of conv2d in its input: every output pixel gives back to its window.
    grad: (N, O, OH, OW); weight: (O, C, KH, KW); dx: (N, C, H, W) with (H, W) = input_size.
    """
    (n, _, oh, ow), (_, c, kh, kw) = grad.shape, weight.shape
    (h, w), (sh, sw), (ph, pw) = input_size, stride, padding
    dx = np.zeros((n, c, h + 2 * ph, w + 2 * pw), grad.dtype)
    for i in range(kh):
        for j in range(kw):
            part = np.tensordot(grad, weight[:, :, i, j], axes=((1,), (0,)))  # N, OH, OW, C
            dx[:, :, i : i + sh * oh : sh, j : j + sw * ow : sw] += part.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(dx[:, :, ph : ph + h, pw : pw + w])


@conv2d_input.gradient
def _(F, grad, first, weight, *, needs, input_size, **attrs):
    dfirst = F.conv2d(grad, weight, **attrs) if needs[0] else None
    dweight = None
    if needs[1]:
        dweight = F.conv2d_weight(first, grad, kernel_size=weight.shape[2:], **attrs)
    return dfirst, dweight


def _conv2d_weight_shape(grad, x, *, kernel_size, stride, padding):
    dtype = common_dtype("conv2d_weight", [grad, x], DOMAINS["float"])
    size = output_size("conv2d_weight", x.shape[2:], kernel_size, stride, padding)
    if (grad.shape[0], *grad.shape[2:]) != (x.shape[0], *size):
        raise ShapeError(f"conv2d_weight: grad {grad} is not the output of a kernel of "
                         f"{list(kernel_size)} on x {x}")
    return Spec((grad.shape[1], x.shape[1], *kernel_size), dtype)


@op("conv2d_weight", shape=_conv2d_weight_shape, saves=("grad", "x"), internal=True,
    flops=lambda grad, x, *, kernel_size, **_: _flops(
        grad.size, x.shape[1], math.prod(kernel_size)))
def conv2d_weight(grad, x, *, kernel_size, stride=(1, 1), padding=(0, 0)):
    """dweight[o,c,i,j] = sum_{n,h,w} grad[n,o,h,w] x[n, c, h SH + i - PH, w SW + j - PW].

    The gradient of conv2d in its weight: what each tap of the kernel saw, weighted by grad.
    grad: (N, O, OH, OW); x: (N, C, H, W); dweight: (O, C, KH, KW) with (KH, KW) = kernel_size.
    """
    patches = windows(x, kernel_size, stride, padding)
    return np.tensordot(grad, patches, axes=((0, 2, 3), (0, 2, 3)))


@conv2d_weight.gradient
def _(F, grad, first, x, *, needs, kernel_size, **attrs):
    dfirst = F.conv2d(x, grad, **attrs) if needs[0] else None
    dx = F.conv2d_input(first, grad, input_size=x.shape[2:], **attrs) if needs[1] else None
    return dfirst, dx
