"""``etude check --source kernel.cu``: in the lab, on a card where there is one, and what becomes of
verdicts that differ.
"""

import pytest

from etude_check.commands.three import Three
from etude_check.engine import check
from etude_check.errors import CheckError
from etude_check.report.disagree import BLIND, disagreements, unlike
from etude_check.report.record import Record, Report, Verdict
from etude_check.report.watch import Finding, Watch
from etude_check.worker import candidate as candidates
from etude_check.worker.candidate import Candidate, everywhere, prepare

RELU = """#include "etude.h"
__global__ void relu(const float *x, float *y, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] < 0 ? 0 : x[i];
}
extern "C" int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double,
                              double) {
    if (n) relu<<<(n + 255) / 256, 256, 0, (cudaStream_t)ctx->stream>>>(x, y, n);
    return cudaGetLastError() == cudaSuccess ? ETUDE_OK : ETUDE_FAILED;
}
"""


@pytest.fixture
def source(tmp_path):
    def write(text):
        path = tmp_path / "relu.cu"
        path.write_text(text)
        return str(path)
    return write


@pytest.mark.parametrize(("old", "new", "passed"), [("", "", True), ("i < n", "i + 1 < n", False)])
def test_a_source_is_checked_in_the_lab(source, lab_column, old, new, passed):
    [one] = everywhere(Candidate.parse(source=source(RELU.replace(old, new))), "gpu-lab")
    report = check(one, ops=["relu"], kinds=["tail"], level="smoke")
    assert report.environment["device"] == "gpu-lab"
    assert report.target.endswith("relu.cu --device gpu-lab")
    assert report.executed > 0
    assert bool(report.failures) is not passed


def test_a_source_that_does_not_compile_is_shown_with_its_line(source, lab_column):
    with pytest.raises(CheckError, match=r"relu\.cu:4: .*'m' was not declared"):
        prepare(Candidate.parse(source=source(RELU.replace("i < n)", "i < m)"))))


def test_a_kernel_that_is_not_of_its_type_is_told_its_prototype_before_it_runs(source, lab_column):
    wrong = RELU.replace("float *y, int64_t n, double", "float *y, int n, double")
    with pytest.raises(CheckError) as refused:
        prepare(Candidate.parse(source=source(wrong)))
    said = str(refused.value)
    assert said.startswith("relu.cu, line 6: etude_relu_f32 is not of its type in etude.h.")
    assert "int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n" in said
    assert 'extern "C" etude_map_fn_f32 etude_relu_f32;' in said


def test_it_runs_on_the_card_too_where_there_is_one(source, monkeypatch):
    asked = Candidate.parse(source=source(RELU))
    for card, devices in ((True, ["gpu-lab", "cuda"]), (False, ["gpu-lab"])):
        monkeypatch.setattr(candidates, "no_card", lambda card=card: [] if card else ["card: none"])
        assert [c.device for c in everywhere(asked)] == devices
    assert [c.device for c in everywhere(asked, "cuda")] == ["cuda"]


def test_other_candidates_have_one_device():
    assert everywhere(Candidate.parse("cpu")) == [Candidate.parse("cpu")]
    with pytest.raises(CheckError, match=r"--device says where a CUDA source"):
        everywhere(Candidate.parse("cpu"), "cuda")


def test_cases_on_which_two_devices_disagree_are_listed():
    def report(device, *verdicts):
        records = [Record(f"relu/tail/{i}@0", "relu", "map", "tail", "float32", verdict, "why")
                   for i, verdict in enumerate(verdicts)]
        return Report("k.cu", "smoke", 0, records, environment={"device": device})

    lab = report("gpu-lab", Verdict.PASS, Verdict.PASS, Verdict.CERTAIN, Verdict.UNSUPPORTED)
    card = report("cuda", Verdict.PASS, Verdict.CRASH, Verdict.INACCURATE, Verdict.PASS)
    assert disagreements(lab, card) == [
        "relu/tail/1@0: gpu-lab PASS; cuda CRASH (why)",
        "relu/tail/3@0: gpu-lab UNSUPPORTED (why); cuda PASS"]


# ------------------------------------------------------------------ what tools see


def seen(tool, kind, *lines, **more):
    return Finding(tool, kind, "error", kind, kind, "k.cu", lines[0], list(lines), **more)


def looked(*findings, tools=("memcheck", "racecheck", "initcheck", "synccheck")):
    return Watch("compute-sanitizer", ["relu/tail/0@0"], list(findings), tools=list(tools))


def in_lab(*findings):
    return Watch("lab", ["relu/tail/0@0"], list(findings))


def test_tools_that_report_one_mistake_at_a_common_line_agree():
    lab = in_lab(seen("lab", "race", 6, 5, space="shared"), seen("lab", "null-pointer", 9))
    card = looked(seen("racecheck", "race", 5), seen("memcheck", "out-of-bounds", 9))
    assert unlike(lab, card) == []


@pytest.mark.parametrize(("finding", "why"), [
    (seen("lab", "race", 6, space="global"), "racecheck looks at shared memory only"),
    (seen("lab", "race", 6, space="shared", atomic=True), "an atomic access followed by a plain"),
    (seen("lab", "uninitialized", 6, space="shared"), "initcheck looks at global memory only"),
    (seen("lab", "shuffle-mask", 6), "whose mask leaves out some of its callers")])
def test_a_finding_where_the_cards_tool_does_not_look_is_told_with_that(finding, why):
    [said] = unlike(in_lab(finding), looked())
    assert said.startswith("k.cu:6: the lab reports a")
    assert why in said


def test_every_blind_spot_is_one_of_some_finding():
    assert len(BLIND) == 4
    plain = seen("lab", "race", 6, space="shared")
    assert not any(blind(plain) for blind, _ in BLIND)
    assert unlike(in_lab(plain), looked()) == [
        "k.cu:6: the lab reports a race, and racecheck does not"]


def test_what_only_the_card_shows_is_told_with_what_the_lab_cannot_know():
    [said] = unlike(in_lab(), looked(seen("memcheck", "misaligned", 3)))
    assert said.startswith("k.cu:3: memcheck reports a misaligned access, and the lab does not")
    assert "this order of threads alone" in said


def test_of_a_tool_that_did_not_run_nothing_is_said():
    assert unlike(in_lab(seen("lab", "race", 6, space="shared")), looked(tools=["memcheck"])) == []
    assert unlike(in_lab(seen("lab", "bytes-for-elements", 6)), looked()) == [], "nobody else looks"


def passed(device, *verdicts):
    records = [Record(f"relu/tail/{i}@0", "relu", "map", "tail", "float32", v, "why")
               for i, v in enumerate(verdicts)]
    return Report(f"k.cu --device {device}", "smoke", 0, records, environment={"device": device})


def test_three_verdicts_stand_together_and_their_disagreements_in_the_first_report(monkeypatch):
    lab, card = passed("gpu-lab", Verdict.PASS), passed("cuda", Verdict.CERTAIN)
    watches = {"gpu-lab": in_lab(), "cuda": looked(seen("racecheck", "race", 5))}
    monkeypatch.setattr("etude_check.watch.watched", lambda c, **asked: watches[c.device])
    source = Candidate.parse(source="k.cu")
    three = Three(None, {})
    for report in (lab, card):
        device = report.environment["device"]
        three.watch(Candidate("source", "k.cu", {"device": device}), report)
    three.end(source, [lab, card], False, lambda w: pytest.fail("shown with the card's report"))
    assert [(r.by, r.verdict) for r in lab.rulings] == [
        ("lab", "PASSED"), ("card", "FAILED"), ("compute-sanitizer", "FAILED")]
    assert "1 mistake, seen by racecheck" in lab.rulings[2].words
    assert [d.partition(":")[0] for d in lab.disagreements] == ["relu/tail/0@0", "k.cu"]
    assert (lab.exit_status, card.exit_status) == (0, 1)


def test_a_tool_of_the_card_that_did_not_end_is_no_pass(monkeypatch):
    lab = passed("gpu-lab", Verdict.PASS)
    watches = {"gpu-lab": in_lab(), "cuda": looked(tools=["memcheck"])}
    monkeypatch.setattr("etude_check.watch.watched", lambda c, **asked: watches[c.device])
    monkeypatch.setattr(candidates, "no_card", lambda: ["library: it is not there"])
    three, shown = Three(None, {}), []
    three.watch(Candidate("source", "k.cu", {"device": "gpu-lab"}), lab)
    three.end(Candidate.parse(source="k.cu"), [lab], False, shown.append)
    assert [(r.by, r.verdict) for r in lab.rulings] == [
        ("lab", "PASSED"), ("card", "NOT RUN"), ("compute-sanitizer", "INTERRUPTED")]
    assert shown == [watches["cuda"]]
    watches["cuda"] = Watch("compute-sanitizer", not_run="card: there is none")
    three = Three(None, {})
    three.watch(Candidate("source", "k.cu", {"device": "gpu-lab"}), lab)
    three.end(Candidate.parse(source="k.cu"), [lab], False, shown.append)
    assert [r.words for r in lab.rulings[1:]] == ["library: it is not there",
                                                  "card: there is none"]


def test_after_ctrl_c_nobody_is_asked_any_more(monkeypatch):
    monkeypatch.setattr("etude_check.watch.watched", lambda c, **asked: pytest.fail("asked"))
    monkeypatch.setattr(candidates, "no_card", list)
    lab = passed("gpu-lab", Verdict.PASS)
    lab.notes = ["interrupted while cases were watched"]
    three = Three(None, {})
    three.interrupted(Candidate("source", "k.cu", {"device": "gpu-lab"}), lab)
    three.end(Candidate.parse(source="k.cu"), [lab], True, lambda w: pytest.fail("shown"))
    assert [(r.by, r.verdict, r.words) for r in lab.rulings[1:]] == [
        ("card", "NOT RUN", "interrupted"), ("compute-sanitizer", "NOT RUN", "interrupted")]
    assert lab.rulings[0].verdict == "INTERRUPTED"
