"""The mlp in Paddle: a Linear keeps its weight as inputs x outputs, the transpose of ours."""

import sys

import numpy as np
import paddle
from paddle import nn
from safetensors.numpy import load_file, save_file

there, batches, back = sys.argv[1:]
given = np.load(batches)
weights = load_file(there)
paths = sorted({name.rpartition(".")[0] for name in weights})
layers = [nn.Linear(64, 32), nn.Linear(32, 10)]
for path, layer in zip(paths, layers, strict=True):
    layer.weight.set_value(np.ascontiguousarray(weights[f"{path}.weight"].T))
    layer.bias.set_value(weights[f"{path}.bias"])
model = nn.Sequential(layers[0], nn.ReLU(), layers[1])
steps = paddle.optimizer.SGD(float(given["rate"]), parameters=model.parameters())
for x, y in zip(given["x"], given["y"], strict=True):
    nn.functional.cross_entropy(model(paddle.to_tensor(x)), paddle.to_tensor(y)).backward()
    steps.step()
    steps.clear_grad()
found = {}
for path, layer in zip(paths, layers, strict=True):
    found[f"{path}.weight"] = np.ascontiguousarray(layer.weight.numpy().T)
    found[f"{path}.bias"] = layer.bias.numpy()
save_file(found, back)
