"""Training: the loop, what it records, what may watch it, and how it goes on after a stop.

``loop.py`` is the loop to read first. ``run.py`` holds all that a run consists of, which is what a
checkpoint holds; ``record.py`` what a run leaves behind; ``callbacks.py`` early stopping and the
folder of checkpoints. The file format is in ``etude/checkpoint.py``.
"""

from etude.train.callbacks import Callback, Checkpoints, EarlyStopping
from etude.train.loop import evaluate, fit
from etude.train.record import Epoch, Evaluation, History
from etude.train.run import Run

__all__ = ["Callback", "Checkpoints", "EarlyStopping", "Epoch", "Evaluation", "History", "Run",
           "evaluate", "fit"]
