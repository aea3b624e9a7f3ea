"""Models as ONNX files: equal in onnxruntime at two batch sizes, equal when they come back, and
refused with the line where a graph cannot say what they do.
"""

import subprocess
import sys

import numpy as np
import pytest
from exported import assert_same, computes, runs

import etude
from etude import functional as F
from etude import models, nn

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")
pytest.importorskip("onnxruntime", reason="NOT RUN: needs the package onnxruntime")

from etude.onnx.table import NEWEST, Refused  # noqa: E402

VOCAB, LENGTH = 20, 12
RUNTIME = 26  # the newest opset that onnxruntime 1.32 takes


@pytest.fixture(autouse=True)
def seeded():
    etude.manual_seed(7)


def rng():
    return np.random.default_rng(0)


def images(n, channels, size):
    return rng().standard_normal((n, channels, size, size), dtype=np.float32)


def text(n):
    return rng().integers(0, VOCAB, (n, LENGTH))


def trained(model):
    """A model whose running statistics are no longer 0 and 1."""
    for path, b in model.named_buffers():
        if b.dtype == etude.float32:
            low = 0.5 if path.endswith("var") else -0.5
            b.copy_(etude.tensor(rng().uniform(low, 1.5, b.shape).astype(np.float32)))
    return model


MODELS = {
    "mlp": lambda: (models.mlp(64, 32, 10), lambda n: images(n, 1, 8)),
    "lenet": lambda: (models.lenet(), lambda n: images(n, 1, 8)),
    "resnet20": lambda: (trained(models.resnet20()), lambda n: images(n, 3, 16)),
    "char_rnn lstm": lambda: (models.char_rnn(VOCAB, 24, 2, "lstm"), text),
    "char_rnn gru": lambda: (models.char_rnn(VOCAB, 24, 2, "gru"), text),
    "char_rnn rnn": lambda: (models.char_rnn(VOCAB, 24, 1, "rnn"), text),
    "gpt": lambda: (models.gpt(VOCAB, LENGTH, 2, 2, 32), text),
}


def export(model, example, path, **options):
    etude.onnx.export(model, example, path, **options)
    return onnx.load(path)


def kinds(proto):
    return [node.op_type for node in proto.graph.node]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_equal_in_onnxruntime_and_when_it_comes_back(name, tmp_path):
    model, made = MODELS[name]()
    path = tmp_path / "model.onnx"
    export(model, etude.tensor(made(2)), path)
    assert model.training  # as it was before
    model.eval()
    back = etude.onnx.load(path)
    back.eval()
    for n in (1, 5):
        x = made(n)
        wanted = computes(model, x)
        assert_same(runs(path, x), wanted)
        assert_same(computes(back, x), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_that_is_used_keeps_its_name_and_its_numbers(name, tmp_path):
    model, made = MODELS[name]()
    proto = export(model, made(2), tmp_path / "model.onnx")
    stored = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    parameters = dict(model.named_parameters())
    assert parameters.keys() <= stored.keys()
    for path, p in (*parameters.items(), *model.named_buffers()):
        if path in stored:
            np.testing.assert_array_equal(stored[path], p.detach().numpy())


QUANTIZED = ("mlp", "lenet", "gpt")


@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantised_model_keeps_its_int8_and_is_equal_there_and_when_it_comes_back(name,
                                                                                     tmp_path):
    model, made = MODELS[name]()
    small = nn.quantize(model)
    path = tmp_path / "model.onnx"
    proto = export(small, etude.tensor(made(2)), path)
    stored = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    mine = {k: t for k, t in small.state_dict().items() if t.dtype == "int8"}
    assert mine
    for key, weight in mine.items():
        assert stored[key].dtype == np.int8
        np.testing.assert_array_equal(stored[key], weight.numpy())
    scales = [n for n in proto.graph.node if n.op_type == "DequantizeLinear"]
    assert len(scales) == len(mine)
    assert {a.i for n in scales for a in n.attribute if a.name == "axis"} == {0}
    back = etude.onnx.load(path).eval()
    for n in (1, 5):
        x = made(n)
        wanted = computes(small, x)
        assert_same(runs(path, x), wanted)
        assert_same(computes(back, x), wanted)
    assert path.stat().st_size < 0.9 * len(proto_of(model, made(2), tmp_path))


def proto_of(model, example, folder):
    export(model, example, folder / "float.onnx")
    return (folder / "float.onnx").read_bytes()


def test_a_quantised_model_of_float64_is_refused_with_what_to_do(tmp_path):
    small = nn.quantize(models.mlp(64, 32, 10)).double()
    with pytest.raises(Refused, match=r"linear_int8.*float32.*model\.float\(\)"):
        export(small, images(2, 1, 8).astype(np.float64), tmp_path / "model.onnx")


def test_the_opset_is_the_lowest_that_does_and_the_format_that_of_the_opset(tmp_path):
    for name, opset, version in (("mlp", 13, 7), ("lenet", 13, 7), ("gpt", 17, 8)):
        model, made = MODELS[name]()
        proto = export(model, made(2), tmp_path / "model.onnx")
        assert (proto.opset_import[0].version, proto.ir_version) == (opset, version)
        assert (proto.producer_name, len(proto.opset_import)) == ("etude", 1)
        assert proto.producer_version


@pytest.mark.parametrize("opset", range(13, NEWEST + 1))
def test_the_opset_may_be_any_from_13_on(opset, tmp_path):
    from onnx.reference import ReferenceEvaluator

    for name in ("lenet", "gpt"):
        model, made = MODELS[name]()
        proto = export(model, made(2), tmp_path / "model.onnx", opset=opset)
        assert proto.opset_import[0].version == opset
        assert proto.ir_version <= 10
        x = made(3)
        wanted = computes(model.eval(), x)
        if opset <= RUNTIME:
            assert_same(runs(tmp_path / "model.onnx", x), wanted)
        else:
            assert_same(ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x}),
                        wanted)


@pytest.mark.parametrize("opset", [12, NEWEST + 1, 0, "17", 17.0, True])
def test_an_opset_that_is_not_written_is_an_error(opset, tmp_path):
    with pytest.raises(ValueError, match=r"opset must be 13 to \d+"):
        etude.onnx.export(models.mlp(4, 2), np.ones((2, 4), np.float32), tmp_path / "m.onnx",
                          opset=opset)


def test_an_op_that_needs_a_higher_opset_raises_it_or_is_refused(tmp_path):
    def add_up(x, index, src):
        return F.scatter_add(x, 0, index, src)

    x, index = np.zeros(4, np.float32), np.array([1, 1, 3])
    example = (x, index, np.ones(3, np.float32))
    proto = export(add_up, example, tmp_path / "m.onnx", dynamic=False)
    assert proto.opset_import[0].version == 16
    with pytest.raises(Refused, match=r"scatter_add.*opset 16 on, and this is opset 13"):
        etude.onnx.export(add_up, example, tmp_path / "no.onnx", dynamic=False, opset=13)
    assert not (tmp_path / "no.onnx").exists()


def test_batch_norm_is_one_node_with_its_statistics(tmp_path):
    model, made = MODELS["resnet20"]()
    proto = export(model, made(2), tmp_path / "model.onnx")
    found = kinds(proto)
    assert found.count("BatchNormalization") == found.count("Conv") > 19
    assert not {"ReduceMean", "ReduceSum", "Sqrt"} & set(found)


def test_a_tied_weight_is_stored_once(tmp_path):
    model, made = MODELS["gpt"]()
    proto = export(model, made(2), tmp_path / "model.onnx")
    names = [w.name for w in proto.graph.initializer]
    assert names.count("tokens.weight") == 1
    readers = [n for n in proto.graph.node if "tokens.weight" in n.input]
    assert sorted(n.op_type for n in readers) == ["Gather", "Transpose"]


# ------------------------------------------------------------------ names, shapes, several of them


class Two(nn.Module):
    """Two inputs, and results in a dict."""

    def __init__(self):
        self.scale = nn.Parameter(etude.tensor([2.0, 3.0, 4.0]))

    def forward(self, left, right):
        larger = left > right, F.maximum(left, right)
        return {"total": left * self.scale + right, "larger": larger}


def test_inputs_and_results_have_names(tmp_path):
    x, y = rng().standard_normal((2, 2, 3), dtype=np.float32)
    proto = export(Two(), (x, y), tmp_path / "m.onnx")
    assert [i.name for i in proto.graph.input] == ["left", "right"]
    assert [o.name for o in proto.graph.output] == ["total", "larger_0", "larger_1"]
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_param, dims[1].dim_value) == ("batch", 3)
    scale = np.array([2, 3, 4], np.float32)
    found = runs(tmp_path / "m.onnx", np.tile(x, (4, 1)), np.tile(y, (4, 1)))
    np.testing.assert_allclose(found[0], np.tile(x * scale + y, (4, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found[1], np.tile(x > y, (4, 1)))


def test_names_may_be_given(tmp_path):
    x = np.ones((2, 3), np.float32)
    proto = export(Two(), (x, x), tmp_path / "m.onnx", input_names=["a", "b"],
                   output_names=["p", "q", "r"])
    assert [i.name for i in proto.graph.input] == ["a", "b"]
    assert [o.name for o in proto.graph.output] == ["p", "q", "r"]
    for names in (["a"], ["a", "a"], ["a", "scale"]):
        with pytest.raises(ValueError, match="input_names"):
            etude.onnx.export(Two(), (x, x), tmp_path / "n.onnx", input_names=names)
    with pytest.raises(ValueError, match="output_names needs 3 different names"):
        etude.onnx.export(Two(), (x, x), tmp_path / "n.onnx", output_names=["p"])
    for what in ("input_names", "output_names"):
        for names in ("ab", ["a", ""], ["a", 3], 3):
            with pytest.raises(TypeError, match=f"{what} is a list of names"):
                etude.onnx.export(Two(), (x, x), tmp_path / "n.onnx", **{what: names})
    assert not (tmp_path / "n.onnx").exists()


BATCHED = {
    "flattened": lambda x: x.reshape(-1),
    "one more than the batch": lambda x: F.cat([x, x[:1]], 0),
    "twice": lambda x: F.cat([x, x], 0).reshape(2, -1, 3, 4),
    "its size as numbers": lambda x: etude.full((x.shape[0], 2), 7.0),
    "spread": lambda x: x[:, :1].expand(x.shape[0], 5, 4),
    "two sizes at once": lambda x: x.reshape(x.shape[0] * 3, 4).unsqueeze(0).expand(
        x.shape[0], x.shape[0] * 3, 4),
    "all but the first": lambda x: x[1:],
    "the last": lambda x: x[-1],
    "backwards": lambda x: x.flip(0, 2),
    "every other column": lambda x: x[:, ::2, 1:-1],
    "new axes": lambda x: x[:, None, 1, :, None],
    "halves of it": lambda x: F.split(F.cat([x, x], 0), x.shape[0], 0)[1],
    "variance over it": lambda x: F.var(x, dim=0),
    "sum of all": lambda x: x.sum(),
    "mean over it": lambda x: x.mean(0),
    "largest": lambda x: F.amax(x, dim=(0, 2), keepdim=True),
    "place of the largest": lambda x: F.argmax(x),
    "padded": lambda x: F.pad(x, (1, 0, 0, 2, 1, 1), value=9.0),
    "turned": lambda x: x.permute(2, 0, 1).reshape(4, -1),
    "below the diagonal": lambda x: F.tril(x.reshape(x.shape[0], 12)),
    "the most of it": lambda x: F.topk(x.reshape(-1), 3)[1],
    "stacked": lambda x: F.stack([x, x * 2], -1),
    "normalised": lambda x: nn.BatchNorm1d(3, track_running_stats=False).eval()(x),
}


@pytest.mark.parametrize("name", BATCHED)
def test_shapes_follow_the_batch(name, tmp_path):
    function = BATCHED[name]
    x = rng().standard_normal((6, 3, 4), dtype=np.float32)
    export(lambda x: function(x), x[:2], tmp_path / "m.onnx")
    for n in (3, 6):
        assert_same(runs(tmp_path / "m.onnx", x[:n]), computes(function, x[:n]))


def test_what_does_not_grow_evenly_with_the_batch_is_refused_with_the_line(tmp_path):
    def half(x):
        return x[: x.shape[0] // 2]

    def average(x):
        return x.sum() * (1 / x.shape[0])

    def places(x):
        return x + etude.tensor(np.arange(x.shape[0], dtype=np.float32)[:, None])

    def branch(x):
        return x.exp() if x.shape[0] % 2 else x.sin()

    x = np.ones((2, 3), np.float32)
    for function, words in ((half, "slice"), (average, "mul"), (places, "add"),
                            (branch, "other ops")):
        with pytest.raises(Refused, match=f"{words}.*test_onnx_export.py.*dynamic=False"):
            etude.onnx.export(function, x, tmp_path / "m.onnx")
        assert not list(tmp_path.iterdir())
        export(function, x, tmp_path / "m.onnx", dynamic=False)
        assert_same(runs(tmp_path / "m.onnx", x), computes(function, x))
        (tmp_path / "m.onnx").unlink()


def test_the_batch_may_be_another_axis_or_none(tmp_path):
    layer = nn.LSTM(3, 5)
    x = rng().standard_normal((4, 2, 3), dtype=np.float32)
    h, c = rng().standard_normal((2, 1, 2, 5), dtype=np.float32)

    def model(x, h, c):
        y, (h, c) = layer(x, (h, c))
        return y, h, c

    with pytest.raises(ValueError, match="different batch sizes"):
        etude.onnx.export(model, (x, h, c), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="dynamic names"):
        etude.onnx.export(model, (x, h, c), tmp_path / "m.onnx", dynamic={"z": 1})
    for axis in (3, -1, "1", True):
        with pytest.raises(ValueError, match="dynamic has axis"):
            etude.onnx.export(model, (x, h, c), tmp_path / "m.onnx", dynamic={"x": axis})
    for dynamic in ("x", ["x"], None, 1):
        with pytest.raises(TypeError, match="dynamic is True, False, or a dict"):
            etude.onnx.export(model, (x, h, c), tmp_path / "m.onnx", dynamic=dynamic)
    export(model, (x, h, c), tmp_path / "m.onnx", dynamic={"x": 1, "h": 1, "c": 1})
    more = [np.concatenate([a, a + 1, a - 1], 1) for a in (x, h, c)]
    assert_same(runs(tmp_path / "m.onnx", *more), computes(model, *more))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("settings", [
    {"num_layers": 2}, {"bidirectional": True, "num_layers": 2, "batch_first": True},
    {"bias": False}])
def test_a_recurrent_layer_is_one_node_for_each_of_its_layers(kind, settings, tmp_path):
    layer = getattr(nn, kind)(3, 5, **settings)
    x = rng().standard_normal((2, 4, 3), dtype=np.float32)
    axis = 0 if settings.get("batch_first") else 1
    proto = export(layer, x, tmp_path / "m.onnx", dynamic={"input": axis})
    assert kinds(proto).count(kind) == settings.get("num_layers", 1)
    found, wanted = runs(tmp_path / "m.onnx", x), layer(etude.tensor(x))
    states = wanted[1] if isinstance(wanted[1], tuple) else (wanted[1],)
    assert_same(found, [t.detach().numpy() for t in (wanted[0], *states)])


def test_a_recurrent_layer_takes_one_sequence_and_relu(tmp_path):
    layer = nn.RNN(3, 5, nonlinearity="relu")
    x = rng().standard_normal((4, 3), dtype=np.float32)
    export(layer, x, tmp_path / "m.onnx", dynamic=False)
    assert_same(runs(tmp_path / "m.onnx", x), computes(lambda x: layer(x), x))


def test_a_recurrent_layer_of_float64_is_written_step_by_step(tmp_path):
    layer = nn.GRU(3, 5).double()
    x = rng().standard_normal((4, 2, 3))
    proto = export(layer, x, tmp_path / "m.onnx", dynamic={"input": 1})
    assert "GRU" not in kinds(proto)
    assert_same(runs(tmp_path / "m.onnx", x), computes(lambda x: layer(x), x))
    assert "forward" not in vars(layer)


def test_unrolled_writes_recurrent_layers_step_by_step(tmp_path):
    model, made = MODELS["char_rnn lstm"]()
    proto = export(model, made(2), tmp_path / "m.onnx", unrolled=True)
    assert "LSTM" not in kinds(proto)
    x = made(3)
    assert_same(runs(tmp_path / "m.onnx", x), computes(model.eval(), x))


# ------------------------------------------------------------------ conventions


def test_finite_leaves_out_what_only_nan_asks_for(tmp_path):
    model, made = MODELS["lenet"]()
    whole = export(model, made(2), tmp_path / "whole.onnx")
    small = export(model, made(2), tmp_path / "small.onnx", finite=True)
    assert "IsNaN" in kinds(whole)
    assert set(kinds(small)) == {"Conv", "Relu", "MaxPool", "Reshape", "Gemm"}
    x = made(3)
    assert_same(runs(tmp_path / "small.onnx", x), computes(model.eval(), x))
    x[1, 0, 3, 3] = np.nan
    y, = runs(tmp_path / "whole.onnx", x)
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[[0, 2]]).all()


def test_a_query_that_sees_no_key_gives_0(tmp_path):
    q = rng().standard_normal((2, 3, 4), dtype=np.float32)
    seen = np.array([[True, False, True], [False] * 3, [True] * 3])

    def attend(q):
        return F.scaled_dot_product_attention(q, q, q, etude.tensor(seen))

    export(attend, q, tmp_path / "m.onnx")
    y, = runs(tmp_path / "m.onnx", q)
    assert (y[:, 1] == 0).all()
    assert_same([y], computes(attend, q))


def test_layers_with_conventions_of_their_own_are_equal(tmp_path):
    x = images(2, 4, 9)
    pools = nn.Sequential(
        nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 2, ceil_mode=True),
        nn.AdaptiveAvgPool2d((2, 2)), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten(),
        nn.RMSNorm(16), nn.SiLU(), nn.Softplus(), nn.ELU(), nn.Dropout(0.5))
    export(pools, x, tmp_path / "m.onnx")
    assert_same(runs(tmp_path / "m.onnx", x), computes(pools.eval(), x))


# ------------------------------------------------------------------ what is refused


class Reads(nn.Module):
    def forward(self, x):
        return x * 2 if float(x.sum()) > 0 else x


class Draws(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=True)


class Writes(nn.Module):
    def __init__(self):
        self.register_buffer("seen", etude.zeros(3))

    def forward(self, x):
        self.seen.copy_(x.sum(0))
        return x + self.seen


class Talks(nn.Module):
    def forward(self, x):
        return x, "done"


class Nothing(nn.Module):
    def forward(self, x):
        return ()


@pytest.mark.parametrize(("model", "words"), [
    (Reads(), "reads the values"), (Draws(), "new numbers at every call"),
    (Writes(), "writes into a tensor"), (Talks(), "returns str"),
    (Nothing(), "returns an empty tuple")])
def test_what_no_graph_can_do_is_refused_with_the_line(model, words, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(Refused, match=words) as caught:
        etude.onnx.export(model, np.ones((2, 3), np.float32), path)
    assert "test_onnx_export.py" in str(caught.value) or "returns" in words
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert path.read_bytes() == b"old"
    assert model.training


@pytest.mark.parametrize(("example", "words"), [
    ("x", "the example is a Tensor"), ((), "is empty"),
    (np.ones((0, 4), np.float32), "batch of the example is empty")])
def test_an_example_must_be_something_to_run_on(example, words, tmp_path):
    with pytest.raises((ValueError, TypeError), match=words):
        etude.onnx.export(models.mlp(4, 2), example, tmp_path / "m.onnx")


def test_without_the_package_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'etude\[onnx\]'"):
        etude.onnx.export(models.mlp(4, 2), np.ones((2, 4), np.float32), tmp_path / "m.onnx")


def test_etude_and_its_onnx_are_imported_without_onnx():
    code = "import sys, etude; etude.onnx.export; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ------------------------------------------------------------------ the file


def test_large_weights_lie_beside_the_model(tmp_path):
    model, made = MODELS["lenet"]()
    path = tmp_path / "model.onnx"
    export(model, made(2), path, external_above=10_000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    proto = onnx.load(path, load_external_data=False)
    outside = [w.name for w in proto.graph.initializer if w.data_location]
    assert outside == ["3.weight", "7.weight", "9.weight"]
    assert path.stat().st_size < 10_000
    x = made(3)
    wanted = computes(model.eval(), x)
    assert_same(runs(path, x), wanted)
    assert_same(computes(etude.onnx.load(path).eval(), x), wanted)


def test_large_weights_are_not_moved_before_the_model_is_sure_to_follow(tmp_path):
    model, other, made = models.mlp(4, 2), models.mlp(4, 2), np.ones((2, 4), np.float32)
    path = tmp_path / "m.onnx"
    export(model, made, path, external_above=0)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="external_above"):
        etude.onnx.export(other, made, path, external_above="0")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    for taken in ("folder.onnx", "weights.onnx.data"):
        (tmp_path / taken).mkdir()
        with pytest.raises(IsADirectoryError, match=taken):
            etude.onnx.export(other, made, tmp_path / taken.removesuffix(".data"), external_above=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*before, "folder.onnx",
                                                                 "weights.onnx.data"])


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    for above in (0, 10**9):
        with pytest.raises(FileNotFoundError):
            etude.onnx.export(models.mlp(4, 2), np.ones((2, 4), np.float32),
                              tmp_path / "no" / "m.onnx", external_above=above)


def test_two_exports_of_a_model_are_the_same_bytes(tmp_path):
    model, made = MODELS["gpt"]()
    for name in ("a", "b"):
        export(model, made(2), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_the_backend_leaves_no_trace_in_a_file(name, tmp_path):
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    model, made = MODELS[name]()
    export(model, made(2), tmp_path / "a")
    with etude.use("cpu"):
        export(model, made(2), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_on_the_gpu_of_the_lab_is_exported_as_well(tmp_path):
    pytest.importorskip("etude_cuda.lab.build", reason="NOT RUN: needs etude-cuda")
    model, made = MODELS["mlp"]()
    export(model, made(2), tmp_path / "a")
    try:
        using = etude.use("gpu-lab")
    except etude.BackendError as why:
        pytest.skip(f"NOT RUN: {why}")
    with using:
        device = "gpu-lab"
        export(model.to(device), etude.tensor(made(2)).to(device), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
