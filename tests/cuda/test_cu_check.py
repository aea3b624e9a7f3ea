"""``etude check --source kernel.cu``: in the lab, and on a card where there is one."""

import pytest

from etude_check.engine import check
from etude_check.errors import CheckError
from etude_check.report.disagree import disagreements
from etude_check.report.record import Record, Report, Verdict
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
