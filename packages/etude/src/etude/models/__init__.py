"""Models, each a page of code."""

from etude.models.char_rnn import char_rnn
from etude.models.gpt import gpt
from etude.models.lenet import lenet
from etude.models.mlp import mlp
from etude.models.resnet import resnet20

__all__ = ["char_rnn", "gpt", "lenet", "mlp", "resnet20"]
