"""etude export to GGUF, safetensors and .pt, as a person uses it. What is in the files is tested in
tests/weights.
"""

from pathlib import Path

import numpy as np
import pytest
from runs_cases import call, invoke

import etude
from etude import models

pytestmark = pytest.mark.usefixtures("safetensors")
WHICH = ("--model", "gpt", "--set", "vocab=5", "--set", "block_size=8", "--set", "heads=2",
         "--set", "layers=1", "--set", "embed_dim=8")


@pytest.fixture
def model(here):
    made = models.gpt(5, 8, 1, 2, 8)
    etude.save_weights("w.safetensors", made)
    return made


def refused(*words):
    before = sorted(Path().iterdir())
    result = invoke("export", *words)
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    assert sorted(Path().iterdir()) == before
    return " ".join(result.output.split())


def test_weights_go_out_in_both_formats_of_pytorch(model):
    out = call("export", "w.safetensors", *WHICH, "--safetensors", "a.safetensors", "--pt", "a.pt",
               "--names", "gpt2")
    assert "a.pt: the weights of this gpt, with the names of the layout 'gpt2'" in out
    for name in ("a.safetensors", "a.pt"):
        found = etude.load_torch(name)
        np.testing.assert_array_equal(found["lm_head.weight"].numpy(),
                                      model.tokens.weight.detach().numpy())
    call("export", "w.safetensors", *WHICH, "--pt", "b.pt")
    assert list(etude.load_torch("b.pt")) == list(model.state_dict())


def test_a_gpt_goes_out_as_gguf_with_its_vocabulary(model):
    gguf = pytest.importorskip("gguf", reason="NOT RUN: needs the package gguf")
    etude.data.CharTokenizer("abcde").save("tokenizer.json")
    out = call("export", "w.safetensors", *WHICH, "--gguf", "w.gguf")
    assert "w.gguf: GGUF of the architecture gpt2, in float32, with its vocabulary" in out
    fields = gguf.GGUFReader("w.gguf").fields
    assert fields["tokenizer.ggml.tokens"].contents() == [*"abcde"]
    assert fields["general.name"].contents() == Path().resolve().name


def test_what_cannot_go_out_is_told(model):
    assert "--names is for --safetensors and --pt" in refused(
        "w.safetensors", *WHICH, "--names", "gpt2", "--gguf", "w.gguf")
    assert "--pt writes a file whose name ends in .pt, got 'w.bin'" in refused(
        "w.safetensors", *WHICH, "--pt", "w.bin")
    assert "there is no layout 'gpt5'" in refused(
        "w.safetensors", *WHICH, "--pt", "a.pt", "--names", "gpt5")
    etude.save_weights("w.safetensors", models.mlp(4, 8, 3))
    told = refused("w.safetensors", "--model", "mlp", "--set", "inputs=4", "--set", "hidden=[8]",
                   "--set", "classes=3", "--gguf", "w.gguf")
    assert "--gguf is for a gpt, which llama.cpp runs; w.safetensors is of the model mlp" in told
