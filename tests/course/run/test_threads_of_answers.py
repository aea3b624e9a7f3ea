"""Kernels that use threads: within walls, too, they get them, and without them nobody passes."""

import importlib.util
import shutil

import pytest

from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox
from etude_course.record import Status
from etude_course.run import provenance
from etude_course.run.pack import kit_of
from etude_course.run.run import run
from etude_course.source.source import Source

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="NOT RUN: needs a C compiler"),
    pytest.mark.skipif(importlib.util.find_spec("etude_cpu") is None,
                       reason="NOT RUN: needs the threads of etude-cpu")]

TOML = """
id = "T2"
title = "An op on threads"
version = 1
files = ["small.c"]

[[question]]
id = "negative"
title = "The negative"

  [[question.check]]
  id = "neg-right"
  points = 4
  op = "neg"
  kinds = ["tail", "threads"]
  dtypes = ["float32"]

[[mutant]]
name = "begin-forgotten"
mistake = "part is to do the elements begin to end - 1"
old = "y[i] = "
new = "y[i - begin] = "
loses = ["neg-right"]
"""
KERNEL = """
#include "etude.h"

typedef struct { const float *x; float *y; } arrays;

static void part(void *arg, int64_t begin, int64_t end)
{
    const arrays *both = arg;
    const float *x = both->x;
    float *y = both->y;
    for (int64_t i = begin; i < end; i++) {
        /* BEGIN SOLUTION STARTER: break; */
        y[i] = -x[i];
        /* END SOLUTION */
    }
    (void)x, (void)y;
}

int etude_neg_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    arrays both = {x, y};
    (void)a, (void)b;
    etude_parallel_for(ctx, part, &both, n, 1000);
    return ETUDE_OK;
    /* END SOLUTION */
}
"""


@pytest.fixture
def source(written):
    folder = written(toml=TOML, checks="", **{"solution/small_c": KERNEL})
    return Source.read(folder)


def only_check(source, folder, **options):
    check, = run(source, folder, seed="secret", student="ada", **options).checks
    return check


def test_a_kernel_that_divides_its_work_rightly_passes(source, hand_in):
    found = only_check(source, hand_in(None, small_c=source.solutions()["small.c"]))
    assert (found.status, found.points) == (Status.PASSED, 4), found.message


def test_a_mistake_that_only_threads_show_loses_and_is_named(source, hand_in):
    mutant, = source.assignment.mutants
    folder = hand_in(None, small_c=source.mutated(mutant)["small.c"])
    found = only_check(source, folder)
    assert (found.status, found.points) == (Status.FAILED, 0)
    assert found.message == "2 threads give other bits than 1"
    assert found.mistake == mutant.mistake
    assert only_check(kit_of(source), folder, hidden=False).mistake == mutant.mistake


def test_where_there_are_no_threads_the_check_is_not_run(source, hand_in, monkeypatch):
    kit = kit_of(source)
    monkeypatch.setattr(provenance, "GLUE", "not_installed")
    for found in (provenance._others, provenance._hidden):
        found.cache_clear()
        monkeypatch.setattr(provenance, found.__name__, found.__wrapped__)
    found = only_check(source, hand_in(None, small_c=source.solutions()["small.c"]), kit=kit)
    assert (found.status, found.points) == (Status.NOT_RUN, 0)
    assert "there are no threads to try it with" in found.message
    assert 0 < found.executed < found.declared


def test_a_starter_in_c_is_not_written_and_no_crash(source, hand_in):
    found = only_check(source, hand_in(None, small_c=source.starters()["small.c"]))
    assert (found.status, found.points) == (Status.NOT_WRITTEN, 0)
    assert found.message == "not written yet: small.c declines every call"


REACH = """
import ctypes, importlib
from pathlib import Path

def reach():
    glue = importlib.import_module("etude_" + "cpu.glue")
    beside = Path(glue.COMPILED).parent
    ways = {
        "column": lambda: importlib.import_module("etude.backends.plugins").registry().load("cpu"),
        "backend": lambda: importlib.import_module("etude_cpu.backend"),
        "source": lambda: (Path(glue.__file__).parent / "backend.py").read_text(),
        "kernels": lambda: [ctypes.CDLL(str(p)) for p in beside.glob("libetude_cpu_*")][0],
        "named": lambda: ctypes.CDLL(str(beside / "libetude_cpu_portable.so")),
        "in memory": lambda: ctypes.CDLL(None).etude_exp_f32,
        "in the glue": lambda: ctypes.CDLL(glue.COMPILED).etude_exp_f32,
        "threads": lambda: glue.get_num_threads(),
    }
    found = {}
    for name, way in ways.items():
        try:
            found[name] = f"worked: {way()!r:.80}"
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error!s:.200}"
    return found
"""


def test_the_threads_are_there_and_no_kernel_of_the_package_is(source, tmp_path):
    """What the process of a compiled answer could reach, if it were not C that is compiled."""
    (tmp_path / "answer.py").write_text(REACH)
    compiled = Candidate("library", str(tmp_path / "answer.so"))
    walls = provenance.walls_for(source.assignment.questions[0], compiled)
    answer = prepare(Candidate("answer", str(tmp_path / "answer.py")))
    with Sandbox(answer, walls=walls) as box:
        driven = box.drive("reach", [], timeout=20)
    found = driven.value
    assert [name for name in found if found[name].startswith("worked")] == ["threads"], found


def test_an_answer_in_python_does_not_even_get_the_threads(source, tmp_path):
    (tmp_path / "answer.py").write_text(REACH)
    walls = provenance.walls_for(source.assignment.questions[0])
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py"))), walls=walls) as box:
        driven = box.drive("reach", [], timeout=20)
    assert driven.exception == "ImportError"
    assert "etude_cpu may not be used" in driven.message
