"""Convolution and its two transposes: the pairs of numbers that meet, one by one, added up exactly.

What a product or a partial sum loses beyond the range of the dtype is as in matmul. Outside of the
image is 0, and takes part: times an infinite weight it is NaN.
"""

import itertools

import numpy as np
from exact import definition
from lines import dot

from etude import TABLE
from etude_check.cases.spec import call

#: x, weight, stride, padding, dilation, groups
LAYERS = (((2, 3, 5, 6), (4, 3, 3, 2), (2, 1), (1, 0), (1, 1), 1),
          ((1, 4, 7, 5), (6, 2, 2, 3), (1, 2), (0, 2), (2, 1), 2),
          ((2, 3, 4, 4), (3, 1, 2, 2), (3, 3), (1, 1), (1, 2), 3),
          ((1, 2, 9, 9), (2, 2, 9, 9), (1, 1), (4, 4), (1, 1), 1))


def _layers(draw):
    """(x, weight, attributes), whose products stay in the range of float32."""
    for x, w, stride, padding, dilation, groups in LAYERS:
        attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        for low, high in ((-60, 55), (-75, -60)):
            yield draw.magnitudes(x, low, high), draw.magnitudes(w, low, high), attrs
        yield draw.magnitudes(x, -140, 120), draw.magnitudes(w, -30, -9), attrs
        yield draw.offset(x), draw.floats(w, -2, 2), attrs
        yield draw.floats(x, -1, 2), draw.offset(w, 1e4, 1), attrs
    if draw.whole:
        equal = np.full((1, 1, 320, 320), 0.1, draw.dtype), np.full((1, 1, 310, 310), 0.3,
                                                                    draw.dtype)
        yield *equal, attrs | {"stride": (9, 9), "padding": (0, 0), "groups": 1}
        yield equal[0], equal[1][:, :, :1, :3], {
            "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}


def _calls(draw):
    for i, (x, w, attrs) in enumerate(_layers(draw)):
        yield call(x, w, *([draw.floats(w[:, 0, 0, 0].shape, -2, 2)] if i % 2 else []), **attrs)


def _gradients(op):
    def calls(draw):
        for x, w, attrs in _layers(draw):
            y = TABLE["conv2d"](x, w, **attrs)
            grad = draw.floats(y.shape, -2, 2)
            if op == "conv2d_weight" and x.size > 10**5:
                grad = np.full(y.shape, 0.1, draw.dtype)
            if op == "conv2d_input" and w.size < 10**4:  # each pixel asks every tap
                yield call(grad, w, input_size=x.shape[2:], **attrs)
            elif op == "conv2d_weight":
                yield call(grad, x, kernel_size=w.shape[2:], **attrs)
    return calls


def source(attrs, place, tap):
    """The pixel of x that a place (h, w) of the output meets at a tap (i, j) of the kernel."""
    return tuple(at * s + i * d - p for at, i, s, p, d in zip(
        place, tap, attrs["stride"], attrs["padding"], attrs["dilation"], strict=True))


def inside(pixel, size):
    return all(0 <= i < n for i, n in zip(pixel, size, strict=True))


def column(x, images, channels, pixel):
    """The numbers of x at a pixel, 0 outside of the image."""
    if inside(pixel, x.shape[2:]):
        return x[(images, channels, *pixel)].tolist()
    return [0.0] * x[images, channels, :0, :0].shape[0]


@definition("conv2d", calls=_calls)
def conv2d(arrays, attrs, output, places):
    x, weight, bias = (*arrays, None)[:3]
    outputs, channels, *kernel = weight.shape

    def value(place):
        n, o, *at = place
        first = o // (outputs // attrs["groups"]) * channels
        pixels, weights = [], []
        for tap in itertools.product(*map(range, kernel)):
            some = slice(first, first + channels)
            pixels += column(x, n, some, source(attrs, at, tap))
            weights += weight[(o, slice(None), *tap)].tolist()
        if bias is not None:
            pixels, weights = [*pixels, 1.0], [*weights, bias[o].item()]
        return dot(pixels, weights)
    return [value(place) for place in places]


@definition("conv2d_input", calls=_gradients("conv2d_input"))
def conv2d_input(arrays, attrs, output, places):
    grad, weight = arrays
    outputs, channels, *kernel = weight.shape
    each = outputs // attrs["groups"]

    def value(place):
        n, c, *pixel = place
        group, within = divmod(c, channels)
        given, weights = [], []
        for tap in itertools.product(*map(range, kernel)):
            at = meets(attrs, pixel, tap)
            if at is not None and inside(at, grad.shape[2:]):
                some = slice(group * each, (group + 1) * each)
                given += grad[(n, some, *at)].tolist()
                weights += weight[(some, within, *tap)].tolist()
        return dot(given, weights)
    return [value(place) for place in places]


def meets(attrs, pixel, tap):
    """The place of the output that meets a pixel at a tap; None if there is none."""
    moved = [q + p - i * d for q, i, p, d in zip(pixel, tap, attrs["padding"], attrs["dilation"],
                                                 strict=True)]
    if any(m % s for m, s in zip(moved, attrs["stride"], strict=True)):
        return None
    return tuple(m // s for m, s in zip(moved, attrs["stride"], strict=True))


@definition("conv2d_weight", calls=_gradients("conv2d_weight"))
def conv2d_weight(arrays, attrs, output, places):
    grad, x = arrays
    each, channels = grad.shape[1] // attrs["groups"], x.shape[1] // attrs["groups"]

    def value(place):
        o, c, *tap = place
        channel = o // each * channels + c
        given, pixels = [], []
        for at in itertools.product(*map(range, grad.shape[2:])):
            given += grad[(slice(None), o, *at)].tolist()
            pixels += column(x, slice(None), channel, source(attrs, at, tap))
        return dot(given, pixels)
    return [value(place) for place in places]
