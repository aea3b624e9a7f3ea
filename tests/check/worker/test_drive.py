"""Functions of an answer, driven in the worker with plain values."""

import shutil

import numpy as np
import pytest

from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox

ANSWER = """
import os
import time
import numpy as np
import other

def twice(x):
    return other.TWO * x

def unfinished(x):
    raise NotImplementedError

def divides(x):
    return 1 // x

def returns_an_object(x):
    return object()

def leaves(x):
    os._exit(0)

def hangs(x):
    while True:
        time.sleep(0.01)
"""
DRIVERS = "def several(answer, xs):\n    return [answer.twice(x) for x in xs]\n"


@pytest.fixture
def box(tmp_path):
    (tmp_path / "answer.py").write_text(ANSWER)
    (tmp_path / "other.py").write_text("TWO = 2\n")
    (tmp_path / "drivers.py").write_text(DRIVERS)
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py")))) as made:
        made.folder = tmp_path
        yield made


def test_a_function_is_called_and_its_value_comes_back(box):
    found = box.drive("twice", [np.arange(3.0)])
    assert found.status == "ok"
    np.testing.assert_array_equal(found.value, [0.0, 2.0, 4.0])


def test_a_driver_is_handed_the_answer(box):
    assert box.drive("drivers:several", [[1, 2]], drivers=box.folder / "drivers.py").value == [2, 4]


def test_what_is_raised_is_told_with_its_place(box):
    found = box.drive("divides", [0])
    assert (found.status, found.exception) == ("raised", "ZeroDivisionError")
    assert found.where == "answer.py:14 in divides"
    assert box.drive("unfinished", [0]).exception == "NotImplementedError"


@pytest.mark.parametrize(("function", "status", "said"), [
    ("nothing", "missing", "there is no function nothing"),
    ("returns_an_object", "raised", "an object cannot be sent"),
    ("leaves", "crash", "exited with status 0"),
    ("hangs", "timeout", "no answer within 0.3 s"),
])
def test_whatever_else_becomes_of_a_call_is_no_value(box, function, status, said):
    found = box.drive(function, [1], timeout=0.3)
    assert found.status == status
    assert said in found.message
    assert found.value is None
    assert box.drive("twice", [1]).value == 2  # in another worker


def test_an_answer_that_cannot_be_imported_says_so_each_time(tmp_path):
    (tmp_path / "answer.py").write_text("import does_not_exist_anywhere\n")
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py")))) as box:
        for _ in range(2):
            found = box.drive("f", [])
            assert found.status == "unloadable"
            assert "does_not_exist_anywhere" in found.message


def test_the_kernels_of_a_c_source_are_its_functions(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("NOT RUN: needs a C compiler")
    (tmp_path / "answer.c").write_text(
        '#include "etude.h"\n'
        "int etude_neg_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a,\n"
        "                  double b)\n{\n    (void)ctx, (void)a, (void)b;\n"
        "    for (int64_t i = 0; i < n; i++) y[i] = -x[i];\n    return 0;\n}\n")
    with Sandbox(prepare(Candidate.parse(source=tmp_path / "answer.c"))) as box:
        found = box.drive("neg", [np.ones(3, np.float32)])
        np.testing.assert_array_equal(found.value, [-1.0, -1.0, -1.0])
