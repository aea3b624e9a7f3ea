"""What ``etude bench`` found, as JSON, as tables, and as a picture.

The JSON holds all of it, and the others are made from it; so the documentation draws what was
measured elsewhere. It names the machine, the day, the versions and the number of threads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from etude.bench.memory import Peaks
from etude.bench.race import CAPTURED, EAGER, Lead, Row, Time, best_of
from etude.data.files import write_atomically
from etude.measure.roof import this_machine

FORMAT = 1  # of the JSON
PACKAGES = ("etude", "etude-cpu", "numpy", "torch", "jax", "onnxruntime")
MACHINE = ("processor", "cores", "system")
INK, FAINT, GRID = "#22223b", "#8d8d99", "#e6e6ec"
COLOURS = {"Etude captured": "#2a7f62", "Etude": "#3d5a98", "Etude reference": "#8d8d99",
           "NumPy": "#5f5f6e", "PyTorch": "#e07a1f", "torch.compile": "#c1292e",
           "jax.jit": "#7b4ea3", "onnxruntime": "#2d7fb8"}


@dataclass
class Report:
    """Races of one kind, and where and when they took place; of the kind "memory", peaks."""

    kind: str  # "steps", "inference", "ops", "memory"
    threads: int
    date: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=list)  # of Row, or of Peaks

    @classmethod
    def begin(cls, kind: str, threads: int) -> Self:
        """An empty one, of this machine and this day."""
        here = this_machine()
        return cls(kind, threads, datetime.now(UTC).isoformat(timespec="minutes"),
                   {k: here[k] for k in MACHINE if k in here}, _versions())

    def json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From what ``json`` wrote. OSError as from ``open``, ValueError for anything else."""
        try:
            state = json.loads(path.read_text())
            if state.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            of_kind = _row if state["kind"] != "memory" else lambda row: Peaks(**row)
            rows = [of_kind(row) for row in state.pop("rows")]
            return cls(rows=rows, **state)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not what etude bench --json writes ({error}); write it "
                             f"again") from None

    @property
    def where(self) -> str:
        """Day, machine, threads and versions, in one sentence."""
        about = ", ".join(f"{k} {v}" for k, v in self.versions.items())
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (f"{self.date[:16].replace('T', ' ')} UTC, {self.machine.get('processor', '?')}, "
                f"{threads}; {about}.")

    def sides(self) -> list[str]:
        """All that were timed, in a steady order."""
        there = {name for row in self.rows for name in row.times}
        return [name for name in COLOURS if name in there] + sorted(there - COLOURS.keys())

    def mean(self, side: str) -> tuple[float, int]:
        """(The geometric mean of what ``side`` leads by, of how many races). Only those that were
        judged count; (NaN, 0) if none was.
        """
        found = [lead.value for row in self.rows for lead in row.leads
                 if lead.side == side and not lead.why]
        if not found:
            return math.nan, 0
        return math.exp(sum(map(math.log, found)) / len(found)), len(found)


def _row(state: Any) -> Row:
    times = {name: Time(**time) for name, time in state.pop("times").items()}
    return Row(times=times, leads=[Lead(**lead) for lead in state.pop("leads")], **state)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# ------------------------------------------------------------------ in words


def short(seconds: float) -> str:
    """A time of three digits: "21.4 us", "3.02 ms"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def spread(time: Time) -> str:
    """The interval of a time, "+-3 %" of its middle; "once" where there were too few turns."""
    if time.low is None or time.high is None:
        return "once"
    return f"+-{(time.high - time.low) / 2 / time.seconds:.0%}"


def best_peer(row: Row) -> str:
    """The fastest side of a race that is not Etude's, or ""."""
    return best_of([n for n in row.times if n not in row.alone],
                   lambda name: row.times[name].seconds)


def verdicts(row: Row) -> list[str]:
    """What a race says, in sentences: who leads by how much, or why nothing is judged; and what was
    left out.
    """
    said = []
    why = next((lead.why for lead in row.leads if lead.why), "")
    judged = [lead for lead in row.leads if not lead.why]
    for lead in judged:
        said.append(f"{lead.side} is {lead.value:.2f} x as fast as {lead.over}, the best of the "
                    f"others ({lead.low:.2f} to {lead.high:.2f}).")
    if why:
        of = "Nothing is" if not judged else "The rest is not"
        said.append(f"{of} judged: {why}")
    if not row.leads:
        said.append("There is no other library to compare with: pip install torch jax onnxruntime")
    said += [f"Without {name}: {reason}." for name, reason in row.left_out.items()]
    return said


def means(report: Report) -> list[str]:
    """The geometric means, in sentences."""
    said = []
    for side in (CAPTURED, EAGER):
        mean, count = report.mean(side)
        races = sum(any(lead.side == side for lead in row.leads) for row in report.rows)
        if count:
            rest = f"; {races - count} were not judged" if races > count else ""
            said.append(f"{side} over the best of the others: geometric mean {mean:.2f} of {count} "
                        f"races{rest}.")
        elif races:
            said.append(f"{side} over the best of the others: none of {races} races was judged.")
    return said


def markdown(report: Report) -> str:
    """A table for a page: works down, sides across; in bold the best of the others."""
    sides = report.sides()
    heads = ["work", *sides, "captured over the best", "eager over the best"]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for row in report.rows:
        best = best_peer(row)
        cells = []
        for name in sides:
            text = f"{short(row.times[name].seconds)}" if name in row.times else ""
            cells.append(f"**{text}**" if name == best else text)
        led = {lead.side: lead for lead in row.leads}
        for side in (CAPTURED, EAGER):
            cells.append(_lead_cell(led.get(side)))
        lines.append(f"| {row.work} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _lead_cell(lead: Lead | None) -> str:
    if lead is None:
        return ""
    if lead.why:
        return "not judged"
    return f"{lead.value:.2f} ({lead.low:.2f} to {lead.high:.2f})"


# ------------------------------------------------------------------ the picture


def figure(reports: Sequence[Report]) -> Any:
    """A Figure of matplotlib: a line for each work, a dot for each side, across its speed as a
    multiple of the best of the others. Of several reports each line says whose it is, as a network
    is in more than one. ModuleNotFoundError without matplotlib.
    """
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.spines.left": False, "axes.edgecolor": FAINT, "text.color": INK,
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "svg.fonttype": "none",
        "font.family": "sans-serif"}
    told = [(report.kind, row) for report in reports for row in report.rows if row.times]
    rows = [row for _, row in told]
    names = [f"{kind}: {row.work}" if len(reports) > 1 else row.work for kind, row in told]
    with matplotlib.rc_context(style):
        made = Figure(figsize=(8.4, 1.2 + 0.3 * len(rows)), dpi=130, layout="constrained")
        ax = made.subplots()
        for at, row in enumerate(rows):
            _dots(ax, at, row)
        ax.axvline(1, color=INK, lw=1, zorder=1)
        ax.set(xscale="log", ylim=(len(rows) - 0.4, -0.6), yticks=range(len(rows)),
               xlabel="speed, as a multiple of the fastest library that is not Etude\n"
                      "(faint: not judged, the machine was busy)")
        ax.set_yticks(range(len(rows)), names)
        ax.xaxis.set_major_formatter(lambda value, at: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda value, at: "")
        ax.grid(True, axis="both", color=GRID, lw=0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_axisbelow(True)
        for name in COLOURS:
            if any(name in row.times for row in rows):
                ax.scatter([], [], s=36, color=COLOURS[name], label=name, lw=0)
        if rows:
            made.legend(frameon=False, loc="outside upper center", ncols=4)
    return made


def _dots(ax: Any, at: int, row: Row) -> None:
    base = best_peer(row) or next(iter(row.times))
    unsure = any(lead.why for lead in row.leads)
    for name, time in row.times.items():
        speed = row.times[base].seconds / time.seconds
        ax.scatter([speed], [at], s=36, color=COLOURS.get(name, INK), lw=0, zorder=3,
                   alpha=0.35 if unsure else 0.9)


def save(reports: Sequence[Report], path: Path) -> None:
    """Write the picture, as SVG or PNG by the name's end."""
    written = BytesIO()
    kind = path.suffix.removeprefix(".")
    figure(reports).savefig(written, format=kind, metadata={"Date": None} if kind == "svg" else {})
    drawn = written.getvalue()
    if kind == "svg":  # without what stands before it in a file: pages hold it as it is
        drawn = drawn[drawn.index(b"<svg"):]
    write_atomically(path, drawn)
