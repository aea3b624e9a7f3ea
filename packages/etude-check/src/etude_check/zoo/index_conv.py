"""Wrong convolutions: groups, dilation, padding and strides taken for one another."""

import numpy as np

from etude_check.zoo import mutant, reference


@mutant("conv2d", kills="tail", where="index",
        mistake="Groups are ignored: every group reads the channels of the first.")
def conv2d_groups(x, weight, bias=None, *, groups=1, **attrs):
    c = weight.shape[1]
    return reference("conv2d")(np.tile(x[:, :c], (1, groups, 1, 1)), weight, bias, groups=groups,
                               **attrs)


@mutant("conv2d_weight", kills="tail", where="index",
        mistake="Dilation is ignored in the gradient of the weight only.")
def conv2d_weight_dilation(grad, x, *, kernel_size, dilation=(1, 1), padding=(0, 0), **attrs):
    right = reference("conv2d_weight")(grad, x, kernel_size=kernel_size, dilation=dilation,
                                       padding=padding, **attrs)
    if tuple(dilation) == (1, 1):
        return right
    wide = tuple(d * (k - 1) + 1 for k, d in zip(kernel_size, dilation))
    every = reference("conv2d_weight")(grad, x, kernel_size=wide, dilation=(1, 1), padding=padding,
                                       **attrs)
    return np.ascontiguousarray(every[:, :, : kernel_size[0], : kernel_size[1]])


@mutant("conv2d", kills="tail", where="index",
        mistake="The kernel is flipped: a convolution in the mathematical sense, where deep "
                "learning means a correlation.")
def conv2d_flipped(x, weight, bias=None, **attrs):
    return reference("conv2d")(x, weight[:, :, ::-1, ::-1], bias, **attrs)


@mutant("conv2d", kills="tail", where="index",
        mistake="Strides of the two axes are swapped.")
def conv2d_stride_swapped(x, weight, bias=None, *, stride=(1, 1), **attrs):
    y = reference("conv2d")(x, weight, bias, stride=stride, **attrs)
    other = reference("conv2d")(x, weight, bias, stride=(1, 1), **attrs)
    rows = np.minimum(np.arange(y.shape[2]) * stride[1], other.shape[2] - 1)
    columns = np.minimum(np.arange(y.shape[3]) * stride[0], other.shape[3] - 1)
    return other[:, :, rows][..., columns]


@mutant("conv2d", kills="tail", where="index",
        mistake="The image is padded by repeating its border instead of by zeros.")
def conv2d_border(x, weight, bias=None, *, padding=(0, 0), **attrs):
    (ph, pw) = padding
    around = ((0, 0), (0, 0), (ph, ph), (pw, pw))
    padded = np.pad(x, around, "edge") if x.size else np.pad(x, around)
    return reference("conv2d")(padded, weight, bias, padding=(0, 0), **attrs)


@mutant("conv2d", kills="tail", where="index",
        mistake="The bias is added once per input channel.")
def conv2d_bias_often(x, weight, bias=None, **attrs):
    if bias is not None:
        bias = bias * bias.dtype.type(weight.shape[1])
    return reference("conv2d")(x, weight, bias, **attrs)


@mutant("conv2d_input", kills="tail", where="backward", covers="asymmetric padding",
        mistake="Backward only: the padding of the rows is used for the columns too, so it is "
                "right for square padding alone.")
def conv2d_input_padding(grad, weight, *, input_size, padding=(0, 0), **attrs):
    h, w = input_size
    ph, pw = padding
    whole = reference("conv2d_input")(grad, weight, input_size=(h + 2 * ph, w + 2 * pw),
                                      padding=(0, 0), **attrs)
    columns = (np.arange(w) + ph) % (w + 2 * pw)
    return whole[:, :, ph : ph + h][..., columns]


@mutant("conv2d_input", kills="tail", where="backward",
        mistake="The stride is ignored on the way back: outputs are scattered to neighbouring "
                "pixels.")
def conv2d_input_stride(grad, weight, *, input_size, stride=(1, 1), **attrs):
    right = reference("conv2d_input")(grad, weight, input_size=input_size, stride=stride, **attrs)
    if tuple(stride) == (1, 1):
        return right
    ph, pw = attrs.get("padding", (0, 0))
    dh, dw = attrs.get("dilation", (1, 1))
    size = (grad.shape[2] - 1 + dh * (weight.shape[2] - 1) + 1 - 2 * ph,
            grad.shape[3] - 1 + dw * (weight.shape[3] - 1) + 1 - 2 * pw)
    if min(size) < 1:
        return np.zeros_like(right)
    near = reference("conv2d_input")(grad, weight, input_size=size, stride=(1, 1), **attrs)
    dx = np.zeros_like(right)
    h, w = min(size[0], dx.shape[2]), min(size[1], dx.shape[3])
    dx[:, :, :h, :w] = near[:, :, :h, :w]
    return dx


@mutant("conv2d_weight", kills="tail", where="backward",
        mistake="The gradient of the weight comes from the last image of the batch alone: the sum "
                "over the batch is missing.")
def conv2d_weight_batch(grad, x, **attrs):
    return reference("conv2d_weight")(grad[-1:], x[-1:], **attrs)


@mutant("conv2d", kills="tail", where="index",
        mistake="Groups are counted from 1: every group reads the channels of the next one.")
def conv2d_next_group(x, weight, bias=None, *, groups=1, **attrs):
    return reference("conv2d")(_next_group(x, groups), weight, bias, groups=groups, **attrs)


def _next_group(x, groups):
    return np.roll(x, -x.shape[1] // groups, 1) if groups > 1 else x


@mutant("conv2d_weight", kills="tail", where="backward",
        mistake="Groups are counted from 1 in the gradient of the weight only.")
def conv2d_weight_next_group(grad, x, *, groups=1, **attrs):
    return reference("conv2d_weight")(grad, _next_group(x, groups), groups=groups, **attrs)


@mutant("conv2d_input", kills="tail", where="backward",
        mistake="All groups give their gradient to the channels of the first.")
def conv2d_input_first_group(grad, weight, *, groups=1, **attrs):
    dx = reference("conv2d_input")(grad, weight, groups=groups, **attrs)
    c = weight.shape[1]
    if groups > 1:
        dx[:, :c] = dx.reshape(len(dx), groups, c, *dx.shape[2:]).sum(1)
        dx[:, c:] = 0
    return dx


@mutant("conv2d", kills="tail", where="index",
        mistake="Dilation of the two axes is swapped.")
def conv2d_dilation_swapped(x, weight, bias=None, *, padding=(0, 0), dilation=(1, 1), **attrs):
    right = reference("conv2d")(x, weight, bias, padding=padding, dilation=dilation, **attrs)
    if dilation[0] == dilation[1]:
        return right
    reach = max(dilation) * max(weight.shape[2:])  # so that there is something to read
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p + reach) for p in padding)))
    y = reference("conv2d")(padded, weight, bias, dilation=dilation[::-1], **attrs)
    return np.ascontiguousarray(y[:, :, : right.shape[2], : right.shape[3]])
