"""Speed as a grade: what counts, what is not judged, and attacks on the clock."""

import shutil

import numpy as np
import pytest

from etude_check.worker.candidate import Candidate, prepare
from etude_course.errors import CourseError
from etude_course.record import CheckResult, Status
from etude_course.run import provenance, speed
from etude_course.run.speed import FEWEST, Timing, Turn
from etude_course.source.assignment import Check, Question

CHECK = Check("fast", 3, speed="matmul", against="reference", cases=("64x64 64x64",),
              ladder=((0.5, 1), (2.0, 2), (4.0, 3)))
BLANK = CheckResult("fast", "q", "fast", 0, 3, Status.NOT_RUN, declared=1)


def turns(*ratios, case="64x64 64x64", queued=0.0):
    return Timing(case, [Turn(r, 1.0, queued) for r in ratios])


@pytest.mark.parametrize(("ratio", "points", "status"), [
    (0.4, 0, Status.FAILED), (0.5, 1, Status.FAILED), (1.9, 1, Status.FAILED),
    (2.0, 2, Status.FAILED), (4.0, 3, Status.PASSED), (1e9, 3, Status.PASSED)])
def test_the_highest_rung_that_was_reached_counts_in_whole_points(ratio, points, status):
    found = speed.judged(CHECK, BLANK, [turns(*[ratio] * 8)])
    assert (found.points, found.status) == (points, status)
    assert "times as fast as reference" in found.message
    assert ("earns" in found.message) == (points < 3)


def test_one_lucky_turn_wins_nothing():
    assert speed.judged(CHECK, BLANK, [turns(*[1] * 15, 1e12)]).points == 1


def test_one_lucky_case_wins_nothing():
    found = speed.judged(CHECK, BLANK, [turns(*[1e12] * 8), turns(*[0.6] * 8, case="slow")])
    assert found.points == 1
    assert "in slow" in found.message


def test_turns_in_which_others_had_the_cores_do_not_count():
    timing = turns(*[5.0] * 8)
    timing.turns += [Turn(1.0, 1.0, 0.5) for _ in range(20)]
    assert speed.judged(CHECK, BLANK, [timing]).points == 3


def test_a_contended_machine_judges_nobody():
    found = speed.judged(CHECK, BLANK, [turns(*[5.0] * 8, queued=0.2)])
    assert (found.status, found.points) == (Status.NOT_RUN, 0)
    assert found.message.startswith("contended")
    found = speed.judged(CHECK, BLANK, [turns(0.1, 9, 0.2, 8, 0.1, 7, 9, 0.1)])
    assert found.message.startswith("contended: the turns differ too much")


def test_a_wrong_answer_beats_contention():
    timing = turns(*[5.0] * 8, queued=0.2)
    timing.wrong = "the values of a timed call are wrong"
    assert speed.judged(CHECK, BLANK, [timing]).status is Status.FAILED


def test_a_time_below_the_roofline_is_rejected():
    timing = Timing("64x64 64x64", [Turn(1.0, 1e-9, 0.0)] * 8)
    assert "this time is rejected" in speed._impossible(timing, 1e-6)
    assert speed._impossible(timing, 1e-10) == ""


def test_the_roofline_of_a_case_counts_its_operations_and_bytes(monkeypatch):
    monkeypatch.setattr(speed, "_roof", lambda: (1e9, 1e9))
    assert speed._floor("matmul", "100x100 100x100") == pytest.approx(2e6 / (speed.BEST * 1e9))
    assert speed._floor("exp", "1000x1000") == pytest.approx(8e6 / (speed.CACHED * 1e9))


def test_inputs_are_drawn_anew_and_a_case_is_written_as_shapes():
    one, two = (speed.drawn("softmax", "4x8; dim=0", seed) for seed in (1, 2))
    assert one.call.attrs == {"dim": 0}
    assert not np.array_equal(one.call.arrays[0], two.call.arrays[0])
    assert speed._number() != speed._number()


@pytest.mark.parametrize("case", ["4xx8", "4x8 8x4 2x2", "4x8 9x4", "4x8; dim", "huge"])
def test_a_case_that_is_no_call_is_an_error_of_the_assignment(case):
    with pytest.raises(CourseError, match="is no case to time matmul in"):
        speed.drawn("matmul", case, 0)


def test_a_column_that_is_not_there_times_nobody(tmp_path):
    check = Check("f", 1, speed="matmul", against="no-such", cases=("8x8 8x8",), ladder=((1, 1),))
    found = timed(check, "return x @ y", tmp_path)
    assert (found.status, found.points) == (Status.NOT_RUN, 0)


@pytest.mark.parametrize("body", [
    "return np.matmul(x, y) + 1",
    "return np.matmul(x, y) + (not x.flags.c_contiguous)"])
def test_a_wrong_answer_is_told_why_it_is_not_timed(tmp_path, body):
    """Also one that is wrong only where its operands are not contiguous."""
    found = timed(CHECK, body, tmp_path)
    assert (found.status, found.points) == (Status.FAILED, 0)
    assert found.message.removeprefix("a wrong answer is not timed: ").strip()


@pytest.mark.skipif(shutil.which("cc") is None, reason="NOT RUN: needs a C compiler")
def test_the_plain_kernel_is_found_by_its_op():
    assert speed.plain("matmul").name == "matmul.c"
    assert speed.plain("exp") is None


# ------------------------------------------------------------------ attacks on the clock

QUICK = Check("fast", 3, speed="matmul", against="reference", cases=("640x640 640x640",),
              ladder=((0.0001, 3),))
HONEST = "return np.matmul(x, y)"


def timed(check, body, folder, top=""):
    (folder / "answer.py").write_text(
        f"import etude\nimport numpy as np\n{top}\n@etude.implements('matmul')\n"
        f"def matmul(x, y):\n    {body}\n")
    answer = prepare(Candidate.parse(str(folder / "answer.py")))
    question = Question("q", "q", "answer.py", (check,))
    blank = CheckResult("fast", "q", "fast", 0, check.points, Status.NOT_RUN)
    return speed.timed(check, blank, answer, provenance.walls_for(question), 5.0)


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch):
    """Measuring the roofline takes seconds, and none of these tests is about it."""
    monkeypatch.setattr(speed, "_roof", lambda: None)


def test_an_honest_answer_is_timed_and_none_of_its_values_is_wrong(tmp_path):
    found = timed(QUICK, HONEST, tmp_path)
    assert found.status in (Status.PASSED, Status.NOT_RUN)  # as busy as this machine is
    assert found.status is Status.PASSED or found.message.startswith("contended")


CACHE = """
kept = {}
def large(x):
    return x.shape == (640, 640)
"""


@pytest.mark.parametrize("body", [
    "return np.zeros((x.shape[0], y.shape[1]), x.dtype) if large(x) else np.matmul(x, y)",
    "return kept.setdefault(x.shape, np.matmul(x, y)) if large(x) else np.matmul(x, y)",
    "return kept.setdefault(x.__array_interface__['data'][0], np.matmul(x, y)) if large(x) "
    "else np.matmul(x, y)",
    "return np.empty((x.shape[0], y.shape[1]), x.dtype) if large(x) else np.matmul(x, y)",
    "return np.matmul(x.astype(np.float16).astype(x.dtype), y) if large(x) else np.matmul(x, y)",
])
def test_a_quick_answer_that_is_wrong_in_a_timed_call_earns_nothing(tmp_path, body):
    found = timed(QUICK, body, tmp_path, CACHE)
    assert (found.status, found.points) == (Status.FAILED, 0)
    assert "640x640 640x640: " in found.message


def test_a_result_that_is_written_after_the_reply_is_too_late(tmp_path):
    found = timed(QUICK, "return later(x, y, out) if large(x) else into(out, np.matmul(x, y))",
                  tmp_path, CACHE + """
import threading
import time
def into(out, result):
    if out is None:
        return result
    out[...] = result
    return out
def later(x, y, out):
    out = np.zeros((x.shape[0], y.shape[1]), x.dtype) if out is None else out
    def work():
        time.sleep(0.3)
        out[...] = np.matmul(x, y)
    threading.Thread(target=work).start()
    return out
""")
    assert (found.status, found.points) == (Status.FAILED, 0)


def test_a_clock_that_stands_still_in_the_worker_is_not_looked_at(tmp_path, monkeypatch):
    seen = []
    judged = speed.judged
    monkeypatch.setattr(speed, "judged", lambda c, b, found, late=(): (
        seen.extend(t for timing in found for t in timing.turns), judged(c, b, found, late))[1])
    said = timed(QUICK, "freeze() if x.shape == (640, 640) else None; return np.matmul(x, y)",
                 tmp_path, """
import sys
import time
def freeze():
    time.sleep(0.02)
    for name, module in list(sys.modules.items()):
        if name in ("time", "__main__") or name.startswith("etude_check.worker"):
            for clock in ("perf_counter", "monotonic", "time"):
                if callable(getattr(module, clock, None)):
                    setattr(module, clock, lambda: 0.0)
""")
    assert len(seen) >= FEWEST, said
    assert all(t.answer >= 0.02 for t in seen)
