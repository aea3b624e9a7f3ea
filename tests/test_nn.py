"""Modules and layers: what they hold, what they compute, how they are saved, moved and shown."""

import copy
import math

import numpy as np
import pytest

import etude
from etude import nn


class Scale(nn.Module):
    """A layer as a user writes one: a parameter, a buffer, a layer, and no super().__init__()."""

    def __init__(self, n):
        self.weight = nn.Parameter(etude.ones(n))
        self.register_buffer("calls", etude.zeros(1))
        self.inner = nn.Linear(n, n, bias=False)

    def forward(self, x):
        return self.inner(x * self.weight)


def values(module):
    return {k: t.numpy().copy() for k, t in module.state_dict().items()}


# ------------------------------------------------------------------ parameters


def test_a_parameter_is_a_tensor_that_wants_a_gradient():
    p = nn.Parameter(etude.tensor([1.0, 2.0]))
    assert isinstance(p, etude.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    y = p * 2
    assert type(y) is etude.Tensor
    y.sum().backward()
    assert p.grad.tolist() == [2, 2]
    assert repr(p) == "Parameter containing:\ntensor([1., 2.], requires_grad=True)"


def test_a_parameter_takes_over_memory_but_copies_what_is_not_in_c_order():
    x = etude.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert nn.Parameter(x).data is x.data
    assert nn.Parameter(x.T).data.flags.c_contiguous
    assert nn.Parameter(x.T).tolist() == [[1, 3], [2, 4]]


def test_a_parameter_forgets_how_its_data_was_computed():
    x = etude.tensor([1.0], requires_grad=True)
    assert nn.Parameter(x * 2).is_leaf


def test_a_parameter_of_an_array_or_of_integers_is_refused():
    with pytest.raises(TypeError, match=r"made from a Tensor, got ndarray; etude\.tensor makes"):
        nn.Parameter(np.ones(2))
    with pytest.raises(TypeError, match="only float tensors have gradients, this one is int64"):
        nn.Parameter(etude.tensor([1, 2]))


# ------------------------------------------------------------------ what a module holds


def test_parameters_come_in_order_of_assignment_own_before_inner():
    model = nn.Sequential(Scale(2), nn.Linear(2, 3))
    assert [n for n, _ in model.named_parameters()] == [
        "0.weight", "0.inner.weight", "1.weight", "1.bias"]
    assert [n for n, _ in model.named_buffers()] == ["0.calls"]
    assert [n for n, _ in model.named_modules()] == ["", "0", "0.inner", "1"]
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    assert len(list(model.buffers())) == 1


def test_a_shared_layer_counts_once_but_is_saved_under_each_name():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(list(model.modules())) == 3


def test_a_parameter_cannot_be_replaced_by_something_that_is_not_trained():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear\.weight is a Parameter and would stop being"):
        layer.weight = etude.ones(2, 2)
    layer.weight = nn.Parameter(etude.ones(2, 2))
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]


def test_a_buffer_must_be_a_tensor():
    with pytest.raises(TypeError, match="buffer 'mean' must be a Tensor, got float"):
        nn.Module().register_buffer("mean", 1.0)


def test_train_and_eval_reach_every_layer():
    model = nn.Sequential(nn.Sequential(nn.Dropout()), nn.Linear(1, 1))
    assert all(m.training for m in model.modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())


def test_zero_grad_forgets_the_gradients():
    model = Scale(2)
    model(etude.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(\): define what"):
        type("Empty", (nn.Module,), {})()(1)


def test_the_repr_shows_the_tree():
    model = nn.Sequential(
        nn.Conv2d(1, 4, (3, 5), stride=2, padding=1, bias=False), nn.MaxPool2d(2, stride=1),
        nn.Sequential(nn.LayerNorm(4, bias=False), nn.GELU("tanh")), nn.Flatten(0), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(4, 2), nn.Linear(2, 2, bias=False))
    assert repr(model) == """Sequential(
  (0): Conv2d(1, 4, kernel_size=(3, 5), stride=2, padding=1, bias=False)
  (1): MaxPool2d(2, stride=1)
  (2): Sequential(
    (0): LayerNorm(4, eps=1e-05, bias=False)
    (1): GELU(approximate='tanh')
  )
  (3): Flatten(start_dim=0, end_dim=-1)
  (4): Flatten()
  (5): Dropout(p=0.1)
  (6): Linear(4, 2)
  (7): Linear(2, 2, bias=False)
)"""
    assert repr(nn.CrossEntropyLoss("sum")) == "CrossEntropyLoss(reduction='sum')"
    assert repr(nn.LayerNorm((2, 3), elementwise_affine=False)) == (
        "LayerNorm((2, 3), eps=1e-05, elementwise_affine=False)")


def test_sequential_feeds_one_layer_into_the_next():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = etude.ones(4, 2)
    assert len(model) == 2
    assert isinstance(model[1], nn.ReLU)
    assert np.array_equal(model(x).detach(), model[1](model[0](x)).detach())
    with pytest.raises(TypeError, match=r"argument 1 is of type function; a function such as"):
        nn.Sequential(nn.Linear(2, 3), etude.relu)


# ------------------------------------------------------------------ saving, loading, moving


def test_a_state_goes_into_another_module_and_its_memory_stays():
    one, other = nn.Sequential(Scale(3), nn.Linear(3, 2)), nn.Sequential(Scale(3), nn.Linear(3, 2))
    memory = [p.data for p in other.parameters()]
    assert not np.array_equal(one[1].weight.detach(), other[1].weight.detach())
    other.load_state_dict(one.state_dict())
    x = etude.ones(2, 3)
    assert np.array_equal(one(x).detach(), other(x).detach())
    assert all(p.data is m for p, m in zip(other.parameters(), memory, strict=True))
    assert all(p.requires_grad for p in other.parameters())


def test_a_state_of_numpy_arrays_loads_too():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1, 2]], np.float32),
                           "bias": np.array([3], np.float32)})
    assert layer(etude.tensor([[1.0, 1.0]])).tolist() == [[6]]


def test_a_state_that_does_not_fit_names_every_problem_and_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = values(model)
    state = {k: t.clone() * 0 for k, t in model.state_dict().items()}
    del state["0.bias"]
    state["0.scale"] = etude.ones(3)
    state["1.weight"] = etude.ones(1, 4)
    state["1.bias"] = etude.ones(1, dtype=etude.float64)
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(state)
    assert str(error.value) == (
        "load_state_dict: the state does not fit this Sequential. Build the module with the "
        "arguments it was saved with.\n"
        "  missing: 0.bias\n"
        "  unexpected: 0.scale\n"
        "  1.weight is float32[1, 3] in the module, but float32[1, 4] in the state\n"
        "  1.bias is float32[1] in the module, but float64[1] in the state")
    after = values(model)
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_loading_between_forward_and_backward_is_noticed():
    layer = nn.Linear(2, 2)
    x = etude.ones(1, 2, requires_grad=True)
    loss = layer(x).sum()
    layer.load_state_dict(values(layer))
    with pytest.raises(RuntimeError, match="was written"):
        loss.backward()


def test_the_state_shows_later_training_and_a_clone_does_not():
    layer = nn.Linear(1, 1)
    state = layer.state_dict()
    kept = {k: t.clone() for k, t in state.items()}
    with etude.no_grad():
        layer.bias.copy_(etude.tensor([7.0]))
    assert state["bias"].tolist() == [7]
    assert kept["bias"].tolist() != [7]


def test_a_module_converts_to_float64_and_its_parameters_stay_the_same_objects():
    model = Scale(2)
    model.register_buffer("count", etude.tensor([3]))
    before = list(model.parameters())
    model(etude.ones(1, 2)).sum().backward()
    assert model.to(etude.float64) is model
    assert all(p is q for p, q in zip(before, model.parameters(), strict=True))
    assert {p.dtype for p in before} == {etude.float64} == {p.grad.dtype for p in before}
    assert model.calls.dtype == etude.float64
    assert model.count.dtype == etude.int64
    with pytest.raises(TypeError, match="converted to float32 or float64, not int64"):
        model.to(etude.int64)


def test_a_deep_copy_is_trained_apart():
    model = nn.Linear(1, 1)
    twin = copy.deepcopy(model)
    with etude.no_grad():
        twin.weight.copy_(etude.tensor([[5.0]]))
    assert isinstance(twin.weight, nn.Parameter)
    assert model.weight.item() != 5


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
], ids=repr)
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
    same(nn.CrossEntropyLoss("sum")(logits, labels), each.sum())
    same(nn.CrossEntropyLoss("none")(logits, labels), each)
    with pytest.raises(IndexError, match=r"target\[0\] is 3, but with 3 classes labels run"):
        nn.CrossEntropyLoss()(logits, etude.tensor([3, 0, 0, 0]))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Conv2d(1, 1, 0), "Conv2d: kernel_size must be one or two integers >= 1, got 0"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d: padding must be one or two integers >= 0"),
    (lambda: nn.MaxPool2d(2, stride=0), "MaxPool2d: stride must be one or two integers >= 1"),
    (lambda: nn.Dropout(1.0), "Dropout: p is the share of elements dropped, 0 <= p < 1, got 1"),
    (lambda: nn.GELU("fast"), "GELU: approximate must be 'none' or 'tanh', got 'fast'"),
    (lambda: nn.CrossEntropyLoss("max"), "reduction must be 'mean', 'sum' or 'none', got 'max'"),
    (lambda: nn.Linear(3, 2)(etude.ones(4, 5)), r"x float32\[4, 5\] and weight float32\[2, 3\]"),
    (lambda: nn.LayerNorm(3)(etude.ones(4, 5)), r"must end in normalized_shape \[3\]"),
    (lambda: nn.Conv2d(2, 1, 3)(etude.ones(1, 3, 8, 8)), "has 3 channels but weight"),
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
    memory = p.data
    assert nn.init.ones_(p) is p
    assert p.data is memory
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


def test_a_layer_without_inputs_is_made_and_answers_with_its_bias():
    layer = nn.Linear(0, 2)
    assert layer(etude.zeros(3, 0)).tolist() == [layer.bias.tolist()] * 3
