"""How the cases of A6 are drawn. Images are small and never square for long, and the two axes have
their own kernel, stride, padding and dilation. What is expected Etude says, channels moved.
"""

import numpy as np

import etude
from etude.functional import avg_pool2d, conv2d, max_pool2d
from etude_course.source.checks import Raises, cases, expected

ONE, NONE = (1, 1), (0, 0)


def number(rng, low, high):
    return int(rng.integers(low, high + 1))


def two(rng, low, high):
    return number(rng, low, high), number(rng, low, high)


def floats(rng, *shape):
    return rng.normal(0, 1, shape).astype(np.float32)


def first(a):
    """Channels first, as Etude has them."""
    return etude.tensor(np.ascontiguousarray(a.transpose(0, 3, 1, 2)))


def last(t):
    return np.ascontiguousarray(t.numpy().transpose(0, 2, 3, 1))


# ------------------------------------------------------------------ sizes and windows


@cases("size-values")
def size_values(rng, parameters):
    yield "plain", (5, 3, 1, 0, 1, False)
    yield "padding on both sides", (5, 3, 1, 1, 1, False)
    yield "a pixel is left over", (6, 3, 2, 0, 1, False)
    yield "no pixel is left over", (6, 3, 2, 0, 1, True)
    yield "the last place would begin behind the image", (4, 2, 3, 1, 1, True)
    yield "with holes", (9, 3, 1, 0, 3, False)
    yield "it does not fit", (4, 3, 1, 0, 2, False)
    while True:
        kernel = number(rng, 1, 5)
        yield "anything", (number(rng, 1, 12), kernel, number(rng, 1, 4),
                           number(rng, 0, kernel // 2), number(rng, 1, 3), rng.random() < 0.5)


@expected("size-values")
def size_expected(size, kernel, stride, padding, dilation, ceil, parameters):
    end = size + 2 * padding - dilation * (kernel - 1)  # behind the last beginning
    if end < 1:
        return Raises("ValueError")
    count = len(range(0, end, stride))
    lost = (count - 1) * stride < end - 1
    return count + (ceil and lost and count * stride < size + padding)


@cases("windows-values")
def windows_values(rng, parameters):
    def image(height, width, channels=1, n=1):
        size = n * height * width * channels
        return np.arange(size, dtype=np.float32).reshape(n, height, width, channels)

    yield "3 x 4 pixels", (image(3, 4), 1, (2, 2), ONE, ONE)
    yield "a stride of its own for each axis", (image(4, 6), 1, (2, 2), (2, 3), ONE)
    yield "two channels", (image(3, 3, 2), 1, (2, 1), ONE, ONE)
    yield "with holes", (image(4, 5), 1, (2, 2), ONE, (2, 3))
    yield "x is a view, each second row", (image(6, 3), 2, (2, 2), ONE, ONE)
    while True:
        every, kernel, dilation = number(rng, 1, 2), two(rng, 1, 3), two(rng, 1, 2)
        height, width = (d * (k - 1) + 1 + number(rng, 0, 4) for k, d in zip(kernel, dilation))
        yield "anything", (floats(rng, number(rng, 1, 2), every * height, width, number(rng, 1, 3)),
                           every, kernel, two(rng, 1, 3), dilation)


@expected("windows-values")
def windows_expected(x, every, kernel, stride, dilation, parameters):
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    found = np.lib.stride_tricks.sliding_window_view(x[:, ::every], span, axis=(1, 2))
    found = found[:, ::stride[0], ::stride[1], :, ::dilation[0], ::dilation[1]]
    return {"windows": found.transpose(0, 1, 2, 4, 5, 3).copy(), "a view": True}


# ------------------------------------------------------------------ convolution


def some(rng, height=4, width=5, channels=2, out=3, kernel=(2, 3), n=2):
    return floats(rng, n, height, width, channels), floats(rng, *kernel, channels, out)


def geometry(rng):
    """A kernel, stride, padding and dilation, and an image in which it fits."""
    kernel, stride, padding, dilation = (two(rng, *ends) for ends in ((1, 3), (1, 3), (0, 2),
                                                                      (1, 2)))
    height, width = (d * (k - 1) + 1 + number(rng, 0, 4) for k, d in zip(kernel, dilation))
    n, channels, out = number(rng, 1, 3), number(rng, 1, 3), number(rng, 1, 4)
    return *some(rng, height, width, channels, out, kernel, n), stride, padding, dilation


def tall(rng):
    """Images that are higher than wide, with unequal numbers everywhere."""
    x, weight = some(rng, 7, 5, 2, 3, (3, 2))
    return x, weight, (2, 1), (1, 0), (1, 2)


@cases("conv-plain")
def conv_plain(rng, parameters):
    yield "one kernel, one channel", (*some(rng, 3, 4, 1, 1, (2, 2), 1), None, ONE, NONE, ONE)
    yield "with a bias", (*some(rng, 3, 4, 2, 3, (2, 2), 1), floats(rng, 3), ONE, NONE, ONE)
    yield "two images, higher than wide", (*some(rng, 5, 3, 2, 2, (2, 2)), None, ONE, NONE, ONE)
    while True:
        x, weight, *_ = geometry(rng)
        bias = floats(rng, weight.shape[3]) if rng.random() < 0.5 else None
        yield "anything", (x, weight, bias, ONE, NONE, ONE)


@cases("conv-geometry")
def conv_geometry(rng, parameters):
    x, weight = some(rng, 5, 6, 1, 1, (2, 2), 1)
    yield "strides", (x, weight, None, (2, 3), NONE, ONE)
    yield "padding", (x, weight, None, ONE, (0, 1), ONE)
    yield "padding and a bias", (x, weight, floats(rng, 1), ONE, (1, 2), ONE)
    yield "with holes", (x, weight, None, ONE, NONE, (2, 3))
    x, weight, *rest = tall(rng)
    yield "everything", (x, weight, floats(rng, 3), *rest)
    while True:
        x, weight, *rest = geometry(rng)
        yield "anything", (x, weight, floats(rng, weight.shape[3]), *rest)


@expected("conv-plain")
@expected("conv-geometry")
def conv_expected(x, weight, bias, stride, padding, dilation, parameters):
    kernel = etude.tensor(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)))
    bias = None if bias is None else etude.tensor(bias)
    return last(conv2d(first(x), kernel, bias, stride=stride, padding=padding, dilation=dilation))


def gradients(rng, x, weight, stride, padding, dilation):
    """(g, x, weight, stride, padding, dilation), g being as large as the result."""
    y = conv_expected(x, weight, None, stride, padding, dilation, {})
    return floats(rng, *y.shape), x, weight, stride, padding, dilation


def gradient_cases(rng):
    x, weight = some(rng, 3, 4, 1, 1, (2, 2), 1)
    yield "one image", gradients(rng, x, weight, ONE, NONE, ONE)
    yield "two images, two channels", gradients(rng, *some(rng, 4, 3, 2, 2, (2, 2)), ONE, NONE, ONE)
    x, weight = some(rng, 4, 5, 1, 1, (2, 2), 1)
    yield "pixels that no window sees", gradients(rng, x, weight, (3, 2), NONE, ONE)
    yield "everything", gradients(rng, *tall(rng))
    while True:
        yield "anything", gradients(rng, *geometry(rng))


@cases("weight-values")
def weight_values(rng, parameters):
    for name, (g, x, weight, *rest) in gradient_cases(rng):
        yield name, (g, x, weight.shape[:2], *rest)


@expected("weight-values")
def weight_expected(g, x, kernel, stride, padding, dilation, parameters):
    weight = etude.zeros(g.shape[3], x.shape[3], *kernel, requires_grad=True)
    bias = etude.zeros(g.shape[3], requires_grad=True)
    y = conv2d(first(x), weight, bias, stride=stride, padding=padding, dilation=dilation)
    (y * first(g)).sum().backward()
    return weight.grad.numpy().transpose(2, 3, 1, 0).copy(), bias.grad.numpy().copy()


@cases("input-values")
def input_values(rng, parameters):
    for name, (g, x, weight, *rest) in gradient_cases(rng):
        yield name, (g, weight, x.shape[1:3], *rest)


@expected("input-values")
def input_expected(g, weight, size, stride, padding, dilation, parameters):
    x = etude.zeros(len(g), weight.shape[2], *size, requires_grad=True)
    kernel = etude.tensor(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)))
    y = conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation)
    (y * first(g)).sum().backward()
    return last(x.grad)


# ------------------------------------------------------------------ pooling


def pooled(rng):
    """(x, kernel, stride, padding): padding is at most half of a window."""
    kernel = two(rng, 1, 3)
    height, width = (k + number(rng, 0, 4) for k in kernel)
    x = floats(rng, number(rng, 1, 2), height, width, number(rng, 1, 3))
    return x, kernel, two(rng, 1, 3), tuple(number(rng, 0, k // 2) for k in kernel)


def pool_cases(rng):
    yield "2 x 2", (floats(rng, 1, 4, 4, 1), (2, 2), (2, 2), NONE)
    yield "all negative", (-1 - np.abs(floats(rng, 1, 4, 4, 1)), (2, 2), (2, 2), NONE)
    yield "padding", (-1 - np.abs(floats(rng, 1, 3, 4, 1)), (2, 3), (1, 2), (1, 1))
    yield "windows that overlap", (floats(rng, 1, 5, 4, 2), (3, 2), (1, 1), NONE)
    while True:
        yield "anything", pooled(rng)


@cases("max-values")
def max_values(rng, parameters):
    yield from pool_cases(rng)


@expected("max-values")
def max_expected(x, kernel, stride, padding, parameters):
    return last(max_pool2d(first(x), kernel_size=kernel, stride=stride, padding=padding))


@cases("max-gradient")
def max_gradient(rng, parameters):
    def with_g(x, kernel, stride, padding):
        y = max_expected(x, kernel, stride, padding, {})
        return floats(rng, *y.shape), x, kernel, stride, padding

    equal = np.float32([[1, 1, 2, 0], [0, 1, 2, 2]]).reshape(1, 2, 4, 1)
    yield "several are largest", with_g(equal, (2, 2), (2, 2), NONE)
    peak = np.float32([[0, 0, 0], [0, 9, 0], [0, 0, 0]]).reshape(1, 3, 3, 1)
    yield "one is the largest of four windows", with_g(peak, (2, 2), ONE, NONE)
    yield "padding, all negative", with_g(-np.abs(floats(rng, 1, 3, 4, 1)) - 1, (2, 3), (1, 2), ONE)
    while True:
        x, *rest = pooled(rng)
        yield "anything", with_g(np.round(2 * x), *rest)


@expected("max-gradient")
def max_gradient_expected(g, x, kernel, stride, padding, parameters):
    image = etude.tensor(first(x).numpy(), requires_grad=True)
    y = max_pool2d(image, kernel_size=kernel, stride=stride, padding=padding)
    (y * first(g)).sum().backward()
    return last(image.grad)


@cases("avg-values")
def avg_values(rng, parameters):
    yield from pool_cases(rng)


@expected("avg-values")
def avg_expected(x, kernel, stride, padding, parameters):
    return last(avg_pool2d(first(x), kernel_size=kernel, stride=stride, padding=padding,
                           count_include_pad=False))
