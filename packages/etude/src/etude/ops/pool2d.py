"""Pooling over windows of an image: the largest pixel, or the mean. C: c_src/cpu/pool2d.c.

Legend: N images, C channels, H x W pixels; KH x KW the window, OH x OW the output; SH SW strides,
PH PW padding, DH DW dilation, the distance between neighbouring taps of a window.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.given import whole
from etude.core.table import op
from etude.ops.conv2d import output_size, windows
from etude.ops.index import check_index
from etude.ops.reduce import average, total, wide, widened

PAIRS = {"kernel_size": 1, "stride": 1, "padding": 0}
KERNEL = "planes = N C, SH SW = stride, PH PW = padding"


def prepare(attrs):
    """The stride is the window by default."""
    if attrs.get("stride") is None:
        attrs["stride"] = attrs.get("kernel_size")
    return attrs


def _pooled(op, H, W, KH, KW, stride, padding, dilation, ceil_mode):
    dilation = dilation or (1, 1)
    output_size(op, H, W, KH, KW, stride, padding, dilation)  # refuses a window that is too large
    found = []
    for n, k, s, p, d in zip((H, W), (KH, KW), stride, padding, dilation, strict=True):
        count = _count(n, k, s, p, d, ceil_mode)
        starts = [i * s - p for i in range(count)]
        empty = any(not any(0 <= at + i * d < n for i in range(k)) for at in starts)
        if empty or 2 * p > d * (k - 1) + 1:
            raise ShapeError(f"{op}: padding {list(padding)} is more than half of the window "
                             f"{[KH, KW]}, so some windows would hold no pixel of {[H, W]}")
        found.append(count)
    return {"OH": found[0], "OW": found[1]}


def _count(n, k, s, p, d, ceil_mode):
    """How many windows along an axis. With ``ceil_mode`` the last may stick out behind the padding,
    if it begins before the end of the image.
    """
    room = n + 2 * p - d * (k - 1) - 1
    if not ceil_mode:
        return room // s + 1
    count = -(-room // s) + 1  # rounded up
    return count if (count - 1) * s < n + p else count - 1


def _windows(x, kernel_size, stride, padding, dilation, ceil_mode, value):
    """Every window, (N, C, OH, OW, KH, KW), and ``value`` where it sticks out."""
    around, counts = [], []
    for n, k, s, p, d in zip(x.shape[2:], kernel_size, stride, padding, dilation, strict=True):
        count = _count(n, k, s, p, d, ceil_mode)
        end = (count - 1) * s - p + d * (k - 1) + 1  # of the last window
        around.append((p, max(p, end - n)))
        counts.append(count)
    padded = np.pad(x, ((0, 0), (0, 0), *around), constant_values=value)
    every = windows(padded, kernel_size, stride, (0, 0), dilation)
    return every[:, :, : counts[0], : counts[1]]


@op("pool2d", shape="kernel_size = KH KW, x: N C H W -> N C OH OW, N C OH OW int64", sizes=_pooled,
    flops="N C OH OW KH KW", outputs="y index", shown=2, saves="index x.shape",
    pairs=PAIRS | {"dilation": 1}, prepare=prepare, kernel=KERNEL + ", DH DW = dilation")
def max_pool2d(x, *, kernel_size, stride=None, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    """y[n,c,h,w] = the largest x[n, c, h SH - PH + i DH, w SW - PW + j DW] over the taps i, j of a
    KH x KW window; NaN counts as largest.

    x: (N, C, H, W), taken as -inf outside; y: (N, C, OH, OW); index: int64, where in the H x W
    plane the first such pixel stands. The gradient goes to that pixel alone. ``ceil_mode`` rounds
    OH and OW up: the last window may stick out behind the padding.
    """
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel_size, stride, padding, dilation
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    patches = _windows(x, *geometry, value=-np.inf)
    flat = patches.reshape(*patches.shape[:4], kh * kw)
    inside = _windows(np.ones((1, 1, *x.shape[2:]), bool), *geometry, value=False)
    # Of a window of -inf alone the first pixel wins, not the padding, which is -inf as well.
    first = inside.reshape(1, 1, *patches.shape[2:4], kh * kw).argmax(-1)
    best = np.where(flat.max(-1) == -np.inf, first, flat.argmax(-1))
    y = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    row = np.arange(y.shape[2])[:, None] * sh - ph + best // kw * dh
    column = np.arange(y.shape[3]) * sw - pw + best % kw * dw
    return y, row * x.shape[3] + column


max_pool2d.gradient(lambda F, grad, index, x_shape, **_:
    F.max_pool2d_backward(grad, index, input_size=x_shape[2:]))
max_pool2d.convention("""
    max_pool2d([[[[1, nan], [inf, nan]]]], kernel_size=2) -> [[[[nan]]]], [[[[1]]]]
        # NaN is largest
    max_pool2d([[[[1, 2, 2, 2]]]], kernel_size=(1, 4)) -> [[[[2]]]], [[[[1]]]]
        # the first of equals
    max_pool2d([[[[-inf, -inf]]]], kernel_size=(1, 2), padding=(0, 1))
        -> [[[[-inf, -inf]]]], [[[[0, 1]]]]
    max_pool2d(empty(0, 1, 2, 2), kernel_size=2) -> empty(0, 1, 1, 1), empty(0, 1, 1, 1)
    max_pool2d(empty(1, 1, 0, 2), kernel_size=1) -> ShapeError""")


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
    dx = np.zeros((n, c, pixels), wide(grad.dtype))
    plane = np.arange(n)[:, None, None], np.arange(c)[None, :, None]
    count = grad.shape[2] * grad.shape[3]  # windows of a plane
    np.add.at(dx, (*plane, index.reshape(n, c, count)), grad.reshape(n, c, count))
    return dx.reshape(n, c, *input_size).astype(grad.dtype, copy=False)


@max_pool2d_backward.gradient
def _(F, grad, index, *, needs, input_size):
    n, c, oh, ow = index.shape
    planes = F.reshape(grad, shape=(n, c, input_size[0] * input_size[1]))
    picked = F.gather(planes, F.reshape(index, shape=(n, c, oh * ow)), dim=2)
    return F.reshape(picked, shape=(n, c, oh, ow)), None


max_pool2d_backward.convention("""
    f([[[[nan, inf, -inf]]]], [[[[0, 2, 2]]]], input_size=(1, 4)) -> [[[[nan, 0, nan, 0]]]]
    f(empty(0, 1, 1, 1), empty(0, 1, 1, 1), input_size=(2, 2)) -> empty(0, 1, 2, 2)
    f([[[[1]]]], [[[[4]]]], input_size=(2, 2)) -> IndexError""")


def _divisors(size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """(OH, OW) or one number: what the sum of each window is divided by to be its mean."""
    if divisor_override is not None:
        return divisor_override
    lengths = []
    for n, k, s, p in zip(size, kernel_size, stride, padding, strict=True):
        start = np.arange(_count(n, k, s, p, 1, ceil_mode)) * s - p
        first, end = (-p, n + p) if count_include_pad else (0, n)
        lengths.append(np.minimum(start + k, end) - np.maximum(start, first))
    return lengths[0][:, None] * lengths[1]


def _averaged(op, H, W, KH, KW, stride, padding, ceil_mode, divisor_override):
    if divisor_override is not None and (whole(divisor_override) or 0) == 0:
        raise ValueError(f"{op}: divisor_override must be an integer other than 0, or None; got "
                         f"{divisor_override!r}")
    return _pooled(op, H, W, KH, KW, stride, padding, None, ceil_mode)


@op("avg_pool2d", shape="kernel_size = KH KW, x: N C H W -> N C OH OW", sizes=_averaged,
    flops="N C OH OW KH KW", saves="x.shape", pairs=PAIRS, prepare=prepare, kernel=KERNEL)
def avg_pool2d(x, *, kernel_size, stride=None, padding=(0, 0), ceil_mode=False,
               count_include_pad=True, divisor_override=None):
    """y[n,c,h,w] = the sum of x over the window at (h SH - PH, w SW - PW), 0 outside, divided by
    the number of its pixels: those in the padding count, unless ``count_include_pad`` is False.

    x: (N, C, H, W); y: (N, C, OH, OW). float32 or float64. ``ceil_mode`` rounds OH and OW up: the
    last window may stick out behind the padding, and what is there never counts.
    ``divisor_override`` is a number to divide by instead.
    """
    window = kernel_size, stride, padding
    (z,) = widened(x)
    sums = total(_windows(z, *window, (1, 1), ceil_mode, value=0), (4, 5))
    by = _divisors(x.shape[2:], *window, ceil_mode, count_include_pad, divisor_override)
    return (sums / by).astype(x.dtype, copy=False)


avg_pool2d.gradient(lambda F, grad, x_shape, *, needs, **attrs:
    F.avg_pool2d_backward(grad, input_size=x_shape[2:], **attrs))
avg_pool2d.convention("""
    avg_pool2d([[[[nan, 1, 1, 1, inf, 1]]]], kernel_size=(1, 2)) -> [[[[nan, 1, inf]]]]
        # its own window
    avg_pool2d(empty(0, 1, 2, 2), kernel_size=2) -> empty(0, 1, 1, 1)
    avg_pool2d(empty(1, 1, 0, 2), kernel_size=1) -> ShapeError""")


@op("avg_pool2d", sizes=_averaged, flops="N C OH OW KH KW", pairs=PAIRS, prepare=prepare,
    shape="kernel_size = KH KW, input_size = H W, grad: N C OH OW -> N C H W", kernel=KERNEL,
    internal=True)
def avg_pool2d_backward(grad, *, input_size, kernel_size, stride=None, padding=(0, 0),
                        ceil_mode=False, count_include_pad=True, divisor_override=None):
    """dx = every grad, divided as in avg_pool2d, given to each pixel of its window.

    grad: (N, C, OH, OW); dx: (N, C, H, W).
    """
    (n, c, oh, ow), (h, w) = grad.shape, input_size
    (kh, kw), (sh, sw), (ph, pw) = kernel_size, stride, padding
    below, right = max(h + ph, sh * (oh - 1) + kh), max(w + pw, sw * (ow - 1) + kw)
    dx = np.zeros((n, c, ph + below, pw + right), wide(grad.dtype))
    by = _divisors(input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,
                   divisor_override)
    share = widened(grad)[0] / by
    for i in range(kh):
        for j in range(kw):
            dx[:, :, i : i + sh * (oh - 1) + 1 : sh, j : j + sw * (ow - 1) + 1 : sw] += share
    return dx[:, :, ph : ph + h, pw : pw + w].astype(grad.dtype)


avg_pool2d_backward.gradient(lambda F, grad, *, needs, input_size, **attrs:
    F.avg_pool2d(grad, **attrs))
avg_pool2d_backward.convention("""
    f([[[[nan, inf, 2]]]], input_size=(1, 7), kernel_size=(1, 2))
        -> [[[[nan, nan, inf, inf, 1, 1, 0]]]]
    f(empty(0, 1, 1, 1), input_size=(2, 2), kernel_size=2) -> empty(0, 1, 2, 2)""")


def _bins(size, count):
    """The rows of each bin: floor(i size / count) to ceil((i + 1) size / count)."""
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


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
    y = np.empty((*x.shape[:2], *output_size), x.dtype)
    for i, rows in enumerate(_bins(x.shape[2], output_size[0])):
        for j, columns in enumerate(_bins(x.shape[3], output_size[1])):
            y[:, :, i, j] = average(x[:, :, rows, columns], (2, 3))
    return y


adaptive_avg_pool2d.gradient(lambda F, grad, x_shape, **_:
    F.adaptive_avg_pool2d_backward(grad, input_size=x_shape[2:]))
adaptive_avg_pool2d.convention("""
    f([[[[nan, 1, 1, 1, inf, 1]]]], output_size=(1, 3)) -> [[[[nan, 1, inf]]]]
    f(empty(0, 1, 2, 2), output_size=1) -> empty(0, 1, 1, 1)
    f(empty(1, 1, 0, 2), output_size=1) -> ShapeError""")


@op("adaptive_pool2d", shape="input_size = H W, grad: N C OH OW -> N C H W",
    flops="N C H W", saves="grad.shape", kernel="planes = N C", internal=True)
def adaptive_avg_pool2d_backward(grad, *, input_size):
    """dx = every grad, divided by the size of its bin, given to the bin's pixels."""
    (shares,) = widened(grad)
    dx = np.zeros((*grad.shape[:2], *input_size), shares.dtype)
    for i, rows in enumerate(_bins(input_size[0], grad.shape[2])):
        for j, columns in enumerate(_bins(input_size[1], grad.shape[3])):
            bin = dx[:, :, rows, columns]  # a view
            bin += shares[:, :, i : i + 1, j : j + 1] / (bin.shape[2] * bin.shape[3])
    return dx.astype(grad.dtype, copy=False)


adaptive_avg_pool2d_backward.gradient(lambda F, grad, grad_shape, **_:
    F.adaptive_avg_pool2d(grad, output_size=grad_shape[2:]))
adaptive_avg_pool2d_backward.convention("""
    f([[[[nan, inf, 2]]]], input_size=(1, 6)) -> [[[[nan, nan, inf, inf, 1, 1]]]]
    f(empty(0, 1, 1, 1), input_size=(2, 2)) -> empty(0, 1, 2, 2)""")
