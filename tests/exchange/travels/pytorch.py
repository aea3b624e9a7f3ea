"""The mlp in PyTorch: names and layouts are the same."""

import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

there, batches, back = sys.argv[1:]
given = np.load(batches)
weights = load_file(there)
first, second = sorted({name.rpartition(".")[0] for name in weights})
layers = {first: nn.Linear(64, 32), second: nn.Linear(32, 10)}
for path, layer in layers.items():
    layer.load_state_dict({k: weights[f"{path}.{k}"] for k in ("weight", "bias")})
model = nn.Sequential(layers[first], nn.ReLU(), layers[second])
steps = torch.optim.SGD(model.parameters(), lr=float(given["rate"]))
for x, y in zip(torch.from_numpy(given["x"]), torch.from_numpy(given["y"]), strict=True):
    steps.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    steps.step()
save_file({f"{path}.{k}": w.contiguous() for path, layer in layers.items()
           for k, w in layer.state_dict().items()}, back)
