"""Recurrent layers: RNN, LSTM, GRU, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.tensor import Tensor
from etude.nn.recurrent import GRU, LSTM, RNN
from etude.onnx.graph import Node
from etude.onnx.record import whole
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import filled, ints, like, one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


# Legend: T steps, N samples, I inputs, H hidden, G gates (1, 3 or 4), D directions.

_ACTIVATIONS = {"sigmoid": F.sigmoid, "tanh": F.tanh, "relu": F.relu}


class _Layer:
    """What RNN, GRU and LSTM have in common: attributes, weights by direction, the walk."""

    def __init__(self, node: Node, gates: int, usual: tuple[str, ...]) -> None:
        self.node, self.gates = node, gates
        self.size: int = node.get("hidden_size")
        word = one_of(node, "direction", "forward", "forward", "reverse", "bidirectional")
        self.backwards = {"forward": [False], "reverse": [True],
                          "bidirectional": [False, True]}[word]
        names = node.get("activations", usual * len(self.backwards))
        if node.get("activation_alpha") or node.get("activation_beta"):
            raise Refused("activations with an alpha or beta of their own")
        for name in names:
            if name.lower() not in _ACTIVATIONS:
                raise Refused(f"the activation {name!r}; Etude reads Sigmoid, Tanh and Relu")
        self.functions = [_ACTIVATIONS[name.lower()] for name in names]
        self.clip, self.batch_first = node.get("clip"), node.get("layout", 0)

    def activation(self, direction: int, which: int, z: Any) -> Any:
        if self.clip is not None:
            z = F.clamp(z, -self.clip, self.clip)
        count = len(self.functions) // len(self.backwards)
        return self.functions[direction * count + which](z)

    def run(self, x: Any, weights: list[Tensor | None], lengths: Tensor | None,
            begin: list[Tensor | None], step: Any) -> tuple[Any, ...]:
        """(Y, last states ...). ``step(direction, gates of x, states, weights)`` gives the states
        after one time step, the first of which is the output.
        """
        x = x.permute(1, 0, 2) if self.batch_first else x
        outputs, ends = [], []
        for d, backwards in enumerate(self.backwards):
            own = [None if w is None else w[d] for w in weights]
            states = [self.first(x, s, d) for s in begin]
            y, last = self.walk(d, x, own, lengths, states, step, backwards)
            outputs.append(y)
            ends.append(last)
        y = F.stack(outputs, 1)  # (T, D, N, H)
        last = [F.stack(list(part), 0) for part in zip(*ends, strict=True)]  # (D, N, H)
        if self.batch_first:
            return (y.permute(2, 0, 1, 3), *[part.permute(1, 0, 2) for part in last])
        return (y, *last)

    def first(self, x: Any, state: Tensor | None, d: int) -> Any:
        if state is None:
            return filled(x, (x.shape[1], self.size), 0.0)
        return state[:, d] if self.batch_first else state[d]

    def walk(self, d: int, x: Any, own: list[Any], lengths: Tensor | None, states: list[Any],
             step: Any, backwards: bool) -> tuple[Any, list[Any]]:
        """One direction. Beyond the end of a sequence its states stay and its outputs are 0."""
        weight, recurrent, bias = own[:3]
        steps, batch = x.shape[:2]
        sizes = np.full(batch, steps) if lengths is None else np.array(ints(lengths))
        time = np.arange(steps)[:, None]
        order = np.where(time < sizes, sizes - 1 - time, time) if backwards else None
        if order is not None:
            x = _reordered(x, order)
        half = self.gates * self.size
        b = None if bias is None else bias[:half]
        gates = F.linear(x, weight, b)  # of all steps at once
        given = (recurrent, None if bias is None else bias[half:], *own[3:])
        found = []
        for t in range(steps):
            new = step(d, gates[t], states, given)
            if (sizes > t).all():
                states, out = new, new[0]
            else:
                alive = like(x, sizes > t, bool).reshape(batch, 1)
                states = [F.where(alive, n, s) for n, s in zip(new, states, strict=True)]
                out = F.where(alive, new[0], 0.0)
            found.append(out)
        y = F.stack(found, 0)
        return (y if order is None else _reordered(y, order)), states


def _reordered(x: Any, order: np.ndarray[Any, Any]) -> Any:
    """x (T, N, ...) with step order[t, n] of each sample at t."""
    steps, batch = x.shape[:2]
    rows = like(x, order * batch + np.arange(batch), np.int64).reshape(-1)
    return F.index_select(x.reshape(steps * batch, *x.shape[2:]), 0, rows).reshape(x.shape)


@reads("RNN", since=7)
def _rnn(node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None,
         lengths: Tensor | None = None, h: Tensor | None = None) -> Any:
    layer = _Layer(node, 1, ("Tanh",))

    def step(d: int, gates: Any, states: list[Any], given: tuple[Any, ...]) -> list[Any]:
        return [layer.activation(d, 0, gates + F.linear(states[0], *given))]

    return layer.run(x, [w, r, b], lengths, [h], step)


@reads("GRU", since=7)
def _gru(node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None,
         lengths: Tensor | None = None, h: Tensor | None = None) -> Any:
    """Gates in the order z, r, h. With ``linear_before_reset`` the reset gate meets the product
    with the weight, as in PyTorch; without it the state before that product.
    """
    layer, after = _Layer(node, 3, ("Sigmoid", "Tanh")), node.get("linear_before_reset", 0)
    size = layer.size

    def step(d: int, gates: Any, states: list[Any], given: tuple[Any, ...]) -> list[Any]:
        state, (weight, bias) = states[0], given
        parts = [None, None] if bias is None else [bias[: 2 * size], bias[2 * size :]]
        two = gates[:, : 2 * size] + F.linear(state, weight[: 2 * size], parts[0])
        z, reset = F.split(layer.activation(d, 0, two), size, 1)
        new, third = gates[:, 2 * size :], weight[2 * size :]
        if after:
            new = new + reset * F.linear(state, third, parts[1])
        else:
            new = new + F.linear(reset * state, third, parts[1])
        new = layer.activation(d, 1, new)
        return [(1.0 - z) * new + z * state]

    return layer.run(x, [w, r, b], lengths, [h], step)


@reads("LSTM", since=7)
def _lstm(node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None,
          lengths: Tensor | None = None, h: Tensor | None = None, c: Tensor | None = None,
          p: Tensor | None = None) -> Any:
    """Gates in the order i, o, f, c; p: peepholes (D, 3H) of i, o, f."""
    layer = _Layer(node, 4, ("Sigmoid", "Tanh", "Tanh"))
    if node.get("input_forget", 0):
        raise Refused("input_forget = 1")
    size = layer.size

    def step(d: int, gates: Any, states: list[Any], given: tuple[Any, ...]) -> list[Any]:
        state, cell = states
        weight, bias, peep = given
        i, o, f, g = F.split(gates + F.linear(state, weight, bias), size, 1)
        if peep is not None:
            i, f = i + peep[:size] * cell, f + peep[2 * size :] * cell
        i, f = layer.activation(d, 0, i), layer.activation(d, 0, f)
        cell = f * cell + i * layer.activation(d, 1, g)
        if peep is not None:
            o = o + peep[size : 2 * size] * cell
        return [layer.activation(d, 0, o) * layer.activation(d, 2, cell), cell]

    return layer.run(x, [w, r, b, p], lengths, [h, c], step)


differs("LSTM, GRU", "gates in the order i, o, f, c and z, r, h", "i, f, g, o and r, z, n",
        "handled: read in ONNX's order")
differs("GRU", "`linear_before_reset` 0 or 1", "1, as in PyTorch", "handled: both are read")


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
    y, *last = build.several(kind, x, w, r, b, None, *states, outputs=1 + len(states), **how)
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
    parts = build.several("Split", weight, sizes, outputs=len(blocks), axis=0)
    return build.node("Concat", *[parts[i] for i in blocks], axis=0)


def _joined(parts: list[str], build: Build) -> str:
    """One for each direction along a new first axis."""
    new = [build.unsqueeze(part, 0) for part in parts]
    return new[0] if len(new) == 1 else build.node("Concat", *new, axis=0)
