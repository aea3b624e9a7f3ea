"""Failures that do not repeat, kernels that hang, runs that are stopped: each is told as it is."""

import multiprocessing
import os
import signal
import textwrap
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from etude_check.engine import Interrupted, check
from etude_check.judge import runner
from etude_check.report import summary
from etude_check.report.record import Verdict
from etude_check.worker.candidate import Candidate

HEAD = """
import random, time
import numpy as np
import etude
CALLS = [0]
"""


@pytest.fixture
def column(tmp_path):
    """Makes a column of {op: body of its function of x}."""
    def make(**bodies):
        text = HEAD
        for op, body in bodies.items():
            text += f"\n@etude.implements('{op}')\ndef {op}(x):\n" + textwrap.indent(body, "    ")
        path = tmp_path / "column.py"
        path.write_text(text)
        return Candidate.parse(module=path)

    return make


def run(candidate, *ops, **options):
    return check(candidate, ops=ops, **{"level": "smoke", **options})


SOMETIMES = """
CALLS[0] += 1
if CALLS[0] % 11 == 7:
    raise OSError("disk full")
return np.exp(x)
"""
FIRST = """
CALLS[0] += 1
if CALLS[0] == 1:
    raise KeyError("tables")
return np.exp(x)
"""
STALE = """
CALLS[0] += 1
return np.exp(x) + (CALLS[0] % 7 == 3)
"""
SEEDLESS = "return np.exp(x) + (np.random.rand() < 0.1 or random.random() < 0.1)"


@pytest.mark.parametrize(("body", "said"), [
    (SOMETIMES, "raised OSError: disk full"), (FIRST, "raised KeyError: 'tables'"),
    (STALE, "wrong values")])
def test_a_failure_that_does_not_repeat_is_reported_with_its_numbers(column, body, said):
    report = run(column(exp=body), "exp", kinds=["tail", "random"])
    assert report.exit_status == 1
    told = [r.message for r in report.failures if "of 5 calls, which were the same" in r.message]
    assert told
    assert all(said in message for message in told)
    assert report.count(Verdict.PASS) > 10


def test_one_that_repeats_is_not_said_to_come_and_go(column):
    report = run(column(exp="return np.exp(x) + (x.size > 5)"), "exp", kinds=["tail"])
    assert report.failures
    assert not [r for r in report.failures if "calls" in r.message]


def records_of(report):
    return [repr({k: v for k, v in asdict(r).items() if k != "seconds"}) for r in report.records]


@pytest.mark.parametrize("body", [SOMETIMES, FIRST, STALE, SEEDLESS, "return np.exp(x)"])
def test_the_records_are_the_same_for_any_number_of_jobs(column, body):
    candidate = column(exp=body, sin=body.replace("np.exp", "np.sin"),
                       cos=body.replace("np.exp", "np.cos"))
    kinds = ["empty", "tail", "special", "random", "errors"]
    one, two, three = (run(candidate, "exp", "sin", "cos", kinds=kinds, jobs=n)
                       for n in (1, 2, 3))
    assert records_of(one) == records_of(two) == records_of(three)
    assert one.notes == two.notes == three.notes


def test_what_one_op_remembers_decides_nothing_about_another(column):
    """Each op has a worker of its own: checked alone or after others, its records are the same."""
    candidate = column(cos=STALE.replace("exp", "cos"), exp=STALE)
    alone = run(candidate, "exp", kinds=["tail"])
    after = run(candidate, "cos", "exp", kinds=["tail"])
    assert records_of(alone) == [r for r in records_of(after) if "'op': 'exp'" in r]


HANGS = """
if x.ndim == 2:
    open(__file__ + ".hangs", "w").close()
    time.sleep(60)
return np.exp(x)
"""


def test_an_op_that_hangs_is_given_up_and_the_rest_of_it_is_not_run(column):
    report = run(column(exp=HANGS, sin="return np.sin(x)"), "exp", "sin", timeout=2)
    assert report.count(Verdict.TIMEOUT) == runner.GIVE_UP
    left = [r for r in report.records if r.verdict is Verdict.NOT_RUN]
    assert left
    assert {r.op for r in left} == {"exp"}
    assert all("given up after 3 time-outs" in r.message for r in left)
    assert not any(r.verdict.executed or r.verdict.failed for r in left)
    assert all(r.verdict is Verdict.PASS for r in report.records if r.op == "sin")
    [one] = summary.failing(report)
    assert (one.left, one.total) == (len(left), sum(
        r.verdict.executed for r in report.records if r.op == "exp"))


def test_hypothesis_does_not_go_on_with_what_hangs(column):
    report = run(column(exp="time.sleep(60)"), "exp", kinds=["random", "tail"], timeout=0.5,
                 level="full")
    timed_out = report.count(Verdict.TIMEOUT)
    assert 1 <= timed_out <= runner.GIVE_UP, "shrinking asks the same again"
    assert report.executed == timed_out


def test_calls_that_must_be_refused_are_given_up_too_when_they_hang(tmp_path):
    path = tmp_path / "column.py"
    path.write_text(HEAD + "\n@etude.implements('floor_divide')\ndef hang(x, y):\n"
                           "    time.sleep(60)\n")
    report = run(Candidate.parse(module=path), "floor_divide", kinds=["errors"], timeout=0.5)
    assert report.count(Verdict.TIMEOUT) == runner.GIVE_UP
    assert report.count(Verdict.NOT_RUN)


def run_until_it_hangs(candidate, *ops, then, **options):
    """A run of ops of which the last one hangs; ``then`` is called in the middle of that call, when
    the others are done.
    """
    others_done = threading.Event()

    def wait():
        others_done.wait(120)
        while not Path(candidate.value + ".hangs").exists():
            time.sleep(0.01)
        then()

    threading.Thread(target=wait, daemon=True).start()
    return run(candidate, *ops, timeout=60, kinds=["empty", "tail"], **options,
               progress=lambda now: now.done == len(ops) - 1 and others_done.set())


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_is_stopped_keeps_what_was_found_in_the_op_it_was_at(column, jobs):
    candidate = column(exp=HANGS, cos="return np.sin(x)")
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted) as stopped:
            run_until_it_hangs(candidate, "cos", "exp", jobs=jobs,
                               then=lambda: os.kill(os.getpid(), signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)
    report = stopped.value.report
    assert summary.interrupted(report)
    assert {r.op for r in report.records} == {"cos", "exp"}
    assert [r for r in report.failures if r.op == "cos"]
    assert not summary.passed(report)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_ended_costs_the_op_it_was_at(column, by):
    def end_them():
        for process in multiprocessing.active_children():
            os.kill(process.pid, by)

    report = run_until_it_hangs(column(exp=HANGS, cos="return np.cos(x)"), "cos", "exp", jobs=2,
                                then=end_them)
    lost, = [r for r in report.records if r.op == "exp"]
    assert lost.verdict is Verdict.MISTRUSTED
    assert "the process that checked it has ended" in lost.message
    assert all(r.verdict is Verdict.PASS for r in report.records if r.op == "cos")


def test_a_blank_column_passes_in_no_op(column):
    """That the dispatcher refuses wrong calls for it is not the column's merit."""
    for error in ("NotImplementedError", "etude.Unsupported('later')"):
        report = run(column(exp=f"raise {error}", relu=f"raise {error}"), "exp", "relu")
        assert not report.passed
        assert not [r for r in report.records if r.verdict is Verdict.PASS and (
            r.kind != "errors" or error != "NotImplementedError")]
        assert summary.absent(report) == ({"exp", "relu"} if "Unsupported" in error else set())


PAIR = """
import numpy as np
import etude
from etude import TABLE
LAST = {}

@etude.implements("softmax")
def softmax(x, *, dim=-1):
    LAST["y"] = TABLE["softmax"].reference(x, dim=dim)
    return LAST["y"].copy()

@etude.implements("softmax_backward")
def softmax_backward(grad, y, *, dim=-1):
    if "y" in LAST and LAST["y"].shape == y.shape and LAST["y"].dtype == y.dtype:
        y = LAST["y"]
    return TABLE["softmax_backward"].reference(grad, y, dim=dim)
"""


def test_a_backward_that_remembers_the_last_forward_is_found_as_autograd_would(tmp_path):
    path = tmp_path / "pair.py"
    path.write_text(PAIR)
    candidate = Candidate.parse(module=path)
    assert not run(candidate, "softmax_backward").failures, "on its own it is right"
    report = run(candidate, "softmax", kinds=["repeat"])
    failed = report.failures[0]
    assert failed.message == "softmax_backward, backward A: wrong values"
    assert "forward A, forward B, backward B, backward A" in failed.asked
    again = check(candidate, case=failed.case)
    assert [r.message for r in again.failures] == [failed.message]


def test_steps_in_place_that_follow_one_another_are_held_each():
    report = check(Candidate("zoo", "rmsprop_step_lags"), ops=["rmsprop_step"], kinds=["alias"],
                   level="smoke")
    assert report.failures
    assert all(r.message.startswith("step ") and "in the same memory" in r.message
               for r in report.failures)
