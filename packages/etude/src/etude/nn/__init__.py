"""Layers: Tensors that are trained, and the functions that use them. Names are PyTorch's.

A layer holds parameters and says, in ``forward``, which ops to call; what the ops compute, and
where, it does not know. ``module.py`` is the frame, the other files are the layers.
"""

from etude import functional
from etude.nn import init
from etude.nn.activations import GELU, ReLU, Sigmoid, Tanh
from etude.nn.containers import Sequential
from etude.nn.conv import Conv2d, MaxPool2d
from etude.nn.dropout import Dropout
from etude.nn.linear import Flatten, Linear
from etude.nn.losses import CrossEntropyLoss
from etude.nn.module import Module, Parameter
from etude.nn.norm import LayerNorm

__all__ = ["GELU", "Conv2d", "CrossEntropyLoss", "Dropout", "Flatten", "LayerNorm", "Linear",
           "MaxPool2d", "Module", "Parameter", "ReLU", "Sequential", "Sigmoid", "Tanh",
           "functional", "init"]
