"""Assignment A6: convolution and pooling, with the channels last.

Legend: x (N, H, W, C) images, weight (KH, KW, C, O), bias (O,), y (N, OH, OW, O), all float32; g is
the gradient of y. kernel, stride, padding and dilation are pairs, (along rows, along columns).
As in every network the kernel is not flipped. Outside of an image everything is 0.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided


def padded(x, padding, value):
    """x with ``value`` around it: (N, H + 2 PH, W + 2 PW, C). This function is given."""
    (ph, pw) = padding
    return np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=value)


def output_size(size, kernel, stride, padding, dilation, ceil):
    """How many places a kernel has along one axis; all are numbers. The taps of the kernel are
    ``dilation`` apart, so it covers dilation (kernel - 1) + 1 pixels.

    With ceil=False every place lies within the padded image. With ceil=True, the last one may end
    outside (so that no pixel is lost), but must begin in the image or in the padding before it.
    Raises ValueError if the kernel does not fit even once.
    """
    # BEGIN SOLUTION
    room = size + 2 * padding - dilation * (kernel - 1) - 1  # how far the kernel can move
    if room < 0:
        raise ValueError(f"a kernel of {kernel} does not fit into {size} pixels")
    if not ceil:
        return room // stride + 1
    last = -(-room // stride)  # rounded up
    return last + 1 if last * stride < size + padding else last
    # END SOLUTION


def windows(x, kernel, stride, dilation):
    """All windows of x, (N, OH, OW, KH, KW, C), as a view: nothing is copied, and x may itself be a
    view with any strides. No padding here. Write it with as_strided.
    """
    # BEGIN SOLUTION
    n, height, width, channels = x.shape
    image, row, pixel, channel = x.strides
    oh, ow = (output_size(s, k, t, 0, d, False)
              for s, k, t, d in zip((height, width), kernel, stride, dilation))
    return as_strided(x, (n, oh, ow, *kernel, channels),
                      (image, stride[0] * row, stride[1] * pixel,
                       dilation[0] * row, dilation[1] * pixel, channel))
    # END SOLUTION


def conv2d(x, weight, bias, stride, padding, dilation):
    """y[n,h,w,o] = bias[o] + the sum over i, j, c of
    x[n, h SH + i DH - PH, w SW + j DW - PW, c] weight[i,j,c,o]. bias may be None.
    """
    # BEGIN SOLUTION
    kh, kw, c, o = weight.shape
    seen = windows(padded(x, padding, 0), (kh, kw), stride, dilation)
    n, oh, ow = seen.shape[:3]
    y = seen.reshape(n * oh * ow, kh * kw * c) @ weight.reshape(-1, o)
    if bias is not None:
        y = y + bias
    return y.reshape(n, oh, ow, o)
    # END SOLUTION


def conv2d_weight(g, x, kernel, stride, padding, dilation):
    """(gradient of weight, gradient of bias) of the sum of g y."""
    # BEGIN SOLUTION
    rows = g.reshape(-1, g.shape[3])
    matrix = windows(padded(x, padding, 0), kernel, stride, dilation).reshape(len(rows), -1)
    dweight = (matrix.T @ rows).reshape(*kernel, x.shape[3], g.shape[3])
    return dweight, rows.sum(axis=0)
    # END SOLUTION


def conv2d_input(g, weight, size, stride, padding, dilation):
    """The gradient of x, (N, H, W, C) with (H, W) = size, of the sum of g y."""
    # BEGIN SOLUTION
    (n, oh, ow, o), (kh, kw, c, _) = g.shape, weight.shape
    (height, width), (ph, pw) = size, padding
    (sh, sw), (dh, dw) = stride, dilation
    taps = (g @ weight.reshape(-1, o).T).reshape(n, oh, ow, kh, kw, c)
    dx = np.zeros((n, height + 2 * ph, width + 2 * pw, c), g.dtype)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw  # of one tap, no two windows meet
            dx[:, top:top + sh * oh:sh, left:left + sw * ow:sw] += taps[:, :, :, i, j]
    return dx[:, ph:ph + height, pw:pw + width]
    # END SOLUTION


def max_pool2d(x, kernel, stride, padding):
    """The largest pixel of each window, (N, OH, OW, C). Padding is never the largest."""
    # BEGIN SOLUTION
    return windows(padded(x, padding, -np.inf), kernel, stride, (1, 1)).max(axis=(3, 4))
    # END SOLUTION


def max_pool2d_backward(g, x, kernel, stride, padding):
    """The gradient of x, of the sum of g max_pool2d(x). All of a window's gradient goes to its
    largest pixel; of several equal ones to the first, row by row. Windows may overlap.
    """
    # BEGIN SOLUTION
    image = padded(x, padding, -np.inf)
    seen = windows(image, kernel, stride, (1, 1))
    n, oh, ow, kh, kw, c = seen.shape
    (sh, sw), (ph, pw), (height, width) = stride, padding, x.shape[1:3]
    best = seen.reshape(n, oh, ow, kh * kw, c).argmax(axis=3)
    dx = np.zeros_like(image)
    for i in range(kh):
        for j in range(kw):
            won = best == i * kw + j
            dx[:, i:i + sh * oh:sh, j:j + sw * ow:sw] += g * won
    return dx[:, ph:ph + height, pw:pw + width]
    # END SOLUTION


def avg_pool2d(x, kernel, stride, padding):
    """The mean of each window, (N, OH, OW, C), over those of its pixels that are in the image."""
    # BEGIN SOLUTION
    total, count = (windows(padded(a, padding, 0), kernel, stride, (1, 1)).sum(axis=(3, 4))
                    for a in (x, np.ones_like(x)))
    return total / count
    # END SOLUTION
