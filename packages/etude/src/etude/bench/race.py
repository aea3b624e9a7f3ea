"""Sides race at a work: what they compute is compared first, then they are timed in turns.

``etude.measure.compare`` times them and says when the machine was too busy to judge. A side that is
not installed, fails, or computes something else is left out, and the reason is kept. One that is so
slow that it would use up the time of all is timed alone, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from etude.bench import peers, works
from etude.bench.works import Work
from etude.measure import Comparison, Interval, compare

CAPTURED, EAGER, REFERENCE = "Etude captured", "Etude", "Etude reference"
NUMPY, TORCH, COMPILE, JAX, ONNX = "NumPy", "PyTorch", "torch.compile", "jax.jit", "onnxruntime"
#: How many answers are compared: the losses of steps, the second after one step of the optimiser.
ANSWERS = {"steps": 3, "inference": 1, "generation": 1}
#: How far they may lie from the reference's: of the largest, or of 1. float32 and another order of
#: summation give 1e-6 in a loss; AdamW's first steps are +-lr where a gradient is nearly 0, so that
#: its sign is noise, and make that 1e-4. A wrong kernel: 1e-2.
BOUND = 1e-3
TURNS = 20  # that a side should have within the time; one that is too slow for it is timed alone

Maker = Callable[[], Any]


def makers(kind: str, work: Work) -> dict[str, Maker]:
    """Side -> function that prepares it, for a kind of works. The first is what ratios are of."""
    if kind == "generation":
        return {EAGER: partial(works.generation, work, "cpu"),
                REFERENCE: partial(works.generation, work, "reference"),
                TORCH: partial(peers.torch_generation, work)}
    ours, torch = {"steps": (works.training, peers.torch_step),
                   "inference": (works.inference, peers.torch_inference)}[kind]
    found: dict[str, Maker] = {
        CAPTURED: partial(ours, work, "cpu", captured=True),
        EAGER: partial(ours, work, "cpu"),
        REFERENCE: partial(ours, work, "reference"),
        TORCH: partial(torch, work),
        COMPILE: partial(torch, work, compiled=True)}
    if kind == "inference":
        found[ONNX] = partial(peers.onnx_inference, work)
    elif work.kind == "mlp":
        found |= {NUMPY: partial(peers.numpy_step, work), JAX: partial(peers.jax_step, work)}
    return found


@dataclass(frozen=True)
class Time:
    """Seconds of a call: the median, and its 95 % interval; None where there were too few turns."""

    seconds: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, found: Interval, group: int = 1) -> Time:
        """From the seconds of ``group`` calls."""
        if not np.isfinite(found.width):
            return cls(found.middle / group, None, None)
        return cls(found.middle / group, found.low / group, found.high / group)


@dataclass(frozen=True)
class Lead:
    """How many times as fast a side of Etude is as the best of the others."""

    side: str
    over: str
    value: float
    low: float | None  # None where there were too few turns
    high: float | None
    why: str  # it is not judged, as a sentence; "" if it is


@dataclass
class Row:
    """What one race found."""

    work: str
    times: dict[str, Time] = field(default_factory=dict)
    alone: list[str] = field(default_factory=list)  # sides that were timed outside of the turns
    left_out: dict[str, str] = field(default_factory=dict)  # side -> why
    leads: list[Lead] = field(default_factory=list)
    apart: float = 0.0  # the largest difference of answers, of those that were timed


def race(kind: str, work: Work, seconds: float, say: Callable[[str], None]) -> Row:
    """Race all sides that are installed. ``seconds``: for the timing, without preparation."""
    row = Row(work.name)
    sides = _prepared(row, kind, work, makers(kind, work), say)
    say(f"{work.name}: timing")
    for side in sides.values():
        side.rate(works.TIMED)
    return timed(row, {n: s.group(work.group) for n, s in sides.items()}, work.group, seconds)


def _prepared(row: Row, kind: str, work: Work, wanted: Mapping[str, Maker],
              say: Callable[[str], None]) -> dict[str, Any]:
    """The sides that compute what the reference does, in the order of ``wanted``."""
    sides, answers = {}, {}
    for name in sorted(wanted, key=lambda name: name != REFERENCE):  # it comes first
        needed = peers.missing(name)
        if needed:
            row.left_out[name] = f"{needed} is not installed"
            continue
        say(f"{work.name}: {name}")
        try:
            side = wanted[name]()
            answers[name] = side.answers(ANSWERS[kind])
            sides[name] = side
        except Exception as error:
            if name == REFERENCE:  # nothing to compare with: the work itself is wrong
                raise
            row.left_out[name] = in_short(error)
    for name, answer in answers.items():
        gap = apart(answer, answers[REFERENCE])
        if not gap <= BOUND:
            row.left_out[name] = (f"it computes something else: its answers differ from the "
                                  f"reference's by {gap:.2g}, and {BOUND:g} is allowed")
            del sides[name]
        else:
            row.apart = max(row.apart, gap)
    return {name: sides[name] for name in wanted if name in sides}


def apart(got: Any, expected: Any) -> float:
    """The largest difference, as a share of the largest number that is expected, or of 1. NaN if
    there is one, infinite for another shape.
    """
    if np.shape(got) != np.shape(expected):
        return float("inf")
    size = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(np.subtract(got, expected, dtype=np.float64)).max(initial=0)) / size


def timed(row: Row, calls: Mapping[str, Callable[[], Any]], group: int, seconds: float) -> Row:
    """Fill in times and leads. ``calls``: each makes ``group`` calls of a side."""
    once = {name: _once(call) for name, call in calls.items()}
    together = {n: c for n, c in calls.items()
                if n not in (REFERENCE, NUMPY) or once[n] * TURNS * len(calls) < seconds}
    found = compare(together, seconds)
    for name in calls:
        if name in together:
            row.times[name] = Time.of(found.seconds(name), group)
        else:
            row.alone.append(name)
            row.times[name] = Time.of(compare({name: calls[name]}, 0.0).seconds(name), group)
    row.leads = leads(found)
    return row


def leads(found: Comparison) -> list[Lead]:
    """Of each side of Etude but the reference, over the best of the others; [] without others."""
    best = best_of(found.names, lambda name: found.seconds(name).middle)
    if not best:
        return []
    made = []
    for name in found.names:
        if name in (CAPTURED, EAGER):
            ratio = found.speed_up(name, best)
            low, high = (x if np.isfinite(x) else None for x in (ratio.low, ratio.high))
            made.append(Lead(name, best, ratio.value, low, high, ratio.why))
    return made


def best_of(names: Any, seconds: Callable[[str], float]) -> str:
    """The fastest side that is not Etude's, or "" if there is none."""
    return min((n for n in names if not n.startswith("Etude")), key=seconds, default="")


def _once(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_short(error: Exception) -> str:
    """Its first line; what compilers say is long."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
