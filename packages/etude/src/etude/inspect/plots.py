"""Pictures of a run and of a search, with matplotlib (the extra ``etude[plots]``)."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from etude.data.files import write_atomically
from etude.train import History

INK, FAINT = "#22223b", "#8d8d99"
TRAINING, WATCHED, BEST = "#3d5a98", "#e07a1f", "#2a7f62"
STYLE: dict[Any, Any] = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left"}
WIDTH = 3.2  # inches for each setting of a search


class Trial(NamedTuple):
    """One run of a search."""

    number: int
    value: float
    settings: dict[str, Any]
    pruned: bool  # ended early


def losses(history: History, path: Path) -> None:
    """The loss of each step and epoch, and the accuracy where there is one, into ``path``."""
    watched = [e.validation or e.test for e in history.epochs]
    name = "validation" if history.epochs and history.epochs[0].validation else "test"
    accurate = bool(np.isfinite([e.accuracy for e in history.epochs]).any())
    per_epoch = len(history.loss) / max(len(history.epochs), 1)
    ends = [per_epoch * e.number for e in history.epochs]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9 if accurate else 5.5, 3.4), dpi=120, layout="constrained")
        axes = figure.subplots(1, 2 if accurate else 1, squeeze=False)[0]
        axes[0].plot(np.arange(1, len(history.loss) + 1), history.loss, color=TRAINING, alpha=0.25,
                     lw=0.7)
        for ax, what in zip(axes, ("loss", "accuracy"), strict=False):
            ax.plot(ends, [getattr(e, what) for e in history.epochs], color=TRAINING, marker="o",
                    ms=3, label="training")
            if any(watched):
                ax.plot(ends, [getattr(e, what) for e in watched], color=WATCHED, marker="o", ms=3,
                        label=name)
            ax.set_xlabel("step")
            ax.set_title(what)
            ax.legend(frameon=False)
        axes[0].set_yscale("log")
        save(figure, path)


def search(trials: Sequence[Trial], metric: str, log: Sequence[str], path: Path) -> None:
    """A search: the best so far after each trial, and the value over each setting.

    ``log`` names the settings that get a logarithmic axis.
    """
    keys = list(dict.fromkeys(key for t in trials for key in t.settings))
    done = [t for t in trials if not t.pruned]
    better = np.minimum if metric == "loss" else np.maximum
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * (len(keys) + 1), 3.2), dpi=120, layout="constrained")
        axes = figure.subplots(1, len(keys) + 1, squeeze=False, sharey=True)[0]
        _scatter(axes[0], trials, [t.number + 1 for t in trials])
        best = better.accumulate([t.value for t in done])
        axes[0].step([t.number + 1 for t in done], best, color=BEST, where="post",
                     label="best so far")
        axes[0].set(xlabel="trial", ylabel=metric)
        axes[0].legend(frameon=False)
        for ax, key in zip(axes[1:], keys, strict=True):
            there = [t for t in trials if key in t.settings]
            values = [t.settings[key] for t in there]
            if any(isinstance(v, (str, list, tuple, bool)) for v in values):
                words = sorted({str(v) for v in values})
                ax.set_xticks(range(len(words)), words, rotation=20)
                values = [words.index(str(v)) for v in values]
            elif key in log:
                ax.set_xscale("log")
            _scatter(ax, there, values)
            ax.set_xlabel(key)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a picture whole or not at all, in the format that its name ends with."""
    drawn = BytesIO()
    figure.savefig(drawn, format=path.suffix[1:])
    write_atomically(path, drawn.getvalue())


def _scatter(ax: Any, trials: Sequence[Trial], x: Sequence[Any]) -> None:
    """The value of each trial over its x; a cross for those that were pruned."""
    for pruned, colour, marker in ((False, TRAINING, "o"), (True, FAINT, "x")):
        at = [i for i, t in enumerate(trials) if t.pruned == pruned]
        if at:
            ax.scatter([x[i] for i in at], [trials[i].value for i in at], s=22, color=colour,
                       marker=marker, label="ended early" if pruned else None)
