"""What a report says in every form: nothing is lost, nothing breaks out, no empty run is green."""

import json
import math
import re
import shutil
import subprocess
from io import StringIO
from xml.etree import ElementTree as ET

import jsonschema
import made_reports as made
import pytest
from rich.console import Console

from etude_check.cases.spec import KINDS
from etude_check.report import html, junit, summary, terminal
from etude_check.report import json as as_json
from etude_check.report.record import Record, Report, Screen, Verdict


def text_of(report, width=80):
    to = Console(file=StringIO(), width=width, highlight=False, markup=False)
    terminal.show(report, to)
    return to.file.getvalue()


# ------------------------------------------------------------------ what all forms share


def test_every_case_family_has_a_heading_of_its_own():
    assert tuple(summary.HEADINGS) == KINDS
    assert len(set(summary.HEADINGS.values())) == len(KINDS)


def test_every_verdict_has_a_place_and_a_colour():
    assert set(summary.WORST) == set(terminal.COLOURS) == set(Verdict)


def test_the_failure_shown_first_is_the_smallest_that_has_wrong_values():
    big, small = made.wrong(number=1, size=90), made.wrong(number=2, size=8)
    words = made.wrong(kind="errors", size=0, verdict=Verdict.INACCURATE)
    one, = summary.failing(made.report(big, words, small, made.record()))
    assert one.first is small
    assert one.total == 4
    assert sum(one.verdicts.values()) == 3


def test_what_only_all_cases_show_is_not_shown_first_and_what_was_declined_does_not_count():
    big = made.wrong(number=1, size=500)
    declined = made.record(number=7, verdict=Verdict.UNSUPPORTED)
    all_together = made.wrong(kind="bias", size=0, verdict=Verdict.INACCURATE)
    report = made.report(all_together, declined, big)
    one, = summary.failing(report)
    assert (one.first, one.total) == (big, 2)
    row, = [line for line in text_of(report).splitlines() if line.startswith("  softmax  ")]
    assert row.split()[-2] == "2"


def test_complaints_that_differ_only_in_numbers_are_one():
    records = [made.wrong(number=i, message=f"wrote {i} elements past the end")
               for i in range(5)]
    one, = summary.failing(made.report(*records, made.wrong(number=9, message="other")))
    assert [(text, n) for text, _, n in one.others] == [("other", 1)]


def test_complaints_that_differ_only_in_shapes_are_one():
    shapes = ["5", "2, 0", "1, 7, 3", ""]
    records = [made.wrong(number=i, message=f"returned float64[{s}], asked was float32[{s}]")
               for i, s in enumerate(shapes)]
    one, = summary.failing(made.report(*records))
    assert not one.others


def test_a_failure_is_run_again_by_its_name():
    assert summary.reproduction(made.report(), made.wrong()) == (
        "etude check mine --case softmax/tail/0@0")


# ------------------------------------------------------------------ terminal


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_report_fits_and_is_ascii(width):
    long = [made.record("binary_cross_entropy_with_logits", f) for f in KINDS]
    for report in (made.of_every_verdict(), made.report(*long, *made.large(2000).records)):
        text = text_of(report, width)
        assert max(map(len, text.splitlines())) <= width
        assert text.isascii()
        assert "\x1b" not in text


def test_a_failure_says_what_was_asked_expected_got_and_how_to_see_it_again():
    text = text_of(made.of_every_verdict())
    for line in ("softmax  3 of 5 cases: 3 FAIL (certain)",
                 "asked      softmax(x: float32[2, 5])",
                 "expected   0.5 at y[1, 4]",
                 "got        0.0",
                 "error      0.5, 5e+05 times its bound of 1e-06; 7 elements are wrong",
                 "looks like it returns zeros",
                 "run again  etude check mine --case softmax/tail/3@0",
                 "nan, which is within no bound",
                 "Not trusted: relu float32",
                 "Note: patched numpy.testing",
                 "74 of 74 wrong kernels",
                 "Not implemented, not checked (1): log"):
        assert line in text


def test_every_verdict_is_counted():
    text = " ".join(text_of(made.of_every_verdict()).split())
    assert ("13 executed: 3 passed, 4 failed (certain), 2 failed (inaccurate), 1 crashed, 1 timed "
            "out, 1 mistrusted, 1 waived; 1 unsupported") in text
    assert ("FAILED: 8 of 12 cases of 8 ops, in 6 ops, and besides its conduct, and the lab saw 1 "
            "mistake.") in text


def test_what_belongs_to_no_op_is_no_case():
    conduct = Record("-/conduct/0@0", "-", "-", "conduct", "", Verdict.CERTAIN,
                     "a column computes, and does nothing else; this one replaces np.abs")
    report = made.report(made.record(), conduct, notes=["replaces np.abs", "looks through files"])
    text = text_of(report)
    assert "FAILED: its conduct; none of 1 case of 1 op failed." in text
    assert text.count("replaces np.abs") == 1, "said once, where it is a failure"
    assert "Note: looks through files" in text
    load = Record("-/load/0@0", "-", "-", "load", "", Verdict.CRASH, "it cannot be loaded: no")
    assert "FAILED: it does not load." in text_of(made.report(load))


def test_a_mistake_that_a_tool_saw_fails_the_run_and_a_warning_does_not():
    right = made.report(made.record(), watches=[made.watched()])
    assert (right.passed, right.exit_status) == (False, 1)
    text = text_of(right)
    assert "FAILED: none of 1 case of 1 op is wrong, but the lab saw 1 mistake." in text
    assert "1 case watched by the lab: 1 finding" in text
    assert "  > 6 | s[t] += s[t + 1];" in text
    assert "run again  etude check mine --case softmax/tail/2@0" in text
    both = made.report(made.wrong(), watches=[made.watched()])
    assert "FAILED: 1 of 1 case of 1 op, in 1 op, and the lab saw 1 mistake." in text_of(both)
    warned = made.report(made.record(), watches=[made.watched("warning")])
    assert (warned.passed, warned.exit_status) == (True, 0)


def test_verdicts_stand_below_one_another_with_their_disagreements():
    to = Console(file=StringIO(), width=80, highlight=False, markup=False)
    terminal.rulings(made.of_every_verdict(), to)
    text = to.file.getvalue()
    assert [line.split()[:2] for line in text.splitlines()[:2]] == [
        ["lab", "FAILED"], ["card", "PASSED"]]
    assert "compute-sanitizer  NOT RUN      card: there is none" in text
    assert "1 disagreement between them:" in text
    assert max(map(len, text.splitlines())) <= 80
    alone = made.report(rulings=[made.Ruling("lab", "PASSED", "1 case")])
    to = Console(file=StringIO(), width=80, highlight=False, markup=False)
    terminal.rulings(alone, to)
    assert to.file.getvalue().splitlines() == ["lab  PASSED       1 case"]


def test_an_op_that_failed_is_not_distrusted_besides():
    blind = Screen("softmax", "float32", "y", {"zeros": 2})
    assert "Not trusted: softmax" in text_of(made.report(
        made.record(verdict=Verdict.MISTRUSTED), screens=[blind]))
    assert "Not trusted" not in text_of(made.report(made.wrong(), screens=[blind]))


def test_reasons_to_decline_are_told_the_most_frequent_first():
    def no(number, reason):
        return made.record(number=number, verdict=Verdict.UNSUPPORTED,
                           message=f"declined: {reason}")

    report = made.report(made.record("exp"), no(0, "no float64"), *[
        no(i, f"no rows of {i} elements") for i in range(1, 4)])
    assert summary.declined(report) == [("softmax", "no rows of 1 elements", 3),
                                        ("softmax", "no float64", 1)]
    assert "softmax declined 3 calls: no rows of 1 elements" in text_of(report)


def test_a_call_with_arrays_is_shown_before_a_line_of_the_record():
    line, tail = made.wrong(kind="convention", size=2), made.wrong(size=90)
    one, = summary.failing(made.report(line, tail))
    assert one.first is tail
    one, = summary.failing(made.report(line))
    assert one.first is line


def test_many_failures_of_an_op_are_shown_once_and_many_ops_in_a_line_each():
    report = made.report(*[made.wrong(f"op_{i:02d}", number=n) for i in range(20)
                           for n in range(30)])
    text = text_of(report)
    assert text.count("expected") == terminal.IN_FULL
    assert f"And {20 - terminal.IN_FULL} more failing ops" in text
    assert "op_19  30 of 30 cases" in text


@pytest.mark.parametrize("records", [[], [made.record(verdict=Verdict.UNSUPPORTED)]])
def test_a_run_that_executed_nothing_says_so_in_every_form(records):
    report = made.report(*records)
    assert "NOTHING WAS EXECUTED" in text_of(report)
    assert "NOTHING WAS EXECUTED" in html.dumps(report)
    assert json.loads(as_json.dumps(report))["passed"] is False
    assert ET.fromstring(junit.dumps(report)).get("errors") == "1"


def test_an_interrupted_run_is_a_pass_in_no_form():
    report = made.report(made.record(), notes=["interrupted after 1 of 70 ops"])
    assert "INTERRUPTED: no failure so far" in text_of(report)
    assert "PASSED" not in text_of(report)
    assert data_in(html.dumps(report))["passed"] is False
    assert json.loads(as_json.dumps(report))["passed"] is False
    assert ET.fromstring(junit.dumps(report)).get("errors") == "1"
    report = made.report(made.wrong(), notes=["interrupted after 1 of 70 ops"])
    assert "FAILED and INTERRUPTED: 1 of 1 case of 1 op" in text_of(report)


# ------------------------------------------------------------------ JSON


def test_the_json_of_a_report_fits_the_published_schema():
    schema = as_json.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for report in (made.of_every_verdict(), made.report(), made.large(300)):
        validator.validate(json.loads(as_json.dumps(report), parse_constant=pytest.fail))


def test_the_schema_describes_every_field_and_refuses_others():
    schema = as_json.schema()
    document = json.loads(as_json.dumps(made.of_every_verdict()))
    known = {"": schema, "records": schema["$defs"]["record"],
             "screens": schema["$defs"]["screen"], "watches": schema["$defs"]["watch"],
             "rulings": schema["$defs"]["ruling"]}
    for where, part in known.items():
        fields = document[where][0] if where else document
        assert set(part["properties"]) == set(part["required"]) == set(fields)
        assert all(f.get("description") or "$ref" in f for f in part["properties"].values())
    finding = document["watches"][0]["findings"][0]
    part = schema["$defs"]["finding"]
    assert set(part["properties"]) == set(part["required"]) == set(finding)
    document["records"][0]["colour"] = "red"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_the_verdicts_of_the_schema_are_those_there_are():
    assert as_json.schema()["$defs"]["verdict"]["enum"] == [v.value for v in (
        Verdict.PASS, Verdict.CERTAIN, Verdict.INACCURATE, Verdict.CRASH, Verdict.TIMEOUT,
        Verdict.MISTRUSTED, Verdict.UNSUPPORTED, Verdict.NOT_RUN, Verdict.WAIVED)]


def test_json_brings_back_the_same_report_infinities_and_all():
    report = made.of_every_verdict()
    again = as_json.loads(as_json.dumps(report))
    assert isinstance(again, Report)
    odd = next(r for r in again.records if r.op == "add")
    assert odd.expected == math.inf
    assert math.isnan(odd.got)
    assert repr(again) == repr(report)  # NaN is not equal to itself


def test_a_report_of_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema"):
        as_json.loads('{"schema": 99}')


@pytest.mark.parametrize("text", [
    "", "[]", "7", "[" * 100_000, '{"records": 5}', '{"records": [5]}', '{"schema": 1}',
    '{"records": [{"ratio": "much"}]}'], ids=lambda text: text[:20])
def test_what_is_no_report_is_refused_in_one_error(text):
    with pytest.raises(ValueError, match=r"^no report of the kit, or a damaged one: ") as error:
        as_json.loads(text)
    assert type(error.value) is ValueError


# ------------------------------------------------------------------ JUnit


def test_junit_counts_what_it_holds():
    root = ET.fromstring(junit.dumps(made.of_every_verdict()))
    assert root.tag == "testsuites"
    assert {s.get("name") for s in root} >= {"softmax", "matmul", "run"}
    for element in (root, *root):
        assert int(element.get("tests")) == len(list(element.iter("testcase")))
        for kind, name in junit.COUNTED.items():
            assert int(element.get(name)) == len(list(element.iter(kind)))
    assert [int(root.get(n)) for n in ("tests", "failures", "errors", "skipped")] == [16, 8, 2, 3]


def test_junit_gives_the_reason_of_what_was_skipped_or_failed():
    root = ET.fromstring(junit.dumps(made.of_every_verdict()))
    assert {s.get("message") for s in root.iter("skipped")} == {
        "not implemented", "waived until 2027-01-31: known", "NOT RUN: card: there is none"}
    failure = next(f for f in root.iter("failure") if f.get("type") == "FAIL (certain)"
                   and "softmax" in (f.text or ""))
    assert "run again: etude check mine --case softmax/tail/" in failure.text


# ------------------------------------------------------------------ HTML


def data_in(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page,
                                re.S).group(1))


def test_the_page_needs_no_network_and_nothing_breaks_out_of_its_data():
    report = made.of_every_verdict()
    report.target = "--module '<b>&{{script}}'"
    page = html.dumps(report)
    assert page.count("<script") == page.count("</script>") == 2
    assert not re.search(r"(src|href)=\"(?!#)|url\(|@import|fetch\(", page)
    assert "{{" not in page.replace("{{script}}", "")
    assert data_in(page)["target"] == report.target


def test_the_page_holds_every_record_and_the_details_of_failures():
    report = made.of_every_verdict()
    data = data_in(html.dumps(report))
    found = [(data["ops"][o][0], data["kinds"][f], data["verdicts"][v])
             for o, f, _, v, names, *_ in data["runs"] for _ in names]
    assert sorted(found) == sorted((r.op, r.kind, r.verdict.value) for r in report.records)
    facts = [dict(d) for run in data["runs"] if len(run) == 7 for d in run[6].values()]
    assert {"asked": "softmax(x: float32[2, 5])", "expected": "0.5 at y[1, 4]", "got": "0.0",
            "error": "0.5, 5e+05 times its bound of 1e-06; 7 elements are wrong",
            "looks like": "it returns zeros"} in facts


def test_thirty_thousand_cases_make_a_page_that_can_be_mailed():
    assert len(html.dumps(made.large(30_000))) < 1 << 20
    everything = made.large(3_000)
    for r in everything.records:
        r.verdict, r.message = Verdict.CERTAIN, "a sentence of some length about what is wrong"
    assert len(html.dumps(everything)) < 2 << 20


def test_a_failure_of_each_cell_keeps_its_details_however_many_there_are():
    records = [made.wrong(kind=f, number=i) for f in ("tail", "layout", "special")
               for i in range(html.DETAILED)]
    data = data_in(html.dumps(made.report(*records)))
    assert all(len(run) == 7 for run in data["runs"])


def test_records_that_belong_to_no_op_are_on_the_page():
    report = made.report(Record("-/load/0@0", "-", "-", "load", "", Verdict.CRASH, "no such file"))
    data = data_in(html.dumps(report))
    assert dict(data["runs"][0][6]["0"]) == {"wrong": "no such file"}


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(BROWSER is None, reason="no chromium to draw the page with")
def test_a_browser_draws_matrix_plot_and_cases(tmp_path):
    page = tmp_path / "report.html"
    page.write_text(html.dumps(made.of_every_verdict()))
    drawn = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000",
         page.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
    assert 'aria-label="softmax, tail: 2 FAIL (certain), 2 PASS"' in drawn or \
           'aria-label="softmax, tail: 2 PASS, 2 FAIL (certain)"' in drawn
    assert drawn.count("<details") == 9  # the failures
    assert drawn.count("<circle") >= 6
    assert "etude check mine --case matmul/large/5@0" in drawn
