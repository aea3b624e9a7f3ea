"""What holds for every layer: its values, its gradients, how it is saved, shown and converted."""

import copy

import numpy as np
import pytest
from layer_cases import CASES, call, values

import etude
from etude import nn


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda c: c.shown.partition("\n")[0])


every_case = each(CASES)
# test_module.py, test_containers.py
BASES = {nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict}


def layer_classes():
    found = [getattr(nn, name) for name in nn.__all__]
    return {c for c in found if isinstance(c, type) and issubclass(c, nn.Module)} - BASES


def test_every_layer_has_a_case():
    inference = {nn.LinearInt8}  # without gradients: test_quantized.py
    assert layer_classes() - inference == {type(case.make()) for case in CASES}


def tensors(case, grad=True):
    return [etude.tensor(x, requires_grad=grad and x.dtype.kind == "f") for x in case.arrays()]


@each([c for c in CASES if c.oracle])
def test_its_values_are_those_of_the_formula_written_out(case):
    layer, arrays = case.layer(), case.arrays()
    expected = case.oracle(values(layer), *arrays)
    y = call(layer, *tensors(case))
    assert y.dtype == etude.float64
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-12, atol=1e-13)


def replaced(layer, path, tensor):
    """``layer`` with ``tensor`` in place of the parameter at ``path``."""
    *route, last = path.split(".")
    for name in route:
        layer = getattr(layer, name)
    object.__setattr__(layer, last, tensor)


@every_case
def test_its_gradients_are_those_of_differences(case):
    layer, inputs = case.layer(), tensors(case)
    names = [name for name, _ in layer.named_parameters()]
    weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]

    def run(*args):
        for name, w in zip(names, args[len(inputs):], strict=True):
            replaced(layer, name, w)
        return call(layer, *args[: len(inputs)])

    assert etude.gradcheck(run, [*inputs, *weights])


@every_case
def test_it_is_shown_as_it_is_made(case):
    assert repr(case.make()) == case.shown


@every_case
def test_its_state_makes_another_one_the_same(case):
    one, other, inputs = case.layer(0), case.layer(1), tensors(case)
    state = values(one)
    assert (call(one, *inputs).tolist() != call(other, *inputs).tolist()) == bool(
        list(one.parameters()))
    other.load_state_dict(state)
    assert np.array_equal(call(case.layer(0), *inputs).detach(), call(other, *inputs).detach())
    assert list(values(other)) == list(state)


@every_case
def test_float32_follows_float64_within_its_rounding(case):
    layer, wide = case.layer(), case.layer()
    layer.to("float32")
    x = [t.detach().to("float32") if t.dtype == etude.float64 else t for t in tensors(case)]
    y = call(layer, *x)
    assert y.dtype == etude.float32
    np.testing.assert_allclose(y.detach().numpy(), call(wide, *tensors(case)).detach().numpy(),
                               rtol=1e-4, atol=1e-5)


@each([c for c in CASES if list(c.make().parameters())])
def test_dtype_is_that_of_all_its_parameters(case):
    layer = case.make(dtype="float64")
    assert {p.dtype for p in layer.parameters()} == {etude.float64}
    for layer in (case.make(), case.make(device=None, dtype=None), case.make(device="cpu")):
        assert {(p.dtype, p.device) for p in layer.parameters()} == {(etude.float32, "cpu")}


@every_case
def test_evaluation_differs_from_training_only_where_it_should(case):
    inputs = tensors(case)
    results = [call(case.layer().train(mode), *inputs).tolist() for mode in (True, False)]
    assert (results[0] != results[1]) == case.modal


@every_case
def test_a_deep_copy_computes_the_same_and_shares_no_memory(case):
    layer, inputs = case.layer(), tensors(case)
    twin = copy.deepcopy(layer)
    assert np.array_equal(call(layer, *inputs).detach(), call(twin, *inputs).detach())
    for p, q in zip(layer.parameters(), twin.parameters(), strict=True):
        assert not np.shares_memory(p.data, q.data)


@every_case
def test_it_does_not_write_into_its_input(case):
    inputs, before = tensors(case), case.arrays()
    call(case.layer(), *inputs).sum().backward()
    assert all(np.array_equal(t.detach(), x) for t, x in zip(inputs, before, strict=True))
