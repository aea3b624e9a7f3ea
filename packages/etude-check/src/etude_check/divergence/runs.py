"""What two runs of a program did: their op calls in order, and where they part.

``Recorder`` is the tap that follows a run, ``compare`` lays two runs side by side, ``Divergence``
is what ``first_divergence`` answers. Whether a single result is right is not decided here: see
``diagnose.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

import etude
import etude_check
from etude.core.columns import VIEW, Event
from etude.core.shapes import Spec
from etude.core.state import current
from etude.core.table import TABLE
from etude_check.divergence.reproducer import SCRIPT
from etude_check.report.record import Verdict

Array = np.ndarray[Any, Any]

#: An output that is smaller than its inputs by this factor has lost its digits to cancellation.
#: Drift is then measured against the inputs instead. (The gradient of a bias before a batch norm is
#: like that: 0 but for rounding.)
CANCELLED = 2.0**-10
PACKAGES = tuple(str(Path(str(package.__file__)).parent / "_")[:-1]
                 for package in (etude, etude_check))


@dataclass
class Divergence:
    """Where two backends part. ``kind`` says how, and what the other fields then mean:

    op        a result is out of its bound, given the same inputs
    raised    the second backend raised an exception where the first did not
    sequence  every op is right, but the two runs called different ops
    drift     every op is right, and yet the values have moved apart: the program itself magnifies
              rounding; ``ratio`` is the largest relative difference
    """

    kind: str
    message: str
    op: str = ""
    call: int = 0  # among all op calls of the run that are not views, from 1
    nth: int = 0  # among the calls of this op, from 1
    where: str = ""  # file:line of the program
    column: str = ""
    asked: str = ""  # the call in words
    verdict: Verdict | None = None
    output: str = ""
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None
    error: float | None = None
    bound: float | None = None
    ratio: float = 0.0
    wrong: int = 0  # elements out of their bounds
    size: int = 0  # of how many
    likely: str = ""
    saved: Path | None = None  # folder of the reproducer

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  line      {self.where}")
        if self.asked:
            lines.append(f"  asked     {self.asked}")
        if self.index is not None:
            at = f"{self.output}{list(self.index)}" if self.index else self.output
            lines += [f"  at        {at}, the worst of {self.wrong} wrong of {self.size}",
                      f"  expected  {self.expected:.9g}", f"  got       {self.got:.9g}",
                      f"  error     {self.error:.3g}, bound {self.bound:.3g}"
                      + (f" ({self.ratio:.3g} times)" if self.ratio < 1e12 else "")]
        if self.likely:
            lines.append(f"  likely    {self.likely}")
        if self.saved is not None:
            lines.append(f"  again     python {self.saved / SCRIPT}")
        return "\n".join(lines)


class Step(NamedTuple):
    """One op call of a run, as far as two runs are compared."""

    op: str
    specs: tuple[Any, ...]
    where: str
    column: str
    values: tuple[Array, ...]
    scale: float  # the largest magnitude that went in


class Recorder:
    """A tap that keeps the calls of a run. It leaves out views, and copies that only change the
    layout: backends may lay results out as they like.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def __call__(self, event: Event) -> None:
        if event.column == VIEW or event.op == "contiguous":
            return
        outputs = [host(y) for y in event.outputs]
        kept = tuple(np.array(y) if y.dtype.kind == "f" else np.empty(0) for y in outputs)
        scale = max((largest(a) for a in map(host, event.arrays) if isinstance(a, np.ndarray)),
                    default=0.0)
        self.steps.append(Step(event.op, tuple(Spec(y.shape, y.dtype) for y in outputs), line(),
                               event.column, kept, scale))


def host(a: Any) -> Any:
    """``a`` in the host's memory, unseen by taps."""
    return current(a.device).with_taps(()).download(a) if hasattr(a, "buffer") else a


def largest(a: Array) -> float:
    if a.dtype.kind != "f" or not a.size:
        return 0.0
    finite = np.abs(a[np.isfinite(a)])
    return float(finite.max(initial=0.0))


# ------------------------------------------------------------------ lines of the program


def _outside(name: str) -> bool:
    return not name.startswith(PACKAGES) and not name.endswith("contextlib.py")


def line() -> str:
    """``file:line`` of the innermost frame that is neither Etude nor the kit."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _outside(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def line_of(error: BaseException) -> str:
    found, trace = "", error.__traceback__
    while trace is not None:
        if _outside(name := trace.tb_frame.f_code.co_filename):
            found = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


# ------------------------------------------------------------------ two runs side by side


def compare(before: list[Step], after: list[Step], most: float) -> Divergence | None:
    """Runs whose every op is right: do they call the same ops, with nearly the same values?"""
    worst = Divergence("drift", "")
    part = next((i for i, (a, b) in enumerate(zip(before, after))
                 if (a.op, a.specs) != (b.op, b.specs)), min(len(before), len(after)))
    counts: Counter[str] = Counter()
    for i, (a, b) in enumerate(zip(before[:part], after[:part]), 1):
        counts[a.op] += 1
        for k, (x, y) in enumerate(zip(a.values, b.values, strict=True)):
            apart = _apart(x, y, a.scale)
            if apart > worst.ratio:
                name = TABLE[a.op].outputs[min(k, len(TABLE[a.op].outputs) - 1)].lstrip("*")
                worst = Divergence("drift", "", a.op, i, counts[a.op], b.where, b.column,
                                   output=name, ratio=apart)
    if part < max(len(before), len(after)):
        ends = [f"{s[part].op} {', '.join(map(str, s[part].specs))} at {s[part].where}"
                if part < len(s) else "nothing more" for s in (before, after)]
        return Divergence(
            "sequence", f"every op is within its bound, but the runs part at call {part + 1}: the "
            f"first backend went on with {ends[0]}, the second with {ends[1]}. Until there values "
            f"differ by {worst.ratio:.2g} at most", call=part + 1, ratio=worst.ratio,
            where=after[part].where if part < len(after) else "")
    if not worst.ratio > most:
        return None
    worst.message = (f"every op is within its bound, but values drift apart: {worst.output} of "
                     f"{worst.op} (call {worst.call} of the run, call {worst.nth} of {worst.op}) "
                     f"differs by {worst.ratio:.2g} of its largest element. The program magnifies "
                     f"rounding there or before")
    return worst


def _apart(x: Array, y: Array, scale: float) -> float:
    """The largest difference, relative to the largest element. Infinite if only one has a NaN."""
    if not x.size:
        return 0.0
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(all="ignore"):
        off = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y))
    if not np.isfinite(off).all():
        return float("inf")
    return float(off.max() / max(largest(x), CANCELLED * scale, 1e-300))
