"""What etude.onnx.load gives back: a module that runs, trains, prints, draws, copies and saves."""

import copy

import numpy as np
import pytest

import etude
from etude import nn, optim
from etude.core.errors import DTypeError, ShapeError

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from etude.onnx.table import Refused  # noqa: E402

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
DRAW = np.random.default_rng(0)
node = helper.make_node


def value(name, *shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture
def made(tmp_path):
    """made(nodes, inputs, outputs, weights={name: array}): the model loaded from such a file."""
    def make(nodes, inputs, outputs, weights=(), opset=17):
        tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in dict(weights).items()]
        graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
        file = helper.make_model(graph, ir_version=9,
                                 opset_imports=[helper.make_opsetid("", opset)])
        path = tmp_path / "made.onnx"
        path.write_bytes(file.SerializeToString())
        return etude.onnx.load(path)

    return make


@pytest.fixture
def perceptron(made):
    weights = {"0.weight": DRAW.normal(size=(5, 3)), "0.bias": DRAW.normal(size=5),
               "out/w:0": DRAW.normal(size=(2, 5)), "scale": np.float32(0.5)}
    weights = {name: np.asarray(a, np.float32) for name, a in weights.items()}
    return made([node("Gemm", ["x", "0.weight", "0.bias"], ["a"], transB=1),
                 node("Relu", ["a"], ["b"]), node("Gemm", ["b", "out/w:0"], ["c"], transB=1),
                 node("Mul", ["c", "scale"], ["y"])],
                [value("x", "batch", 3)], [value("y", "batch", 2)], weights)


def rows(n, width=3):
    return DRAW.normal(size=(n, width)).astype(np.float32)


# ------------------------------------------------------------------ what it is


def test_initialisers_are_parameters_by_their_names_and_single_numbers_are_buffers(perceptron):
    assert {name for name, _ in perceptron.named_parameters()} == {"0.weight", "0.bias", "out_w_0"}
    assert [name for name, _ in perceptron.named_buffers()] == ["scale"]
    assert perceptron.paths["out/w:0"] == "out_w_0"
    assert not perceptron.training


def test_names_that_would_meet_or_hide_something_keep_apart(made):
    names = ["forward", "paths", "a", "a.b", "a/b", "a_b", "a:b", "training.x", "...", "cuda"]
    weights = {name: np.full(2, i, np.float32) for i, name in enumerate(names)}
    model = made([node("Sum", ["x", *names], ["y"])], [value("x", 2)], [value("y", 2)], weights)
    assert model(np.zeros(2, np.float32)).tolist() == [sum(range(len(names)))] * 2
    assert len(set(model.paths.values())) == len(names)
    assert model.state_dict().keys() == set(model.paths.values())
    for i, name in enumerate(names):
        assert model.state_dict()[model.paths[name]].tolist() == [i, i]


def test_it_runs_on_tensors_and_arrays_in_order_or_by_name(perceptron):
    x = rows(4)
    y = perceptron(etude.tensor(x))
    state = {name: t.numpy() for name, t in perceptron.state_dict().items()}
    hidden = np.maximum(x @ state["0.weight"].T + state["0.bias"], 0)
    np.testing.assert_allclose(y.detach().numpy(), hidden @ state["out_w_0"].T * 0.5, rtol=1e-5)
    assert perceptron(x).tolist() == perceptron(x=x).tolist() == y.tolist()


def test_a_batch_of_any_size_goes_in_where_the_file_leaves_it_open(perceptron):
    for n in (1, 3, 64):
        assert perceptron(rows(n)).shape == (n, 2)


def test_an_input_that_the_file_does_not_declare_is_refused(perceptron, made):
    with pytest.raises(ShapeError, match=r"x float32\[batch, 3\].* got float32\[2, 4\]"):
        perceptron(rows(2, 4))
    with pytest.raises(DTypeError, match=r"'x' is float32 in the file, got float64"):
        perceptron(rows(2).astype(np.float64))
    for arguments, names in (((), {}), ((rows(2), rows(2)), {}), ((rows(2),), {"x": rows(2)}),
                             ((), {"z": rows(2)})):
        with pytest.raises(TypeError, match=r"\(x\)"):
            perceptron(*arguments, **names)
    two = made([node("Add", ["a", "b"], ["y"])], [value("a", "n"), value("b", "n")],
               [value("y", "n")])
    with pytest.raises(ShapeError, match=r"where n = 2, got float32\[3\]"):
        two(np.ones(2, np.float32), np.ones(3, np.float32))


def test_it_prints_summarises_draws_and_counts(perceptron):
    text = repr(perceptron)
    assert "made.onnx: x float32[batch, 3] -> y float32[batch, 2]; 4 nodes" in text
    assert "Gemm 2, Mul 1, Relu 1" in text
    found = etude.summary(perceptron, etude.tensor(rows(2)))
    assert found.parameters == 5 * 3 + 5 + 2 * 5
    assert "OnnxModel" in str(found)
    drawn = etude.draw(perceptron(rows(2)), perceptron)
    assert "out_w_0" in str(drawn)


def test_a_copy_is_another_model_and_a_state_goes_from_one_to_the_other(perceptron):
    x = rows(2)
    other = copy.deepcopy(perceptron)
    with etude.no_grad():
        other.get_submodule("0").weight.copy_(etude.zeros(5, 3))
    assert other(x).tolist() != perceptron(x).tolist()
    other.load_state_dict(perceptron.state_dict())
    assert other(x).tolist() == perceptron(x).tolist()


def test_its_weights_are_saved_and_loaded(perceptron, tmp_path, safetensors):
    x, before = rows(2), perceptron(rows(1))
    before = perceptron(x).tolist()
    etude.save_weights(tmp_path / "w.safetensors", perceptron)
    with etude.no_grad():
        for p in perceptron.parameters():
            p.copy_(p * 0.0)
    etude.load_weights(tmp_path / "w.safetensors", perceptron)
    assert perceptron(x).tolist() == before


def test_its_gradients_are_those_of_the_same_layers(perceptron):
    own = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2, bias=False))
    state = perceptron.state_dict()
    own.load_state_dict({"0.weight": state["0.weight"], "0.bias": state["0.bias"],
                         "2.weight": state["out_w_0"]})
    x = etude.tensor(rows(3))
    perceptron(x).square().sum().backward()
    (own(x) * 0.5).square().sum().backward()
    for (_, p), name in zip(own.named_parameters(), ("0.weight", "0.bias", "out_w_0")):
        mine = dict(perceptron.named_parameters())[name]
        np.testing.assert_allclose(mine.grad.numpy(), p.grad.numpy(), rtol=1e-6)


def test_it_is_checked_like_any_model(made):
    """Gradients by differences, and a receipt of what ran."""
    double = TensorProto.DOUBLE
    model = made([node("MatMul", ["x", "w"], ["a"]), node("Tanh", ["a"], ["b"]),
                  node("Softmax", ["b"], ["y"])],
                 [value("x", "n", 3, kind=double)], [value("y", "n", 4, kind=double)],
                 {"w": DRAW.normal(size=(3, 4))})
    x = etude.tensor(DRAW.normal(size=(2, 3)), requires_grad=True)
    etude.gradcheck(lambda x: model(x) * model(x), [x])
    with etude.receipt() as ran:
        model(x)
    assert "softmax" in str(ran)


def test_it_learns(perceptron):
    x, target = etude.tensor(rows(16)), etude.tensor(rows(16, 2))
    optimizer, losses = optim.SGD(perceptron.parameters(), lr=0.05), []
    for _ in range(20):
        loss = nn.functional.mse_loss(perceptron(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_etude_does_not_import_onnx():
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", "import etude, sys; print('onnx' in sys.modules); "
                           "etude.onnx; print('onnx' in sys.modules)"],
                          capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# ------------------------------------------------------------------ training


def test_batch_norm_trains_as_ours_and_evaluates_as_the_file_says(made):
    own = nn.BatchNorm2d(3)
    weights = {"weight": [1, 2, 3], "bias": [0, 1, 0], "mean": [0, 0.5, 0], "var": [1, 2, 1]}
    weights = {k: np.asarray(v, np.float32) for k, v in weights.items()}
    own.load_state_dict({**own.state_dict(), "weight": weights["weight"], "bias": weights["bias"],
                         "running_mean": weights["mean"], "running_var": weights["var"]})
    model = made([node("BatchNormalization", ["x", *weights], ["y"])], [value("x", "n", 3, 2, 2)],
                 [value("y", "n", 3, 2, 2)], weights)
    assert [name for name, _ in model.named_parameters()] == ["weight", "bias"]
    x = DRAW.normal(size=(4, 3, 2, 2)).astype(np.float32)
    for training in (True, False):
        model.train(training), own.train(training)
        wanted = own(etude.tensor(x)).detach().numpy()
        np.testing.assert_allclose(model(x).detach().numpy(), wanted, atol=1e-6)
    np.testing.assert_allclose(model.var.numpy(), own.running_var.numpy(), rtol=1e-6)


def test_dropout_drops_in_training_and_its_mask_says_what(made):
    model = made([node("Dropout", ["x", "ratio"], ["y", "kept"])], [value("x", 1000)],
                 [value("y", 1000), value("kept", 1000, kind=BOOL)],
                 {"ratio": np.float32(0.25)})
    x = np.ones(1000, np.float32)
    y, kept = model(x)
    assert y.tolist() == x.tolist()
    assert all(kept.tolist())
    model.train()
    y, kept = model(x)
    np.testing.assert_allclose(y.numpy(), np.where(kept.numpy(), 1 / 0.75, 0), rtol=1e-6)
    assert 650 < kept.numpy().sum() < 850


# ------------------------------------------------------------------ shapes, integers, control flow


def test_shapes_are_worked_out_as_it_runs(made):
    """x.reshape(x.shape[0], -1) as exporters write it."""
    model = made(
        [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
         node("Unsqueeze", ["n", "zeros"], ["m"]), node("Concat", ["m", "rest"], ["shape"], axis=0),
         node("Reshape", ["x", "shape"], ["y"])],
        [value("x", "n", 2, 3)], [value("y", "n", 6)],
        {"zero": np.int64(0), "zeros": np.array([0]), "rest": np.array([-1])})
    assert model(np.ones((4, 2, 3), np.float32)).shape == (4, 6)


def test_a_captured_model_knows_its_shapes_and_constants_and_nothing_else(made):
    """What follows from the shape of x may be read in a capture; what follows from x may not."""
    model = made(
        [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"], axis=0),
         node("Add", ["n", "n"], ["twice"]), node("Concat", ["x", "x"], ["xx"], axis=0),
         node("Concat", ["twice", "rest"], ["shape"], axis=0),
         node("Reshape", ["xx", "shape"], ["y"])],
        [value("x", "n", 2, 3)], [value("y", "m", 6)], {"zero": np.array([0]),
                                                        "rest": np.array([-1])})
    step = etude.capture(model)
    for n in (2, 2, 3):
        x = rows(2 * n).reshape(n, 2, 3)
        y = step(etude.tensor(x)).numpy()
        assert y.tolist() == np.concatenate([x, x]).reshape(2 * n, 6).tolist()
    model = made([node("Reshape", ["x", "shape"], ["y"])],
                 [value("x", 4), value("shape", 2, kind=INT64)], [value("y", "a", "b")])
    with pytest.raises(etude.CaptureError, match="reads the values"):
        etude.capture(model)(etude.zeros(4), etude.tensor([2, 2]))


def test_integers_that_would_wrap_round_are_refused(made):
    kind = TensorProto.UINT8
    model = made([node("Add", ["x", "x"], ["y"])], [value("x", 2, kind=kind)],
                 [value("y", 2, kind=kind)])
    assert model(np.array([1, 127])).tolist() == [2, 254]
    with pytest.raises(Refused, match=r"made.onnx: .*Add.*leaves the range of uint8, 0 to 255"):
        model(np.array([1, 128]))
    with pytest.raises(Refused, match="uint8"):
        model(np.array([1, -1]))


def test_a_float_that_is_no_integer_of_64_bits_is_refused(made):
    model = made([node("Cast", ["x"], ["y"], to=INT64)], [value("x", 2)],
                 [value("y", 2, kind=INT64)])
    assert model(np.array([-1.5, 7], np.float32)).tolist() == [-1, 7]
    for wrong in (np.nan, np.inf, 1e30):
        with pytest.raises(Refused, match="no integer of 64 bits"):
            model(np.array([wrong, 1], np.float32))


def test_softmax_below_opset_13_is_over_all_axes_behind(made):
    ends = [value("x", 2, 2, 2)], [value("y", 2, 2, 2)]
    old = made([node("Softmax", ["x"], ["y"])], *ends, opset=11)
    new = made([node("Softmax", ["x"], ["y"])], *ends, opset=13)
    zeros = np.zeros((2, 2, 2), np.float32)
    assert set(old(zeros).reshape(-1).tolist()) == {0.25}
    assert set(new(zeros).reshape(-1).tolist()) == {0.5}


def branch(op, name):
    return helper.make_graph([node(op, ["x"], [name])], op, [], [value(name, 2)])


def test_if_runs_the_branch_that_the_data_takes_and_gradients_follow(made):
    model = made([node("ReduceSum", ["x"], ["s"], keepdims=0),
                  node("Greater", ["s", "zero"], ["c"]),
                  node("If", ["c"], ["y"], then_branch=branch("Identity", "same"),
                       else_branch=branch("Neg", "less"))],
                 [value("x", 2)], [value("y", 2)], {"zero": np.float32(0)})
    for numbers, slope in (([1.0, 2.0], 1.0), ([-1.0, -2.0], -1.0)):
        x = etude.tensor(np.array(numbers, np.float32), requires_grad=True)
        y = model(x)
        assert y.tolist() == [abs(n) for n in numbers]
        y.sum().backward()
        assert x.grad.tolist() == [slope, slope]


def test_loop_runs_so_often_and_stacks_what_it_scans(made):
    """v doubles n times; every step is kept."""
    body = helper.make_graph(
        [node("Add", ["v", "v"], ["w"]), node("Identity", ["w"], ["row"]),
         node("Identity", ["go"], ["on"])], "body",
        [value("i", kind=INT64), value("go", kind=BOOL), value("v", 2)],
        [value("on", kind=BOOL), value("w", 2), value("row", 2)])
    model = made([node("Loop", ["n", "", "x"], ["last", "all"], body=body)],
                 [value("n", kind=INT64), value("x", 2)],
                 [value("last", 2), value("all", "n", 2)])
    last, every = model(np.int64(3), np.array([1, 2], np.float32))
    assert last.tolist() == [8, 16]
    assert every.tolist() == [[2, 4], [4, 8], [8, 16]]
    with pytest.raises(Refused, match="never runs"):
        model(np.int64(0), np.array([1, 2], np.float32))


def test_a_local_function_takes_the_attributes_of_its_caller(tmp_path):
    inner = node("LeakyRelu", ["a"], ["b"])
    attribute = inner.attribute.add(name="alpha", ref_attr_name="slope")
    attribute.type = onnx.AttributeProto.FLOAT
    function = helper.make_function("own", "Leaky", ["a"], ["b"], [inner],
                                    [helper.make_opsetid("", 17)], ["slope"])
    graph = helper.make_graph([node("Leaky", ["x"], ["h"], domain="own", slope=0.5),
                               node("Leaky", ["h"], ["y"], domain="own")], "g",
                              [value("x", 2)], [value("y", 2)])
    file = helper.make_model(graph, ir_version=9, functions=[function], opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("own", 1)])
    path = tmp_path / "function.onnx"
    path.write_bytes(file.SerializeToString())
    y = etude.onnx.load(path)(np.array([4, -4], np.float32))
    np.testing.assert_allclose(y.numpy(), [4, -4 * 0.5 * 0.01], rtol=1e-6)


def test_values_are_let_go_after_their_last_use(perceptron):
    assert perceptron.graph.last_use == [("x",), ("a",), ("b",), ("c",)]
