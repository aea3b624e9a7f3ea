"""Training and evaluation: the loop, and the errors it stops with.

The loop is the one you would write by hand: predict, loss, backward, step. It uses the public
interface alone, so read it as an example. What a run consists of is
``Run`` (``run.py``), what it records ``History`` (``record.py``), and how progress is shown is in
``progress.py``.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Sequence, Sized
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from etude import functional as F
from etude import optim
from etude.core.given import in_order, integer
from etude.core.state import no_grad
from etude.data.files import uninterrupted
from etude.nn.module import Module
from etude.optim.clip import above_zero
from etude.optim.optimizer import Optimizer
from etude.train.callbacks import Callback, Checkpoints
from etude.train.lock import hold
from etude.train.progress import Report, show
from etude.train.record import Epoch, Evaluation, History, Mean, Metrics, measure, words
from etude.train.run import Batches, Loss, Run, check_batches
from etude.train.team import ALONE, Team


def fit(model: Module, loader: Batches, optimizer: Optimizer, loss: Loss = F.cross_entropy,
        epochs: int = 1, test: Batches | None = None, progress: bool = True, *,
        validation: Batches | None = None, metrics: Metrics | None = None,
        scheduler: optim.Scheduler | None = None, schedule: str = "epoch",
        clip_norm: float | None = None, callbacks: Sequence[Callback] = (),
        checkpoints: Checkpoints | None = None, resume: bool | str | Path = False,
        config: dict[str, Any] | None = None, team: Team = ALONE) -> History:
    """Train ``model`` on the batches (x, y) of ``loader``, and evaluate it on ``test`` after each
    epoch. ``validation`` takes its place, and then ``test`` is used once, at the end: data that
    choose when to stop or which rate to take cannot also say how good the model is.

    ``loss(model(x), y)`` gives the mean over the batch, as one number, and so does each of
    ``metrics``. ``scheduler`` steps once per "epoch" or per "step", as ``schedule`` says; one
    whose step takes a metric is told the loss (``Epoch.value``). ``clip_norm`` is the largest
    norm that the gradients together may have, above 0. ``progress`` shows a live bar where rich
    is installed and the output is a terminal, else a line for each epoch. Ctrl-C ends the
    training after the step at work: the model keeps what it learned, and the History says that it
    was interrupted.

    With ``checkpoints`` and ``resume=True`` the run goes on from the newest of them, if there is
    one; ``resume`` may also be the path of one. Model, data, optimizer and the rest must be made
    as they were before; then the resumed run equals one that was never stopped, bit for bit.
    ``config`` is JSON of yours that is kept in them; a run with another one is not resumed.

    ``team`` are the processes that share the work, each of which calls ``fit`` alike: see
    ``train/team.py``. One of them prints and writes. Ctrl-C ends the program there.

    Raises FloatingPointError for a loss that is not finite, before that batch changes the model;
    ValueError if the loader gives no batch; CheckpointError for a checkpoint that does not fit;
    FileExistsError for checkpoints of another run, FolderInUseError while that one is at work.
    """
    if schedule not in ("epoch", "step"):
        raise ValueError(f"fit: schedule must be 'epoch' or 'step', got {schedule!r}")
    epochs = integer("fit: epochs", epochs, 0)
    if clip_norm is not None:
        clip_norm = above_zero("fit: clip_norm", clip_norm)
    callbacks = [callback for callback in _watching(callbacks)
                 if team.leads or not callback.only_watches]
    _parts(model, loader, optimizer, loss)
    for name, given in (("loader", loader), ("test", test), ("validation", validation)):
        check_batches(f"fit: {name}", given)
    run = Run(model, loader, optimizer, loss, epochs, test, validation, metrics or {}, scheduler,
              callbacks, config, team)
    steps = len(loader) if isinstance(loader, Sized) else None
    with nullcontext() if checkpoints is None or not team.leads else hold(checkpoints.folder):
        origin = _start(run, checkpoints, resume)
        team.begin(run)
        with show(epochs, steps, progress and team.leads, run.step, team.size == 1) as report:
            if origin is not None:
                report.epoch(f"resumed from {origin}, after step {run.step}")
                if run.epoch > epochs and not run.stop:
                    report.epoch(f"it has done {run.epoch - 1} epochs already, of {epochs}, so "
                                 f"there is nothing left to train")
            try:
                _epochs(run, schedule, clip_norm, checkpoints, report)
            except KeyboardInterrupt:
                if team.size > 1:  # the others would wait for this one
                    raise
                run.history.interrupted = True
                report.epoch(f"stopped in epoch {run.epoch}, after {run.step} steps; the model "
                             f"keeps what it learned")
            finally:
                for callback in run.callbacks:
                    callback.on_end(run)
            for sentence in team.finish(run):
                report.epoch(sentence)
    return run.history


def _parts(model: Any, loader: Any, optimizer: Any, loss: Any) -> None:
    """TypeError for what fit is made of in another order, by name, or as a class."""
    order = "fit(model, loader, optimizer, loss=..., epochs=...)"
    if not isinstance(model, Module):
        raise TypeError(f"fit: a model comes first, got {_called(model)}; write {order}")
    if isinstance(loader, Optimizer):
        raise TypeError(f"fit: the loader comes before the optimizer; write {order}")
    if isinstance(optimizer, (str, type)) or not hasattr(optimizer, "zero_grad"):
        raise TypeError(f"fit: optimizer is an object, got {_called(optimizer)}; write "
                        f"optim.Adam(model.parameters(), lr=1e-3)")
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(f"fit: loss is a function, got {_called(loss)}; write "
                        f"loss=etude.functional.cross_entropy, or loss=nn.CrossEntropyLoss()")


def _watching(callbacks: Any) -> list[Callback]:
    """The callbacks as a list. TypeError for something else among them, such as a class."""
    found = in_order("fit: callbacks", callbacks)
    for one in found:
        if not isinstance(one, Callback):
            raise TypeError(f"fit: callbacks: give objects of subclasses of etude.train.Callback, "
                            f"such as EarlyStopping(patience=3); got {_called(one)}")
    return found


def _called(given: Any) -> str:
    """What was given, in words."""
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return repr(given) if isinstance(given, str) else type(given).__name__


def _epochs(run: Run, schedule: str, clip_norm: float | None, checkpoints: Checkpoints | None,
            report: Report) -> None:
    """Do what is left of the run."""
    per_step = run.scheduler if schedule == "step" else None
    per_epoch = run.scheduler if schedule == "epoch" else None
    while run.epoch <= run.epochs and not run.stop:
        if not _train(run, per_step, clip_norm, checkpoints, report):
            break
        epoch = _end_epoch(run)
        if per_epoch is not None:
            _step_scheduler(per_epoch, epoch)
        report.epoch(str(epoch))
        for callback in run.callbacks:
            callback.on_epoch(run)
        if checkpoints is not None:
            checkpoints.on_epoch(run)
    if run.stop:
        report.epoch(run.stop)
    if checkpoints is not None:
        checkpoints.finish(run)
    if run.validation is not None and run.test is not None:
        run.history.test = evaluate(run.model, run.test, run.loss, run.metrics, run.team)
        report.epoch(words(run.history.test, "test "))


def _train(run: Run, scheduler: optim.Scheduler | None, clip_norm: float | None,
           checkpoints: Checkpoints | None, report: Report) -> bool:
    """Do what is left of one epoch: a step for each batch. Returns False if a callback ended the
    run before the epoch was over.
    """
    run.model.train()
    start = time.perf_counter()
    for x, y in run.batches():
        # Ctrl-C waits for the end of the step: the model is always that of the step recorded.
        with uninterrupted():
            now = _step(run, x, y, scheduler, clip_norm, start)
        report.step(run.epoch, now)
        for callback in run.callbacks:
            callback.on_step(run)
        if checkpoints is not None:
            checkpoints.on_step(run)
        if run.stop:
            return False
        start = time.perf_counter()
    return True


def _step(run: Run, x: Any, y: Any, scheduler: optim.Scheduler | None, clip_norm: float | None,
          start: float) -> float:
    """One step, recorded in ``run`` as begun at ``start``. Returns its loss."""
    model, optimizer, history = run.model, run.optimizer, run.history
    # A metric that raises, raises before anything changes.
    value, found, samples = run.team.forward(run, x, y)
    now = found["loss"]
    if not math.isfinite(now):
        raise FloatingPointError(
            f"the loss is {now} in epoch {run.epoch}, step {run.batch + 1}. Try a smaller "
            f"learning rate; 'with etude.check_nan():' around the training names the first op "
            f"that makes a NaN")
    optimizer.zero_grad()
    run.team.backward(value)
    if clip_norm is not None:
        optim.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    if scheduler is not None:
        scheduler.step()
    run.mean.add(found, samples)
    run.batch += 1
    history.loss.append(now)
    history.accuracy.append(found["accuracy"])
    history.seconds.append(time.perf_counter() - start)
    run.seconds += history.seconds[-1]
    return now


def _end_epoch(run: Run) -> Epoch:
    """Evaluate the model, record the epoch, and put the run at the beginning of the next one."""
    trained = run.mean.result("train on")
    watched = run.test if run.validation is None else run.validation
    found = None
    if watched is not None:
        found = evaluate(run.model, watched, run.loss, run.metrics, run.team)
    epoch = Epoch(number=run.epoch, loss=trained.loss, accuracy=trained.accuracy,
                  seconds=run.seconds, metrics=trained.metrics,
                  test=found if run.validation is None else None,
                  validation=None if run.validation is None else found)
    with uninterrupted():
        run.history.epochs.append(epoch)
        run.epoch += 1
        run.batch, run.mean, run.seconds = 0, Mean(), 0.0
    return epoch


def evaluate(model: Module, loader: Batches, loss: Loss = F.cross_entropy,
             metrics: Metrics | None = None, team: Team = ALONE) -> Evaluation:
    """The loss, accuracy and ``metrics`` of ``model`` over the batches (x, y) of ``loader``, in
    eval mode and without gradients; the mode is as before afterwards. Each process of ``team``
    gives its part of the batches. ValueError if there is no batch.
    """
    check_batches("evaluate: loader", loader)
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    mean = Mean()
    try:
        with no_grad():
            for x, y in loader:
                if team.size > 1 and not len(x):  # the others have a sample of it, this one none
                    continue
                output = model(x)
                now = loss(output, y).item()
                mean.add({"loss": now, **measure(output, y, metrics or {})}, len(x))
    finally:
        for m, mode in modes:
            m.training = mode
    return team.gathered(mean).result("evaluate")


def _start(run: Run, checkpoints: Checkpoints | None, resume: bool | str | Path
           ) -> str | Path | None:
    """Resume if asked to. Returns the checkpoint it goes on from, or None."""
    if checkpoints is not None:
        return checkpoints.start(run, resume)
    if isinstance(resume, bool):
        if resume:
            raise ValueError("fit: resume=True goes on from the newest of its checkpoints, so it "
                             "needs checkpoints=; or give resume the path of one")
        return None
    run.restore(resume)
    return resume


def _step_scheduler(scheduler: Any, epoch: Epoch) -> None:
    """One step after an epoch. ``ReduceLROnPlateau`` wants to know the loss."""
    if "metrics" in inspect.signature(scheduler.step).parameters:
        scheduler.step(epoch.value("loss"))
    else:
        scheduler.step()
