"""Every layer once or more: how it is made, what goes in, what must come out, how it is shown."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import layer_oracles as by_hand
import numpy as np

import etude
from etude import nn


@dataclass(frozen=True)
class Case:
    """``inputs``: shapes, or arrays where they are not float. ``oracle(weights, *inputs)``."""

    make: Callable[..., nn.Module]  # takes dtype where the layer has parameters
    inputs: tuple[Any, ...]
    shown: str
    oracle: Callable[..., Any] | None  # None: random, see test_nn_layers.py
    modal: bool = False  # in training it does something else than in evaluation

    def arrays(self):
        """Distinct numbers, 0.05 apart and away from 0: nothing ties, no kink is near."""
        rng = np.random.default_rng(3)
        made = []
        for x in self.inputs:
            if isinstance(x, tuple):
                n = math.prod(x)
                x = rng.permutation(0.05 * (np.arange(n) - n // 2 + 0.37)).reshape(x)
            made.append(x)
        return made

    def layer(self, seed=0):
        """The layer in float64, its weights all drawn, those that start at 1 or 0 too."""
        etude.manual_seed(seed)
        layer = self.make().to("float64")
        rng = np.random.default_rng(seed)
        for p in layer.parameters():
            with etude.no_grad():
                p.copy_(etude.tensor(rng.uniform(-1, 1, p.shape)))
        return layer


def values(layer):
    return {k: t.numpy().copy() for k, t in layer.state_dict().items()}


def call(layer, *inputs):
    """The output, or the first of several; the same random numbers each time."""
    etude.manual_seed(1)
    y = layer(*inputs)
    return y[0] if isinstance(y, tuple) else y


def sequence(step, hidden, layers=1, batch_first=False):
    def oracle(w, x):
        x = x.swapaxes(0, 1) if batch_first else x
        y = by_hand.recurrent(step, w, x, layers, hidden)[0]
        return y.swapaxes(0, 1) if batch_first else y

    return oracle


TOKENS, LABELS = np.array([[0, 4], [2, 2]]), np.array([2, 0, 1, 1])
MASKED = np.array([2, 7, 1, 7])

CASES = [
    Case(lambda **kw: nn.Linear(3, 2, **kw), ((2, 2, 3),), "Linear(3, 2)", by_hand.linear),
    Case(lambda **kw: nn.Linear(3, 2, bias=False, **kw), ((4, 3),), "Linear(3, 2, bias=False)",
         by_hand.linear),
    Case(lambda **kw: nn.Conv2d(4, 2, (2, 3), (2, 1), (1, 0), (1, 2), 2, **kw), ((2, 4, 4, 6),),
         "Conv2d(4, 2, kernel_size=(2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), "
         "groups=2)", by_hand.conv2d((2, 1), (1, 0), (1, 2), 2)),
    Case(lambda **kw: nn.Conv2d(2, 2, 1, bias=False, **kw), ((1, 2, 2, 2),),
         "Conv2d(2, 2, kernel_size=1, bias=False)", by_hand.conv2d()),
    Case(lambda **kw: nn.Conv1d(2, 4, 3, 2, 1, 2, 2, **kw), ((2, 2, 7),),
         "Conv1d(2, 4, kernel_size=3, stride=2, padding=1, dilation=2, groups=2)",
         by_hand.conv1d(stride=2, padding=1, dilation=2, groups=2)),
    Case(lambda **kw: nn.Conv1d(1, 2, 2, bias=False, **kw), ((1, 1, 4),),
         "Conv1d(1, 2, kernel_size=2, bias=False)", by_hand.conv1d()),
    Case(lambda **kw: nn.Conv1d(2, 2, 3, padding="same", padding_mode="replicate", **kw),
         ((2, 2, 4),),
         "Conv1d(2, 2, kernel_size=3, padding='same', padding_mode='replicate')",
         lambda w, x: by_hand.conv1d()(w, np.pad(x, [(0, 0), (0, 0), (1, 1)], "edge"))),
    Case(lambda **kw: nn.Conv2d(1, 2, (2, 3), padding="same", **kw), ((1, 1, 3, 3),),
         "Conv2d(1, 2, kernel_size=(2, 3), padding='same')",
         lambda w, x: by_hand.conv2d()(w, np.pad(x, [(0, 0), (0, 0), (0, 1), (1, 1)]))),
    Case(lambda **kw: nn.ConvTranspose2d(2, 4, (2, 3), (2, 3), (1, 0), (1, 2), 2, True, (2, 1),
                                         **kw), ((2, 2, 3, 2),),
         "ConvTranspose2d(2, 4, kernel_size=(2, 3), stride=(2, 3), padding=(1, 0), "
         "output_padding=(1, 2), dilation=(2, 1), groups=2)",
         by_hand.conv_transpose2d((2, 3), (1, 0), (1, 2), (2, 1), 2)),
    Case(lambda **kw: nn.ConvTranspose2d(2, 1, 2, bias=False, **kw), ((1, 2, 2, 2),),
         "ConvTranspose2d(2, 1, kernel_size=2, bias=False)", by_hand.conv_transpose2d()),
    Case(lambda: nn.MaxPool2d((2, 3), (1, 2), (1, 0)), ((2, 2, 3, 5),),
         "MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0))",
         by_hand.pool(max, (2, 3), (1, 2), (1, 0), -math.inf)),
    Case(lambda: nn.AvgPool2d((2, 3), (1, 2), (1, 0)), ((2, 2, 3, 5),),
         "AvgPool2d((2, 3), stride=(1, 2), padding=(1, 0))",
         by_hand.pool(by_hand.mean, (2, 3), (1, 2), (1, 0), 0.0)),
    Case(lambda: nn.AvgPool2d(2), ((1, 2, 5, 4),), "AvgPool2d(2)",
         by_hand.pool(by_hand.mean, (2, 2), (2, 2), (0, 0), 0.0)),
    Case(lambda: nn.AdaptiveAvgPool2d((2, 3)), ((2, 2, 5, 4),), "AdaptiveAvgPool2d((2, 3))",
         by_hand.adaptive((2, 3))),
    Case(lambda: nn.AdaptiveAvgPool2d(1), ((2, 2, 3, 2),), "AdaptiveAvgPool2d(1)",
         by_hand.adaptive((1, 1))),
    Case(lambda **kw: nn.LayerNorm((3, 2), eps=0.1, **kw), ((2, 3, 2),),
         "LayerNorm((3, 2), eps=0.1)", by_hand.layer_norm(2, 0.1)),
    Case(lambda **kw: nn.LayerNorm(4, bias=False, **kw), ((3, 4),),
         "LayerNorm(4, eps=1e-05, bias=False)", by_hand.layer_norm(1)),
    Case(lambda **kw: nn.RMSNorm(4, **kw), ((2, 2, 4),), "RMSNorm(4, eps=None)",
         by_hand.rms_norm()),
    Case(lambda **kw: nn.RMSNorm(4, 0.5, False, **kw), ((3, 4),),
         "RMSNorm(4, eps=0.5, elementwise_affine=False)", by_hand.rms_norm(0.5)),
    Case(lambda **kw: nn.GroupNorm(2, 4, **kw), ((2, 4, 3),), "GroupNorm(2, 4, eps=1e-05)",
         by_hand.group_norm(2)),
    Case(lambda **kw: nn.GroupNorm(3, 3, 0.2, affine=False, **kw), ((2, 3, 2, 2),),
         "GroupNorm(3, 3, eps=0.2, affine=False)", by_hand.group_norm(3, 0.2)),
    Case(lambda **kw: nn.GroupNorm(2, 8, **kw), ((2, 8),), "GroupNorm(2, 8, eps=1e-05)",
         by_hand.group_norm(2)),
    Case(lambda **kw: nn.GroupNorm(1, 2, bias=False, **kw), ((2, 2, 3),),
         "GroupNorm(1, 2, eps=1e-05, bias=False)", by_hand.group_norm(1)),
    Case(lambda **kw: nn.BatchNorm1d(2, bias=False, **kw), ((5, 2),),
         "BatchNorm1d(2, eps=1e-05, momentum=0.1, bias=False)", by_hand.batch_norm, modal=True),
    Case(lambda **kw: nn.BatchNorm1d(2, **kw), ((5, 2),),
         "BatchNorm1d(2, eps=1e-05, momentum=0.1)", by_hand.batch_norm, modal=True),
    Case(lambda **kw: nn.BatchNorm1d(2, momentum=None, **kw), ((3, 2, 2),),
         "BatchNorm1d(2, eps=1e-05, momentum=None)", by_hand.batch_norm, modal=True),
    Case(lambda **kw: nn.BatchNorm2d(2, track_running_stats=False, **kw), ((2, 2, 2, 2),),
         "BatchNorm2d(2, eps=1e-05, momentum=0.1, track_running_stats=False)", by_hand.batch_norm),
    Case(lambda **kw: nn.Embedding(5, 3, **kw), (TOKENS,), "Embedding(5, 3)",
         lambda w, x: np.array([[w["weight"][i] for i in row] for row in x])),
    Case(lambda: nn.Identity(54, unused=0.1), ((3, 2),), "Identity()", lambda w, x: x),
    Case(lambda: nn.Flatten(0, 1), ((2, 3, 2),), "Flatten(start_dim=0, end_dim=1)",
         lambda w, x: x.reshape(6, 2)),
    Case(lambda: nn.Dropout(0.25), ((4, 5),), "Dropout(p=0.25)", None, modal=True),
    Case(nn.ReLU, ((3, 4),), "ReLU()", by_hand.each(lambda v: max(v, 0.0))),
    Case(nn.GELU, ((3, 4),), "GELU()",
         by_hand.each(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2)),
    Case(lambda: nn.GELU("tanh"), ((3, 4),), "GELU(approximate='tanh')",
         by_hand.each(by_hand.gelu_tanh)),
    Case(nn.Tanh, ((3, 4),), "Tanh()", by_hand.each(math.tanh)),
    Case(nn.Sigmoid, ((3, 4),), "Sigmoid()", by_hand.each(by_hand.sigmoid)),
    Case(nn.SiLU, ((3, 4),), "SiLU()", by_hand.each(lambda v: v * by_hand.sigmoid(v))),
    Case(lambda: nn.LeakyReLU(0.2), ((3, 4),), "LeakyReLU(negative_slope=0.2)",
         by_hand.each(lambda v: v if v > 0 else 0.2 * v)),
    Case(lambda: nn.ELU(1.5), ((3, 4),), "ELU(alpha=1.5)",
         by_hand.each(lambda v: v if v > 0 else 1.5 * math.expm1(v))),
    Case(lambda: nn.Softplus(2.0), ((3, 4),), "Softplus(beta=2.0, threshold=20.0)",
         by_hand.each(lambda v: math.log1p(math.exp(2 * v)) / 2)),
    Case(lambda: nn.Softplus(2.0, 0.3), ((3, 4),), "Softplus(beta=2.0, threshold=0.3)",
         by_hand.each(lambda v: v if 2 * v > 0.3 else math.log1p(math.exp(2 * v)) / 2)),
    Case(nn.Softmax, ((3, 4),), "Softmax(dim=-1)", by_hand.rows(by_hand.softmax)),
    Case(lambda: nn.LogSoftmax(1), ((3, 4),), "LogSoftmax(dim=1)",
         by_hand.rows(lambda r: [math.log(p) for p in by_hand.softmax(r)])),
    Case(nn.CrossEntropyLoss, ((4, 3), LABELS), "CrossEntropyLoss()", by_hand.cross_entropy()),
    Case(lambda: nn.CrossEntropyLoss(ignore_index=7, label_smoothing=0.2), ((4, 3), MASKED),
         "CrossEntropyLoss(ignore_index=7, label_smoothing=0.2)", by_hand.cross_entropy(0.2, 7)),
    Case(lambda: nn.CrossEntropyLoss(etude.tensor([0.5, 2.0, 0.25]), label_smoothing=0.2),
         ((4, 3), LABELS), "CrossEntropyLoss(label_smoothing=0.2)", by_hand.cross_entropy(0.2)),
    Case(nn.MSELoss, ((3, 2), (3, 2)), "MSELoss()",
         by_hand.over_pairs(lambda a, b: (a - b) ** 2, by_hand.mean)),
    Case(lambda: nn.L1Loss(reduction="sum"), ((3, 2), (3, 2)), "L1Loss(reduction='sum')",
         by_hand.over_pairs(lambda a, b: abs(a - b), math.fsum)),
    Case(nn.BCEWithLogitsLoss, ((3, 2), (3, 2)), "BCEWithLogitsLoss()",
         by_hand.binary_cross_entropy),
    Case(lambda: nn.BCEWithLogitsLoss(etude.tensor([[0.5], [2.0], [0.0]]),
                                      pos_weight=etude.tensor([0.25, 3.0])), ((3, 2), (3, 2)),
         "BCEWithLogitsLoss()", by_hand.binary_cross_entropy),
    Case(lambda **kw: nn.RNN(2, 3, 2, **kw), ((3, 2, 2),), "RNN(2, 3, num_layers=2)",
         sequence(by_hand.rnn_step, 3, 2)),
    Case(lambda **kw: nn.LSTM(2, 2, **kw), ((3, 2, 2),), "LSTM(2, 2)",
         sequence(by_hand.lstm_step, 2)),
    Case(lambda **kw: nn.GRU(2, 2, 2, bias=False, batch_first=True, **kw), ((2, 3, 2),),
         "GRU(2, 2, num_layers=2, bias=False, batch_first=True)",
         sequence(by_hand.gru_step, 2, 2, batch_first=True)),
    Case(lambda **kw: nn.MultiheadAttention(4, 2, batch_first=True, **kw), ((2, 3, 4),),
         "MultiheadAttention(4, num_heads=2, batch_first=True\n  (out_proj): Linear(4, 4)\n)",
         by_hand.attention(2)),
    Case(lambda **kw: nn.MultiheadAttention(2, 1, **kw), ((2, 1, 2), (3, 1, 2), (3, 1, 2)),
         "MultiheadAttention(2, num_heads=1\n  (out_proj): Linear(2, 2)\n)",
         lambda w, *given: by_hand.attention(1)(w, *(x.swapaxes(0, 1) for x in given))
         .swapaxes(0, 1)),
    Case(lambda **kw: nn.TransformerBlock(2, 2, widen=2, **kw), ((1, 3, 2),),
         "TransformerBlock(\n  (norm1): LayerNorm(2, eps=1e-05)\n"
         "  (attention): MultiheadAttention(2, num_heads=2, batch_first=True\n"
         "    (out_proj): Linear(2, 2)\n  )\n  (dropout): Dropout(p=0.0)\n"
         "  (norm2): LayerNorm(2, eps=1e-05)\n  (mlp): Sequential(\n    (0): Linear(2, 4)\n"
         "    (1): GELU(approximate='tanh')\n    (2): Linear(4, 2)\n    (3): Dropout(p=0.0)\n"
         "  )\n)", by_hand.transformer_block(2)),
]
