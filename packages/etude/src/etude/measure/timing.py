"""``compare``: functions are run in turns, and what is said of their times says how sure it is.

In turns, because a machine is faster in one minute than in the next; and each turn compares all of
them with each other. The median of the turns is told, with an interval for it that assumes nothing
about how times are spread. Turns in which the machine was busy (``machine.py``) are left out, and
if too few are left there is no answer, but the reason.
"""

from __future__ import annotations

import math
import textwrap
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.measure.machine import Span, now

SAMPLE = 0.05  # seconds that one function runs in one turn, at least
SETTLE = 0.03  # seconds that it runs before, unmeasured: the threads of the one before go to sleep
FEWEST = 6  # turns: the interval of 5 would hold the median with less than 95 %
SPREAD = 0.5  # an interval this wide, of its middle, says nothing


@dataclass(frozen=True)
class Interval:
    """A median, and where the true one lies with 95 %."""

    middle: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """From low to high, as a share of the middle."""
        return (self.high - self.low) / self.middle


def median_interval(numbers: Sequence[float]) -> Interval:
    """The median of some independent numbers with its 95 % interval, from one of them to another.

    Half of all numbers lie below the true median, wherever they lie. So how many of n do is
    binomial, and the k-th smallest and the k-th largest enclose it unless fewer than k lie on one
    side. k is the largest for which that happens at most 5 times in 100. Of fewer than 6 numbers
    none are enough, and the interval is infinite. Source: Conover 1999, Practical Nonparametric
    Statistics, section 3.2; for running times, Hoefler and Belli 2015, Scientific Benchmarking of
    Parallel Computing Systems, section 3.1.3.
    """
    ordered = sorted(numbers)
    n, k, outside = len(ordered), 0, 0.0
    while outside + 2 * math.comb(n, k) / 2**n <= 0.05:
        outside += 2 * math.comb(n, k) / 2**n
        k += 1
    middle = float(np.median(ordered)) if ordered else math.nan
    if k == 0:
        return Interval(middle, -math.inf, math.inf)
    return Interval(middle, ordered[k - 1], ordered[n - k])


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one function is as another, and whether that can be trusted."""

    value: float
    low: float
    high: float
    why: str = ""  # it cannot be trusted, as a sentence; "" if it can

    @property
    def trusted(self) -> bool:
        return not self.why

    def __str__(self) -> str:
        return self.why or f"{self.value:.3g} x ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class Turn:
    """One turn: the seconds of a call of each function, and what the time was spent on."""

    seconds: dict[str, float]
    span: Span


class Comparison:
    """What ``compare`` found. ``turns`` are all; ``clean`` those in which no other work was in the
    way, and the answers are made of these.
    """

    def __init__(self, turns: list[Turn]) -> None:
        self.turns = turns
        self.clean = [turn for turn in turns if not turn.span.busy]
        self.span = Span.total([turn.span for turn in turns])

    @property
    def names(self) -> list[str]:
        """Of the functions that were timed, in the order in which they were given."""
        return list(self.turns[0].seconds)

    @property
    def why(self) -> str:
        """Why no time of it can be trusted, as a sentence; "" if they can."""
        if len(self.clean) >= FEWEST:
            return ""
        busy = [turn.span for turn in self.turns if turn.span.busy]
        if not busy:
            return (f"There was time for {len(self.turns)} turns only, and a median wants "
                    f"{FEWEST}; give it a larger budget.")
        return (f"This machine was busy in {len(busy)} of {len(self.turns)} turns: "
                f"{Span.total(busy).busy or busy[0].busy}.")

    def seconds(self, name: str) -> Interval:
        """Of one call. Of all turns, if too few are clean: then it says little (``why``)."""
        return median_interval([turn.seconds[name] for turn in self._usable()])

    def speed_up(self, name: str, base: str) -> Ratio:
        """How many times as fast as ``base`` the function ``name`` is: the median of the turns."""
        found = self._ratios(name, base)
        why = self.why
        if not why and found.width > SPREAD:
            why = (f"The turns differ too much to tell: the median lies from {found.low:.2g} to "
                   f"{found.high:.2g}.")
        return Ratio(found.middle, found.low, found.high, why)

    @property
    def width(self) -> float:
        """The width of the widest interval: those of the ratios to the first function, or that of
        its time if it is alone.
        """
        first, *rest = self.names
        if not rest:
            return self.seconds(first).width
        return max(self._ratios(name, first).width for name in rest)

    def _ratios(self, name: str, base: str) -> Interval:
        return median_interval([t.seconds[base] / t.seconds[name] for t in self._usable()])

    def _usable(self) -> list[Turn]:
        return self.clean if len(self.clean) >= FEWEST else self.turns

    def __str__(self) -> str:
        first, *rest = self.names
        widest = max(map(len, [first, *rest]))
        lines = []
        for name in [first, *rest]:
            line = f"{name:<{widest}}  {1e3 * self.seconds(name).middle:>10.4g} ms a call"
            if name != first and not self.why:
                line += f"   {self.speed_up(name, first)}"
            lines.append(line)
        told = self.why or (f"Medians of {len(self.clean)} turns; in brackets the 95 % interval of "
                            f"how many times as fast as {first}.")
        return "\n".join([*lines, *textwrap.wrap(told, 88)])


def compare(work: Mapping[str, Callable[[], Any]], budget: float = 2.0, width: float = 0.05
            ) -> Comparison:
    """Time functions without arguments, by name, in turns. It ends when the 95 % interval of every
    ratio to the first function is narrower than the share ``width``, or after ``budget`` seconds
    (a turn that has begun is finished, and there are at least two). Ending at the first interval
    that is narrow enough makes it hold a little less often than 95 times in 100.

    They must compute all the time, as training steps do, and each call the same. In a turn each
    runs for a twentieth of a second or once. Every other turn goes through them backwards, so that
    a machine that gets slower is slower for all.
    """
    if not work:
        raise ValueError("compare: needs at least one function to time, got none")
    end = time.perf_counter() + budget
    timers = {name: timeit.Timer(fn) for name, fn in work.items()}
    numbers = {name: _calls(timer) for name, timer in timers.items()}
    turns: list[Turn] = []
    order = list(timers)
    while True:
        seconds, spans = {}, []
        for name in order:
            timers[name].timeit(max(1, math.ceil(numbers[name] * SETTLE / SAMPLE)))
            start = now()
            spent = timers[name].timeit(numbers[name])
            spans.append(Span.between(start, now()))
            seconds[name] = spent / numbers[name]
        turns.append(Turn({name: seconds[name] for name in timers}, Span.total(spans)))
        order.reverse()
        found = Comparison(turns)
        if len(turns) >= 2 and time.perf_counter() > end:
            return found
        if len(found.clean) >= FEWEST and found.width < width:
            return found


def _calls(timer: timeit.Timer) -> int:
    """How many calls take a sample's time. The first call is left out: it plans and allocates."""
    timer.timeit(1)
    number = 1
    while True:
        spent = timer.timeit(number)
        if spent >= SAMPLE:
            return number
        number = max(number + 1, math.ceil(number * min(10, SAMPLE / max(spent, 1e-9))))
