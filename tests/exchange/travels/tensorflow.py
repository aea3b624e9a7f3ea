"""The mlp in TensorFlow: variables, a tape, and a step compiled into a graph."""

import sys

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

there, batches, back = sys.argv[1:]
given = np.load(batches)
weights = {name: tf.Variable(w) for name, w in load_file(there).items()}
first, second = sorted({name.rpartition(".")[0] for name in weights})


@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        h = tf.nn.relu(tf.matmul(x, weights[f"{first}.weight"], transpose_b=True)
                       + weights[f"{first}.bias"])
        logits = tf.matmul(h, weights[f"{second}.weight"], transpose_b=True)
        logits += weights[f"{second}.bias"]
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    for w, slope in zip(weights.values(), tape.gradient(loss, list(weights.values())), strict=True):
        w.assign_sub(float(given["rate"]) * slope)


for x, y in zip(given["x"], given["y"], strict=True):
    step(tf.constant(x), tf.constant(y))
save_file({name: w.numpy() for name, w in weights.items()}, back)
