"""Ops one by one, beside NumPy (the reference) and, where it is installed, PyTorch: who is faster,
and how far from the speed of memory is it?

Both get the same arrays, and what they give is compared before it is timed. Turns are short, since
there are hundreds of cases. With one thread the clock is the CPU time of the thread, so that
waiting for a core does not count; with more it is the wall. "memory" is the share of the bandwidth
that ``etude.measure.peaks`` finds here, of the bytes that an op must read and write.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import etude
from etude.bench import calls, peers
from etude.bench.race import EAGER, NUMPY, TORCH, Lead, Row, Time, in_short
from etude.core.table import TABLE
from etude.measure import Interval, Span, median_interval, now

SAMPLE = 0.003  # seconds that one side runs in one turn, at least
SETTLE = 0.001  # seconds that it runs before, unmeasured, if there are threads that must calm down
TURNS = 25
ALONE, AS_PEER = 3, 7  # turns of NumPy, beside PyTorch and without it: an interval takes six
FEWER = 15  # where there are hundreds of cases
RELATIVE, ABSOLUTE = 2e-4, 2e-5  # how far results may differ; the second is of the largest number
#: At least as fast as the other side, give or take; or most of what memory can do.
PASSES, PASSES_LOW, ENOUGH_OF_MEMORY = 1.0, 0.95, 0.85


@dataclass(frozen=True)
class Found:
    """What the timing of one case says."""

    name: str
    shape: tuple[int, ...]
    seconds: dict[str, Interval]  # side -> seconds of a call
    over: str  # the other side: PyTorch, or else NumPy
    ratio: Interval  # its time over ours
    memory: float  # ours: share of the bandwidth; 0 where caches hold what is moved
    busy: str

    @property
    def passes(self) -> bool:
        fast = self.ratio.middle >= PASSES and self.ratio.low >= PASSES_LOW
        return fast or self.memory >= ENOUGH_OF_MEMORY

    def row(self) -> Row:
        """The same as the row of a report. A busy machine is named, and nothing judged then."""
        why = f"This machine was busy: {self.busy}." if self.busy else ""
        times = {n: Time.of(i) for n, i in self.seconds.items()}
        lead = Lead(EAGER, self.over, self.ratio.middle, self.ratio.low, self.ratio.high, why)
        return Row(_label(self.name, self.shape), times, left_out=_absent(), leads=[lead])

    def __str__(self) -> str:
        shape, r = "x".join(map(str, self.shape)), self.ratio
        memory = f"{self.memory:5.0%}" if self.memory else ""
        return (f"{self.name:29} {shape:>14} {1e6 * self.seconds[EAGER].middle:9.1f} us "
                f"{r.middle:6.2f} ({r.low:.2f} to {r.high:.2f}) {memory} "
                f"{'(busy)' if self.busy else ''}").rstrip()


def _absent() -> dict[str, str]:
    """Why PyTorch is left out, if it is."""
    package = peers.missing(TORCH)
    return {TORCH: f"it is not installed: pip install {package}"} if package else {}


def _label(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} {'x'.join(map(str, shape))}"


def sized(name: str, seed: int = 0) -> Iterator[Any]:
    """The cases of one name at its three sizes."""
    make, shapes = calls.CASES[name]
    for shape in shapes.sizes:
        yield make(np.random.default_rng([seed, *name.encode()]), shape)


def at_a_million(name: str, seed: int, drawn: int = 3) -> Iterator[Any]:
    """The cases of one name with about a million elements; ``drawn`` of them from the seed."""
    make, shapes = calls.CASES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    more = [shapes.draw(rng) for _ in range(drawn)] if shapes.draw is not None else []
    for shape in [shapes.sizes[-1], *shapes.more, *more]:
        yield make(rng, shape)


def timed(name: str, case: Any, threads: int, bandwidth: float, count: int = TURNS,
          numpy: bool = False) -> Found:
    """All sides in ``count`` turns. AssertionError if they do not agree. With ``numpy``, or without
    PyTorch, the reference is timed too.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    op = calls.op_of(name)
    reference = partial(TABLE[op], *case.arrays, **case.attrs)
    sides = {EAGER: case.ours(op)} | ({} if _absent() else {TORCH: case.theirs})
    over = TORCH if TORCH in sides else NUMPY
    mine = sides[EAGER]()
    agree(name, case, mine, sides.get(over, reference)())
    counts = {n: _calls(side, clock) for n, side in sides.items()}
    turns: dict[str, list[float]] = {n: [] for n in sides}
    order, start = list(sides), now()
    for _ in range(count):
        for side in order:
            if threads > 1:
                _spent(sides[side], math.ceil(counts[side] * SETTLE / SAMPLE), clock)
            turns[side].append(_spent(sides[side], counts[side], clock))
        order.reverse()
    # The CPU time of a thread says as much in a crowd; the wall does not.
    busy = "" if threads == 1 else Span.between(start, now()).busy
    seconds = {n: median_interval(spent) for n, spent in turns.items()}
    if numpy or over == NUMPY:  # so much slower that a few turns, outside of the others, say enough
        reference()
        often = AS_PEER if over == NUMPY else ALONE
        turns[NUMPY] = [_spent(reference, 1, clock) for _ in range(often)]
        seconds[NUMPY] = median_interval(turns[NUMPY])
    ratio = median_interval([b / a for a, b in zip(turns[EAGER], turns[over], strict=False)])
    large = math.prod(case.shape) > calls.MILLION / 2
    share = _moved(case, mine) / seconds[EAGER].middle / bandwidth if large else 0.0
    return Found(name, case.shape, seconds, over, ratio, share, busy)


def agree(name: str, case: Any, ours: Any, theirs: Any) -> None:
    """AssertionError unless both give the same, in as far as it is the same thing."""
    def listed(out: Any) -> list[Any]:
        return list(out) if isinstance(out, (tuple, list)) else [out]

    pairs = list(zip(listed(ours), listed(theirs), strict=False))
    for got, want in pairs[: case.outputs]:
        want = np.asarray(want.detach() if hasattr(want, "detach") else want)
        size = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
        np.testing.assert_allclose(np.reshape(got, want.shape), want, rtol=RELATIVE,
                                   atol=ABSOLUTE * size, err_msg=f"{name} {case.shape}")


def _moved(case: Any, result: Any) -> int:
    """The bytes that a call must read and write."""
    arrays: list[Any] = list(result) if isinstance(result, tuple) else [result]
    arrays += [a for a in case.arrays if a is not None]
    return sum(a.nbytes for a in arrays)


def _spent(side: Callable[[], Any], count: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(count):
        side()
    return (clock() - start) / count


def _calls(side: Callable[[], Any], clock: Callable[[], float]) -> int:
    """How many take a sample's time."""
    side()
    return max(1, math.ceil(SAMPLE / max(_spent(side, 2, clock), 1e-7)))


def race(name: str, threads: int, bandwidth: float) -> Iterator[tuple[Row, str]]:
    """Time one name at its three sizes, on the C kernels: what was found, and a line of it."""
    made = list(sized(name))  # some keep PyTorch's tape, so they are made before it is off
    quiet: Any = nullcontext()
    if not _absent():
        import torch

        quiet = torch.no_grad()
    with etude.use("cpu"), quiet:
        for case in made:
            try:
                found = timed(name, case, threads, bandwidth, FEWER, numpy=True)
            except Exception as error:  # the other ops have their turn
                wrong = isinstance(error, AssertionError)
                over = NUMPY if _absent() else TORCH
                why = f"it computes something else than {over}" if wrong else in_short(error)
                yield Row(_label(name, case.shape), left_out={EAGER: why}), (
                    f"{_label(name, case.shape)}: {why}")
            else:
                yield found.row(), str(found)
