"""Optimisers: what turns gradients into steps. The arithmetic is in ops/step.py."""

from etude.optim.adamw import AdamW
from etude.optim.optimizer import Optimizer
from etude.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "Optimizer"]
