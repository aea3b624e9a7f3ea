"""RNN, LSTM and GRU: layers that read a sequence step by step, written out in ops.

Legend: N sequences, T steps, D numbers in, H hidden numbers. Sequences are (T, N, D), as in
PyTorch, or with ``batch_first=True`` (N, T, D). What x adds to the gates is one matrix product for
all steps; only what h adds has to wait for the step before, and is a loop.
"""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.creation import zeros
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.tensor import Tensor
from etude.nn.init import uniform_
from etude.nn.module import Module, Parameter


class _Recurrent(Module):
    """Stacked layers; each has weight_ih (gates H, D), weight_hh (gates H, H) and two biases,
    uniform in +-1/sqrt(H) at first, named weight_ih_l0 and so on as in PyTorch.
    """

    gates: int  # how many blocks of H rows the weights have

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, dtype: Any = "float32") -> None:
        name = type(self).__name__
        input_size = integer(f"{name}: input_size", input_size, 0)
        hidden_size = integer(f"{name}: hidden_size", hidden_size, 1)
        num_layers = integer(f"{name}: num_layers", num_layers, 1)
        if not 0 <= dropout < 1:
            raise ValueError(f"{name}: dropout is the share of elements dropped "
                             f"between layers, 0 <= dropout < 1, got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        rows = self.gates * hidden_size
        for i in range(num_layers):
            columns = hidden_size if i else input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, columns), "weight_hh": (rows, hidden_size)}
            if bias:
                shapes["bias_ih"] = shapes["bias_hh"] = (rows,)
            for kind, shape in shapes.items():
                setattr(self, f"{kind}_l{i}", Parameter(zeros(shape, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p.detach(), -bound, bound)

    def _weights(self, layer: int) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}_l{layer}", None) for name in names]

    def step(self, gates_x: Tensor, state: tuple[Any, ...], w: Any, b: Any) -> tuple[Any, ...]:
        """The state after one step, h first. gates_x: (N, gates H), what x adds to the gates."""
        raise NotImplementedError

    def start(self, x: Tensor) -> tuple[Tensor, ...]:
        """The state before the first step, of one layer."""
        return (zeros(x.shape[1], self.hidden_size, dtype=x.dtype, device=x.device),)

    def run(self, x: Tensor,
            given: tuple[Any, ...] | None) -> tuple[Any, list[tuple[Any, ...]]]:
        """(outputs of the last layer, final state of each layer), from the states ``given``."""
        if x.ndim != 3 or x.shape[2] != self.input_size:
            layout = "(N, T, D)" if self.batch_first else "(T, N, D)"
            raise ShapeError(f"{type(self).__name__}: x must be {layout} with D = "
                             f"{self.input_size}, got {list(x.shape)}")
        y: Any = x.transpose(0, 1) if self.batch_first else x
        if y.shape[0] == 0:
            raise ShapeError(f"{type(self).__name__}: the sequence has no steps, x {list(x.shape)}")
        expected = (self.num_layers, y.shape[1], self.hidden_size)
        for name, t in zip(("h0", "c0"), given or (), strict=False):
            if t.shape != expected:
                raise ShapeError(f"{type(self).__name__}: {name} must be (num_layers, N, H) = "
                                 f"{list(expected)}, got {list(t.shape)}")
        final = []
        for i in range(self.num_layers):
            w_x, w_h, b_x, b_h = self._weights(i)
            state = self.start(y) if given is None else tuple(t[i] for t in given)
            steps = F.split(F.linear(y, w_x, b_x), 1, 0)
            hidden = []
            for gates_x in steps:
                state = self.step(gates_x.squeeze(0), state, w_h, b_h)
                hidden.append(state[0])
            y = F.stack(hidden)
            if i < self.num_layers - 1:
                y = F.dropout(y, self.dropout, self.training)
            final.append(state)
        return (y.transpose(0, 1) if self.batch_first else y), final

    def forward(self, x: Tensor, h0: Any = None) -> Any:
        y, final = self.run(x, None if h0 is None else (h0,))
        return y, F.stack([s[0] for s in final])

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, plain in (("num_layers", 1), ("bias", True), ("batch_first", False),
                            ("dropout", 0.0)):
            value = getattr(self, name)
            if value != plain:
                text += f", {name}={value}"
        return text


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).  Source: Elman 1990.

    ``forward(x, h0=None)`` returns (y, h): y (N, T, H) or (T, N, H), the h of the last layer at
    every step; h (num_layers, N, H), the last of every layer.
    """

    gates = 1

    def step(self, gates_x: Tensor, state: tuple[Any, ...], w: Any, b: Any) -> tuple[Any, ...]:
        return (F.tanh(gates_x + F.linear(state[0], w, b)),)


class LSTM(_Recurrent):
    """i, f, g, o = the four blocks of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh;
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g);  h_t = sigmoid(o) tanh(c_t).

    ``forward(x, (h0, c0)=None)`` returns (y, (h, c)), shapes as in RNN. Source: Hochreiter and
    Schmidhuber 1997; forget gate: Gers et al. 2000.
    """

    gates = 4

    def start(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*super().start(x), *super().start(x))

    def step(self, gates_x: Tensor, state: tuple[Any, ...], w: Any, b: Any) -> tuple[Any, ...]:
        h, c = state
        i, f, g, o = F.split(gates_x + F.linear(h, w, b), self.hidden_size, 1)
        c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
        return F.sigmoid(o) * F.tanh(c), c

    def forward(self, x: Tensor, h0: Any = None) -> Any:
        if h0 is not None and (isinstance(h0, Tensor) or len(h0) != 2):
            raise TypeError("LSTM: the first state is a pair of Tensors, (h0, c0)")
        y, final = self.run(x, h0)
        return y, (F.stack([s[0] for s in final]), F.stack([s[1] for s in final]))


class GRU(_Recurrent):
    """r, z, n = the three blocks;  r = sigmoid(x_r + h_r);  z = sigmoid(x_z + h_z);
    n = tanh(x_n + r h_n);  h_t = (1 - z) n + z h_{t-1}, where x_r, x_z, x_n are the blocks of
    W_ih x_t + b_ih, and h_r, h_z, h_n those of W_hh h_{t-1} + b_hh.

    ``forward(x, h0=None)`` returns (y, h), shapes as in RNN. Source: Cho et al. 2014, in the form
    of PyTorch, where the reset gate acts after the product.
    """

    gates = 3

    def step(self, gates_x: Tensor, state: tuple[Any, ...], w: Any, b: Any) -> tuple[Any, ...]:
        h = state[0]
        x_r, x_z, x_n = F.split(gates_x, self.hidden_size, 1)
        h_r, h_z, h_n = F.split(F.linear(h, w, b), self.hidden_size, 1)
        z = F.sigmoid(x_z + h_z)
        n = F.tanh(x_n + F.sigmoid(x_r + h_r) * h_n)
        return (F.lerp(n, h, z),)
