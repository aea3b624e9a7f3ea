"""The work behind ``etude tour``: it trains on one backend, watches the ops, and compares with the
reference.

These are separate runs, so that none disturbs another. The training shows what is learned. Then
all backends take the same few steps in turns: first timed, with nothing watching, by ``compare`` in
``etude/measure/timing.py``, then under a receipt, which says what ran where and for how long. Steps
from the same weights on both sides say whether a backend computes what the reference computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from etude import data, models, optim
from etude.backends.use import use
from etude.commands.show import describe
from etude.core.random import manual_seed
from etude.core.state import no_grad
from etude.functional import cross_entropy, softmax
from etude.inspect.receipt import Receipt, receipt
from etude.measure import Comparison, Span, now
from etude.measure import compare as in_turns
from etude.train import Epoch, fit

BATCH, RATE = 16, 4e-3  # the rate falls to 0 over the training
TIMED = 16  # steps, timed in turns again and again
BUDGET = 3.0  # seconds for that
WATCHED = 20  # steps under the receipt
COMPARED = 40  # steps from equal weights, at the start of training and again at its end
#: How far the loss of one step may lie from the reference's, relative where the loss is above 1.
#: float32 rounds at 6e-8 and a loss sums some hundred such errors: 1e-6. A wrong kernel: 1e-2.
BOUND = 1e-4
#: How much less accurate than the reference a backend may end: 2 % of 355 digits are 7.
SLACK = 0.02


@dataclass
class Setting:
    """A model before its first step, with all that training needs. The seed decides all of it."""

    model: Any
    optimizer: Any
    train: Any
    test: Any

    def step(self, x: Any, y: Any) -> float:
        """One training step; returns the loss before it."""
        loss = cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def loss(self, x: Any, y: Any) -> float:
        with no_grad():
            return float(cross_entropy(self.model(x), y).item())

    def become(self, other: Setting) -> None:
        """Take over the weights and the optimiser's state of ``other``, wherever they are."""
        self.model.load_state_dict({k: t.to("cpu") for k, t in other.model.state_dict().items()})
        self.optimizer.load_state_dict(other.optimizer.state_dict())


def prepare(seed: int, device: str = "cpu") -> Setting:
    """lenet, AdamW and the digits, ready for the first step."""
    manual_seed(seed)
    model = models.lenet().to(device)
    train, test = data.digits()
    return Setting(model, optim.AdamW(model.parameters(), lr=RATE),
                   data.DataLoader(train, BATCH, shuffle=True, seed=seed, device=device),
                   data.DataLoader(test, len(test), device=device))


def accuracy(epoch: Epoch) -> float:
    """The share of the test digits that is read right; NaN if that was not measured."""
    return math.nan if epoch.test is None else epoch.test.accuracy


@dataclass
class Run:
    """What one backend did. ``error`` says why there is nothing, or nothing more."""

    column: str  # as use() takes it: a name or a path
    about: str = ""  # instruction set and threads
    error: str = ""
    loss: list[float] = field(default_factory=list)  # of each step
    epochs: list[Epoch] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)  # of each watched step
    probabilities: Any = None  # of the test digits, (N, 10)
    apart: float = math.nan  # the largest difference of a step from equal weights
    setting: Setting | None = None  # as training left it

    @property
    def backend(self) -> str:
        """Its name, for people."""
        return Path(self.column).name

    @property
    def accuracy(self) -> float:
        """The share of the test digits that is read right after the last epoch."""
        return accuracy(self.epochs[-1]) if self.epochs else math.nan

    def curve(self, reference: Run) -> tuple[float, int]:
        """The largest difference of the loss curves, and from which step (from 1) on they lie
        more than the bound apart; 0 for never.
        """
        gap = np.abs(np.subtract(self.loss, reference.loss))
        beyond = np.flatnonzero(gap > BOUND * np.maximum(1, reference.loss))
        first = int(beyond[0]) + 1 if beyond.size else 0
        return float(gap.max(initial=0)), first

    def calls(self) -> dict[str, int]:
        """Column -> how many ops of one training step it ran."""
        return self.receipts[-1].columns() if self.receipts else {}

    def milliseconds(self) -> dict[str, float]:
        """Op -> its time in one training step, the fastest; the dearest op first."""
        steps: list[dict[str, float]] = []
        for found in self.receipts:
            step: dict[str, float] = {}
            for row in found.rows():
                step[row.op] = step.get(row.op, 0.0) + 1e3 * row.seconds
            steps.append(step)
        fastest: dict[str, float] = {}
        for step in steps:
            for op, spent in step.items():
                fastest[op] = min(spent, fastest.get(op, math.inf))
        return dict(sorted(fastest.items(), key=lambda item: -item[1]))

    def problem(self, reference: Run) -> str:
        """Why this backend does not agree with the reference; "" if it does."""
        if self.error:
            return self.error
        if not self.apart <= BOUND:
            return (f"from equal weights a step of it differs by {self.apart:.2g}; {BOUND:g} is "
                    f"allowed")
        if not self.accuracy >= reference.accuracy - SLACK:
            return (f"it ends at {self.accuracy:.1%} of the test digits, the reference at "
                    f"{reference.accuracy:.1%}")
        return ""


def train(column: str, epochs: int, seed: int, report: Callable[[Run], None]) -> Run:
    """Train on ``column``. ``report`` hears of each epoch."""
    run = Run(column)
    try:
        with use(column, fallback=True) as chosen:
            run.about = describe(chosen.table.stack)
            setting = prepare(seed, chosen.device)
            run.setting = setting
            for epoch in range(epochs):
                setting.optimizer.param_groups[0]["lr"] = RATE * (1 - epoch / epochs)
                history = fit(setting.model, setting.train, setting.optimizer, epochs=1,
                              test=setting.test, progress=False)
                if history.interrupted:
                    raise KeyboardInterrupt
                run.loss += history.loss
                run.epochs += history.epochs
                report(run)
            run.probabilities = _probabilities(setting)
    except Exception as error:  # whatever a backend may do, the others have their turn
        run.error = f"{type(error).__name__}: {error}"
    return run


def _probabilities(setting: Setting) -> Any:
    setting.model.eval()
    with no_grad():
        parts = [softmax(setting.model(x)).to("cpu").numpy() for x, _ in setting.test]
    return np.concatenate(parts)


def time_steps(found: list[Run], seed: int) -> Comparison:
    """Time ``TIMED`` training steps of all backends, in turns. One that fails is left out, with the
    reason in its ``error``; if it is the reference, that is raised.
    """
    work = {run.column: _steps(run, seed) for run in found if not run.error}
    while True:
        try:
            return in_turns(work, BUDGET)
        except Exception:
            failed = [run.column for run in found if run.error and run.column in work]
            if not failed or failed[0] == found[0].column:
                raise
            del work[failed[0]]


def _steps(run: Run, seed: int) -> Callable[[], None]:
    """A function that takes training steps. What it raises is also in ``run.error``."""
    taken: list[tuple[Setting, list[Any]]] = []

    def steps() -> None:
        try:
            with use(run.column, fallback=True) as chosen:
                if not taken:
                    setting = prepare(seed, chosen.device)
                    taken.append((setting, list(islice(setting.train, TIMED))))
                setting, batches = taken[0]
                for x, y in batches:
                    setting.step(x, y)
        except Exception as error:
            run.error = f"{type(error).__name__}: {error}"
            raise

    return steps


def watch(found: list[Run], seed: int) -> str:
    """Fill in ``receipts``: the backends take watched steps in turns. Returns why the times in them
    are not to be compared, as a sentence, or "".
    """
    settings: dict[str, Setting] = {}
    for run in found:
        if not run.error:
            with use(run.column, fallback=True) as chosen:
                settings[run.column] = prepare(seed, chosen.device)
    batches = {column: list(islice(s.train, WATCHED + 2)) for column, s in settings.items()}
    start = now()
    for i in range(WATCHED + 2):
        for run in found:
            if not run.error:
                x, y = batches[run.column][i]
                _watched_step(run, settings[run.column], x, y, keep=i >= 2)
    busy = Span.between(start, now()).busy
    return f"This machine was busy while ops were timed: {busy}." if busy else ""


def _watched_step(run: Run, setting: Setting, x: Any, y: Any, keep: bool) -> None:
    """One step under a receipt. The first ones plan and allocate, and are not kept."""
    try:
        with use(run.column, fallback=True), receipt() as found:
            setting.step(x, y)
    except Exception as error:
        run.error = f"{type(error).__name__}: {error}"
        return
    if keep:
        run.receipts.append(found)


def compare(run: Run, reference: Run, seed: int) -> None:
    """Fill in ``run.apart``. On each batch both sides start from the same weights, say the loss,
    take one step and say the loss again. So a difference comes from the kernels of that step:
    forward, backward and optimiser. A difference between whole runs says less, because training
    amplifies the last bit of one step into something visible a few hundred steps later.
    """
    if run.error or run.setting is None or reference.setting is None:
        return
    try:
        with use(run.column, fallback=True) as chosen:
            twin = prepare(seed, chosen.device)
        ours = prepare(seed)
        fresh = _largest(run.column, twin, ours, sync=False)
        ours.become(reference.setting)
        trained = _largest(run.column, twin, ours, sync=True)
        run.apart = float(np.maximum(fresh, trained))  # NaN if either is
    except Exception as error:
        run.error = f"{type(error).__name__}: {error}"


def _largest(column: str, twin: Setting, ours: Setting, sync: bool) -> float:
    """The largest difference over some batches, NaN if there is one. Without ``sync`` the two sides
    are not made equal before the first batch: it shows whether the seed alone makes them so.
    """
    worst = 0.0
    for (x, y), (theirs, labels) in islice(zip(ours.train, twin.train, strict=True), COMPARED):
        with use(column, fallback=True):
            if sync:
                twin.become(ours)
            got = [twin.step(theirs, labels), twin.loss(theirs, labels)]
        with use("reference"):
            expected = [ours.step(x, y), ours.loss(x, y)]
        sync = True
        for e, g in zip(expected, got, strict=True):
            gap = abs(e - g) / max(1.0, abs(e))
            worst = float(np.maximum(worst, gap))  # a NaN stays
    return worst
