"""What the tests of train and tune share: small runs in a folder of their own, and the program."""

from pathlib import Path

import pytest

pytest.importorskip("click", reason="NOT RUN: needs the package click")
pytest.importorskip("safetensors", reason="NOT RUN: needs the package safetensors")

from click.testing import CliRunner

from etude.commands import etude as program

RUN = """
[model]
name = "mlp"
hidden = [16]
[data]
batch_size = 200
[optimizer]
lr = 0.01
[training]
epochs = 3
"""
TUNE = RUN + """
[tune]
trials = 4
[tune.space]
"optimizer.lr" = {low = 1e-4, high = 0.5, log = true}
"model.hidden" = {choices = [[8], [16, 8]]}
"""
GPT = """
[model]
name = "gpt"
layers = 1
heads = 2
embed_dim = 8
[data]
name = "names"
block = 8
batch_size = 512
[scheduler]
name = "warmup_cosine"
warmup = 2
[training]
epochs = 1
"""


def write():
    """The three runs, into the current folder."""
    for name, text in (("run", RUN), ("tune", TUNE), ("gpt", GPT)):
        Path(f"{name}.toml").write_text(text)


def invoke(*words):
    return CliRunner().invoke(program, words)


def call(*words, code=0):
    result = invoke(*words)
    assert result.exit_code == code, result.output
    return result.output


def files(folder):
    return sorted(p.name for p in Path(folder).iterdir())
