"""Modules and layers: what they hold, what they compute, how they are saved, moved and shown."""

import copy

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
    assert nn.Parameter(x).array is x.array
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
    assert repr(nn.CrossEntropyLoss(reduction="sum")) == "CrossEntropyLoss(reduction='sum')"
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
    memory = [p.array for p in other.parameters()]
    assert not np.array_equal(one[1].weight.detach(), other[1].weight.detach())
    other.load_state_dict(one.state_dict())
    x = etude.ones(2, 3)
    assert np.array_equal(one(x).detach(), other(x).detach())
    assert all(p.array is m for p, m in zip(other.parameters(), memory, strict=True))
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


def test_what_does_not_belong_is_left_out_if_asked():
    layer = nn.Linear(2, 1)
    bias = layer.bias.tolist()
    state = {"weight": np.ones((1, 2), "f"), "scale": np.ones(1, "f")}
    left_out = layer.load_state_dict(state, strict=False)
    assert left_out == (["bias"], ["scale"])
    assert left_out.missing_keys == ["bias"]
    assert layer.weight.tolist() == [[1, 1]]
    assert layer.bias.tolist() == bias
    assert layer.load_state_dict(layer.state_dict()) == ([], [])
    with pytest.raises(RuntimeError, match=r"weight is float32\[1, 2\] in the module, but float32"):
        layer.load_state_dict({"weight": np.ones((2, 2), "f")}, strict=False)


def test_a_buffer_may_be_moved_but_not_saved_or_not_be_there():
    layer = Scale(2)
    layer.register_buffer("mask", etude.ones(2), persistent=False)
    layer.register_buffer("nothing", None)
    assert "mask" not in layer.state_dict()
    assert "mask" in dict(layer.named_buffers())
    assert "nothing" not in dict(layer.named_buffers())
    assert layer.nothing is None
    assert layer.double().mask.dtype == etude.float64
    layer.load_state_dict(Scale(2).double().state_dict())
    layer.register_buffer("mask", etude.zeros(2))
    assert "mask" in layer.state_dict()
    assert {p.dtype for p in layer.float().parameters()} == {etude.float32}


def test_a_function_is_applied_to_every_layer_from_the_inside():
    model = nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.Linear(2, 3)))
    seen = []
    assert model.apply(seen.append) is model
    assert seen == [model[0], model[1][0], model[1], model]


def test_parameters_are_frozen_together():
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 3))
    assert model.requires_grad_(False) is model
    assert not any(p.requires_grad for p in model.parameters())
    assert all(p.requires_grad for p in model.requires_grad_().parameters())


def test_gradients_are_forgotten_or_set_to_zero():
    layer = nn.Linear(2, 1)
    layer(etude.ones(1, 2)).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0, 0]]
    layer.zero_grad()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad is None


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
    for wrong in (3.5, {"kind": 1}):
        with pytest.raises(TypeError, match=r"to: .* is no dtype; Etude has"):
            model.to(wrong)


def test_a_deep_copy_is_trained_apart():
    model = nn.Linear(1, 1)
    twin = copy.deepcopy(model)
    with etude.no_grad():
        twin.weight.copy_(etude.tensor([[5.0]]))
    assert isinstance(twin.weight, nn.Parameter)
    assert model.weight.item() != 5


# ------------------------------------------------------------------ as PyTorch writes it


def test_a_module_moves_and_converts_with_the_words_of_a_tensor():
    model = nn.BatchNorm1d(2)
    other = etude.zeros(1, dtype=etude.float64)
    for call in (lambda: model.to(device="cpu", dtype=etude.float64), model.float,
                 lambda: model.to("cpu", etude.float64), lambda: model.to(dtype="float32"),
                 lambda: model.to(other), lambda: model.to("cpu", "float32", True)):
        before = model.weight.dtype
        assert call() is model
        assert {model.weight.dtype, model.running_mean.dtype} == {
            etude.float32 if before == etude.float64 else etude.float64}
        assert model.num_batches_tracked.dtype == etude.int64
    weight = model.weight
    assert model.to(device="cpu", non_blocking=True).weight is weight
    with pytest.raises(etude.DTypeError, match="float32 or float64, not int64"):
        model.to("cpu", dtype=etude.int64)


def test_a_gradient_is_converted_with_its_parameter():
    model = nn.Linear(2, 2)
    model(etude.ones(1, 2)).sum().backward()
    model.to("cpu", etude.float64)
    assert model.weight.grad.dtype == etude.float64


def test_what_a_layer_is_called_with_has_pytorchs_name():
    x = etude.ones(2, 2)
    for layer in (nn.Linear(2, 2), nn.ReLU(), nn.Softmax(), nn.LayerNorm(2), nn.GroupNorm(1, 2),
                  nn.BatchNorm1d(2), nn.Dropout(0.0), nn.Flatten(), nn.Identity(),
                  nn.Sequential(nn.Tanh())):
        assert layer(input=x).shape == x.shape
    assert nn.Embedding(2, 3)(input=etude.tensor([0, 1])).shape == (2, 3)
    image = etude.ones(1, 1, 4, 4)
    for layer in (nn.Conv2d(1, 1, 2), nn.ConvTranspose2d(1, 1, 2), nn.MaxPool2d(2),
                  nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)):
        assert layer(input=image).ndim == 4


def test_parameters_and_layers_with_computed_names():
    model = nn.Module()
    for i in range(2):
        model.register_parameter(f"w{i}", nn.Parameter(etude.ones(1)))
        model.add_module(f"inner{i}", nn.Sequential(nn.Linear(1, 1)))
    model.register_parameter("none", None)
    assert [k for k, _ in model.named_parameters()][:2] == ["w0", "w1"]
    assert model.get_submodule("inner1.0") is model.inner1[0]
    assert model.get_submodule("") is model
    with pytest.raises(AttributeError, match=r"Module has no layer 'inner2'; named_modules\(\)"):
        model.get_submodule("inner2")
    with pytest.raises(TypeError, match=r"parameter 'w' must be an nn\.Parameter, got Tensor"):
        model.register_parameter("w", etude.ones(1))
    with pytest.raises(ValueError, match="a layer cannot be called 'train'"):
        model.add_module("train", nn.ReLU())


def test_what_only_pytorchs_module_has_says_what_to_write():
    model = nn.Linear(1, 1)
    assert not hasattr(model, "cuda")
    with pytest.raises(AttributeError, match=r"Linear has no cuda\(\): write model\.to\(device\)"):
        model.cuda()
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'weigth'"):
        model.weigth()
    model.half = nn.ReLU()
    assert isinstance(model.half, nn.ReLU)


def test_the_error_of_a_property_is_its_own():
    class Broken(nn.Module):
        @property
        def size(self):
            return self.nothing

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        print(Broken().size)


class Foreign:
    """A tensor of another library."""

    shape, dtype = (1, 1), "foreign.float32"


@pytest.mark.parametrize(("state", "message"), [
    ([1.0], "a state is a dict of name and Tensor, got list"),
    ({"weight": [[1.0]], "bias": [1.0]}, r"cannot read weight, of type list: give Tensors or "
                                         r"NumPy arrays, or etude\.from_dlpack\(t\)"),
    ({"weight": np.zeros((1, 1), "f4"), "bias": Foreign()}, "cannot read bias, of type Foreign"),
])
def test_a_state_of_other_things_is_refused_before_anything_is_written(state, message):
    model = nn.Linear(1, 1)
    before = values(model)
    with pytest.raises(TypeError, match=message):
        model.load_state_dict(state)
    assert values(model) == before


def test_layers_that_ask_for_a_shape_take_arrays_as_functions_do():
    x = np.ones((2, 3), "float32")
    assert nn.Flatten()(x).shape == nn.BatchNorm1d(3)(x).shape == nn.GroupNorm(1, 3)(x).shape
    assert nn.RNN(3, 1)(x)[0].shape == (2, 1)
    assert nn.RNN(3, 1, batch_first=True)(x[None], np.zeros((1, 1, 1)))[0].shape == (1, 2, 1)
    assert nn.MultiheadAttention(3, 1)(x)[0].shape == (2, 3)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.Linear(2.5, 2), etude.ShapeError, "Linear: in_features must be an integer"),
    (lambda: nn.Linear(2, "a"), etude.ShapeError, "Linear: out_features must be an integer"),
    (lambda: nn.LSTM(1, 1, dropout="a"), TypeError, "LSTM: dropout must be a number, got 'a'"),
    (lambda: nn.MultiheadAttention(1, 1, dropout="a"), TypeError,
     "MultiheadAttention: dropout must be a number, got 'a'"),
    (lambda: nn.Dropout("a"), TypeError, "Dropout: p must be a number, got 'a'"),
    (lambda: nn.BatchNorm2d(1, momentum="a"), TypeError,
     "BatchNorm2d: momentum must be a number, got 'a'"),
    (lambda: nn.Embedding.from_pretrained([[1.0]]), TypeError,
     "Embedding: the weight must be a Tensor, got list"),
    (lambda: nn.RNN(1, 1)([[1.0]]), TypeError, "RNN: input must be a Tensor, got list"),
    (lambda: nn.RNN(1, 1)(etude.ones(1, 1), [0.0]), TypeError, "RNN: h_0 must be a Tensor"),
    (lambda: nn.BatchNorm1d(1)([[1.0]]), TypeError, "BatchNorm1d: input must be a Tensor"),
    (lambda: nn.Flatten()([[1.0]]), TypeError, "Flatten: input must be a Tensor, got list"),
    (lambda: nn.MultiheadAttention(1, 1)([[1.0]]), TypeError, "query must be a Tensor, got list"),
    (lambda: nn.ConvTranspose2d(1, 1, 1)(etude.ones(1, 1, 2, 2), output_size="ab"),
     etude.ShapeError, r"an output_size is between .*, got \['ab'\]"),
    (lambda: nn.Sequential(nn.ReLU())[5], IndexError, "Sequential: there is no layer 5, it has 1"),
    (lambda: nn.ModuleList([nn.ReLU()])[-2], IndexError, "ModuleList: there is no layer -2"),
    (lambda: nn.Sequential(nn.ReLU())["a"], TypeError, "picked by its number or a slice, got 'a'"),
])
def test_what_cannot_be_is_refused_in_our_words(call, error, message):
    with pytest.raises(error, match=message):
        call()
