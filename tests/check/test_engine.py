"""The engine, end to end: right columns pass, wrong ones do not, and each is told what it is."""

import datetime
import textwrap

import numpy as np
import pytest

from etude import TABLE
from etude_check.cases.case import cases
from etude_check.cases.spec import KINDS
from etude_check.engine import check
from etude_check.errors import CheckError
from etude_check.judge import waivers
from etude_check.judge.names import find
from etude_check.judge.runner import Runner, Settings
from etude_check.report.record import Record, Report, Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate

SOFTMAX = """
    import numpy as np
    import etude

    @etude.implements("softmax")
    def softmax(x, *, dim=-1):
        {}
"""
RIGHT = """e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
        return e / e.sum(dim, keepdims=True)"""


def column(tmp_path, body, after=""):
    path = tmp_path / "column.py"
    path.write_text(textwrap.dedent(SOFTMAX.format(body) + after))
    return Candidate.parse(module=path)


def run(candidate, **options):
    options = {"ops": ["softmax"], "level": "smoke", **options}
    return check(candidate, **options)


def test_every_op_of_the_table_has_a_spec():
    shipped = {n for n, op in TABLE.items() if op.reference.__module__.startswith("etude.ops.")}
    assert shipped - set(specs()) == set()


def test_a_spec_stands_in_the_file_of_its_family():
    for name, spec in specs().items():
        assert spec.plans.__module__.startswith("etude_check."), name
        assert spec.random is not None or TABLE[name].cls in ("view", "create"), name


def test_the_same_name_draws_the_same_case():
    spec = specs()["softmax"]
    first = list(cases(spec, "layout", "full"))
    assert len({c.id for c in first}) == len(first) > 20
    for case in first[::7]:
        again = find(case.id)
        assert all(np.array_equal(a, b) and a.strides == b.strides
                   for a, b in zip(case.call.arrays, again.call.arrays))
    some = {c.id for c in cases(spec, "layout", "smoke")}
    assert some < {c.id for c in first}


@pytest.mark.parametrize("name", ["softmax", "softmax/tail/1", "softmax/tail/9999@0",
                                  "nothing/tail/1@0", "softmax/nothing/1@0", "softmax/tail/{@0"])
def test_a_case_that_cannot_be_is_refused(name):
    with pytest.raises(CheckError, match="case"):
        find(name)


def test_a_right_column_passes(tmp_path):
    report = run(column(tmp_path, RIGHT))
    assert report.passed, report.failures[:3]
    assert report.exit_status == 0
    assert report.executed > 40
    assert all(s.trusted for s in report.screens)
    assert {r.kind for r in report.records} >= set(KINDS) - {
        "broadcast", "duplicate-index", "cotangent", "adjoint", "exact", "alias"}


WRONG = {
    "no maximum": ("e = np.exp(x); return e / e.sum(dim, keepdims=True)", ""),
    "zeros": ("return np.zeros_like(x)", "it returns zeros"),
    "its input": ("return x.copy()", "it returns its input"),
    "half precision": ("h = x.astype(np.float16); e = np.exp(h - h.max(dim, keepdims=True)); "
                       "return (e / e.sum(dim, keepdims=True)).astype(x.dtype)", ""),
    "the first result for ever": (
        "key = x.shape, x.dtype, dim; c = softmax.__dict__.setdefault('c', {})\n"
        "        if key not in c:\n"
        "            e = np.exp(x - x.max(dim, keepdims=True))\n"
        "            c[key] = e / e.sum(dim, keepdims=True)\n"
        "        return c[key].copy()", ""),
    "the wrong axis": ("e = np.exp(x - x.max(0, keepdims=True)); "
                       "return e / e.sum(0, keepdims=True)", ""),
    "another dtype": ("e = np.exp(x - x.max(dim, keepdims=True)); "
                      "return (e / e.sum(dim, keepdims=True)).astype('f8')", ""),
    "writes its input": ("x -= x.max(dim, keepdims=True); e = np.exp(x); "
                         "return e / e.sum(dim, keepdims=True)", ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_column_does_not(tmp_path, wrong):
    body, likely = WRONG[wrong]
    report = run(column(tmp_path, body), kinds=["tail", "layout", "special", "repeat"])
    assert report.exit_status == 1
    assert report.failures
    assert likely in " ".join(r.likely for r in report.failures)


def test_what_crashes_costs_a_case_and_the_run_goes_on(tmp_path):
    report = run(column(tmp_path, "if x.size == 45: import os; os._exit(0)\n        " + RIGHT))
    crashed = [r for r in report.records if r.verdict is Verdict.CRASH]
    assert crashed
    assert "exited with status 0" in crashed[0].message
    assert report.count(Verdict.PASS) > 20


def test_what_is_not_there_is_not_passed(tmp_path):
    report = run(column(tmp_path, RIGHT), ops=["add"])
    assert report.executed == 0
    assert not report.passed
    assert report.exit_status == 3
    assert report.count(Verdict.UNSUPPORTED) == 1


def test_a_column_that_declines_every_call_has_executed_nothing(tmp_path):
    report = run(column(tmp_path, "raise etude.Unsupported('not today')"),
                 kinds=["tail", "errors"])
    assert report.records
    assert report.executed == 0, "that the dispatcher refuses a wrong call is not the column's"
    assert not report.passed
    assert report.exit_status == 3


def test_a_call_that_is_declined_may_leave_nothing_behind_either(tmp_path):
    """The reference goes on with the same arrays then, in the same process."""
    report = run(column(tmp_path, "x[...] = 7; raise etude.Unsupported('not today')"),
                 kinds=["tail"])
    assert {r.message for r in report.records} == {"changes its input x"}
    assert report.exit_status == 1


def test_a_call_that_is_refused_is_watched_like_any_other(tmp_path):
    path = tmp_path / "column.py"
    path.write_text(textwrap.dedent("""
        import ctypes, etude

        @etude.implements("floor_divide")
        def floor_divide(x, y):
            ctypes.memset(x.ctypes.data - 1, 7, 1)
            raise ZeroDivisionError("floor_divide: y is 0 somewhere")
    """))
    report = run(Candidate.parse(module=path), ops=["floor_divide"], kinds=["errors"])
    assert {r.message for r in report.failures} == {
        "writes before the start of input x (byte 1 before it)"}


def test_operands_of_one_shape_are_also_asked_at_different_addresses(tmp_path):
    path = tmp_path / "column.py"
    path.write_text(textwrap.dedent("""
        import etude

        @etude.implements("add")
        def add(x, y):
            return x + y + (x.ctypes.data % 64 != y.ctypes.data % 64)
    """))
    failed = run(Candidate.parse(module=path), ops=["add"], kinds=["tail"]).failures
    assert any(r.index is not None for r in failed)


def test_a_column_that_does_not_load_is_one_failure(tmp_path):
    report = run(column(tmp_path, RIGHT, "\n    import os; os._exit(0)"))
    assert [r.kind for r in report.failures] == ["load"]
    assert report.exit_status == 1


@pytest.mark.parametrize("patch", ["np.testing.assert_allclose = lambda *a, **k: None",
                                   "import time; time.perf_counter = lambda: 0.0"])
def test_a_column_that_patches_the_comparison_is_told_so(tmp_path, patch):
    report = run(column(tmp_path, RIGHT, f"\n    {patch}"))
    conduct = [r for r in report.failures if r.kind == "conduct"]
    assert conduct
    assert "replaces" in conduct[0].message


def test_sums_that_are_truncated_are_told_apart_from_rounded_ones(tmp_path):
    path = tmp_path / "sums.py"
    path.write_text(textwrap.dedent("""
        import numpy as np
        import etude

        def towards_zero(exact):
            y = exact.astype(np.float32)
            with np.errstate(all="ignore"):
                return np.where(np.abs(y.astype(np.float64)) > np.abs(exact),
                                np.nextafter(y, np.float32(0)), y)

        @etude.implements("matmul")
        def matmul(x, y):
            if x.dtype != np.float32:
                return np.matmul(x, y)
            z = np.zeros(np.matmul(x[..., :0], y[..., :0, :]).shape, np.float32)
            for k in range(x.shape[-1]):
                term = x[..., k : k + 1].astype(np.float64) * y[..., k : k + 1, :]
                z = towards_zero(z + term)
            return z
    """))
    report = check(Candidate.parse(module=path), ops=["matmul"], kinds=["tail", "layout"])
    assert {r.kind for r in report.failures} == {"bias"}
    assert "lean towards zero" in report.failures[0].message
    again = check(Candidate.parse(module=path), case=report.failures[0].case, level="smoke",
                  kinds=["tail", "layout"])
    assert {r.kind for r in again.records} == {"bias"}


def test_levels_ops_and_families_are_known(tmp_path):
    candidate = column(tmp_path, RIGHT)
    with pytest.raises(CheckError, match="no level 'quick'"):
        run(candidate, level="quick")
    with pytest.raises(CheckError, match="no op called 'softmux'"):
        run(candidate, ops=["softmux"])
    with pytest.raises(CheckError, match="no family 'rows'"):
        run(candidate, families=["rows"])
    with pytest.raises(CheckError, match="no kind of case 'softmax'"):
        run(candidate, kinds=["softmax"])


def test_several_jobs_find_the_same(tmp_path):
    candidate = column(tmp_path, RIGHT, """
    @etude.implements("add")
    def add(x, y):
        return x + y if x.ndim != 2 else x - y
    """)
    one = check(candidate, ops=["softmax", "add"], level="smoke")
    two = check(candidate, ops=["softmax", "add"], level="smoke", jobs=2)
    assert [(r.case, r.verdict) for r in one.records] == [(r.case, r.verdict) for r in two.records]
    assert {r.op for r in two.failures} == {"add"}


def test_a_failure_runs_again_from_its_name(tmp_path):
    candidate = column(tmp_path, "return np.zeros_like(x)")
    for failed in run(candidate).failures[:40:8]:
        again = check(candidate, case=failed.case)
        assert [r.verdict for r in again.records] == [failed.verdict], failed.case
        assert again.records[0].index == failed.index


def test_a_case_of_any_family_runs_again_from_its_name():
    one = {r.kind: r for r in check("reference", ops=["matmul"], level="smoke").records}
    assert one.keys() >= {"adjoint", "threads", "random", "errors"}
    for kind, record in one.items():
        again = check("reference", case=record.case).records
        assert {(r.case, r.asked, r.verdict) for r in again} == {
            (record.case, record.asked, Verdict.PASS)}, kind
    with pytest.raises(CheckError, match="matmul/errors has"):
        check("reference", case="matmul/errors/99@0")
    with pytest.raises(CheckError, match="softmax has no case of bias"):
        check("reference", case="softmax/bias/0@0")


def test_bits_that_depend_on_the_threads_are_seen(tmp_path):
    body = f"""import os
        y = x * (1 + int(os.environ["ETUDE_NUM_THREADS"]) * 1e-9)
        {RIGHT.replace("x", "y").replace("eyp", "exp").replace("may(", "max(")}"""
    report = run(column(tmp_path, body), kinds=["threads"], level="full", dtypes=["float64"])
    assert {r.verdict for r in report.records if r.size > 100} == {Verdict.CERTAIN}
    assert {r.verdict for r in report.records if not r.size} == {Verdict.PASS}  # no bits at all
    assert "threads give other bits than 1" in report.failures[0].message


def test_a_backward_that_is_not_the_adjoint_is_seen(tmp_path):
    path = tmp_path / "pair.py"
    path.write_text(textwrap.dedent("""
        import etude
        from etude import TABLE

        @etude.implements("avg_pool2d")
        def forward(x, **attrs):
            return TABLE["avg_pool2d"].reference(x, **attrs)

        @etude.implements("avg_pool2d_backward")
        def backward(grad, **attrs):
            return 2 * TABLE["avg_pool2d_backward"].reference(grad, **attrs)
    """))
    report = check(Candidate.parse(module=path), ops=["avg_pool2d"], kinds=["adjoint"])
    assert report.failures
    assert "not adjoint" in report.failures[0].message


# ------------------------------------------------------------------ waivers

WAIVER = {"op": "softmax", "kind": "*", "dtype": "float64", "reason": "no float64 yet",
          "expires": "2999-01-31"}


def test_a_declared_failure_is_waived_and_does_not_score(tmp_path):
    body = "if x.dtype == 'f8': return x.copy()\n        " + RIGHT
    report = run(column(tmp_path, body, f"\n    ETUDE_WAIVERS = [{WAIVER}]"))
    waived = [r for r in report.records if r.verdict is Verdict.WAIVED]
    assert waived
    assert all("no float64 yet" in r.message for r in waived)
    assert not [r for r in report.failures if r.dtype == "float64"]


def test_a_waiver_ends_on_its_day_and_when_nothing_fails():
    failed = Record("softmax/tail/0@0", "softmax", "softmax", "tail", "float64", Verdict.CERTAIN)
    day = datetime.date(2999, 2, 1)
    [late] = waivers.apply([WAIVER], [failed], True, today=day)
    assert "expired" in late.message
    assert failed.verdict is Verdict.CERTAIN
    fine = Record("softmax/tail/0@0", "softmax", "softmax", "tail", "float64", Verdict.PASS)
    [stale] = waivers.apply([WAIVER], [fine], True)
    assert "remove it" in stale.message
    assert waivers.apply([WAIVER], [fine], False) == []


def test_the_first_failure_is_one_that_is_not_declared(tmp_path):
    """Whole rows of float64 are declared; that longer ones are wrong in float32 is not."""
    body = "if x.dtype == 'f8': return x.copy()\n        " + RIGHT + " * (1 + (x.size >= 30))"
    report = run(column(tmp_path, body, f"\n    ETUDE_WAIVERS = [{WAIVER}]"), level="full",
                 kinds=["tail"], stop_at_first=True)
    assert [r.dtype for r in report.failures] == ["float32"]
    assert report.exit_status == 1
    alone = run(column(tmp_path, body, f"\n    ETUDE_WAIVERS = [{WAIVER}]"), level="full",
                kinds=["tail"], dtypes=["float64"], stop_at_first=True)
    assert not alone.failures
    assert len(alone.records) > 40, "waived ones end no run"


def test_no_waiver_excuses_what_a_column_does_besides(tmp_path):
    waiver = {**WAIVER, "op": "*", "dtype": "*"}
    patch = "np.testing.assert_allclose = lambda *a, **k: None"
    [everything] = waivers.apply([waiver], [], True)
    assert "every op and every kind of case" in everything.message
    report = run(column(tmp_path, RIGHT, f"\n    {patch}\n    ETUDE_WAIVERS = "
                        f"[{ {**waiver, 'kind': 'con*'} }]"))
    assert [r.verdict for r in report.records if r.kind == "conduct"] == [Verdict.CERTAIN]


@pytest.mark.parametrize("change", [{"op": "softmux"}, {"reason": " "}, {"expires": "soon"}])
def test_a_waiver_that_says_too_little_is_a_failure(change):
    [wrong] = waivers.apply([{**WAIVER, **change}], [], True)
    assert wrong.verdict.failed


def test_a_report_survives_json():
    record = Record("a/b/0@0", "a", "g", "b", "float32", Verdict.INACCURATE, ratio=2.0)
    report = Report("cpu", "smoke", 0, [record])
    assert Report.from_json(report.to_json()) == report
    with pytest.raises(ValueError, match="schema"):
        Report.from_json({"schema": 99})


def test_ctrl_c_that_a_library_makes_another_error_of_is_still_ctrl_c(tmp_path):
    def hear(record):
        try:
            raise KeyboardInterrupt
        finally:
            raise AssertionError  # so hypothesis does when it is reached before it has begun

    runner = Runner(Settings(Candidate.parse("reference"), level="smoke"))
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.check("neg", hear)
    finally:
        runner.close()
