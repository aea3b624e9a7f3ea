"""compare: what it makes of the times of each turn. No test here rests on how fast anything is."""

import math
from itertools import groupby

import numpy as np
import pytest

from etude.measure import Comparison, Span, compare, median_interval
from etude.measure.machine import Moment
from etude.measure.timing import FEWEST, Turn

FREE = Span(1.0, 1.0, 0.0, 0.0, 0.0)
BUSY = Span(1.0, 1.0, 0.9, 0.9, 0.0)


def turns(slow, fast, span=FREE):
    return [Turn({"slow": s, "fast": f}, span) for s, f in zip(slow, fast, strict=True)]


# ------------------------------------------------------------------ the interval


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (9, 2, 8), (10, 2, 9), (20, 6, 15),
                                                (100, 40, 61)])
def test_the_interval_is_that_of_the_tables(n, low, high):
    # Conover 1999, table A3, for the median: order statistics of 95 %.
    found = median_interval(np.random.default_rng(0).permutation(np.arange(1, n + 1)).tolist())
    assert (found.low, found.high) == (low, high)
    assert found.middle == (n + 1) / 2


@pytest.mark.parametrize("n", [0, 1, 5])
def test_of_fewer_than_six_numbers_nothing_is_sure(n):
    found = median_interval([1.0] * n)
    assert found.low == -math.inf
    assert found.high == math.inf
    assert found.middle == 1.0 or n == 0


@pytest.mark.parametrize("n", [6, 15, 40])
def test_it_holds_the_true_median_of_a_lopsided_distribution_95_times_in_100(n):
    samples = np.random.default_rng(n).exponential(size=(2000, n))
    inside = [i.low <= math.log(2) <= i.high for i in map(median_interval, samples.tolist())]
    assert np.mean(inside) > 0.94


# ------------------------------------------------------------------ what is told


def test_the_ratio_is_that_of_each_turn():
    """A machine that becomes three times as slow is so for both."""
    slow = [2.0, 2.0, 2.0, 6.0, 6.0, 6.0]
    found = Comparison(turns(slow, [s / 2 for s in slow])).speed_up("fast", "slow")
    assert (found.value, found.low, found.high) == (2, 2, 2)
    assert found.trusted
    assert str(found) == "2 x (2 to 2)"


def test_busy_turns_are_left_out():
    quiet = turns([2.0] * 6, [1.0] * 6)
    found = Comparison([*turns([9.0] * 4, [1.0] * 4, BUSY), *quiet])
    assert found.why == ""
    assert found.speed_up("fast", "slow").value == 2
    assert found.seconds("slow").middle == 2


def test_with_too_few_clean_turns_there_is_a_reason_and_no_ratio():
    found = Comparison([*turns([9.0] * 8, [1.0] * 8, BUSY), *turns([2.0] * 5, [1.0] * 5)])
    assert found.why.startswith("This machine was busy in 8 of 13 turns: threads of this process")
    assert found.why.endswith(".")
    ratio = found.speed_up("fast", "slow")
    assert not ratio.trusted
    assert str(ratio) == found.why
    assert "9 x" not in str(found)


def test_turns_that_differ_too_much_are_not_trusted():
    found = Comparison(turns([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0] * 6)).speed_up("fast", "slow")
    assert found.why == "The turns differ too much to tell: the median lies from 1 to 6."


def test_too_little_time_is_told():
    assert "give it a larger budget" in Comparison(turns([1.0] * 2, [1.0] * 2)).why


def test_the_text_names_each_function_and_how_sure_it_is():
    text = str(Comparison(turns([0.2] * 6, [0.1] * 6)))
    assert text.splitlines() == [
        "slow         200 ms a call",
        "fast         100 ms a call   2 x (2 to 2)",
        "Medians of 6 turns; in brackets the 95 % interval of how many times as fast as slow."]


# ------------------------------------------------------------------ the turns themselves


def test_every_turn_runs_all_functions_each_as_often_as_in_the_others():
    called = []

    def work(name):
        called.append(name)
        sum(range(1000))

    found = compare({name: lambda name=name: work(name) for name in "ab"}, budget=0.0)
    assert len(found.turns) == 2
    assert found.names == ["a", "b"]
    assert all(set(turn.seconds) == {"a", "b"} for turn in found.turns)
    assert [name for name, _ in groupby(called)] == list("ababa"), "counted, forwards, backwards"
    assert found.span.wall > 0


def test_it_ends_as_soon_as_the_interval_is_narrow(monkeypatch):
    free = Moment(0.0, 0.0, {}, math.nan, math.nan)
    monkeypatch.setattr("etude.measure.timing.now", lambda: free)  # whatever else runs here
    work = {"one": lambda: sum(range(5000)), "the same": lambda: sum(range(5000))}
    assert len(compare(work, budget=60.0, width=math.inf).turns) == FEWEST


def test_what_a_function_raises_comes_through():
    with pytest.raises(ZeroDivisionError):
        compare({"wrong": lambda: 1 / 0})


def test_nothing_to_time_is_an_error():
    with pytest.raises(ValueError, match="at least one function"):
        compare({})
