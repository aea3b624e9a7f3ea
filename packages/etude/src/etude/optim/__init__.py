"""Optimisers, schedules and clipping: what turns gradients into steps.

Read ``optimizer.py`` first. The arithmetic of a step is an op, in ``ops/step.py``.
"""

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
