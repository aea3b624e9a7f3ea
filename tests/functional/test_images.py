"""Forms of convolution, pooling and padding: an image alone, words, borders, against NumPy."""

import numpy as np
import pytest

import etude
from etude import ShapeError, gradcheck
from etude import functional as F


def draw(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def equal(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-13, atol=1e-13)


X, W = draw(2, 3, 6, 7), draw(4, 3, 3, 2, seed=1)


@pytest.mark.parametrize("call", [
    lambda x: F.conv2d(x, W, None, 2, 1), lambda x: F.max_pool2d(x, 2),
    lambda x: F.avg_pool2d(x, 2, ceil_mode=True), lambda x: F.adaptive_avg_pool2d(x, (2, None)),
    lambda x: F.conv_transpose2d(x, draw(3, 2, 2, 2)), lambda x: F.max_pool2d(
        x, 2, return_indices=True)[1]])
def test_an_image_without_a_batch_is_a_batch_of_one(call):
    equal(call(X[0]), call(X)[0])


def test_padding_in_words():
    equal(F.conv2d(X, W, padding="valid"), F.conv2d(X, W))
    same = F.conv2d(X, W, padding="same", dilation=(1, 2))
    assert same.shape == (2, 4, 6, 7)
    equal(same, F.conv2d(F.pad(X, (1, 1, 1, 1)), W, dilation=(1, 2)))
    odd = F.conv2d(X, W, padding="same")  # a kernel of width 2: the odd pixel is behind
    equal(odd, F.conv2d(F.pad(X, (0, 1, 1, 1)), W))
    with pytest.raises(ValueError, match="padding='same' keeps the size at stride 1, got stride=2"):
        F.conv2d(X, W, stride=2, padding="same")
    with pytest.raises(ValueError, match="padding must be integers, 'valid' or 'same', got 'full'"):
        F.conv2d(X, W, padding="full")


def test_along_one_axis_an_integer_or_a_tuple_of_one():
    x, w = draw(2, 4, 9), draw(6, 2, 3, seed=1)
    equal(F.conv1d(x, w, None, (2,), (1,), (2,), 2), F.conv1d(x, w, None, 2, 1, 2, 2))
    equal(F.conv1d(x[0], w, groups=2), F.conv1d(x, w, groups=2)[0])
    with pytest.raises(ShapeError, match=r"conv1d: stride must be an integer, or a tuple of one, "
                                         r"got \(1, 2\)"):
        F.conv1d(x, w, stride=(1, 2), groups=2)


@pytest.mark.parametrize(("stride", "padding", "extra", "dilation", "groups"), [
    (1, 0, 0, 1, 1), (2, 1, 1, 1, 1), ((3, 1), (0, 2), (2, 1), (1, 2), 1), (1, 1, 2, 3, 2),
    (2, 0, (3, 1), (4, 2), 2)])
def test_a_transposed_convolution_is_the_transpose(stride, padding, extra, dilation, groups):
    """<conv_transpose(x), y> = <x, conv(y)>, with y cut to what the convolution reaches."""
    x, w = draw(2, 4, 3, 4), draw(4, 2 // groups, 2, 3, seed=1)
    y = F.conv_transpose2d(x, w, None, stride, padding, extra, groups, dilation)
    other = draw(*y.shape, seed=2)
    back = F.conv2d(other, w, None, stride, padding, dilation, groups)
    back = back[:, :, : x.shape[2], : x.shape[3]]
    assert (y * other).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12)
    gradcheck(lambda a, b: F.conv_transpose2d(a, b, None, stride, padding, extra, groups,
                                              dilation).sum(), [x, w])


def test_output_padding_is_less_than_the_larger_of_stride_and_dilation():
    with pytest.raises(ShapeError, match=r"output_padding \[2, 2\] must be less than the larger of "
                                         r"stride \[1, 1\] and dilation \[2, 2\]"):
        F.conv_transpose2d(draw(1, 1, 3, 3), draw(1, 1, 2, 2), None, 1, 0, 2, 1, 2)


@pytest.mark.parametrize(("mode", "of_numpy"), [
    ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_a_border_of_what_is_inside(mode, of_numpy):
    x = draw(2, 3, 5)
    found = F.pad(x, (2, 3, 1, 0), mode)
    wanted = np.pad(x.detach().numpy(), ((0, 0), (1, 0), (2, 3)), of_numpy)
    assert np.array_equal(found.detach().numpy(), wanted)
    gradcheck(lambda t: (F.pad(t, (2, 3), mode) ** 2).sum(), [x])
    cut, behind = F.pad(x, (-1, 2), mode), ((0, 0), (0, 0), (0, 2))
    if mode == "circular":  # what is cut off does not come back at the other end
        wanted = np.pad(x.detach().numpy()[..., 1:], behind, of_numpy)
    else:
        wanted = np.pad(x.detach().numpy(), behind, of_numpy)[..., 1:]
    assert np.array_equal(cut.detach().numpy(), wanted)


def test_a_negative_padding_cuts():
    x = etude.arange(5)
    assert F.pad(x, (-1, 2), value=9).tolist() == [1, 2, 3, 4, 9, 9]
    with pytest.raises(ShapeError, match=r"pad: no element is left of dimension 0 of \[5\]"):
        F.pad(x, (-3, -3))


@pytest.mark.parametrize(("args", "words"), [
    (((5, 0), "reflect"), r"at most 4 on each side of dimension 2 of \[2, 3, 5\]; got \(5, 0\)"),
    (((0, 6), "circular"), r"at most 5 on each side"),
    (((1, 1), "mirror"), "mode must be one of 'constant', 'reflect', 'replicate', 'circular'"),
    (((1, 1), "reflect", 2.0), "value=2.0 is for mode='constant', got mode='reflect'")])
def test_borders_that_cannot_be(args, words):
    with pytest.raises(ValueError, match=words):  # ShapeError is one
        F.pad(draw(2, 3, 5), *args)
