"""RNN, LSTM and GRU: layers that read a sequence step by step, written out in ops.

Legend: N sequences, T steps, D numbers in, H hidden numbers; B directions, 2 of a bidirectional
layer and else 1. Sequences are (T, N, D), as in PyTorch, or with ``batch_first=True`` (N, T, D);
one alone is (T, D). What x adds to the gates is one matrix product for all steps; only what h adds
has to wait for the step before, and is a loop.
"""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.creation import zeros
from etude.core.errors import ShapeError
from etude.core.given import integer, real
from etude.core.tensor import Tensor
from etude.functional.layers import dropped
from etude.nn.init import uniform_
from etude.nn.module import Module, parameter, tensor_of

State = tuple[Any, ...]  # h, or of an LSTM h and c

#: The settings that ``repr`` shows where they are not these.
PLAIN = {"num_layers": 1, "nonlinearity": "tanh", "bias": True, "batch_first": False,
         "dropout": 0.0, "bidirectional": False}


class _Recurrent(Module):
    """Stacked layers; each has weight_ih (gates H, D), weight_hh (gates H, H) and two biases,
    uniform in +-1/sqrt(H) at first, named weight_ih_l0 and so on as in PyTorch.

    A ``bidirectional`` layer reads the sequence from both ends, with weights of its own for the
    way back, weight_ih_l0_reverse and so on; the next layer gets both outputs side by side, so its
    D is 2 H. ``dropout`` is the share of elements dropped between two layers, in training.
    """

    gates: int  # how many blocks of H rows the weights have

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: Any = None) -> None:
        name = type(self).__name__
        input_size = integer(f"{name}: input_size", input_size, 0)
        hidden_size = integer(f"{name}: hidden_size", hidden_size, 1)
        num_layers = integer(f"{name}: num_layers", num_layers, 1)
        dropout = real(f"{name}: dropout", dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"{name}: dropout is the share of elements dropped "
                             f"between layers, 0 <= dropout < 1, got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional = bidirectional
        rows = self.gates * hidden_size
        for i in range(num_layers):
            columns = hidden_size * len(self.ways) if i else input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, columns), "weight_hh": (rows, hidden_size)}
            if bias:
                shapes["bias_ih"] = shapes["bias_hh"] = (rows,)
            for way in self.ways:
                for kind, shape in shapes.items():
                    p = parameter(*shape, device=device, dtype=dtype)
                    setattr(self, f"{kind}_l{i}{way}", p)
        self.reset_parameters()

    @property
    def ways(self) -> tuple[str, ...]:
        """The directions, by what the names of their weights end in."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def reset_parameters(self) -> None:
        """Draw the first values again."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p.detach(), -bound, bound)

    def step(self, gates_x: Tensor, state: State, w: Any, b: Any) -> State:
        """The state after one step, h first. gates_x: (N, gates H), what x adds to the gates."""
        raise NotImplementedError

    def start(self, x: Tensor) -> State:
        """The state before the first step, of one layer and direction."""
        return (zeros(x.shape[1], self.hidden_size, dtype=x.dtype, device=x.device),)

    def run(self, x: Tensor, given: State | None) -> tuple[Any, State]:
        """(outputs of the last layer, last states of all layers), from the states ``given``."""
        x = tensor_of(f"{type(self).__name__}: input", x)
        alone = x.ndim == 2
        y = self._steps(x, alone)
        first = self._first(y, given, alone)
        last: list[State] = []
        for i in range(self.num_layers):
            outputs = []
            for way in self.ways:
                hidden, state = self._read(y, first[len(last)], f"l{i}{way}", way == "_reverse")
                outputs.append(hidden)
                last.append(state)
            y = outputs[0] if len(outputs) == 1 else F.cat(outputs, -1)
            if i < self.num_layers - 1 and self.dropout and self.training:
                y = dropped(y, self.dropout, axis=1)  # y is (T, N, D)
        states = tuple([F.stack(part) for part in zip(*last, strict=True)])
        if alone:
            return y.squeeze(1), tuple([t.squeeze(1) for t in states])
        return (y.transpose(0, 1) if self.batch_first else y), states

    def _steps(self, x: Tensor, alone: bool) -> Any:
        """x as (T, N, D)."""
        name = type(self).__name__
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            layout = "(N, T, D)" if self.batch_first else "(T, N, D)"
            raise ShapeError(f"{name}: x must be {layout} or, one sequence, (T, D), with D = "
                             f"{self.input_size}, got {list(x.shape)}")
        y = x.transpose(0, 1) if self.batch_first and not alone else x
        if y.shape[0] == 0:
            raise ShapeError(f"{name}: the sequence has no steps, x {list(x.shape)}")
        return y.unsqueeze(1) if alone else y

    def _first(self, y: Tensor, given: State | None, alone: bool) -> list[State]:
        """The state that each layer and direction starts from, in the order of the weights."""
        count = self.num_layers * len(self.ways)
        if given is None:
            return [self.start(y)] * count
        batch = () if alone else (y.shape[1],)
        expected = (count, *batch, self.hidden_size)
        layout = f"({'2 ' if self.bidirectional else ''}num_layers, {'' if alone else 'N, '}H)"
        given = tuple([tensor_of(f"{type(self).__name__}: {name}", t)
                       for name, t in zip(("h_0", "c_0"), given, strict=False)])
        for name, t in zip(("h_0", "c_0"), given, strict=False):
            if t.shape != expected:
                raise ShapeError(f"{type(self).__name__}: {name} must be {layout} = "
                                 f"{list(expected)}, got {list(t.shape)}")
        whole = [t.unsqueeze(1) if alone else t for t in given]
        return [tuple([t[i] for t in whole]) for i in range(count)]

    def _read(self, y: Any, state: State, name: str, backwards: bool) -> tuple[Any, State]:
        """(h at every step, the last state) of the layer and direction with weights ``name``."""
        w_x, w_h, b_x, b_h = [getattr(self, f"{kind}_{name}", None)
                              for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        steps = list(F.split(F.linear(y, w_x, b_x), 1, 0))
        hidden = []
        for gates_x in reversed(steps) if backwards else steps:
            state = self.step(gates_x.squeeze(0), state, w_h, b_h)
            hidden.append(state[0])
        return F.stack(hidden[::-1] if backwards else hidden), state

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        y, (h,) = self.run(input, None if hx is None else (hx,))
        return y, h

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, plain in PLAIN.items():
            value = getattr(self, name, plain)  # only RNN has a nonlinearity
            if value != plain:
                text += f", {name}={value!r}"
        return text


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or ``nonlinearity="relu"`` in place of
    "tanh".  Source: Elman 1990.

    ``forward(input, hx=None)`` returns (y, h): y (T, N, B H), the h of the last layer at every
    step, the way back after the way forth; h (num_layers B, N, H), the last of every layer and
    direction. hx: the first h, of the shape of the last, or zeros. ``batch_first`` makes y
    (N, T, B H); for one sequence there is no N.
    """

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1,
                 nonlinearity: str = "tanh", bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, device, dtype)

    def step(self, gates_x: Tensor, state: State, w: Any, b: Any) -> State:
        sums = gates_x + F.linear(state[0], w, b)
        return (F.tanh(sums) if self.nonlinearity == "tanh" else F.relu(sums),)


class LSTM(_Recurrent):
    """i, f, g, o = the four blocks of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh;
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g);  h_t = sigmoid(o) tanh(c_t).

    ``forward(input, (h_0, c_0)=None)`` returns (y, (h, c)), shapes as in RNN. PyTorch's
    ``proj_size`` is refused. Source: Hochreiter and Schmidhuber 1997; forget gate: Gers et al.
    2000.
    """

    gates = 4

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int = 0, device: Any = None, dtype: Any = None) -> None:
        if proj_size:
            raise ValueError(f"LSTM: Etude's has no projection of h, so proj_size must be 0, got "
                             f"{proj_size}; a Linear after the layer makes its output smaller")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, device, dtype)

    def start(self, x: Tensor) -> State:
        return (*super().start(x), *super().start(x))

    def step(self, gates_x: Tensor, state: State, w: Any, b: Any) -> State:
        h, c = state
        i, f, g, o = F.split(gates_x + F.linear(h, w, b), self.hidden_size, 1)
        c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
        return F.sigmoid(o) * F.tanh(c), c

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError("LSTM: the first state is a pair of Tensors, (h_0, c_0)")
        return self.run(input, None if hx is None else tuple(hx))


class GRU(_Recurrent):
    """r, z, n = the three blocks;  r = sigmoid(x_r + h_r);  z = sigmoid(x_z + h_z);
    n = tanh(x_n + r h_n);  h_t = (1 - z) n + z h_{t-1}, where x_r, x_z, x_n are the blocks of
    W_ih x_t + b_ih, and h_r, h_z, h_n those of W_hh h_{t-1} + b_hh.

    ``forward(input, hx=None)`` returns (y, h), shapes as in RNN. Source: Cho et al. 2014, in the
    form of PyTorch, where the reset gate acts after the product.
    """

    gates = 3

    def step(self, gates_x: Tensor, state: State, w: Any, b: Any) -> State:
        h = state[0]
        x_r, x_z, x_n = F.split(gates_x, self.hidden_size, 1)
        h_r, h_z, h_n = F.split(F.linear(h, w, b), self.hidden_size, 1)
        z = F.sigmoid(x_z + h_z)
        n = F.tanh(x_n + F.sigmoid(x_r + h_r) * h_n)
        return (F.lerp(n, h, z),)
