"""Pooling over windows of an image: the largest pixel, or the mean. C: c_src/cpu/pool2d.c.

Legend: N images, C channels, H x W pixels; KH x KW the window, OH x OW the output.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.table import op
from etude.ops.conv2d import output_size, windows
from etude.ops.index import check_index
from etude.ops.reduce import average

PAIRS = {"kernel_size": 1, "stride": 1, "padding": 0}
KERNEL = "planes = N C, SH SW = stride, PH PW = padding"


def prepare(attrs):
    """The stride is the window by default."""
    if attrs.get("stride") is None:
        attrs["stride"] = attrs.get("kernel_size")
    return attrs


def _pooled(op, H, W, KH, KW, stride, padding):
    if 2 * padding[0] > KH or 2 * padding[1] > KW:
        raise ShapeError(f"{op}: padding {list(padding)} is more than half of the window "
                         f"{[KH, KW]}, so some windows would hold no pixel")
    return output_size(op, H, W, KH, KW, stride, padding)


@op("pool2d", shape="kernel_size = KH KW, x: N C H W -> N C OH OW, N C OH OW int64", sizes=_pooled,
    flops="N C OH OW KH KW", outputs="y index", saves="index x.shape", pairs=PAIRS,
    prepare=prepare, kernel=KERNEL)
def max_pool2d(x, *, kernel_size, stride=None, padding=(0, 0)):
    """y[n,c,h,w] = the largest x in the window at (h SH - PH, w SW - PW); NaN counts as largest.

    x: (N, C, H, W), taken as -inf outside; y: (N, C, OH, OW); hidden output index: int64, where
    in the H x W plane the first such pixel stands. The gradient goes to that pixel alone.
    """
    (kh, kw), (sh, sw), (ph, pw) = kernel_size, stride, padding
    patches = windows(x, kernel_size, stride, padding, value=-np.inf)
    oh, ow = patches.shape[2:4]
    flat = patches.reshape(*patches.shape[:4], kh * kw)
    inside = windows(np.ones((1, 1, *x.shape[2:]), bool), kernel_size, stride, padding)
    # Of a window of -inf alone the first pixel wins, not the padding, which is -inf as well.
    first = inside.reshape(1, 1, oh, ow, kh * kw).argmax(-1)
    best = np.where(flat.max(-1) == -np.inf, first, flat.argmax(-1))
    y = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    row = np.arange(oh)[:, None] * sh - ph + best // kw
    column = np.arange(ow) * sw - pw + best % kw
    return y, row * x.shape[3] + column


max_pool2d.gradient(lambda F, grad, index, x_shape, **_:
    F.max_pool2d_backward(grad, index, input_size=x_shape[2:]))


@op("pool2d_backward", flops="N C OH OW", saves="index", kernel="planes = N C", internal=True,
    shape="input_size = H W, index: N C OH OW int64, grad: N C OH OW -> N C H W")
def max_pool2d_backward(grad, index, *, input_size):
    """dx = zeros, plus every grad at the pixel its maximum came from; overlaps add up.

    grad, index: (N, C, OH, OW); dx: (N, C, H, W) with (H, W) = input_size. Raises IndexError for
    an index outside the H x W plane.
    """
    n, c = grad.shape[:2]
    pixels = input_size[0] * input_size[1]
    check_index("max_pool2d_backward", index, pixels, "the image")
    dx = np.zeros((n, c, pixels), grad.dtype)
    plane = np.arange(n)[:, None, None], np.arange(c)[None, :, None]
    count = grad.shape[2] * grad.shape[3]  # windows of a plane
    np.add.at(dx, (*plane, index.reshape(n, c, count)), grad.reshape(n, c, count))
    return dx.reshape(n, c, *input_size)


@max_pool2d_backward.gradient
def _(F, grad, index, *, needs, input_size):
    n, c, oh, ow = index.shape
    planes = F.reshape(grad, shape=(n, c, input_size[0] * input_size[1]))
    picked = F.gather(planes, F.reshape(index, shape=(n, c, oh * ow)), dim=2)
    return F.reshape(picked, shape=(n, c, oh, ow)), None


@op("avg_pool2d", shape="kernel_size = KH KW, x: N C H W -> N C OH OW", sizes=_pooled,
    flops="N C OH OW KH KW", saves="x.shape", pairs=PAIRS, prepare=prepare, kernel=KERNEL)
def avg_pool2d(x, *, kernel_size, stride=None, padding=(0, 0)):
    """y[n,c,h,w] = the mean of x over the window at (h SH - PH, w SW - PW), zeros outside counted.

    x: (N, C, H, W); y: (N, C, OH, OW). float32 or float64.
    """
    return average(windows(x, kernel_size, stride, padding), (4, 5))


avg_pool2d.gradient(lambda F, grad, x_shape, *, needs, **attrs:
    F.avg_pool2d_backward(grad, input_size=x_shape[2:], **attrs))


@op("avg_pool2d", sizes=_pooled, flops="N C OH OW KH KW", pairs=PAIRS, prepare=prepare,
    shape="kernel_size = KH KW, input_size = H W, grad: N C OH OW -> N C H W", kernel=KERNEL,
    internal=True)
def avg_pool2d_backward(grad, *, input_size, kernel_size, stride=None, padding=(0, 0)):
    """dx = every grad, divided by KH KW, given to each pixel of its window. dx: (N, C, H, W)."""
    (n, c, oh, ow), (h, w) = grad.shape, input_size
    (kh, kw), (sh, sw), (ph, pw) = kernel_size, stride, padding
    dx = np.zeros((n, c, h + 2 * ph, w + 2 * pw), grad.dtype)
    share = grad / grad.dtype.type(kh * kw)
    for i in range(kh):
        for j in range(kw):
            dx[:, :, i : i + sh * (oh - 1) + 1 : sh, j : j + sw * (ow - 1) + 1 : sw] += share
    return dx[:, :, ph : ph + h, pw : pw + w].copy()


avg_pool2d_backward.gradient(lambda F, grad, *, needs, input_size, **attrs:
    F.avg_pool2d(grad, **attrs))


def _bins(size, count, dtype):
    """(count, size): row i averages pixels floor(i size / count) to ceil((i+1) size / count)."""
    weights = np.zeros((count, size), dtype)
    for i in range(count):
        first = i * size // count
        last = -(-(i + 1) * size // count)  # rounded up
        weights[i, first:last] = 1 / (last - first)
    return weights


def _has_pixels(op, x, H, W):
    if 0 in (H, W):
        raise ShapeError(f"{op}: the image of {x} has no pixels")


@op("adaptive_pool2d", shape="output_size = OH OW, x: N C H W -> N C OH OW", sizes=_has_pixels,
    flops="N C H W", saves="x.shape", pairs={"output_size": 1}, kernel="planes = N C")
def adaptive_avg_pool2d(x, *, output_size):
    """y[n,c,h,w] = the mean of x over the (h, w)-th of OH x OW bins that cover the image.

    Bin i of OH runs over the rows floor(i H / OH) to ceil((i + 1) H / OH), so bins may overlap
    by one. x: (N, C, H, W); y: (N, C, OH, OW) with (OH, OW) = output_size.
    """
    (h, w), (oh, ow) = x.shape[2:], output_size
    return _bins(h, oh, x.dtype) @ x @ _bins(w, ow, x.dtype).T


adaptive_avg_pool2d.gradient(lambda F, grad, x_shape, **_:
    F.adaptive_avg_pool2d_backward(grad, input_size=x_shape[2:]))


@op("adaptive_pool2d", shape="input_size = H W, grad: N C OH OW -> N C H W",
    flops="N C H W", saves="grad.shape", kernel="planes = N C", internal=True)
def adaptive_avg_pool2d_backward(grad, *, input_size):
    """dx = every grad, divided by the size of its bin, given to the bin's pixels."""
    (oh, ow), (h, w) = grad.shape[2:], input_size
    return _bins(h, oh, grad.dtype).T @ grad @ _bins(w, ow, grad.dtype)


adaptive_avg_pool2d_backward.gradient(lambda F, grad, grad_shape, **_:
    F.adaptive_avg_pool2d(grad, output_size=grad_shape[2:]))
