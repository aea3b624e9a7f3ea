"""Two-dimensional convolution and its two transposes. C: c_src/cpu/conv2d.c.

Legend: N images, C input channels, H x W pixels; O output channels, KH x KW the kernel, OH x OW
the output; G groups, each of which maps C/G channels to O/G; SH SW strides, PH PW padding, DH DW
dilation, the distance between neighbouring taps of the kernel. As everywhere in deep learning
the kernel is not flipped: it is a correlation. The three ops are linear in each argument and are
one another's derivatives.
"""

import math

import numpy as np

from etude.core.errors import ShapeError
from etude.core.table import op
from etude.ops.matmul import product
from etude.ops.reduce import wide


def output_size(op, H, W, KH, KW, stride, padding, dilation=(1, 1)):
    """OH and OW: how often the kernel fits, floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1."""
    found = [(n + 2 * p - d * (k - 1) - 1) // s + 1
             for n, k, s, p, d in zip((H, W), (KH, KW), stride, padding, dilation, strict=True)]
    if min(found) < 1:
        spread = "" if dilation == (1, 1) else f" with dilation {list(dilation)}"
        raise ShapeError(f"{op}: kernel {[KH, KW]}{spread} does not fit into an image of "
                         f"{[H, W]} with padding {list(padding)}")
    return {"OH": found[0], "OW": found[1]}


def _grouped(op, H, W, KH, KW, O, stride, padding, dilation, groups):  # noqa: E741
    if not isinstance(groups, int) or groups < 1 or O % groups:
        raise ShapeError(f"{op}: groups={groups!r} must be a positive integer that divides the {O} "
                         f"output channels of weight")
    return output_size(op, H, W, KH, KW, stride, padding, dilation)


PAIRS = {"stride": 1, "padding": 0, "dilation": 1}
COST = "2 N O OH OW C/groups KH KW"
KERNEL = "SH SW = stride, PH PW = padding, DH DW = dilation"


def windows(x, kernel, stride, padding, dilation=(1, 1), value=0):
    """Every window of x that the kernel meets, as a view (N, C, OH, OW, KH, KW).

    Outside of the image x counts as ``value``.
    """
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=value)
    every = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(2, 3))
    return every[:, :, ::sh, ::sw, ::dh, ::dw]


def contract(x, y, over_x, over_y):
    """The sum of x y over axes of x and those of y: np.tensordot, with the sums of ``product``.

    tensordot goes through np.dot, which by an array of one element multiplies so that 0 times NaN
    is 0 (OpenBLAS's axpy).
    """
    kept_x = [d for d in range(x.ndim) if d not in over_x]
    kept_y = [d for d in range(y.ndim) if d not in over_y]
    terms = math.prod(x.shape[d] for d in over_x)
    shape = (*(x.shape[d] for d in kept_x), *(y.shape[d] for d in kept_y))
    rows = x.transpose(*kept_x, *over_x).reshape(math.prod(shape[: len(kept_x)]), terms)
    columns = y.transpose(*over_y, *kept_y).reshape(terms, math.prod(shape[len(kept_x) :]))
    return product(rows, columns).reshape(shape)


@op("conv2d", shape="x: N C H W, weight: O C/groups KH KW, bias: O -> N O OH OW", sizes=_grouped,
    flops=COST, pairs=PAIRS, kernel=KERNEL, saves="x weight")
def conv2d(x, weight, bias=None, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """y[n,o,h,w] = b[o] + sum_{c,i,j} x[n, c, h SH + i DH - PH, w SW + j DW - PW] weight[o,c,i,j].

    x: (N, C, H, W), taken as 0 outside; weight: (O, C/G, KH, KW), whose o-th row sees the
    channels of its group; bias b: (O) or None; y: (N, O, OH, OW) with
    OH = floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1. float32 or float64.
    """
    patches = windows(x, weight.shape[2:], stride, padding, dilation)
    parts = [contract(p, w, (1, 4, 5), (1, 2, 3)).transpose(0, 3, 1, 2)
             for p, w in zip(np.split(patches, groups, 1), np.split(weight, groups), strict=True)]
    y = np.concatenate(parts, axis=1)
    return y if bias is None else y + bias[:, None, None]


conv2d.gradient(lambda F, grad, x, weight, *, needs, **attrs: (
    F.conv2d_input(grad, weight, input_size=x.shape[2:], **attrs) if needs[0] else None,
    F.conv2d_weight(grad, x, kernel_size=weight.shape[2:], **attrs) if needs[1] else None,
    F.sum(grad, dim=(0, 2, 3)) if True in needs[2:] else None))  # needs[2:] is () without a bias
conv2d.convention("""
    conv2d([[[[nan, 1, inf, 1]]]], [[[[1]]]]) -> [[[[nan, 1, inf, 1]]]]
    conv2d([[[[0, nan, 0, 0, 0]]]], [[[[0, 0]]]]) -> [[[[nan, nan, 0, 0]]]]
        # the windows that see it
    conv2d([[[[nan, inf, 1]]]], [[[[0]]]]) -> [[[[nan, nan, 0]]]]
    conv2d([[[[0, 1]]]], [[[[inf]]]]) -> [[[[nan, inf]]]]
    conv2d([[[[1]]]], [[[[inf, 1, inf]]]], padding=(0, 1)) -> [[[[_]]]]  # 0 outside times infinity
    conv2d(empty(0, 1, 2, 2), [[[[1]]]]) -> empty(0, 1, 2, 2)
    conv2d(empty(1, 0, 1, 2), empty(1, 0, 1, 1), [5]) -> [[[[5, 5]]]]
        # a sum of nothing, and the bias
    conv2d(empty(1, 1, 0, 2), [[[[1]]]]) -> ShapeError""")


@op("conv2d_input", sizes=_grouped, flops=COST, pairs=PAIRS, kernel=KERNEL, saves="grad weight",
    shape="input_size = H W, weight: O C/groups KH KW, grad: N O OH OW -> N C H W", internal=True)
def conv2d_input(grad, weight, *, input_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
                 groups=1):
    """dx[n,c,y,x] = sum of grad[n,o,h,w] weight[o,c,i,j] over all o, h, w, i, j that meet there:
    y = h SH + i DH - PH and x = w SW + j DW - PW.

    The gradient of conv2d in its input: every output pixel gives back to its window.
    grad: (N, O, OH, OW); weight: (O, C/G, KH, KW); dx: (N, C, H, W), (H, W) = input_size.
    """
    (n, _, oh, ow), (_, c, kh, kw) = grad.shape, weight.shape
    (h, w), (sh, sw), (ph, pw), (dh, dw) = input_size, stride, padding, dilation
    parts = []
    for g, wg in zip(np.split(grad, groups, 1), np.split(weight, groups), strict=True):
        dx = np.zeros((n, c, h + 2 * ph, w + 2 * pw), wide(grad.dtype))
        for i in range(kh):
            for j in range(kw):
                tap = contract(g, wg[:, :, i, j], (1,), (0,))  # N, OH, OW, C/G
                rows = slice(i * dh, i * dh + sh * (oh - 1) + 1, sh)
                columns = slice(j * dw, j * dw + sw * (ow - 1) + 1, sw)
                dx[:, :, rows, columns] += tap.transpose(0, 3, 1, 2)
        parts.append(dx[:, :, ph : ph + h, pw : pw + w].astype(grad.dtype, copy=False))
    return np.concatenate(parts, axis=1)


conv2d_input.gradient(lambda F, grad, first, weight, *, needs, input_size, **attrs: (
    F.conv2d(grad, weight, **attrs) if needs[0] else None,
    F.conv2d_weight(first, grad, kernel_size=weight.shape[2:], **attrs) if needs[1] else None))
conv2d_input.convention("""
    conv2d_input([[[[nan, 0, 0]]]], [[[[0, 0]]]], input_size=(1, 4)) -> [[[[nan, nan, 0, 0]]]]
    conv2d_input([[[[0, 1]]]], [[[[inf]]]], input_size=(1, 2)) -> [[[[nan, inf]]]]
    conv2d_input(empty(0, 1, 2, 2), [[[[1]]]], input_size=(2, 2)) -> empty(0, 1, 2, 2)
    conv2d_input([[[[1]]]], [[[[2]]]], input_size=(1, 3), stride=(1, 3)) -> [[[[2, 0.0, 0.0]]]]
        # unseen""")


@op("conv2d_weight", sizes=_grouped, flops=COST, pairs=PAIRS, kernel=KERNEL, saves="grad x",
    shape="kernel_size = KH KW, x: N C H W, grad: N O OH OW -> O C/groups KH KW", internal=True)
def conv2d_weight(grad, x, *, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
                  groups=1):
    """dweight[o,c,i,j] = sum_{n,h,w} grad[n,o,h,w] x[n, c, h SH + i DH - PH, w SW + j DW - PW].

    The gradient of conv2d in its weight: what each tap of the kernel saw, weighted by grad.
    grad: (N, O, OH, OW); x: (N, C, H, W); dweight: (O, C/G, KH, KW), (KH, KW) = kernel_size.
    """
    patches = windows(x, kernel_size, stride, padding, dilation)
    pieces = zip(np.split(grad, groups, 1), np.split(patches, groups, 1), strict=True)
    return np.concatenate([contract(g, p, (0, 2, 3), (0, 2, 3)) for g, p in pieces])


conv2d_weight.gradient(lambda F, grad, first, x, *, needs, kernel_size, **attrs: (
    F.conv2d(x, grad, **attrs) if needs[0] else None,
    F.conv2d_input(first, grad, input_size=x.shape[2:], **attrs) if needs[1] else None))
conv2d_weight.convention("""
    conv2d_weight([[[[nan, 0]]]], [[[[0, 1]]]], kernel_size=(1, 1)) -> [[[[nan]]]]
    conv2d_weight([[[[0]]]], [[[[nan]]]], kernel_size=(1, 1)) -> [[[[nan]]]]
    conv2d_weight([[[[0, 1]]]], [[[[inf, 1]]]], kernel_size=(1, 1)) -> [[[[nan]]]]
    conv2d_weight(empty(0, 1, 2, 2), empty(0, 1, 2, 2), kernel_size=(1, 1)) -> [[[[0]]]]""")
