#!/usr/bin/env bash
# A model that is exported before it is trained: its zero biases are one bias, or none, in the file.
#
# Versions   torch 2.14.1, onnx 1.23.2, onnxscript 0.7.2, numpy 2.4.6.
# Expected   The pages of torch.onnx.export: parameters become initializers of the file, under their
#            names. Two layers have two weights and two biases.
# Seen       Two Linear layers whose biases start at 0. The traced exporter (dynamo=False) writes one
#            bias; that of the second layer is the Identity of the first. Two BatchNorm layers
#            likewise have one weight, without constant folding. The exporter that is the default
#            (dynamo=True) writes no bias at all: its Gemm has two inputs, and its optimizer has
#            dropped an input of zeros. With training=TrainingMode.PRESERVE the traced exporter
#            writes all four. The outputs are right in each case.
# Matters    Outputs cannot tell, so no comparison of runtimes does. Whoever loads the file to train
#            it (the usual start of a course, or of federated training) trains one bias for two
#            layers, or none, and gets another model than PyTorch does from its second step on.
#            Export with training=PRESERVE and dynamo=False, or give the biases different numbers.
# Source     The pull requests pytorch 68202 (the first pass that merges initializers) and 192607
#            (on merging by value). No page was found that speaks of training afterwards.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6

cd "$work"
"$work/venv/bin/python" -W ignore - 2>"$work/log" <<'PYTHON' || { cat "$work/log"; exit 1; }
import sys

import onnx
import torch
from torch import nn
from torch.onnx import TrainingMode


def linear():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    for layer in (model[0], model[2]):
        nn.init.zeros_(layer.bias)
    return model


def norms():
    return nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), nn.BatchNorm1d(3)).eval()


def written(model, **how):
    """The parameters of the model that are initializers of the file."""
    torch.onnx.export(model, (torch.randn(4, 3),), "model.onnx", verbose=False, **how)
    there = {i.name for i in onnx.load("model.onnx").graph.initializer}
    return [name for name, _ in model.named_parameters() if name in there]


torch.manual_seed(0)
every = ["0.weight", "0.bias", "2.weight", "2.bias"]
found = {
    "Linear, traced": written(linear(), dynamo=False),
    "Linear, dynamo": written(linear(), dynamo=True),
    "Linear, traced, PRESERVE": written(linear(), dynamo=False, training=TrainingMode.PRESERVE),
    "BatchNorm, traced": written(norms(), dynamo=False, do_constant_folding=False),
}
for name, there in found.items():
    print(f"{name:26} has {', '.join(there)}")
expected = {
    "Linear, traced": every[:3],
    "Linear, dynamo": ["0.weight", "2.weight"],
    "Linear, traced, PRESERVE": every,
    "BatchNorm, traced": every[:2],
}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON
