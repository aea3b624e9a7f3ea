"""The mlp in Keras: a Dense layer keeps its kernel as inputs x outputs, the transpose of ours."""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from safetensors.numpy import load_file, save_file

there, batches, back = sys.argv[1:]
given = np.load(batches)
weights = load_file(there)
paths = sorted({name.rpartition(".")[0] for name in weights})
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, activation="relu"),
                          keras.layers.Dense(10)])
for path, layer in zip(paths, model.layers, strict=True):
    layer.set_weights([weights[f"{path}.weight"].T, weights[f"{path}.bias"]])
model.compile(optimizer=keras.optimizers.SGD(float(given["rate"])),
              loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
for x, y in zip(given["x"], given["y"], strict=True):
    model.train_on_batch(x, y)
found = {}
for path, layer in zip(paths, model.layers, strict=True):
    kernel, bias = layer.get_weights()
    found |= {f"{path}.weight": np.ascontiguousarray(kernel.T), f"{path}.bias": bias}
save_file(found, back)
