"""Pooling: the pixels of each window, as a list.

A maximum takes a NaN for the largest, and of equal pixels the first, -0 being equal to 0; what is
outside of the image never wins. A mean divides by the pixels that count. NaN and infinities spoil
the windows and bins that hold them.
"""

import itertools
import math

import numpy as np
from exact import definition
from lines import last, once, total, wide
from mpmath import mpf
from places import at

from etude import TABLE
from etude_check.cases.spec import call

#: x, kernel_size, stride, padding
WINDOWS = (((2, 3, 6, 7), (3, 2), (2, 1), (1, 1)), ((1, 2, 5, 8), (2, 3), None, (0, 1)),
           ((2, 1, 9, 9), (3, 3), (1, 1), (1, 1)))


def _images(draw):
    """(x, attributes of a window)."""
    for (shape, kernel, stride, padding), ceil in itertools.product(WINDOWS, (False, True)):
        attrs = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
        for x in (draw.magnitudes(shape), draw.offset(shape), draw.floats(shape, -2, 3)):
            yield x, attrs
        yield draw.rng.choice(specials(draw), shape).astype(draw.dtype), attrs
        yield draw.rng.choice([-np.inf, -1, -0.0, 0.0], shape).astype(draw.dtype), attrs
        yield np.full(shape, 2.0**126, draw.dtype), attrs  # four of them are beyond float32
    if draw.whole:
        yield np.full((1, 1, 340, 350), 0.1, draw.dtype), {
            "kernel_size": (300, 320), "stride": (30, 30), "padding": (0, 0), "ceil_mode": False}


def specials(draw):
    """The special numbers, without those whose sums would leave the range of float64."""
    some = draw.specials()
    return some[~(np.abs(wide(some)) > 1e300) | np.isinf(some)]


def taps(attrs, place, size):
    """The pixels of the window of an output (h, w), those outside of the image as None."""
    steps = attrs.get("dilation", (1, 1))
    starts = [o * s - p for o, s, p in zip(place, attrs["stride"], attrs["padding"], strict=True)]
    for tap in itertools.product(*map(range, attrs["kernel_size"])):
        pixel = tuple(b + i * d for b, i, d in zip(starts, tap, steps, strict=True))
        inside = all(0 <= i < n for i, n in zip(pixel, size, strict=True))
        yield pixel if inside else None


def _maxima(draw):
    for x, attrs in _images(draw):
        if x.size < 10**5:
            yield call(x, **attrs)
            if attrs["ceil_mode"]:
                yield call(x, **attrs | {"dilation": (1, 2), "padding": (0, 0)})


@definition("max_pool2d", calls=_maxima)
def max_pool2d(arrays, attrs, output, places):
    x = arrays[0]

    def value(place):
        pixels = [p for p in taps(attrs, place[2:], x.shape[2:]) if p is not None]
        found = [at(x, (*place[:2], *p)) for p in pixels]
        missing = [i for i, v in enumerate(found) if v != v]
        best = missing[0] if missing else found.index(max(found))
        if output:
            return pixels[best][0] * x.shape[3] + pixels[best][1]
        return found[best]
    return [value(place) for place in places]


def _max_gradients(draw):
    for x, attrs in _images(draw):
        index = TABLE["max_pool2d"](x, **attrs)[1] if x.size < 10**5 else np.zeros(
            (1, 1, 1000, 1000), np.int64)
        for grad in (draw.floats(index.shape, -1, 3), draw.magnitudes(index.shape)):
            yield call(grad, index, input_size=x.shape[2:])
    yield call(np.full((1, 1, 40, 50), 0.1, draw.dtype), np.zeros((1, 1, 40, 50), np.int64),
               input_size=(2, 2))


def added_scale(op):
    """The bound of a sum in float64, rounded once at the end: ``op`` run on magnitudes and ones."""
    def scale(arrays, attrs, output):
        attrs = {k: v for k, v in attrs.items() if k in TABLE[op].attrs}
        run = lambda a: np.abs(TABLE[op](a, *arrays[1:], **attrs))  # noqa: E731
        x = wide(arrays[0])
        count = terms(op, arrays, attrs)
        return 3 * run(x) + last(arrays[0].dtype) * count * run(np.abs(x))
    return scale


def terms(op, arrays, attrs):
    """How many numbers each result may be the sum of."""
    if op == "max_pool2d_backward":
        return TABLE[op](np.ones(arrays[0].shape), *arrays[1:], **attrs)
    if op.startswith("adaptive"):
        return float(max(math.prod(arrays[0].shape[2:]), 1))
    return float(math.prod(attrs["kernel_size"]))


@definition("max_pool2d_backward", calls=_max_gradients, scale=added_scale("max_pool2d_backward"))
def max_pool2d_backward(arrays, attrs, output, places):
    grad, index = arrays
    width = attrs["input_size"][1]

    def given(plane):
        found = {}
        for i, v in zip(index[plane].ravel().tolist(), grad[plane].ravel().tolist(), strict=True):
            found.setdefault(i, []).append(v)
        return found
    known = once(given)
    return [total(known(p[:2]).get(p[2] * width + p[3], [])) for p in places]


# ------------------------------------------------------------------ means


def _means(draw):
    for i, (x, attrs) in enumerate(_images(draw)):
        more = {"count_include_pad": i % 2 == 0}
        if i % 5 == 4:
            more["divisor_override"] = -7
        yield call(x, **attrs, **more)


def divisor(attrs, place, size):
    """By what the sum of the window of an output is divided: the pixels that count in it."""
    if attrs["divisor_override"] is not None:
        return attrs["divisor_override"]
    lengths = []
    for o, n, k, s, p in zip(place, size, attrs["kernel_size"], attrs["stride"], attrs["padding"],
                             strict=True):
        first, end = (-p, n + p) if attrs["count_include_pad"] else (0, n)
        lengths.append(sum(first <= o * s - p + i < end for i in range(k)))
    return math.prod(lengths)


@definition("avg_pool2d", calls=_means, scale=added_scale("avg_pool2d"))
def avg_pool2d(arrays, attrs, output, places):
    x = arrays[0]

    def value(place):
        found = [at(x, (*place[:2], *p)) for p in taps(attrs, place[2:], x.shape[2:])
                 if p is not None]
        return total(found) / divisor(attrs, place[2:], x.shape[2:])
    return [value(place) for place in places]


def _mean_gradients(draw):
    for i, (x, attrs) in enumerate(_images(draw)):
        more = {"count_include_pad": i % 2 == 0}
        if i % 5 == 4:
            more["divisor_override"] = 3
        shape = TABLE["avg_pool2d"](np.zeros_like(x), **attrs, **more).shape
        for grad in (draw.magnitudes(shape), draw.floats(shape, -1, 3), np.full(
                shape, 0.1, draw.dtype), draw.rng.choice(specials(draw), shape)):
            yield call(grad, input_size=x.shape[2:], **attrs, **more)


@definition("avg_pool2d_backward", calls=_mean_gradients,
            scale=added_scale("avg_pool2d_backward"))
def avg_pool2d_backward(arrays, attrs, output, places):
    grad = arrays[0]

    def value(place):
        shares = []
        for over in itertools.product(*(
                windows(i, n, *rest) for i, n, *rest in zip(
                    place[2:], grad.shape[2:], attrs["kernel_size"], attrs["stride"],
                    attrs["padding"], strict=True))):
            shares.append((at(grad, (*place[:2], *over)), divisor(attrs, over, attrs[
                "input_size"])))
        return added(shares)
    return [value(place) for place in places]


def windows(pixel, count, kernel, stride, padding):
    """The outputs along one axis whose window holds a pixel."""
    return [o for o in range(count) if 0 <= pixel + padding - o * stride < kernel]


def added(shares):
    """The sum of v / n over pairs (v, n), together for those of one n."""
    by = {}
    for v, n in shares:
        by.setdefault(n, []).append(v)
    parts = [total(values) / n for n, values in by.items()]
    if all(isinstance(v, mpf) for v in parts):
        return sum(parts, mpf(0))
    return float(sum(map(float, parts)))


# ------------------------------------------------------------------ adaptive

#: x, output_size: bins that overlap, that divide, and that are smaller than a pixel
BINS = (((2, 3, 7, 9), (2, 4)), ((1, 2, 6, 6), (3, 2)), ((1, 1, 3, 2), (5, 7)),
        ((1, 1, 1, 1), (20, 30)))


def _binned(draw):
    for shape, size in BINS:
        for x in (draw.magnitudes(shape), draw.offset(shape), np.full(shape, 2.0**126, draw.dtype),
                  draw.rng.choice(specials(draw), shape).astype(draw.dtype)):
            yield call(x, output_size=size)
    if draw.whole:
        yield call(np.full((1, 2, 1000, 1001), 0.1, draw.dtype), output_size=(1, 2))


def _binned_gradients(draw):
    for shape, size in BINS:
        grad = (*shape[:2], *size)
        for g in (draw.magnitudes(grad), draw.floats(grad, -1, 3), np.full(grad, 0.1, draw.dtype),
                  draw.rng.choice(specials(draw), grad)):
            yield call(g, input_size=shape[2:])
    if draw.whole:
        yield call(np.full((1, 2, 1000, 1001), 0.1, draw.dtype), input_size=(1, 2))


def bin_of(i, count, size):
    """Bin i of ``count``: from floor(i size / count) to ceil((i + 1) size / count)."""
    return range(i * size // count, math.ceil((i + 1) * size / count))


@definition("adaptive_avg_pool2d", calls=_binned, scale=added_scale("adaptive_avg_pool2d"))
def adaptive_avg_pool2d(arrays, attrs, output, places):
    x = arrays[0]

    def value(place):
        rows, columns = map(bin_of, place[2:], attrs["output_size"], x.shape[2:])
        found = x[place[0], place[1], rows.start:rows.stop, columns.start:columns.stop]
        return total(found.ravel().tolist()) / found.size
    return [value(place) for place in places]


@definition("adaptive_avg_pool2d_backward", calls=_binned_gradients,
            scale=added_scale("adaptive_avg_pool2d_backward"))
def adaptive_avg_pool2d_backward(arrays, attrs, output, places):
    grad, size = arrays[0], attrs["input_size"]

    @once
    def bins(axis):
        return [bin_of(i, grad.shape[2 + axis], size[axis]) for i in range(grad.shape[2 + axis])]

    def value(place):
        rows, columns = ([i for i, b in enumerate(bins(axis)) if place[2 + axis] in b]
                         for axis in (0, 1))
        return added([(at(grad, (*place[:2], r, c)), len(bins(0)[r]) * len(bins(1)[c]))
                      for r, c in itertools.product(rows, columns)])
    return [value(place) for place in places]
