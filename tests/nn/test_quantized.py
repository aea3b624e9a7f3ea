"""nn.quantize and LinearInt8: near the float model, saved, loaded, captured, and refused."""

import copy

import numpy as np
import pytest

import etude
from etude import models, nn
from etude.core.random import Generator
from etude.models.gpt import sample
from etude.train.checkpoint import CheckpointError


def layer(n=5, k=40, bias=True, seed=0):
    etude.manual_seed(seed)
    return nn.Linear(k, n, bias)


def gpt(**more):
    etude.manual_seed(0)
    return models.gpt(**{"vocab": 11, "block_size": 32, "layers": 2, "heads": 2, "embed_dim": 16,
                         **more}).eval()


def tokens(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).integers(0, 11, shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_weight_is_off_by_half_a_step_at_most(dtype):
    w = np.random.default_rng(0).normal(size=(7, 33)).astype(dtype)
    q, scale = nn.quantize_weight(etude.tensor(w))
    assert (q.dtype, scale.dtype) == ("int8", dtype)
    assert np.abs(q.numpy().astype(int)).max(1).tolist() == [127] * 7
    off = np.abs(scale.numpy()[:, None].astype(float) * q.numpy() - w)
    assert (off <= scale.numpy()[:, None] * 0.5001).all()


def test_a_row_of_zeros_has_the_scale_0_and_gives_its_bias():
    linear = layer(2, 3)
    w = linear.weight.detach().numpy().copy()
    w[1] = 0
    linear.load_state_dict({"weight": w, "bias": np.array([0.5, 0.25], np.float32)})
    small = nn.LinearInt8.from_float(linear)
    assert small.scale.tolist()[1] == 0
    assert small(etude.ones(1, 3)).tolist()[0][1] == 0.25


def test_the_smallest_numbers_do_not_become_nan():
    q, scale = nn.quantize_weight(etude.tensor(np.full((1, 2), 1e-45, np.float32)))
    assert np.isfinite(scale.numpy()).all()
    assert np.isfinite(q.numpy() * scale.numpy()).all()


def test_linear_becomes_linear_int8_and_the_model_stays():
    model = models.mlp(8, 16, 4)
    before = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    small = nn.quantize(model)
    kinds = [type(m).__name__ for m in small.modules()]
    assert kinds.count("LinearInt8") == 2
    assert "Linear" not in kinds
    assert all(np.array_equal(before[k], t.numpy()) for k, t in model.state_dict().items())
    x = etude.tensor(np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32))
    assert np.allclose(small(x).numpy(), model(x).detach().numpy(), atol=0.02)


def test_a_linear_by_itself_and_one_that_comes_twice():
    linear = layer(4, 4)
    assert isinstance(nn.quantize(linear), nn.LinearInt8)
    small = nn.quantize(nn.Sequential(linear, nn.ReLU(), linear))
    assert small[0] is small[2]


def test_it_is_printed_like_the_linear_it_was():
    assert repr(nn.LinearInt8.from_float(layer(5, 40, False))) == "LinearInt8(40, 5, bias=False)"


def test_the_convolutions_of_lenet_stay_float():
    small = nn.quantize(models.lenet())
    kinds = {type(m).__name__ for m in small.modules()}
    assert {"Conv2d", "LinearInt8"} <= kinds


def test_a_gpt_has_attention_feed_forward_and_output_in_int8():
    model = gpt()
    small = nn.quantize(model)
    stored = [k for k, t in small.state_dict().items() if t.dtype == "int8"]
    assert stored == ["head.weight", *[f"blocks.{i}.{name}.weight" for i in (0, 1) for name in (
        "attention.out_proj", "attention.in_proj", "mlp.0", "mlp.2")]] or len(stored) == 9
    x = tokens(3, 20)
    with etude.no_grad():
        assert np.abs(small(x).numpy() - model(x).numpy()).max() < 0.02
    assert "head.weight" not in model.state_dict()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_quantised_gpt_writes_with_its_cache_and_under_capture(backend):
    """70 tokens go beyond the number from which the step is captured; without the cache the text
    is the same.
    """
    with etude.use(backend):
        small = nn.quantize(gpt(block_size=96))
        written = small.generate(tokens(1, 3), 70, temperature=0.8, generator=Generator(1))
        x = tokens(1, 3)
        generator = Generator(1)
        with etude.no_grad():
            for _ in range(70):
                logits = small(x)[:, -1]
                x = etude.cat([x, sample(logits, 0.8, None, generator)], 1)
    assert written.tolist() == x.tolist()


def test_saved_and_loaded_it_is_the_same(tmp_path):
    small = nn.quantize(gpt())
    etude.save_weights(tmp_path / "small.safetensors", small)
    etude.save_weights(tmp_path / "float.safetensors", gpt())
    other = nn.quantize(gpt())
    with etude.no_grad():
        for t in other.state_dict().values():
            if t.dtype == "float32":
                t.copy_(t * 0)
    etude.load_weights(tmp_path / "small.safetensors", other)
    for (k, a), b in zip(small.state_dict().items(), other.state_dict().values(), strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a.numpy(), b.numpy()), k
    with pytest.raises(CheckpointError, match="head"):
        etude.load_weights(tmp_path / "float.safetensors", other)
    with pytest.raises(CheckpointError, match="head"):
        etude.load_weights(tmp_path / "small.safetensors", gpt())


def test_load_torch_keeps_int8_for_a_model_that_has_it(tmp_path):
    small, other = nn.quantize(gpt()), nn.quantize(gpt(vocab=11))
    etude.save_weights(tmp_path / "small.safetensors", small)
    etude.load_torch(tmp_path / "small.safetensors", other)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(
        small.state_dict().values(), other.state_dict().values(), strict=True))


def test_copies_and_conversions_of_a_quantised_model():
    small = nn.quantize(models.mlp(8, 16, 4))
    double = copy.deepcopy(small).double()
    assert {t.dtype.name for t in double.state_dict().values()} == {"int8", "float64"}
    x = np.random.default_rng(1).normal(size=(6, 8))
    assert np.allclose(double(etude.tensor(x)).numpy(),
                       small(etude.tensor(x.astype(np.float32))).numpy(), atol=1e-5)


def test_nothing_of_it_is_trained():
    small = nn.quantize(models.mlp(8, 16, 4))
    assert not any(p.requires_grad for p in small.parameters())
    x = etude.ones(2, 8, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"linear_int8.: it is for inference"):
        small(x).sum().backward()


def test_what_is_quantised_already_or_has_nothing_to_quantise_is_refused():
    small = nn.quantize(models.mlp(8, 16, 4))
    with pytest.raises(ValueError, match=r"quantised already: 1 is a LinearInt8"):
        nn.quantize(small)
    with pytest.raises(ValueError, match="no Linear"):
        nn.quantize(nn.ReLU())
    with pytest.raises(TypeError, match=r"quantize: got dict.*nn.Module"):
        nn.quantize({})
    with pytest.raises(TypeError, match="made from a Linear, got ReLU"):
        nn.LinearInt8.from_float(nn.ReLU())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused_by_name(bad):
    model = gpt()
    state = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    state["blocks.1.mlp.0.weight"][2, 3] = bad
    model.load_state_dict(state)
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp\.0: the weight holds 1 numbers"):
        nn.quantize(model)


def test_an_input_of_another_size_is_told_as_by_linear():
    small = nn.LinearInt8.from_float(layer())
    with pytest.raises(etude.ShapeError, match=r"LinearInt8\(in_features=40, out_features=5\) got"):
        small(etude.ones(2, 39))


def test_a_summary_counts_the_bytes_of_int8():
    small = nn.quantize(models.mlp(8, 16, 4))
    text = str(etude.summary(small, (1, 8)))
    assert "LinearInt8" in text
    held = 8 * 16 + 16 * 4 + 4 * 2 * (16 + 4)
    assert f"{held} B" in text
