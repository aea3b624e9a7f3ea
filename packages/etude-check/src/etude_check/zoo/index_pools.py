"""Wrong poolings: what a window covers, which pixel wins, what a mean divides by.

``taps`` finds the maxima of windows as a kernel would, tap by tap, wherever they lie.
"""

import numpy as np

from etude_check.zoo import mutant, reference


def taps(x, size, kernel_size, stride, padding, dilation):
    """(maximum, row of its tap, column of its tap) of ``size`` windows; what lies outside is
    -inf.
    """
    best = np.full((*x.shape[:2], *size), -np.inf, x.dtype)
    which = np.zeros((2, *best.shape), np.int64)
    found = np.zeros(best.shape, bool)
    top, left = (np.arange(n) * s - p for n, s, p in zip(size, stride, padding))
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            rows, columns = top + i * dilation[0], left + j * dilation[1]
            inside = ((rows >= 0) & (rows < x.shape[2]))[:, None] & (
                (columns >= 0) & (columns < x.shape[3]))
            tap = x[:, :, rows.clip(0, x.shape[2] - 1)][..., columns.clip(0, x.shape[3] - 1)]
            wins = inside & (~found | ~(tap <= best) & (best == best))
            best, found = np.where(wins, tap, best), found | inside
            which = np.where(wins, np.array([i, j]).reshape(2, 1, 1, 1, 1), which)
    return best, which


def places(which, width, stride, padding, dilation):
    """The index of the pixel at each tap."""
    top, left = (np.arange(n) * s - p for n, s, p in zip(which.shape[3:], stride, padding))
    rows = top[:, None] + which[0] * dilation[0]
    return rows * width + left + which[1] * dilation[1]


@mutant("max_pool2d", kills="tail", where="index",
        mistake="Padding counts as 0, so that it beats negative pixels.")
def max_pool2d_zero_padding(x, *, padding=(0, 0), **attrs):
    y, index = reference("max_pool2d")(x, padding=padding, **attrs)
    one = np.ones((1, 1, *(n + 2 * p for n, p in zip(x.shape[2:], padding))), x.dtype)
    one[:, :, padding[0] : one.shape[2] - padding[0], padding[1] : one.shape[3] - padding[1]] = 0
    around = reference("max_pool2d")(one, **attrs)[0][:, :, : y.shape[2], : y.shape[3]]
    return np.where(around > 0, np.maximum(y, x.dtype.type(0)), y), index


@mutant("max_pool2d", kills="special", where="numerics", covers="drops NaN",
        mistake="A NaN in the window is skipped: x > best is false for it.")
def max_pool2d_nan(x, **attrs):
    return reference("max_pool2d")(np.where(np.isnan(x), x.dtype.type(-np.inf), x), **attrs)


@mutant("max_pool2d_backward", kills="tail", where="backward", covers="duplicate lost",
        mistake="Where windows overlap on one maximum the gradients overwrite each other instead "
                "of adding up.")
def max_pool2d_backward_overwrites(grad, index, *, input_size):
    n, c = grad.shape[:2]
    dx = np.zeros((n, c, input_size[0] * input_size[1]), grad.dtype)
    flat = index.reshape(n, c, -1)
    np.put_along_axis(dx, flat, grad.reshape(n, c, -1), 2)
    return dx.reshape(n, c, *input_size)


@mutant("avg_pool2d", kills="tail", where="index",
        mistake="The mean is taken over the pixels inside the image only, the border left out.")
def avg_pool2d_inside(x, **attrs):
    y = reference("avg_pool2d")(x, **attrs)
    return y / reference("avg_pool2d")(np.ones_like(x), **attrs)


@mutant("avg_pool2d_backward", kills="tail", where="backward",
        mistake="The gradient is given to every pixel of the window without dividing by its size.")
def avg_pool2d_backward_sum(grad, *, kernel_size, **attrs):
    dx = reference("avg_pool2d_backward")(grad, kernel_size=kernel_size, **attrs)
    return dx * grad.dtype.type(kernel_size[0] * kernel_size[1])


@mutant("adaptive_avg_pool2d", kills="tail", where="index",
        mistake="Bins are cut to equal widths, H // OH, and the pixels that are left over are "
                "dropped.")
def adaptive_avg_pool2d_equal(x, *, output_size):
    oh, ow = output_size
    h, w = max(x.shape[2] // oh, 1), max(x.shape[3] // ow, 1)
    rows = [min(i * h, x.shape[2] - h) for i in range(oh)]
    columns = [min(j * w, x.shape[3] - w) for j in range(ow)]
    return np.stack([np.stack([x[:, :, r : r + h, c : c + w].mean((2, 3)) for c in columns], -1)
                     for r in rows], -2)


@mutant("adaptive_avg_pool2d_backward", kills="tail", where="backward",
        mistake="Every pixel gets H W / (OH OW) for the size of its bin, which is right only if "
                "the sizes divide.")
def adaptive_avg_pool2d_backward_even(grad, *, input_size):
    (oh, ow), (h, w) = grad.shape[2:], input_size
    right = reference("adaptive_avg_pool2d_backward")(grad, input_size=input_size)
    if h % oh == 0 and w % ow == 0:
        return right
    rows, columns = np.arange(h) * oh // h, np.arange(w) * ow // w
    return grad[:, :, rows][..., columns] * grad.dtype.type(oh * ow / (h * w))


# ------------------------------------------------------------------ taps that lie apart


@mutant("max_pool2d", kills="tail", where="index",
        mistake="Dilation is ignored: the taps of a window lie side by side.")
def max_pool2d_dense(x, *, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    right = reference("max_pool2d")(x, kernel_size=kernel_size, stride=stride, padding=padding,
                                    dilation=dilation, ceil_mode=ceil_mode)
    if tuple(dilation) == (1, 1) or not x.size:
        return right
    y, which = taps(x, right[0].shape[2:], kernel_size, stride, padding, (1, 1))
    return y, places(which, x.shape[3], stride, padding, (1, 1))


@mutant("max_pool2d", kills="tail", where="index",
        mistake="Dilation of the two axes is swapped.")
def max_pool2d_dilation_swapped(x, *, kernel_size, stride, padding, dilation=(1, 1),
                                ceil_mode=False):
    right = reference("max_pool2d")(x, kernel_size=kernel_size, stride=stride, padding=padding,
                                    dilation=dilation, ceil_mode=ceil_mode)
    if dilation[0] == dilation[1] or not x.size:
        return right
    y, which = taps(x, right[0].shape[2:], kernel_size, stride, padding, dilation[::-1])
    return y, places(which, x.shape[3], stride, padding, dilation[::-1])


@mutant("max_pool2d", kills="tail", where="index",
        mistake="The maximum is right, but its index leaves dilation out: tap i is taken for row "
                "i of the window.")
def max_pool2d_index_dense(x, *, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    y, index = reference("max_pool2d")(x, kernel_size=kernel_size, stride=stride, padding=padding,
                                       dilation=dilation, ceil_mode=ceil_mode)
    if tuple(dilation) == (1, 1) or not x.size:
        return y, index
    _, which = taps(x, y.shape[2:], kernel_size, stride, padding, dilation)
    return y, places(which, x.shape[3], stride, padding, (1, 1))


# ------------------------------------------------------------------ windows that stick out


@mutant("max_pool2d", kills="tail", where="index",
        mistake="ceil_mode is ignored: what the last windows should write is never written.")
def max_pool2d_floor(x, *, ceil_mode=False, **attrs):
    y, index = reference("max_pool2d")(x, ceil_mode=ceil_mode, **attrs)
    if ceil_mode and y.size:
        oh, ow = reference("max_pool2d")(x, **attrs)[0].shape[2:]
        for a in (y, index):
            a[:, :, oh:] = 0
            a[..., ow:] = 0
    return y, index


@mutant("avg_pool2d", kills="tail", where="index",
        mistake="With ceil_mode a mean is divided by the whole window, KH KW, also where that "
                "sticks out behind the padding.")
def avg_pool2d_overhang(x, *, kernel_size, ceil_mode=False, **attrs):
    if not _counts_all(attrs):
        return reference("avg_pool2d")(x, kernel_size=kernel_size, ceil_mode=ceil_mode, **attrs)
    attrs["divisor_override"] = kernel_size[0] * kernel_size[1]
    return reference("avg_pool2d")(x, kernel_size=kernel_size, ceil_mode=ceil_mode, **attrs)


def _counts_all(attrs):
    """Whether every pixel of a window counts but for those behind the padding."""
    return attrs.get("count_include_pad", True) and attrs.get("divisor_override") is None


@mutant("avg_pool2d_backward", kills="tail", where="backward",
        mistake="With ceil_mode a gradient is divided by the whole window, KH KW, also where that "
                "sticks out behind the padding.")
def avg_pool2d_backward_overhang(grad, *, kernel_size, **attrs):
    if _counts_all(attrs):
        attrs["divisor_override"] = kernel_size[0] * kernel_size[1]
    return reference("avg_pool2d_backward")(grad, kernel_size=kernel_size, **attrs)


# ------------------------------------------------------------------ what a mean divides by


@mutant("avg_pool2d", kills="tail", where="index",
        mistake="count_include_pad is ignored: the zeros of the padding always count.")
def avg_pool2d_counts_pad(x, *, count_include_pad=True, **attrs):
    return reference("avg_pool2d")(x, **attrs)


@mutant("avg_pool2d_backward", kills="tail", where="backward",
        mistake="count_include_pad is ignored: the padding counts on the way back.")
def avg_pool2d_backward_counts_pad(grad, *, count_include_pad=True, **attrs):
    return reference("avg_pool2d_backward")(grad, **attrs)


@mutant("avg_pool2d", kills="tail", where="index",
        mistake="divisor_override is ignored.")
def avg_pool2d_no_override(x, *, divisor_override=None, **attrs):
    return reference("avg_pool2d")(x, **attrs)


@mutant("avg_pool2d", kills="tail", where="numerics",
        mistake="divisor_override is kept without its sign.")
def avg_pool2d_override_sign(x, *, divisor_override=None, **attrs):
    by = None if divisor_override is None else abs(divisor_override)
    return reference("avg_pool2d")(x, divisor_override=by, **attrs)


@mutant("avg_pool2d_backward", kills="tail", where="backward",
        mistake="divisor_override is forgotten on the way back.")
def avg_pool2d_backward_no_override(grad, *, divisor_override=None, **attrs):
    return reference("avg_pool2d_backward")(grad, **attrs)


@mutant("avg_pool2d_backward", kills="tail", where="backward",
        mistake="Every pixel divides by its own count of windows, instead of every window by its "
                "count of pixels.")
def avg_pool2d_backward_by_pixel(grad, *, divisor_override=None, **attrs):
    if divisor_override is not None:
        return reference("avg_pool2d_backward")(grad, divisor_override=divisor_override, **attrs)
    sums = reference("avg_pool2d_backward")(grad, divisor_override=1, **attrs)
    windows = reference("avg_pool2d_backward")(np.ones_like(grad), divisor_override=1, **attrs)
    return sums / np.maximum(windows, 1)
