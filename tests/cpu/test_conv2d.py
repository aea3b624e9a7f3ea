"""Convolution by every road of its plan: strides, dilation, groups, few channels, many tasks."""

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal

import etude

#         N  C  H  W     O  C/G KH KW  stride  padding dilation groups
LAYERS = {
    "plain": ((2, 5, 9, 8), (18, 5, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "no padding, so the image is read where it lies": (
        (2, 17, 6, 7), (20, 17, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "a stride": ((2, 4, 16, 16), (33, 4, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "a stride that leaves pixels unseen": (
        (1, 3, 11, 13), (17, 3, 2, 1), (3, 4), (0, 1), (1, 1), 1),
    "dilation": ((2, 4, 12, 13), (9, 4, 3, 2), (1, 1), (2, 3), (2, 3), 1),
    "a stride and a dilation with a common divisor": (
        (1, 6, 15, 14), (16, 6, 3, 3), (2, 2), (2, 1), (2, 4), 1),
    "a stride and a dilation without one": (
        (1, 16, 17, 14), (6, 16, 3, 4), (3, 2), (3, 4), (2, 3), 1),
    "groups": ((2, 12, 9, 9), (66, 4, 3, 3), (1, 1), (1, 1), (1, 1), 3),
    "a channel a group": ((2, 7, 9, 35), (7, 1, 3, 3), (1, 1), (1, 1), (1, 1), 7),
    "a channel a group, two outputs each, a stride": (
        (2, 5, 10, 9), (10, 1, 3, 3), (2, 2), (1, 1), (1, 1), 5),
    "few outputs on long lines": ((1, 9, 5, 70), (3, 9, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "few inputs, a large kernel, a stride": (
        (1, 3, 40, 41), (20, 3, 11, 11), (4, 4), (2, 2), (1, 1), 1),
    "more taps than a block is deep": ((1, 70, 6, 6), (17, 70, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "small images, several to a panel": (
        (19, 6, 3, 2), (18, 6, 2, 2), (1, 1), (1, 0), (1, 1), 1),
    "padding wider than the image": ((1, 2, 3, 2), (3, 2, 3, 3), (2, 2), (4, 5), (1, 1), 1),
    "padding wider than a vector, and not a number to spare behind the canvas": (
        (1, 1, 12, 16), (2, 1, 1, 3), (1, 1), (0, 18), (1, 18), 1),
    "lines of whole vectors": ((2, 5, 9, 32), (18, 5, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "lines whose last vector overlaps": ((2, 3, 9, 30), (9, 3, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    "overlaps in y, which several blocks of taps add to": (
        (1, 40, 7, 31), (9, 40, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "lines shorter than a vector, their margins computed too": (
        (3, 30, 7, 7), (3, 30, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "lines of which a vector holds several": (
        (2, 40, 9, 4), (9, 40, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "such lines, and taps that lie beside the image": (
        (2, 3, 7, 2), (16, 3, 3, 3), (1, 1), (1, 3), (1, 3), 1),
    "such lines, and no two taps alike": (
        (2, 8, 8, 8), (18, 4, 2, 4), (1, 1), (2, 3), (3, 2), 2),
    "a stride between rows alone": ((2, 5, 13, 32), (9, 5, 3, 3), (2, 1), (0, 1), (1, 1), 1),
    "one tap, lines as long as a vector whatever they were": (
        (2, 20, 8, 8), (33, 20, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one tap that meets one pixel of many": (
        (2, 3, 4, 4), (5, 3, 1, 1), (4, 4), (0, 0), (1, 1), 1),
    "one tap, padded": ((2, 3, 6, 14), (5, 3, 1, 1), (1, 1), (1, 1), (1, 1), 1),
    "weights half a page apart on the way back": (
        (1, 600, 4, 4), (17, 600, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "few channels in several tasks": (
        (1, 16, 90, 96), (16, 16, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "an image in several tasks": ((1, 40, 60, 61), (17, 40, 3, 3), (1, 1), (1, 1), (1, 1), 1),
}


def layer(name, dtype):
    x, w, stride, padding, dilation, groups = LAYERS[name]
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    image, weight = normal(*x, dtype=dtype), normal(*w, dtype=dtype, seed=1)
    return image, weight, normal(w[0], dtype=dtype, seed=2), attrs


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LAYERS)
def test_it_agrees_with_the_reference_and_declines_nothing(ops, name, dtype):
    image, weight, bias, attrs = layer(name, dtype)
    taps = weight[0].size
    y = hold(ops, "conv2d", image, weight, bias, terms=taps, **attrs)
    grad = normal(*y.shape, dtype=dtype, seed=3)
    hold(ops, "conv2d_input", grad, weight, input_size=image.shape[2:],
         terms=taps * len(weight), **attrs)
    hold(ops, "conv2d_weight", grad, image, kernel_size=weight.shape[2:],
         terms=grad[:, 0].size, **attrs)


@pytest.mark.parametrize("name", ["a stride", "groups", "a channel a group",
                                  "small images, several to a panel", "an image in several tasks",
                                  "overlaps in y, which several blocks of taps add to",
                                  "lines shorter than a vector, their margins computed too",
                                  "lines of which a vector holds several",
                                  "few outputs on long lines",
                                  "few channels in several tasks"])
def test_any_number_of_threads_gives_the_same_bits(ops, threads, name):
    image, weight, bias, attrs = layer(name, "float32")
    image = np.concatenate([image] * 12)
    attempts = []
    for count in (1, 2, 3, 8):
        threads(count)
        y = ops["conv2d"](image, weight, bias, **attrs)
        attempts.append((y, ops["conv2d_input"](y, weight, input_size=image.shape[2:], **attrs),
                         ops["conv2d_weight"](y, image, kernel_size=weight.shape[2:], **attrs)))
    for other in attempts[1:]:
        for found, wanted in zip(other, attempts[0], strict=True):
            assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ["plain", "lines of whole vectors", "a stride",
                                  "lines whose last vector overlaps",
                                  "lines of which a vector holds several",
                                  "such lines, and no two taps alike",
                                  "lines shorter than a vector, their margins computed too"])
def test_an_infinity_and_a_nan_reach_the_pixels_that_see_them_and_no_others(ops, name):
    image, weight, bias, attrs = layer(name, "float32")
    image[0, 1, 2, 3], image[-1, 0, -1, -1] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        y = hold(ops, "conv2d", image, weight, bias, terms=weight[0].size, **attrs)
        assert 0 < np.isfinite(y).sum() < y.size
        grad = normal(*y.shape, dtype="float32", seed=3)
        grad[0, 1, 2, 3], grad[-1, 0, -1, -1] = -np.inf, np.nan
        hold(ops, "conv2d_input", grad, weight, input_size=image.shape[2:],
             terms=weight.size, **attrs)


@pytest.mark.parametrize("name", ["plain", "lines of whole vectors", "a channel a group",
                                  "few outputs on long lines",
                                  "lines whose last vector overlaps"])
def test_what_is_not_a_number_reaches_the_weights_that_see_it_and_no_others(ops, name):
    image, weight, bias, attrs = layer(name, "float32")
    grad = normal(*ops["conv2d"](image, weight, bias, **attrs).shape, dtype="float32", seed=3)
    image[0, 0, 0, 0], image[-1, 1, -1, -1] = np.inf, np.nan  # padding 1: not all taps meet them
    with np.errstate(invalid="ignore"):
        dw = hold(ops, "conv2d_weight", grad, image, kernel_size=weight.shape[2:],
                  terms=grad[:, 0].size, **attrs)
    assert 0 < np.isfinite(dw).sum() < dw.size


def test_a_grouped_dilated_layer_trains_on_the_kernels_alone(ops):
    conv = etude.nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
    x = etude.tensor(normal(2, 8, 9, 9), requires_grad=True)
    conv(x).sum().backward()  # `ops` is in use with strict=True: a call declined is an error
    assert x.grad is not None
    assert conv.weight.grad is not None
