"""The roofline: what is attainable at which intensity, on this machine, and where ops are.

Across is the intensity of an op, FLOP for each byte that it must move; up is its speed. The slope
is the memory's bandwidth, the flat part the peak of arithmetic: an op gets no further than the
roof. Source: Williams, Waterman and Patterson 2009, Roofline: an insightful visual performance
model, Communications of the ACM 52 (4).

On a terminal it is text; as a picture matplotlib draws it. ``peaks`` in ``roof.py`` finds the roof.
"""

from __future__ import annotations

import html
import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from etude.data.files import write_atomically
from etude.measure.roof import Peak, Peaks

FORMATS = (".svg", ".png", ".html")
WIDTH, HEIGHT = 64, 18  # of the text, in characters
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NAMED = 14  # dots that a picture names; the others show their names where a pointer rests
INK, FAINT, ROOF = "#22223b", "#8d8d99", "#3d5a98"
COLOURS = {"forward": "#2a7f62", "backward": "#c1292e", "optimiser": "#7b4ea3", "data": "#e07a1f",
           "captured": "#2d7fb8"}


@dataclass(frozen=True)
class Dot:
    """An op: its intensity, its speed in FLOP a second, and its share of the time, 0 to 1."""

    name: str
    intensity: float
    speed: float
    share: float = 0.0
    about: str = ""  # phase, dtype, column


def attainable(peak: Peak, intensity: float, dtype: str = "float32") -> float:
    """FLOP a second at an intensity."""
    flat = peak.float64 if dtype == "float64" else peak.float32
    return min(flat, intensity * peak.bandwidth)


class Roofline:
    """The roof of a machine, and dots under it. Print it, ``save`` it, or show it in a notebook."""

    def __init__(self, peaks: Peaks, dots: Sequence[Dot] = ()) -> None:
        self.peaks = peaks
        self.dots = sorted(dots, key=lambda dot: -dot.share)

    def _ranges(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top) of a picture, in FLOP a byte and FLOP a second."""
        peak = self.peaks.peaks[-1]
        ridge = peak.float32 / peak.bandwidth
        across = [0.1, 8 * ridge, *[d.intensity for d in self.dots]]
        left, right = min(across) / 1.5, max(across) * 1.5
        first = self.peaks.peaks[0]
        up = [attainable(first, left), *[d.speed for d in self.dots]]
        return left, right, min(up) / 1.5, 2.5 * peak.float32

    # -------------------------------------------------------------- as text

    def __str__(self) -> str:
        left, right, bottom, top = self._ranges()
        cells = [[" "] * WIDTH for _ in range(HEIGHT)]

        def row(speed: float) -> int:
            share = math.log(speed / bottom) / math.log(top / bottom)
            return min(HEIGHT - 1, max(0, HEIGHT - 1 - round(share * (HEIGHT - 1))))

        def column(intensity: float) -> int:
            return round(math.log(intensity / left) / math.log(right / left) * (WIDTH - 1))

        lowest_first = [self.peaks.peaks[0], self.peaks.peaks[-1]]
        for peak, flat in zip(lowest_first, ".-", strict=True):
            for x in range(WIDTH):
                at = left * (right / left) ** (x / (WIDTH - 1))
                speed = attainable(peak, at)
                slope = speed < peak.float32
                cells[row(speed)][x] = ("/" if flat == "-" else ".") if slope else flat
        shown = self.dots[: len(LETTERS)]
        for letter, dot in reversed(list(zip(LETTERS, shown))):
            cells[row(dot.speed)][column(dot.intensity)] = letter
        marks = {row(10.0**n): f"{10.0**(n - 9):g}" for n in range(3, 16)
                 if bottom <= 10.0**n <= top}
        lines = ["GFLOP/s"]
        lines += [f"{marks.get(i, ''):>7} |{''.join(line).rstrip()}" for i, line in
                  enumerate(cells)]
        lines.append(f"{'':>7} +{'-' * WIDTH}")
        labels = [" "] * (WIDTH + 10)
        for n in range(-3, 6):
            if left <= 10.0**n <= right:
                for i, c in enumerate(f"{10.0**n:g}"):
                    labels[column(10.0**n) + i] = c
        lines.append(f"{'':>9}{''.join(labels).rstrip()}   FLOP a byte")
        last = lowest_first[-1].threads
        lines.append(f"{'':>9}-/ {_threads(last)}" + (
            f"   . {_threads(1)}" if last > 1 else ""))
        for letter, dot in zip(LETTERS, shown):
            lines.append(f"  {letter}  {dot.name:<24} {dot.share:>6.1%} of the time  "
                         f"{1e-9 * dot.speed:>8.3g} GFLOP/s  {dot.about}")
        return "\n".join(lines)

    # -------------------------------------------------------------- as a picture

    def figure(self) -> Any:
        """A Figure of matplotlib. ModuleNotFoundError without it."""
        import matplotlib
        from matplotlib.figure import Figure

        style: dict[Any, Any] = {
            "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
            "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
            "xtick.color": INK, "ytick.color": INK, "svg.fonttype": "none",
            "font.family": "sans-serif"}
        with matplotlib.rc_context(style):
            figure = Figure(figsize=(8.4, 4.6), dpi=130, layout="constrained")
            ax = figure.subplots()
            left, right, bottom, top = self._ranges()
            ax.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom / 1e9, top / 1e9),
                   xlabel="intensity: FLOP for each byte that must move",
                   ylabel="GFLOP a second")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(lambda value, at: f"{value:g}")
            ax.grid(True, which="major", color="#e6e6ec", lw=0.6)
            ax.set_axisbelow(True)
            self._roofs(ax, left, right)
            self._scatter(ax)
            figure.canvas.draw()  # labels are placed by their size on the page
            self._names(ax)
            self._labels(ax)
        return figure

    def _roofs(self, ax: Any, left: float, right: float) -> None:
        for peak in self.peaks.peaks:
            whole = peak is self.peaks.peaks[-1]
            ridge = peak.float32 / peak.bandwidth
            ax.plot([left, ridge, right], [left * peak.bandwidth / 1e9, peak.float32 / 1e9,
                                           peak.float32 / 1e9], color=ROOF if whole else FAINT,
                    lw=2 if whole else 1, zorder=1)
        peak = self.peaks.peaks[-1]
        ax.plot([peak.float64 / peak.bandwidth, right], [peak.float64 / 1e9] * 2, color=ROOF,
                lw=0.9, ls=(0, (4, 3)), zorder=1)
        ax.annotate("float64", (right, peak.float64 / 1e9), xytext=(-2, -10), ha="right",
                    textcoords="offset points", fontsize=8, color=ROOF)

    def _names(self, ax: Any) -> None:
        """What each roof is, on top of it. A name that would cover the one below it moves up."""
        right, free = ax.get_xlim()[1], -math.inf
        for peak in sorted(self.peaks.peaks, key=lambda peak: peak.float32):
            y = ax.transData.transform((right, peak.float32 / 1e9))[1] * 72 / ax.figure.dpi
            up = max(4.0, free - y)
            free = y + up + 11
            ax.annotate(f"{_threads(peak.threads)}: {peak.float32 / 1e9:.0f} GFLOP/s, "
                        f"{peak.bandwidth / 1e9:.0f} GB/s", (right, peak.float32 / 1e9),
                        xytext=(-2, up), textcoords="offset points", ha="right", fontsize=8,
                        color=ROOF if peak is self.peaks.peaks[-1] else FAINT)

    def _scatter(self, ax: Any) -> None:
        for i, dot in enumerate(self.dots):
            drawn = ax.scatter([dot.intensity], [dot.speed / 1e9], s=(2 * _radius(dot)) ** 2,
                               color=_colour(dot), alpha=0.75, lw=0, zorder=3)
            drawn.set_gid(f"dot{i}")
        told = [phase for phase in COLOURS if any(d.about.startswith(phase) for d in self.dots)]
        for phase in told:
            ax.scatter([], [], s=30, color=COLOURS[phase], label=phase, lw=0)
        if told:
            # above the slope, where no op comes
            ax.legend(frameon=False, loc="upper left", title="area: share of the time in ops",
                      title_fontsize=8)

    def _labels(self, ax: Any) -> None:
        """Names beside the dots, the widest dots first, each where it covers no other, no dot and
        nothing else that is written; a dot in a crowd stays without.
        """
        from matplotlib.transforms import Bbox

        scale = ax.figure.dpi / 72
        written = [*ax.texts, *filter(None, [ax.get_legend()])]
        taken: list[Any] = [text.get_window_extent() for text in written]
        for dot in self.dots:
            x, y = ax.transData.transform((dot.intensity, dot.speed / 1e9))
            r = _radius(dot) * scale
            taken.append(Bbox.from_extents(x - r, y - r, x + r, y + r))
        for dot in self.dots[:NAMED]:
            for up, side in itertools.product((0, 10, -10, 20, -20, 30, -30), (1, -1)):
                name = ax.annotate(
                    dot.name, (dot.intensity, dot.speed / 1e9), fontsize=8, color=_colour(dot),
                    xytext=(side * (3 + _radius(dot)), up - 3), textcoords="offset points",
                    ha="left" if side > 0 else "right", zorder=4)
                box = name.get_window_extent()
                if not any(box.overlaps(other) for other in taken):
                    taken.append(box)
                    break
                name.remove()

    def svg(self) -> str:
        """The picture as text. A pointer that rests on a dot shows what it is."""
        written = BytesIO()
        self.figure().savefig(written, format="svg", metadata={"Date": None})
        text = written.getvalue().decode()
        text = text[text.index("<svg"):]
        for i, dot in enumerate(self.dots):
            title = html.escape(f"{dot.name} ({dot.about}): {1e-9 * dot.speed:.3g} GFLOP/s at "
                                f"{dot.intensity:.3g} FLOP a byte, {dot.share:.1%} of the time "
                                f"in ops")
            text = text.replace(f'<g id="dot{i}">', f'<g id="dot{i}"><title>{title}</title>', 1)
        return re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
                      r'<svg xmlns="http://www.w3.org/2000/svg" '
                      r'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" '
                      r'style="width: 100%; max-width: 900px; height: auto">', text, count=1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture, in the format that the name ends with. ValueError for another one,
        ModuleNotFoundError without matplotlib, OSError as from ``open``.
        """
        suffix = Path(path).suffix
        if suffix not in FORMATS:
            raise ValueError(f"{path}: a roofline is written as {', '.join(FORMATS)}, and the "
                             f"name of the file must end with one of them")
        if suffix == ".png":
            written = BytesIO()
            self.figure().savefig(written, format="png")
            data = written.getvalue()
        elif suffix == ".svg":
            data = self.svg().encode()
        else:
            data = (f"<!doctype html><meta charset='utf-8'><title>Roofline</title>"
                    f"<body style='font: 15px sans-serif; margin: 2em; color: {INK}'>"
                    f"<h1>Roofline</h1>{self._repr_html_()}"
                    f"<pre>{html.escape(str(self.peaks))}</pre></body>").encode()
        write_atomically(path, data)

    def _repr_html_(self) -> str:
        try:
            return self.svg()
        except ModuleNotFoundError:  # no matplotlib
            return f"<pre>{html.escape(str(self))}</pre>"


def _colour(dot: Dot) -> str:
    return COLOURS.get(dot.about.partition(",")[0], INK)


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"



def _radius(dot: Dot) -> float:
    """Of a dot, in points; its area is its share."""
    return math.sqrt(14 + 420 * dot.share) / 2
