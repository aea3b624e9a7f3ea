"""What a stretch of time was spent on, and when it is called busy."""

import math
import os
import subprocess
import sys
import textwrap

import pytest

from etude.measure import Span, now
from etude.measure.machine import Moment, _queues


def span(wall=1.0, cpu=1.0, waited=0.0, others=0.0, stolen=0.0):
    return Span(wall, cpu, waited, others, stolen)


def test_a_stretch_in_which_no_thread_waits_is_not_busy():
    assert span().busy == ""
    assert span(others=1.0).busy == ""  # on another core


def test_threads_that_wait_for_a_core_are_told_with_who_had_it():
    assert "waited for a core 30% of the time" in span(waited=0.3, others=0.9).busy
    assert "other processes used 0.9 of" in span(waited=0.3, others=0.9).busy
    assert "each for the others" in span(waited=0.3).busy


def test_what_the_host_keeps_is_told():
    assert "its host kept 0.2 of its cores" in span(stolen=0.2).busy
    assert span(wall=0.05, stolen=0.01).busy == ""  # one tick of the clock that counts it


def test_where_the_queue_is_unknown_cpu_time_is_what_counts():
    assert "got 40% of a core" in span(cpu=0.4, waited=math.nan).busy
    assert span(cpu=0.95, waited=math.nan, others=math.nan, stolen=math.nan).busy == ""


def test_no_time_at_all_is_not_busy():
    assert span(wall=0.0, cpu=0.0).busy == ""


def test_a_span_is_the_difference_of_its_moments():
    start = Moment(10.0, 1.0, {1: 0.5, 2: 0.25, 3: 9.0}, 100.0, 7.0)
    end = Moment(12.0, 2.5, {1: 1.0, 2: 0.5, 4: 0.125}, 104.0, 7.5)
    found = Span.between(start, end)  # thread 3 has ended, thread 4 is new
    assert found == Span(2.0, 1.5, 0.875, 2.5, 0.5)
    assert Span.total([found, found]) == Span(4.0, 3.0, 1.75, 5.0, 1.0)


def test_a_system_that_tells_nothing_leaves_unknowns():
    found = Span.between(Moment(0.0, 0.0, {}, math.nan, math.nan),
                         Moment(1.0, 0.9, {}, math.nan, math.nan))
    assert math.isnan(found.waited)
    assert math.isnan(found.stolen)
    assert math.isnan(found.others)
    assert found.busy == ""


def test_the_clocks_go_forwards():
    start = now()
    sum(range(100_000))
    found = Span.between(start, now())
    assert found.wall > 0
    assert found.cpu >= 0


@pytest.mark.skipif(not _queues() or not hasattr(os, "sched_setaffinity"),
                    reason="NOT RUN: needs Linux with scheduler statistics")
def test_another_process_on_the_same_core_is_noticed_and_no_speed_is_told():
    program = """
        import os, subprocess, sys
        from etude.measure import compare
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            found = compare({"one": lambda: sum(range(1000)), "two": lambda: sum(range(2000))}, 1.0)
        finally:
            other.kill()
            other.wait()
        print(found)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], text=True,
                          capture_output=True, check=True)
    assert "This machine was busy" in done.stdout
    assert " x (" not in done.stdout
