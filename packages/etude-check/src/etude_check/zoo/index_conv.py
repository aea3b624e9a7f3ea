"""Wrong convolutions and poolings: groups, dilation, padding and strides taken for one another."""

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


@mutant("max_pool2d", kills="tail", where="index",
        mistake="Padding counts as 0, so that it beats negative pixels.")
def max_pool2d_zero_padding(x, *, kernel_size, stride=None, padding=(0, 0)):
    y, index = reference("max_pool2d")(x, kernel_size=kernel_size, stride=stride, padding=padding)
    inside = reference("avg_pool2d")(np.ones_like(x), kernel_size=kernel_size, stride=stride,
                                     padding=padding)
    return np.where(inside < 0.999, np.maximum(y, x.dtype.type(0)), y), index


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
