"""The kind "convention": what a row declares is asked in many forms, and held by what it says."""

import numpy as np
import pytest

from etude import TABLE
from etude_check.cases import conventions
from etude_check.cases.case import Case, cases
from etude_check.engine import check
from etude_check.errors import CheckError
from etude_check.judge import judge, probes
from etude_check.judge.names import find
from etude_check.specs import specs


@pytest.fixture
def declare():
    """Adds a line to the record of an op, for one test."""
    changed = []

    def add(name, text):
        TABLE[name].convention(text)
        changed.append(name)

    yield add
    for name in changed:
        TABLE[name]._stated.pop()
        del TABLE[name].conventions


def asked(op, **form):
    return conventions.asked(TABLE[op], {"line": len(TABLE[op].conventions) - 1, **form}, "float32")


def test_the_line_decides_and_not_the_reference(declare):
    """A wrong reference agrees with itself; its row must not."""
    assert check("reference", ops=["relu"], kinds=["convention"]).passed
    declare("relu", "relu([-1, 3]) -> [0, 4]  # for a test")
    report = check("reference", ops=["relu"], kinds=["convention"])
    failed = report.failures
    assert {r.kind for r in failed} == {"convention"}
    first = failed[0]
    assert first.message == "its record declares relu([-1, 3]) -> [0, 4], for a test"
    assert (first.expected, first.got, first.index) == (4.0, 3.0, [1])
    assert first.asked.startswith("relu([-1, 3]) -> [0, 4]; ")


def test_the_sign_of_a_zero_counts_where_it_is_written(declare):
    declare("relu", "relu([-0.0, -0.0]) -> [-0.0, 0]")
    case = Case(specs()["relu"], "convention",
                {"line": len(TABLE["relu"].conventions) - 1, "dots": 1}, "float32", 0, 0)
    lost = judge.compare(case, np.array([0, 0], np.float32), 0)
    assert lost.verdict.failed
    assert (lost.index, lost.wrong) == ((0,), 1)
    assert not judge.compare(case, np.array([-0.0, 0], np.float32), 0).verdict.failed


def test_an_example_is_repeated_so_that_every_element_meets_every_lane(declare):
    declare("relu", "relu([nan, -1, 0, 2]) -> [nan, 0, 0, 2]")
    (call, (want,)) = asked("relu", repeated=1025)
    (x,) = call.arrays
    assert x.shape == want.shape == (1025,)
    assert {(i % 16, v) for i, v in enumerate(x) if v == 2} == {(lane, 2) for lane in range(16)}
    assert np.isnan(x[-5:]).any(), "the rest behind the last whole vector has it too"
    bent, _ = asked("relu", repeated=1025, layout="sliced")
    assert bent.arrays[0].strides == (8,)


def test_an_example_along_an_axis_is_asked_as_rows_and_as_columns():
    sizes = {tuple(a.shape for a in case.call.arrays) for case in cases(
        specs()["softmax"], "convention", "full", dtypes=["float32"])}
    assert {((37, 31),), ((31, 37),), ((4099, 3),), ((2,),), ((4100,),)} <= sizes
    for case in cases(specs()["argmax"], "convention", "full"):
        if "columns" in case.plan:
            assert case.call.attrs == {"dim": 0}
            assert [y.shape for y in case.declared] == [(37,)]


def test_steps_repeat_their_parameters_and_not_their_settings():
    case = next(c for c in cases(specs()["sgd_step"], "convention", "full") if "repeated" in c.plan)
    p, g, v, hyper = case.call.arrays
    assert p.shape == g.shape == v.shape == (67,)
    assert hyper.shape == (3,)


def test_what_must_raise_is_among_the_errors():
    refusals = probes.refusals(specs()["floor_divide"])
    zero = next(r for r in refusals if r.why == "floor_divide(int64([1]), int64([0]))")
    assert zero.error == "ZeroDivisionError"
    assert zero.make().arrays[0].dtype == np.int64
    assert all(not TABLE["floor_divide"].conventions[p["line"]].error
               for p in conventions.plans(TABLE["floor_divide"]))


def test_a_case_runs_again_from_its_name():
    found = list(cases(specs()["amax"], "convention", "full"))
    assert len({c.id for c in found}) == len(found) > 60
    for case in found[::9]:
        again = find(case.id)
        assert (again.plan, again.dtype, again.asked) == (case.plan, case.dtype, case.asked)


def test_a_name_whose_dtype_cannot_hold_the_line_is_refused():
    assert specs()["amax"].dtypes == ("float32", "float64", "int64")
    number = 2 * len(conventions.plans(TABLE["amax"]))  # a NaN, in int64
    with pytest.raises(CheckError, match="int64 cannot hold the numbers of amax"):
        find(f"amax/convention/{number}@0")


def test_views_declare_nothing_and_are_asked_nothing():
    assert not list(cases(specs()["reshape"], "convention", "full"))
