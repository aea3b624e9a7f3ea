"""etude quantize, as a person uses it: what it prints, what it writes, and every way it ends early.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from runs_cases import call, invoke

import etude
from etude import models, nn
from etude.train.checkpoint import read_weights
from etude.train.trained import Trained

pytestmark = pytest.mark.usefixtures("safetensors")
OUT = "small.safetensors"


def refused(*words):
    """The error of ``etude quantize``, which writes no file."""
    before = sorted(Path().iterdir())
    result = invoke("quantize", *map(str, words))
    assert result.exit_code != 0, result.output
    assert "Traceback" not in result.output
    assert sorted(Path().iterdir()) == before
    return " ".join(result.output.split())


@pytest.fixture
def run(here):
    """A folder in which a small mlp was trained."""
    call("train", "run.toml", "--set", "training.epochs=1")
    return Path("runs/run")


def row(text, name):
    return re.split(r"  +", next(x for x in text.splitlines() if x.startswith(name + " ")).strip())


def test_it_prints_what_every_layer_and_the_test_data_lose(run):
    text = call("quantize", str(run), "--out", OUT)
    assert "mlp of runs/run/weights.safetensors: 2 weights in int8" in text
    assert "Measuring on 355 test samples of digits" in text
    weights, about = read_weights(run / "weights.safetensors")
    small, said = read_weights(OUT)
    assert said == about
    for path in ("1", "3"):
        w = weights[f"{path}.weight"].astype(np.float64)
        off = small[f"{path}.weight"] * small[f"{path}.scale"].astype(np.float64)[:, None] - w
        _, shape, error, share = row(text, path)
        assert shape == " x ".join(map(str, w.shape))
        assert float(error) == pytest.approx(np.abs(off).max(), rel=0.05)
        assert float(share.rstrip("%")) / 100 == pytest.approx(
            np.abs(off).max() / np.abs(w).max(), abs=1e-4)
    _, before, after, change = row(text, "test loss")
    assert float(after) - float(before) == pytest.approx(float(change), abs=2e-4)
    assert row(text, "accuracy")[1].endswith("%")
    assert row(text, "file")[1:3] == [
        f"{(run / 'weights.safetensors').stat().st_size:,} B", f"{Path(OUT).stat().st_size:,} B"]


def test_the_figures_are_those_of_the_two_models(run):
    text = call("quantize", str(run), "--out", OUT)
    found = []
    for path in (run / "weights.safetensors", Path(OUT)):
        model = Trained.read(path).model
        loader = etude.data.DataLoader(etude.data.digits()[1], 256)
        found.append(etude.train.evaluate(model, loader).loss)
    assert row(text, "test loss")[1:3] == [f"{loss:.4f}" for loss in found]


def test_a_gpt_tells_its_perplexity_and_goes_on_to_onnx(here):
    call("train", "gpt.toml")
    text = call("quantize", "runs/gpt", "--out", "runs/gpt/small.safetensors")
    assert "blocks.0.attention.in_proj" in text
    assert row(text, "head")[1] == "27 x 8"
    assert len(row(text, "perplexity")) == 4
    trained = Trained.read(Path("runs/gpt/small.safetensors"))
    assert trained.quantized
    start = etude.tensor([trained.tokenizer.encode("\n")])
    assert trained.model.generate(start, 7, temperature=0).shape == (1, 8)
    pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")
    assert "as ONNX" in call("export", "runs/gpt/small.safetensors", "--onnx", "small.onnx")
    result = invoke("export", "runs/gpt/small.safetensors", "--c", "small.c")
    assert result.exit_code != 0
    assert "its weights are int8" in result.output
    assert "--onnx keeps int8" in result.output
    pytest.importorskip("gguf", reason="NOT RUN: needs the package gguf")
    result = invoke("export", "runs/gpt/small.safetensors", "--gguf", "small.gguf")
    assert "weights in int8" in result.output


def test_without_data_it_measures_only_if_it_is_told_not_to(here):
    etude.save_weights("alone.safetensors", models.mlp(8, 16, 4), {
        "model": "mlp", "arguments": {"inputs": 8, "hidden": [16], "classes": 4}})
    text = refused("alone.safetensors", "--out", OUT)
    assert "config.toml is not there" in text
    assert "--unmeasured" in text
    text = call("quantize", "alone.safetensors", "--out", OUT, "--unmeasured")
    assert "What is lost was not measured (--unmeasured)" in text
    assert "test loss" not in text


def test_a_config_of_other_data_is_refused(run):
    text = refused(run, "--config", "gpt.toml", "--out", OUT)
    assert "Error" in text


def test_nothing_is_written_over_and_nothing_is_quantised_twice(run):
    call("quantize", str(run), "--out", OUT)
    assert "small.safetensors is there already" in refused(run, "--out", OUT)
    text = refused(OUT, "--out", "twice.safetensors", "--unmeasured")
    assert "small.safetensors is quantised already" in text


def test_what_cannot_be_is_an_error_before_anything_is_read(run):
    assert "ends in .safetensors, got 'small.pt'" in refused(run, "--out", "small.pt")
    assert "Missing option '--out'" in refused(run)
    assert "--unmeasured says not to" in refused(run, "--out", OUT, "--unmeasured", "--backend",
                                                 "cpu")


def test_a_weight_that_is_not_finite_is_told_by_name(run):
    model = models.mlp(64, 16, 10)
    w = model[1].weight.detach().numpy().copy()
    w[2, 3] = np.nan
    etude.load_weights(run / "weights.safetensors", model)
    state = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    model.load_state_dict({**state, "1.weight": w})
    etude.save_weights(run / "weights.safetensors", model, {
        "model": "mlp", "arguments": {"inputs": 64, "hidden": [16], "classes": 10}})
    text = refused(run, "--out", OUT)
    assert "quantize: 1: the weight holds 1 numbers that are NaN or infinite" in text


def test_a_file_says_by_itself_that_it_is_quantised(run):
    call("quantize", str(run), "--out", OUT)
    model = Trained.read(Path(OUT)).model
    assert isinstance(model[1], nn.LinearInt8)
