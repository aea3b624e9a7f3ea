"""Convolutions and pools: how they hang together, and what they refuse."""

import numpy as np
import pytest

import etude
from etude import nn
from etude.nn import functional as F

RNG = np.random.default_rng(0)


def random(*shape):
    return etude.tensor(RNG.standard_normal(shape))


def dot(a, b):
    return float((a.detach().numpy() * b.detach().numpy()).sum())


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [
    (1, 0, 1, 1), (2, 1, 1, 1), ((2, 3), (1, 0), (2, 1), 2), (3, 2, 2, 2)])
def test_conv_transpose2d_is_the_transpose_of_conv2d(stride, padding, dilation, groups):
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = random(4, 2, 3, 2)
    x = random(2, weight.shape[1] * groups, 9, 10)
    y = F.conv2d(x, weight, **settings)
    z = random(*y.shape)
    lost = [(n + 2 * p - d * (k - 1) - 1) % s for n, p, d, k, s in zip(
        x.shape[2:], *([v, v] if isinstance(v, int) else v for v in (padding, dilation)),
        weight.shape[2:], [stride, stride] if isinstance(stride, int) else stride, strict=True)]
    back = F.conv_transpose2d(z, weight, output_padding=tuple(lost), **settings)
    assert back.shape == x.shape
    assert abs(dot(y, z) - dot(x, back)) < 1e-12 * abs(dot(y, y))


def test_conv_transpose2d_has_second_derivatives():
    x, weight, bias = (random(*s).requires_grad_() for s in ((1, 2, 2, 2), (2, 1, 2, 2), (1,)))

    def slopes(x, weight, bias):
        y = F.conv_transpose2d(x, weight, bias, stride=2)
        first = etude.grad((y * y * y).sum(), [x, weight, bias], create_graph=True)
        return F.cat([g.reshape(-1) for g in first])

    assert etude.gradcheck(slopes, [x, weight, bias], tolerance=1e-6)


def test_conv1d_is_conv2d_of_a_thin_image():
    layer = nn.Conv1d(2, 3, 3, stride=2, padding=1, dtype="float64")
    x = random(2, 2, 7)
    thin = F.conv2d(x.unsqueeze(2), layer.weight.unsqueeze(2), layer.bias, stride=(1, 2),
                    padding=(0, 1))
    assert np.array_equal(layer(x).detach(), thin.squeeze(2).detach())


MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kernel", "dilation", "padding"), [
    ((3, 2), (1, 1), "same"), ((2, 3), (1, 2), "same"), ((4, 1), (1, 1), "same"),
    ((3, 3), (1, 1), (2, 1)), ((2, 2), (1, 1), "valid")])
def test_what_is_around_the_image_is_what_numpy_pads_it_with(mode, kernel, dilation, padding):
    layer = nn.Conv2d(2, 3, kernel, padding=padding, dilation=dilation, padding_mode=mode,
                      dtype="float64")
    x = random(2, 2, 5, 6)
    sides = {"same": [((d * (k - 1)) // 2, (d * (k - 1) + 1) // 2)
                      for d, k in zip(dilation, kernel, strict=True)],
             "valid": [(0, 0), (0, 0)]}.get(padding) or [(p, p) for p in padding]
    around = etude.tensor(np.pad(x.numpy(), [(0, 0), (0, 0), *sides], MODES[mode]))
    expected = F.conv2d(around, layer.weight, layer.bias, dilation=dilation)
    np.testing.assert_allclose(layer(x).detach(), expected.detach(), rtol=1e-12, atol=1e-14)
    if padding == "same":
        assert layer(x).shape == (2, 3, 5, 6)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_flow_back_from_what_is_around_the_image(mode):
    layer = nn.Conv1d(1, 1, 4, padding="same", padding_mode=mode, dtype="float64")
    assert etude.gradcheck(layer, [random(1, 1, 3).requires_grad_()])


def test_padding_is_shown_by_its_words():
    assert repr(nn.Conv2d(1, 2, 3, padding="same", padding_mode="reflect")) == (
        "Conv2d(1, 2, kernel_size=3, padding='same', padding_mode='reflect')")


@pytest.mark.parametrize(("layer", "shape"), [
    (nn.Conv1d(2, 3, (3,), (2,), (1,), (1,), dtype="float64"), (2, 7)),
    (nn.Conv2d(2, 3, 3, padding="same", padding_mode="circular", dtype="float64"), (2, 5, 4)),
    (nn.ConvTranspose2d(2, 3, 3, 2, dtype="float64"), (2, 5, 4))], ids=lambda p: type(p).__name__)
def test_one_image_alone_is_a_batch_of_one_without_its_axis(layer, shape):
    x = random(*shape)
    assert np.array_equal(layer(x).detach(), layer(x.unsqueeze(0)).detach()[0])


def test_a_transpose_takes_the_size_of_its_output_in_place_of_more_padding():
    layer = nn.ConvTranspose2d(1, 2, 3, (2, 3), padding=1, dtype="float64")
    x = random(1, 1, 4, 4)
    y = layer(x, output_size=(8, 12))
    assert y.shape == (1, 2, 8, 12)
    layer.output_padding = (1, 2)
    assert np.array_equal(y.detach(), layer(x).detach())
    assert np.array_equal(y.detach(), layer(x, [1, 2, 8, 12]).detach())


def test_groups_keep_their_channels_apart():
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=2, dtype="float64")
    x = random(1, 4, 5, 5)
    before = layer(x).detach().numpy()
    with etude.no_grad():
        x[:, 2:].copy_(random(1, 2, 5, 5))
    after = layer(x).detach().numpy()
    assert np.array_equal(after[:, :2], before[:, :2])
    assert not np.any(after[:, 2:] == before[:, 2:])


def test_an_adaptive_pool_to_a_divisor_is_a_plain_pool():
    x = random(2, 3, 6, 8)
    np.testing.assert_allclose(nn.AdaptiveAvgPool2d((3, 2))(x), nn.AvgPool2d((2, 4))(x),
                               rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(nn.AdaptiveAvgPool2d((6, 8))(x), x, rtol=1e-15)
    assert nn.AdaptiveAvgPool2d(4)(random(1, 1, 2, 2)).shape == (1, 1, 4, 4)  # bins may repeat


def test_a_padded_mean_counts_the_zeros_outside():
    y = nn.AvgPool2d(2, 1, 1)(etude.ones(1, 1, 2, 2))
    assert y.tolist() == [[[[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]]]


def test_a_max_pool_looks_at_every_second_pixel_and_says_where():
    layer = nn.MaxPool2d(2, 1, 1, 2, return_indices=True)
    x = random(2, 3, 5, 4)
    y, at = layer(x)
    around = np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    expected = np.max([around[:, :, i : i + 5, j : j + 4] for i in (0, 2) for j in (0, 2)], 0)
    assert np.array_equal(y.numpy(), expected)
    assert np.array_equal(np.take_along_axis(x.numpy().reshape(2, 3, -1),
                                             at.numpy().reshape(2, 3, -1), -1),
                          expected.reshape(2, 3, -1))
    assert repr(layer) == (
        "MaxPool2d(2, stride=1, padding=1, dilation=2, return_indices=True)")
    one, where = layer(x[0])
    assert np.array_equal(one, y[0])
    assert np.array_equal(where, at[0])


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_ceil_mode_keeps_the_windows_that_reach_beyond_the_image(kind):
    x = etude.arange(9.0).reshape(1, 1, 3, 3)
    assert kind(2)(x).shape == (1, 1, 1, 1)
    y = kind(2, ceil_mode=True)(x)
    assert y.tolist() == [[[[4, 5], [7, 8]]]] if kind is nn.MaxPool2d else [[[[2, 3.5], [6.5, 8]]]]
    assert repr(kind(2, ceil_mode=True)) == f"{kind.__name__}(2, ceil_mode=True)"


def test_a_mean_may_leave_out_the_zeros_outside_or_divide_by_something_else():
    x = etude.ones(1, 1, 2, 2)
    assert nn.AvgPool2d(2, 1, 1, count_include_pad=False)(x).tolist() == [[[[1.0] * 3] * 3]]
    assert nn.AvgPool2d(2, divisor_override=8)(x).tolist() == [[[[0.5]]]]
    assert repr(nn.AvgPool2d(2, 2, 1, False, False, 3)) == (
        "AvgPool2d(2, padding=1, count_include_pad=False, divisor_override=3)")


def test_an_adaptive_pool_keeps_a_size_that_is_none():
    x = random(1, 2, 5, 4)
    assert np.array_equal(nn.AdaptiveAvgPool2d((None, 2))(x), nn.AdaptiveAvgPool2d((5, 2))(x))
    assert np.array_equal(nn.AdaptiveAvgPool2d((3, 2))(x[0]), nn.AdaptiveAvgPool2d((3, 2))(x)[0])
    assert repr(nn.AdaptiveAvgPool2d((None, 2))) == "AdaptiveAvgPool2d((None, 2))"


@pytest.mark.parametrize("layer", [
    nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3), nn.MaxPool2d(2), nn.AvgPool2d(2),
    nn.AdaptiveAvgPool2d(2)], ids=lambda m: type(m).__name__)
def test_an_empty_batch_gives_an_empty_batch(layer):
    x = etude.zeros(0, 2, 4, 4, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape[0] == 0
    assert x.grad.shape == x.shape


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Conv2d(3, 4, 1, groups=2),
     "Conv2d: groups=2 must divide in_channels and out_channels, got 3 and 4"),
    (lambda: nn.Conv2d(2, 4, 1, groups=0), "groups=0 must divide"),
    (lambda: nn.Conv2d(1, 1, 1, dilation=0), "dilation must be one or two integers >= 1, got 0"),
    (lambda: nn.Conv2d(1, 1, (1, 2, 3)), r"kernel_size must be one or two .*, got \(1, 2, 3\)"),
    (lambda: nn.Conv1d(1, 1, 0), "Conv1d: kernel_size must be an integer >= 1, got 0"),
    (lambda: nn.Conv1d(1, 1, 2, stride=(1, 2)), r"Conv1d: stride must be an integer .*\(1, 2\)"),
    (lambda: nn.Conv1d(1, 1, 2, padding=-1), "Conv1d: padding must be an integer >= 0, got -1"),
    (lambda: nn.Conv1d(1, 1, 2)(etude.zeros(4)),
     r"Conv1d\(in_channels=1, ...\) got an input float32\[4\]; it takes \(N, C, L\) or \(C, L"),
    (lambda: nn.Conv2d(1, 1, 3, 2, padding="same"),
     "Conv2d: padding='same' keeps the size of the image, which a stride of 2 does not"),
    (lambda: nn.Conv2d(1, 1, 3, padding="full"), "padding is a size, 'same' or 'valid', got 'full"),
    (lambda: nn.Conv1d(1, 1, 3, padding_mode="mirror"),
     "Conv1d: padding_mode must be 'zeros' or 'reflect' or 'replicate' or 'circular', got 'mirror"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"),
     "ConvTranspose2d: padding_mode must be 'zeros', got 'reflect'"),
    (lambda: nn.Conv2d(1, 1, 3, padding=3, padding_mode="reflect")(etude.zeros(1, 1, 9, 3)),
     r"mode='reflect' takes the border from inside, so at most 2 on each side of dimension 3"),
    (lambda: nn.Conv1d(1, 1, 3, padding=4, padding_mode="circular")(etude.zeros(1, 1, 3)),
     r"mode='circular' takes the border from inside, so at most 3 on each side of dimension 2"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, 2)(etude.zeros(1, 1, 4, 4), (9, 11)),
     r"an output_size is between \[9, 9\] and \[10, 10\], got \[9, 11\]"),
    (lambda: nn.ConvTranspose2d(2, 3, 2, groups=2), "groups=2 must divide"),
    (lambda: nn.ConvTranspose2d(2, 1, 2)(etude.zeros(1, 3, 4, 4)),
     r"ConvTranspose2d\(in_channels=2, ...\) got an input float32\[1, 3, 4, 4\], .* with C = 3"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, 2, output_padding=2)(etude.zeros(1, 1, 4, 4)),
     r"output_padding \[2, 2\] must be less than the larger of stride \[2, 2\] and dilation"),
    (lambda: nn.ConvTranspose2d(1, 1, 1, padding=3)(etude.zeros(1, 1, 2, 2)),
     r"the output would be \[-4, -4\]; .* padding \[3, 3\] must leave some of it"),
    (lambda: F.conv_transpose2d(etude.zeros(1, 1, 2, 2), etude.zeros(1, 2, 2, 2), etude.ones(1)),
     r"conv_transpose2d: bias must have shape \[2\], one number per channel, got \[1\]"),
    (lambda: nn.AvgPool2d(2, padding=2)(etude.zeros(1, 1, 4, 4)), "more than half of the window"),
    (lambda: nn.AvgPool2d(0), "AvgPool2d: kernel_size must be one or two integers >= 1, got 0"),
    (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: output_size must be one or two"),
])
def test_sizes_that_cannot_be_are_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()
