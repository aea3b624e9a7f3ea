"""Two threads inside one op at once: what is shared between calls is found, in C and in Python."""

import threading

import numpy as np
import pytest

from etude_check.engine import check
from etude_check.worker.at_once import SHARED, at_once
from etude_check.worker.candidate import Candidate

GIVEN = [np.full(100_000, v, np.float32) for v in (1, 2)]


@pytest.mark.parametrize("name", ["softmax_static_row", "square_in_one_room"])
def test_work_space_that_two_calls_share_is_found(name):
    op = name.partition("_")[0]
    report = check(Candidate("zoo", name), ops=[op], kinds=["threads"], level="smoke")
    record, = report.failures
    assert record.message.endswith(SHARED)
    assert record.asked.endswith("; two threads at once")


def test_a_right_column_passes():
    report = check("reference", ops=["softmax", "exp", "matmul", "var"], level="smoke",
                   kinds=["threads", "large"])
    assert report.passed, report.failures


def calls(fn):
    return [lambda x=x: fn(x) for x in GIVEN]


def test_rounding_is_no_difference_and_neither_is_a_nan_that_is_there_alone_too():
    drawn = np.random.default_rng(0)
    assert at_once(calls(lambda x: x * (1 + 1e-6 * drawn.random())), GIVEN, 0.1) == []
    lost = [np.where(np.arange(x.size) % 7, x, np.nan) for x in GIVEN]
    assert at_once([lambda x=x: x.copy() for x in lost], lost, 0.1) == []
    assert at_once(calls(np.copy), lost, 0.1) == [SHARED]


def test_an_error_that_comes_of_the_other_thread_is_told():
    inside, refused = threading.Lock(), threading.Event()

    def only_one(x):
        if not inside.acquire(blocking=False):
            refused.set()
            raise RuntimeError("not re-entrant")
        refused.wait(60)  # stays inside until the other has come
        inside.release()
        return x

    found, = at_once(calls(only_one), GIVEN, 0.1)
    assert found == ("raised RuntimeError while a second thread was inside it too: not re-entrant")
