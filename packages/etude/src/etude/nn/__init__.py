"""Layers: Tensors that are trained, and the functions that use them. Names are PyTorch's.

A layer holds parameters and says, in ``forward``, which ops to call. It does not know how an op
computes, nor on which device. What formulas call x is the parameter ``input`` of ``forward``, the
name that PyTorch has for it. ``module.py`` holds ``Module`` and ``Parameter``, the frame; the
other files are the layers.
"""

from typing import Any

from etude.core.errors import no_such_name
from etude.nn import functional, init
from etude.nn.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from etude.nn.attention import MultiheadAttention
from etude.nn.cache import KeyValueCache
from etude.nn.containers import ModuleDict, ModuleList, Sequential
from etude.nn.conv import Conv1d, Conv2d, ConvTranspose2d
from etude.nn.dropout import Dropout
from etude.nn.embedding import Embedding
from etude.nn.linear import Flatten, Identity, Linear
from etude.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss
from etude.nn.module import Module, Parameter
from etude.nn.norm import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm
from etude.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from etude.nn.quantized import LinearInt8, quantize, quantize_weight
from etude.nn.recurrent import GRU, LSTM, RNN
from etude.nn.transformer import TransformerBlock

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "Identity",
    "KeyValueCache",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearInt8",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "TransformerBlock",
    "functional",
    "init",
    "quantize",
    "quantize_weight",
]

# "nn.linear" is a slip for nn.Linear, and no wish to see linear.py: the files are no names here.
for _file in {_class.lower() for _class in __all__} & (globals().keys() - set(__all__)):
    del globals()[_file]


def __getattr__(name: str) -> Any:
    raise no_such_name(__name__, name, __all__)
