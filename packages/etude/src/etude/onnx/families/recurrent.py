"""Recurrent layers: RNN, LSTM, GRU, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude.nn.recurrent import GRU, LSTM, RNN
from etude.onnx.record import whole
from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

#: The blocks of our weights in ONNX's order: i f g o is i o f c there, and r z n is z r h.
BLOCKS = {"nn.RNN": [0], "nn.LSTM": [0, 3, 1, 2], "nn.GRU": [1, 0, 2]}

differs("nn.LSTM, nn.GRU", "gates in the order i o f c, and z r h", "i f g o, and r z n",
        "handled: Split and Concat before the node, so that the weights keep their names")
differs("nn.GRU", "resets before the product unless linear_before_reset", "resets after it",
        "handled: linear_before_reset=1")
differs("nn.RNN, nn.LSTM, nn.GRU", "float64 is in the standard, and in no runtime",
        "float64 as well", "handled: float64 layers are written step by step")


def _says(layer: Any, x: Any, hx: Any = None) -> tuple[list[Any], dict[str, Any]]:
    """What the call of a layer reads: x, the first states or None, and its weights in order."""
    states = [hx] if hx is None or not isinstance(hx, (tuple, list)) else list(hx)
    states += [None] * (2 - len(states))
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if layer.bias else [])]
    weights = [getattr(layer, f"{kind}_l{i}{way}") for i in range(layer.num_layers)
               for way in layer.ways for kind in kinds]
    return [x, *states, *weights], {
        "hidden": layer.hidden_size, "layers": layer.num_layers, "ways": len(layer.ways),
        "bias": bool(layer.bias), "batch_first": bool(layer.batch_first),
        "nonlinearity": getattr(layer, "nonlinearity", "tanh")}


for _layer in (RNN, LSTM, GRU):
    whole(_layer, lambda layer: layer.weight_ih_l0.dtype == np.float32, _says)


def _recurrent(kind: str) -> None:
    @writes(f"nn.{kind}")
    def rule(call: Call, build: Build) -> list[str]:
        return _layers(kind, call, build)


for _kind in ("RNN", "LSTM", "GRU"):
    _recurrent(_kind)


def _layers(kind: str, call: Call, build: Build) -> list[str]:
    """One node for each layer, both ways in one. Sequences are (T, N, D) between them."""
    attrs, (x, h, c, *weights) = call.attrs, call.inputs
    alone, ways = len(call.shapes[0]) == 2, attrs["ways"]
    if alone:
        x = build.unsqueeze(x, 1)
        h, c = [None if s is None else build.unsqueeze(s, 1) for s in (h, c)]
    elif attrs["batch_first"]:
        x = build.node("Transpose", x, perm=[1, 0, 2])
    last: list[list[str]] = []
    per = len(weights) // attrs["layers"]
    for i in range(attrs["layers"]):
        own = weights[i * per : (i + 1) * per]
        first = [None if s is None else build.node(
            "Slice", s, build.ints(i * ways), build.ints((i + 1) * ways), build.ints(0))
            for s in (h, c)]
        x, states = _layer_node(kind, call, x, first, own, build)
        last.append(states)
    states = [parts[0] if len(parts) == 1 else build.node("Concat", *parts, axis=0)
              for parts in zip(*last, strict=True)]
    if alone:
        return [build.squeeze(x, 1), *[build.squeeze(s, 1) for s in states]]
    if attrs["batch_first"]:
        x = build.node("Transpose", x, perm=[1, 0, 2])
    return [x, *states]


def _layer_node(kind: str, call: Call, x: str, first: list[str | None], weights: list[str],
                build: Build) -> tuple[str, list[str]]:
    """(the h of every step (T, N, B H), the last states (B, N, H)) of one layer."""
    attrs = call.attrs
    ways, hidden = attrs["ways"], attrs["hidden"]
    per = len(weights) // ways
    sides = [[_in_order(w, call, build) for w in weights[i * per : (i + 1) * per]]
             for i in range(ways)]
    w, r = [_joined([side[i] for side in sides], build) for i in (0, 1)]
    b = None
    if attrs["bias"]:
        b = _joined([build.node("Concat", side[2], side[3], axis=0) for side in sides], build)
    how: dict[str, Any] = {"hidden_size": hidden}
    if ways == 2:
        how["direction"] = "bidirectional"
    if kind == "GRU":
        how["linear_before_reset"] = 1
    if kind == "RNN" and attrs["nonlinearity"] == "relu":
        how["activations"] = ["Relu"] * ways
    states = first if kind == "LSTM" else first[:1]
    y, *last = build.node(kind, x, w, r, b, None, *states, outputs=1 + len(states), **how)
    if ways == 1:
        return build.squeeze(y, 1), last
    y = build.node("Transpose", y, perm=[0, 2, 1, 3])  # T, N, B, H
    return build.node("Reshape", y, build.ints(0, 0, ways * hidden)), last


def _in_order(weight: str, call: Call, build: Build) -> str:
    """The blocks of a weight or a bias in ONNX's order."""
    blocks = BLOCKS[call.op]
    if len(blocks) == 1:
        return weight
    sizes = build.ints(*[call.attrs["hidden"]] * len(blocks))
    parts = build.node("Split", weight, sizes, outputs=len(blocks), axis=0)
    return build.node("Concat", *[parts[i] for i in blocks], axis=0)


def _joined(parts: list[str], build: Build) -> str:
    """One for each direction along a new first axis."""
    new = [build.unsqueeze(part, 0) for part in parts]
    return new[0] if len(new) == 1 else build.node("Concat", *new, axis=0)
