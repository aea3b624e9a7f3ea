"""TensorBoard: a callback that writes what a run measures as TensorBoard's event files.

It writes and draws nothing; ``tensorboard --logdir runs`` shows it. What a run keeps for itself is
``History`` (``record.py``). The files are written by tensorboardX (the extra ``tensorboard``).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from etude.train.callbacks import Callback
from etude.train.record import Evaluation
from etude.train.run import Run


class TensorBoard(Callback):
    """Event files in ``folder``: for each step ``step/loss``, ``step/accuracy`` (where targets are
    classes), ``step/seconds`` and ``step/lr``, under the number of steps done; for each epoch the
    same names as ``train/...``, ``validation/...`` and ``test/...``, with the run's metrics.

    ``histograms=True`` adds the distribution of every parameter after each epoch, by its name. A
    run that is resumed goes on in the same folder, and TensorBoard hides what a stopped run wrote
    beyond its last checkpoint. Raises ModuleNotFoundError without tensorboardX.
    """

    only_watches = True

    def __init__(self, folder: str | Path, histograms: bool = False) -> None:
        try:
            import tensorboardX
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("TensorBoard: tensorboardX is not installed. pip install "
                                      "'etude[tensorboard]'", name=error.name) from None
        self.folder, self.histograms = Path(folder), histograms
        self._make = tensorboardX.SummaryWriter
        self._writer: Any = None

    def on_step(self, run: Run) -> None:
        history = run.history
        self._scalars(run, "step", {"loss": history.loss[-1], "accuracy": history.accuracy[-1],
                                    "seconds": history.seconds[-1]})
        for i, group in enumerate(run.optimizer.param_groups):
            name = "lr" if i == 0 else f"lr of group {i + 1}"
            self._scalars(run, "step", {name: group["lr"]})

    def on_epoch(self, run: Run) -> None:
        epoch = run.history.epochs[-1]
        trained = Evaluation(epoch.loss, epoch.accuracy, 0, epoch.metrics)
        for name, found in (("train", trained), ("validation", epoch.validation),
                            ("test", epoch.test)):
            if found is not None:
                self._scalars(run, name, {"loss": found.loss, "accuracy": found.accuracy,
                                          **found.metrics})
        if self.histograms:
            for path, p in run.model.named_parameters():
                self._open(run).add_histogram(path, p.detach().to("cpu").numpy(), run.step)
        self._open(run).flush()

    def on_end(self, run: Run) -> None:
        if run.history.test is not None:
            found = run.history.test
            self._scalars(run, "test", {"loss": found.loss, "accuracy": found.accuracy,
                                        **found.metrics})
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, run: Run) -> Any:
        """The writer, made at the first event. What lies in the folder from this step on is of a
        run that was stopped, and repeated from its checkpoint. Names have the step, since those
        that tensorboardX chooses (2.6.5) are the same for two files of one second.
        """
        if self._writer is None:
            again = self.folder.is_dir()
            self._writer = self._make(str(self.folder), purge_step=run.step if again else None,
                                      filename_suffix=f".{run.step}")
        return self._writer

    def _scalars(self, run: Run, group: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            if not math.isnan(value):  # an accuracy, where there are no classes
                self._open(run).add_scalar(f"{group}/{name}", value, run.step)
