"""Recurrent layers: RNN, LSTM, GRU, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads
from etude.onnx.values import ints, like, one_of

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
            return F.full((x.shape[1], self.size), 0.0, x.dtype, device=x.device)
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
