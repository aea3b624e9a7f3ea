"""Training: the loop, what it records, what may watch it, and how it goes on after a stop.

Read ``loop.py`` first: ``fit`` is the loop. ``run.py`` holds ``Run``, all that a run consists of
and therefore all that a checkpoint keeps; ``record.py`` holds ``History``, what a run leaves
behind; ``callbacks.py`` holds ``EarlyStopping`` and ``Checkpoints``, the folder that a stopped run
goes on from; ``tensorboard.py`` holds ``TensorBoard``, which writes files for that program. How a
checkpoint becomes a file is in ``checkpoint.py``.

A run from a TOML file: ``config.py`` says what may stand in the file, ``experiment.py`` makes a run
of it, and ``tuning.py`` searches for better settings.
"""

from etude.train.callbacks import Callback, Checkpoints, EarlyStopping
from etude.train.loop import evaluate, fit
from etude.train.record import Epoch, Evaluation, History
from etude.train.run import Run
from etude.train.tensorboard import TensorBoard

__all__ = ["Callback", "Checkpoints", "EarlyStopping", "Epoch", "Evaluation", "History", "Run",
           "TensorBoard", "evaluate", "fit"]
