"""Optimisers, schedules and clipping: what turns gradients into steps.

Read ``optimizer.py`` first. The arithmetic of a step is an op, in ``ops/step.py``.
"""

from typing import Any

from etude.core.errors import no_such_name
from etude.optim.adam import Adam
from etude.optim.adamw import AdamW
from etude.optim.clip import clip_grad_norm_, clip_grad_value_
from etude.optim.optimizer import Optimizer
from etude.optim.rmsprop import RMSprop
from etude.optim.scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Scheduler,
    SequentialLR,
    StepLR,
)
from etude.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR",
           "OneCycleLR", "Optimizer", "RMSprop", "ReduceLROnPlateau", "Scheduler", "SequentialLR",
           "StepLR", "clip_grad_norm_", "clip_grad_value_"]

# "optim.adam" is a slip for optim.Adam, and no wish to see adam.py: the files are no names here.
for _file in {_class.lower() for _class in __all__} & (globals().keys() - set(__all__)):
    del globals()[_file]


def __getattr__(name: str) -> Any:
    raise no_such_name(__name__, name, __all__)
