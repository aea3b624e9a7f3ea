"""etude export --onnx: the model of a run, or of weights, in onnxruntime."""

import os

import numpy as np
import pytest
from click.testing import CliRunner
from exported import assert_same, computes, runs

import etude

pytest.importorskip("onnxruntime", reason="NOT RUN: needs the package onnxruntime")
pytest.importorskip("safetensors", reason="NOT RUN: needs the package safetensors")
onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")

from etude.commands.export import export  # noqa: E402
from etude.train.catalog import MODELS  # noqa: E402

#: Name -> (arguments, the input that the command chooses).
TRAINED = {
    "mlp": ({"inputs": 12, "classes": 3, "hidden": [4]}, (12,)),
    "lenet": ({"classes": 3}, (1, 8, 8)),
    "resnet20": ({"blocks": 1}, (3, 32, 32)),
    "char_rnn": ({"vocab": 9, "hidden": 6}, (64,)),
    "gpt": ({"vocab": 9, "block_size": 8, "layers": 1, "heads": 2, "embed_dim": 8}, (8,)),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def saved(name):
    """Weights as a run leaves them; the model."""
    arguments, _ = TRAINED[name]
    model = MODELS[name](**arguments)
    etude.save_weights("weights.safetensors", model, {"model": name, "arguments": arguments})
    return model.eval()


def call(*words):
    result = CliRunner().invoke(export, ["weights.safetensors", *words])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("name", TRAINED)
def test_weights_become_a_model_in_onnxruntime(name):
    model, (_, shape) = saved(name), TRAINED[name]
    status, said = call("--onnx", "model.onnx")
    assert status == 0, said
    dims = ", ".join(map(str, ("batch", *shape)))
    assert f"model.onnx: {name} as ONNX, opset 1" in said
    assert f"({dims})" in said
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 9, (3, *shape)) if name in ("gpt", "char_rnn")
         else rng.standard_normal((3, *shape), dtype=np.float32))
    assert_same(runs("model.onnx", x), computes(model, x))


def test_the_shape_of_a_sample_may_be_said():
    saved("resnet20")
    status, said = call("--onnx", "model.onnx", "--shape", "3,16,16")
    assert (status, "(batch, 3, 16, 16)" in said) == (0, True)
    assert call("--onnx", "model.onnx", "--shape", "3,x")[0] != 0
    assert "sizes are numbers from 1" in call("--onnx", "m.onnx", "--shape", "0")[1]


def test_a_shape_that_the_model_does_not_take_writes_nothing():
    saved("mlp")
    status, said = call("--onnx", "model.onnx", "--shape", "5")
    assert status != 0
    assert "Traceback" not in said
    assert os.listdir() == ["weights.safetensors"]
