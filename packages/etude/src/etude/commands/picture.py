"""The picture that ``etude tour`` draws: loss curves, test digits, time per op."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from etude import data
from etude.commands import runs
from etude.commands.runs import Run
from etude.inspect.plots import save

INK, FAINT, RIGHT, WRONG = "#22223b", "#8d8d99", "#2a7f62", "#c1292e"
COLOURS = ["#3d5a98", "#e07a1f", "#7b4ea3", "#2a9d8f", "#c1292e"]
COLUMNS, ROWS = 10, 3  # of test digits
OPS = 10  # bars
LEAST = 1e-8  # where a difference of 0 is drawn
STYLE: dict[Any, Any] = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left"}


def draw(found: list[Run], path: Path, busy: str) -> None:
    """Write the picture of these runs, the reference first, to ``path``. ``busy`` says why no
    speeds are told, or is "".
    """
    done = [r for r in found if r.epochs]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 7.4), dpi=120, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1), squeeze=False)[0]
        upper, lower = left.subfigures(2, 1, height_ratios=(1.45, 1), squeeze=False)[:, 0]
        several = len(done) > 1
        axes = upper.subplots(2 if several else 1, 1, sharex=True, squeeze=False,
                              height_ratios=(2, 1) if several else (1,))[:, 0]
        _curves(axes[0], done)
        if several:
            _gaps(axes[1], done)
        axes[-1].set_xlabel("training step")
        _digits(lower, done[-1])
        if busy:
            _shares(right.subplots(), done, busy)
        else:
            _bars(right.subplots(), done)
        save(figure, path)


def _curves(ax: Any, done: list[Run]) -> None:
    for i, run in enumerate(done):
        steps = np.arange(1, len(run.loss) + 1)
        per_epoch = len(run.loss) // len(run.epochs)
        if i == 0:
            ax.plot(steps, run.loss, color=COLOURS[0], alpha=0.18, lw=0.7)
        ends = np.arange(1, len(run.epochs) + 1) * per_epoch
        ax.plot(ends, [e.loss for e in run.epochs], color=COLOURS[i % len(COLOURS)],
                lw=2.6 if i == 0 else 1.2, ls="-" if i == 0 else "--", marker="o", ms=3.5,
                label=f"{run.backend}: {run.accuracy:.1%} of the test digits")
    ax.set_yscale("log")
    ax.set_ylabel("loss")
    ax.set_title("Loss of each step (faint: the reference) and its mean over each epoch")
    ax.legend(frameon=False, loc="upper right")


def _gaps(ax: Any, done: list[Run]) -> None:
    for i, run in enumerate(done[1:], 1):
        gap = np.abs(np.subtract(run.loss, done[0].loss))
        ax.plot(np.arange(1, len(gap) + 1), np.maximum(gap, LEAST), ".", ms=2.5,
                color=COLOURS[i % len(COLOURS)])
    ax.axhline(runs.BOUND, color=FAINT, lw=0.8, ls=":")
    ax.text(1, runs.BOUND * 1.3, "allowed from equal weights", fontsize=7.5, color=FAINT)
    ax.set_yscale("log")
    ax.set_ylabel("apart")
    ax.set_ylim(LEAST / 2, max(1e-3, ax.get_ylim()[1]))
    ax.set_title("How far each step's loss lies from the reference's (bottom: equal)")


def _digits(figure: Any, run: Run) -> None:
    """Test digits: the wrong ones first, then others in order."""
    images, labels = data.digits("test").batch(np.arange(len(run.probabilities)))
    said = run.probabilities.argmax(1)
    wrong = np.flatnonzero(said != labels)[: COLUMNS * ROWS // 2]
    others = np.flatnonzero(said == labels)[: COLUMNS * ROWS - len(wrong)]
    figure.suptitle(f"Test digits as {run.backend} reads them; wrong are {np.sum(said != labels)} "
                    f"of {len(labels)}", x=0.01, ha="left", fontsize=10, fontweight="bold")
    axes = figure.subplots(ROWS, COLUMNS).ravel()
    for ax, i in zip(axes, [*wrong, *others], strict=False):
        ax.imshow(images[i, 0], cmap="Greys", vmin=0, vmax=1)
        good = said[i] == labels[i]
        ax.set_xlabel(f"{said[i]}" if good else f"{said[i]}, not {labels[i]}", labelpad=2,
                      color=RIGHT if good else WRONG, fontweight="normal" if good else "bold")
        ax.spines[:].set_visible(True)
        ax.spines[:].set_color(RIGHT if good else WRONG)
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])


def _bars(ax: Any, done: list[Run]) -> None:
    spent = [run.milliseconds() for run in done]
    names = list(spent[0])[:OPS]
    height = 0.8 / len(done)
    most = max(s.get(n, 0) for s in spent for n in names)
    for i, (run, times) in enumerate(zip(done, spent, strict=True)):
        at = np.arange(len(names)) + (i - (len(done) - 1) / 2) * height
        widths = [times.get(n, 0) for n in names]
        total = sum(times.values())
        ax.barh(at, widths, height * 0.9, color=COLOURS[i % len(COLOURS)],
                label=f"{run.backend}: {total:.2f} ms a step in ops")
        for y, w, name in zip(at, widths, names, strict=True):
            text = f"{w:.3f}" if w < 0.1 else f"{w:.2f}"
            text += f"   {_times(spent[0][name] / w)}" if i and w else ""
            ax.text(w + most * 0.01, y, text, va="center", fontsize=7.5, color=INK)
    ax.set_xlabel("milliseconds in one training step")
    _name_bars(ax, names)


def _shares(ax: Any, done: list[Run], busy: str) -> None:
    """Bars of each backend's own step, the whole being 100 %: nothing in them compares backends."""
    spent = [run.milliseconds() for run in done]
    names = list(spent[0])[:OPS]
    height = 0.8 / len(done)
    for i, (run, times) in enumerate(zip(done, spent, strict=True)):
        at = np.arange(len(names)) + (i - (len(done) - 1) / 2) * height
        total = sum(times.values()) or 1.0
        ax.barh(at, [100 * times.get(n, 0) / total for n in names], height * 0.9,
                color=COLOURS[i % len(COLOURS)], label=run.backend)
    ax.set_xlabel("percent of the same backend's step, roughly")
    _name_bars(ax, names, "\n".join(textwrap.wrap(f"No speeds are told. {busy}", 46)))


def _name_bars(ax: Any, names: list[str], note: str | None = None) -> None:
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()
    ax.set_title("Where the time goes: the dearest ops")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -0.06), title=note,
              alignment="left")


def _times(ratio: float) -> str:
    return f"{ratio:.0f} x" if ratio >= 10 else f"{ratio:.1f} x"
