"""Layers compute their formulas, dropout repeats, and first values have the spread they should."""

import math

import numpy as np
import pytest

import etude
from etude import nn


def values(module):
    return {k: t.numpy().copy() for k, t in module.state_dict().items()}


# ------------------------------------------------------------------ layers compute their formula

RNG = np.random.default_rng(0)


def same(y, expected):
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_linear_is_x_times_the_transposed_weight_plus_bias():
    layer = nn.Linear(4, 3)
    x = RNG.standard_normal((2, 5, 4)).astype("float32")
    w, b = (p.detach().numpy() for p in layer.parameters())
    same(layer(etude.from_numpy(x)), np.einsum("abk,nk->abn", x, w) + b)
    same(nn.Linear(4, 3, bias=False)(etude.zeros(1, 4)), np.zeros((1, 3)))


def test_conv2d_is_a_sum_over_windows():
    layer = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0))
    x = RNG.standard_normal((2, 2, 5, 4)).astype("float32")
    w, b = (p.detach().numpy() for p in layer.parameters())
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    expected = np.empty((2, 3, 3, 3))
    for n, o, i, j in np.ndindex(expected.shape):
        window = padded[n, :, 2 * i : 2 * i + 3, j : j + 2]
        expected[n, o, i, j] = (window * w[o]).sum() + b[o]
    same(layer(etude.from_numpy(x)), expected)


def test_max_pool2d_takes_the_largest_of_each_window():
    x = etude.arange(16.0).reshape(1, 1, 4, 4)
    assert nn.MaxPool2d(2)(x).tolist() == [[[[5, 7], [13, 15]]]]
    assert nn.MaxPool2d(2, stride=1)(x).shape == (1, 1, 3, 3)
    assert nn.MaxPool2d(3, padding=1)(x).tolist() == [[[[5, 7], [13, 15]]]]


def test_layer_norm_has_mean_0_and_variance_1_then_scales():
    x = RNG.standard_normal((3, 4, 5)).astype("float32") * 7 + 2
    y = nn.LayerNorm((4, 5))(etude.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((1, 2)), 1, rtol=1e-4)
    layer = nn.LayerNorm(5, eps=1.0)
    layer.load_state_dict({"weight": np.full(5, 2, "f"), "bias": np.full(5, 3, "f")})
    centred = x - x.mean(-1, keepdims=True)
    same(layer(etude.from_numpy(x)), centred / np.sqrt(x.var(-1, keepdims=True) + 1) * 2 + 3)


@pytest.mark.parametrize(("layer", "formula"), [
    (nn.ReLU(), lambda x: max(x, 0.0)),
    (nn.GELU(), lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    (nn.GELU("tanh"), lambda x: x / 2 * (
        1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    (nn.Tanh(), math.tanh),
    (nn.Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
], ids=lambda given: repr(given) if isinstance(given, nn.Module) else "")
def test_an_activation_is_its_formula(layer, formula):
    x = [-3.0, -0.5, 0.0, 0.5, 3.0]
    same(layer(etude.tensor(x)), [formula(v) for v in x])


def test_flatten_merges_axes():
    x = etude.zeros(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten()(etude.zeros(0, 3, 4)).shape == (0, 12)


def test_cross_entropy_loss_is_minus_the_log_of_the_right_probability():
    x = RNG.standard_normal((4, 3)).astype("float32")
    target = np.array([0, 2, 1, 2])
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    each = -np.log(p[range(4), target])
    logits, labels = etude.from_numpy(x), etude.from_numpy(target)
    same(nn.CrossEntropyLoss()(logits, labels), each.mean())
    same(nn.CrossEntropyLoss(reduction="sum")(logits, labels), each.sum())
    same(nn.CrossEntropyLoss(reduction="none")(logits, labels), each)
    with pytest.raises(IndexError, match=r"target\[0\] is 3, but with 3 classes labels run"):
        nn.CrossEntropyLoss()(logits, etude.tensor([3, 0, 0, 0]))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Conv2d(1, 1, 0), "Conv2d: kernel_size must be one or two integers >= 1, got 0"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d: padding must be one or two integers >= 0"),
    (lambda: nn.MaxPool2d(2, stride=0), "MaxPool2d: stride must be one or two integers >= 1"),
    (lambda: nn.Dropout(1.5), "Dropout: p is the share of elements dropped, 0 <= p <= 1, got 1.5"),
    (lambda: nn.GELU("fast"), "GELU: approximate must be 'none' or 'tanh', got 'fast'"),
    (lambda: nn.CrossEntropyLoss(reduction="max"), "reduction must be 'mean', 'sum' or 'non"),
    (lambda: nn.Linear(3, 2)(etude.ones(4, 5)), r"input float32\[4, 5\], whose last size"),
    (lambda: nn.LayerNorm(3)(etude.ones(4, 5)), "whose last size is not 3"),
    (lambda: nn.Conv2d(2, 1, 3)(etude.ones(1, 3, 8, 8)), "in_channels=2, .* with C = 3"),
])
def test_a_layer_that_cannot_work_says_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dtype_gives_layers_of_float64():
    for layer in (nn.Linear(2, 2, dtype="float64"), nn.Conv2d(1, 1, 1, dtype="float64"),
                  nn.LayerNorm(2, dtype="float64")):
        assert {p.dtype for p in layer.parameters()} == {etude.float64}


# ------------------------------------------------------------------ dropout


def test_dropout_drops_its_share_and_keeps_the_mean():
    etude.manual_seed(1)
    y = nn.Dropout(0.25)(etude.ones(100, 100)).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02


@pytest.mark.parametrize("layer", [nn.ReLU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.Dropout])
def test_no_layer_works_in_place(layer):
    layer(inplace=False)
    with pytest.raises(TypeError, match=f"{layer.__name__}: inplace=True is not in Etude: a layer"):
        layer(inplace=True)


def test_dropout_may_drop_everything():
    assert nn.Dropout(1.0)(etude.ones(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.MSELoss, nn.L1Loss, nn.BCEWithLogitsLoss])
def test_what_pytorch_has_given_up_is_refused(loss):
    loss(size_average=None, reduce=None)
    with pytest.raises(TypeError, match=f"{loss.__name__}: size_average=False is not in Etude: wr"):
        loss(size_average=False)


def test_dropout_does_nothing_in_eval():
    x = etude.ones(3)
    assert nn.Dropout(0.5).eval()(x) is x


def test_dropout_with_its_own_generator_repeats_and_disturbs_no_other():
    etude.manual_seed(5)
    expected = etude.rand(4).numpy()
    etude.manual_seed(5)
    x = etude.ones(50)
    layers = [nn.Dropout(0.5, generator=etude.Generator(9)) for _ in range(2)]
    one, other = (layer(x).numpy() for layer in layers)
    assert np.array_equal(one, other)
    assert not np.array_equal(one, layers[0](x).numpy())
    assert np.array_equal(etude.rand(4).numpy(), expected)


# ------------------------------------------------------------------ first values


def test_one_seed_gives_the_same_first_values_bit_for_bit():
    def make(seed):
        etude.manual_seed(seed)
        return values(nn.Sequential(nn.Linear(5, 4), nn.Conv2d(2, 3, 3)))

    one, same_seed, other_seed = make(3), make(3), make(4)
    assert all(np.array_equal(one[k], same_seed[k]) for k in one)
    assert not any(np.array_equal(one[k], other_seed[k]) for k in one)


@pytest.mark.parametrize(("layer", "fan_in"), [
    (lambda: nn.Linear(100, 200), 100), (lambda: nn.Conv2d(10, 200, (2, 5)), 100)])
def test_linear_and_conv2d_start_uniform_within_one_over_root_fan_in(layer, fan_in):
    etude.manual_seed(0)
    weight, bias = (p.detach().numpy() for p in layer().parameters())
    bound = 1 / math.sqrt(fan_in)
    for p in (weight, bias):
        assert np.abs(p).max() <= bound
        assert np.abs(p).max() > 0.95 * bound
    assert abs(weight.mean()) < 0.02 * bound
    assert abs(weight.std() - bound / math.sqrt(3)) < 0.02 * bound


def test_kaiming_and_xavier_have_the_variance_of_their_papers():
    w = etude.zeros(300, 200)
    nn.init.kaiming_uniform_(w, nonlinearity="relu")
    assert abs(w.numpy().var() / (2 / 200) - 1) < 0.03
    nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu")
    assert abs(w.numpy().var() / (2 / 300) - 1) < 0.03
    nn.init.xavier_uniform_(w, gain=2.0)
    assert abs(w.numpy().var() / (4 * 2 / 500) - 1) < 0.03


def test_init_writes_in_place_also_into_parameters():
    p = nn.Parameter(etude.zeros(2, 2))
    memory = p.array
    assert nn.init.ones_(p) is p
    assert p.array is memory
    assert p.tolist() == [[1, 1], [1, 1]]
    assert nn.init.zeros_(p).tolist() == [[0, 0], [0, 0]]
    assert nn.init.constant_(p, 2).tolist() == [[2, 2], [2, 2]]
    again = nn.init.uniform_(p, 3, 4, generator=etude.Generator(1)).tolist()
    assert nn.init.uniform_(p, 3, 4, generator=etude.Generator(1)).tolist() == again
    assert 3 <= min(map(min, again)) <= max(map(max, again)) < 4


def test_init_says_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"at least 2 dimensions \(out, in, \.\.\.\), got shape"):
        nn.init.xavier_uniform_(etude.zeros(3))
    with pytest.raises(ValueError, match="mode must be 'fan_in' or 'fan_out', got 'fan'"):
        nn.init.kaiming_uniform_(etude.zeros(3, 3), mode="fan")
    with pytest.raises(ValueError, match=r"nonlinearity must be one of 'linear', .* got 'step'"):
        nn.init.calculate_gain("step")


def test_gains_are_those_of_pytorch():
    gain = nn.init.calculate_gain
    assert gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))  # PyTorch 2.13: 1.4141428569978354
    assert gain("leaky_relu", 0) == gain("relu") == math.sqrt(2)
    assert gain("conv2d") == gain("sigmoid") == 1
    assert gain("selu") == 0.75


def test_a_layer_without_inputs_is_made_and_answers_with_its_bias():
    layer = nn.Linear(0, 2)
    assert layer(etude.zeros(3, 0)).tolist() == [layer.bias.tolist()] * 3
