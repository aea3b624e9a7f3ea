"""The field that finds an op on the page of ops, a script in the reader's browser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from etude import nn
from etude.core.table import TABLE

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import pytorch_page  # noqa: E402

RUN = """
const { alone, meant } = require(process.argv[1]);
const [typed, ops] = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(typed.map((t) => [alone(t), ops.map((names) => meant(t, names))])));
"""

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="NOT RUN: needs node")


def found(*typed):
    """For each text: (what is searched elsewhere, the ops of just this name, those it may mean)."""
    ops = [[name, *pytorch_page.names().get(name, ())] for name in TABLE]
    made = subprocess.run(["node", "-e", RUN, str(DOCS / "static" / "finder.js")], text=True,
                          input=json.dumps([typed, ops]), capture_output=True, check=True)
    return [(alone, *[{op for op, m in zip(TABLE, marks) if m == how} for how in (2, 1)])
            for alone, marks in json.loads(made.stdout)]


def test_every_op_is_found_by_each_of_its_names_here_and_in_pytorch():
    asked = [(op, name) for op in TABLE for name in (op, *pytorch_page.names().get(op, ()))]
    assert len(asked) > 200
    for (op, name), (_, just, _) in zip(asked, found(*[name for _, name in asked]), strict=True):
        assert op in just, name


@pytest.mark.parametrize("typed", ["relu", "F.relu", "nn.ReLU", "torch.nn.ReLU", " RELU "])
def test_modules_capitals_and_underscores_do_not_matter(typed):
    [(_, just, perhaps)] = found(typed)
    assert just == {"relu"}
    assert perhaps == {"leaky_relu", "relu_backward"}


def test_a_layer_leads_to_its_op():
    layers = {"nn.BatchNorm2d": "batch_norm", "CrossEntropyLoss": "cross_entropy",
              "nn.LayerNorm": "layer_norm", "torch.nn.Linear": "linear", "nn.MSELoss": "mse_loss",
              "nn.LinearInt8": "linear_int8", "nn.MaxPool2d": "max_pool2d"}
    assert all(hasattr(nn, layer.rpartition(".")[2]) for layer in layers)
    for op, (_, just, perhaps) in zip(layers.values(), found(*layers), strict=True):
        assert op in just | perhaps


def test_nothing_typed_leaves_all_and_what_is_no_op_is_searched_elsewhere():
    nothing, lstm, conv1d = found("", "torch.nn.LSTM", "nn.functional.conv1d")
    assert nothing == ("", set(), set(TABLE))
    assert lstm == ("LSTM", set(), set())
    assert conv1d == ("conv1d", set(), set())
