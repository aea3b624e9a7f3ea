"""A CUDA source under the eyes of tools: its calls in C, the program of them, what the lab sees."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from etude_check.commands.check import check
from etude_check.watch import watched
from etude_check.worker.candidate import Candidate, everywhere
from etude_cuda.watch import in_lab, sanitizer
from etude_cuda.watch.calls import At, Notes
from etude_cuda.watch.driver import program, statuses

needs_gxx = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None,
                               reason="NOT RUN: needs g++")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="NOT RUN: needs nvcc")

#: Right results, as long as a warp's threads run one after the other: a race at lines 5 and 6.
RELU = """#include "etude.h"
__global__ void relu(const float *x, float *y, int64_t n) {
    __shared__ float s[32];
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    s[threadIdx.x] = 0;
    float zero = s[threadIdx.x ^ 1] * 0;
    if (i < n) y[i] = x[i] < 0 ? zero : x[i];
}
extern "C" int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double,
                              double) {
    if (n) relu<<<(n + 31) / 32, 32, 0, (cudaStream_t)ctx->stream>>>(x, y, n);
    return cudaGetLastError() == cudaSuccess ? ETUDE_OK : ETUDE_FAILED;
}
"""
RACE = "    float zero = s[threadIdx.x ^ 1] * 0;\n"
MENDED = RELU.replace(RACE, f"    __syncwarp();\n{RACE}")
PAST = MENDED.replace("if (i < n)", "if (i <= n)")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("relu.cu").write_text(text)
        return Path("relu.cu")
    return write


def relu_of(*sizes):
    notes = Notes("relu", ["f32"])
    return {f"relu/tail/{n}@0": notes.of((np.linspace(-1, 1, n, dtype=np.float32),), {})
            for n in sizes}


# ------------------------------------------------------------------ the calls


def test_a_call_is_noted_with_its_memory_and_none_is_made():
    [noted] = relu_of(5).values()
    [call] = noted.calls
    assert (call.symbol, call.type) == ("etude_relu_f32", "map")
    assert call.arguments == (At(0, 0), At(1, 0), 5, 0.0, 0.0)
    x, y = noted.pieces
    assert np.frombuffer(x.content, np.float32).tolist() == [-1, -0.5, 0, 0.5, 1]
    assert (y.content, y.size) == (None, 20), "nobody has written the result before the kernel"


def test_what_the_library_has_no_kernel_for_is_not_noted():
    assert Notes("relu", ["f32"]).of((np.zeros(3),), {}) is None


def test_a_result_in_place_lies_where_the_operand_does():
    x = np.ones(4, np.float32)
    noted = Notes("relu", ["f32"]).of((x,), {}, x)
    assert noted.calls[0].arguments[:2] == (At(0, 0), At(0, 0))
    assert len(noted.pieces) == 1


def test_steps_of_a_broadcast_are_noted_as_numbers():
    x, y = np.ones((5, 1), np.float32), np.ones((1, 7), np.float32)
    [call] = Notes("add", ["f32"]).of((x, y), {}).calls
    assert call.arguments[3:] == ((1, 5, 7), (0, 1, 0), (0, 0, 1))


def test_a_view_begins_behind_the_beginning_of_its_memory_and_ends_where_it_ends():
    x = np.arange(10, dtype=np.float32)[2:6]
    noted = Notes("relu", ["f32"]).of((x,), {})
    assert noted.calls[0].arguments[0] == At(0, 8)
    assert noted.pieces[0].size == 24


def test_a_second_kernel_gets_what_the_first_leaves():
    x = np.ones((2, 3, 4), np.float32)
    noted = Notes("sum", ["f32"]).of((x,), {"dim": (0, 2), "keepdim": False})
    first, second = noted.calls
    assert first.arguments[1] == second.arguments[0]
    assert noted.pieces[first.arguments[1].piece].content is None


# ------------------------------------------------------------------ the program


@needs_gxx
def test_a_right_kernel_leaves_nothing_to_find(source):
    found = in_lab.watch(source(MENDED), relu_of(0, 1, 40))
    assert (found.findings, found.notes) == ([], [])
    assert len(found.cases) == 3


@needs_gxx
def test_a_mistake_is_told_at_its_line_with_the_smallest_case_that_shows_it(source):
    found = in_lab.watch(source(PAST), relu_of(0, 32, 33))
    read, written = found.findings
    for one in (read, written):
        assert (one.kind, one.file, one.line, one.case) == (
            "out-of-bounds", "relu.cu", 8, "relu/tail/33@0")
        assert "  > 8 |     if (i <= n) y[i] = x[i] < 0 ? zero : x[i];" in one.text
    assert ("x[33]" in read.text, "y[33]" in written.text) == (True, True), "by their parameters"


@needs_gxx
def test_a_program_that_ends_early_is_a_finding_that_names_the_case(source):
    text = MENDED.replace("if (n) relu", "if (n == 40) exit(3);\n    if (n) relu")
    [one] = in_lab.watch(source(text), relu_of(1, 40, 50)).findings
    assert one.headline == "the program ended with status 3, in case relu/tail/40@0"


@needs_gxx
def test_a_kernel_that_never_ends_is_told_with_its_line_and_its_case(source):
    loop = "    for (unsigned k = 0; n == 30 && !i; k++) s[0] += k;\n"
    text = MENDED.replace("    if (i < n)", f"{loop}    if (i < n)")
    found = in_lab.watch(source(text), relu_of(1, 30, 50), seconds=2)
    [one] = [f for f in found.findings if f.kind == "never-ends"]
    assert (one.file, one.line, one.case) == ("relu.cu", 8, "relu/tail/30@0")
    assert "host-pointer" not in {f.kind for f in found.findings}
    assert any("the launch timed out" in note for note in found.notes)


@needs_gxx
def test_a_kernel_that_declines_is_a_note(source):
    text = MENDED.replace("if (n) relu", "if (n > 4) return ETUDE_UNSUPPORTED;\n    if (n) relu")
    found = in_lab.watch(source(text), relu_of(1, 5))
    assert found.findings == []
    assert found.notes == ["watched in the lab, the kernel declines (relu/tail/5@0)"]


def test_what_a_program_says_of_its_cases_is_read_among_what_kernels_print():
    assert statuses("hello\netude-watch 0 0 \nx\netude-watch 12 4 no card\n") == {
        0: (0, ""), 12: (4, "no card")}


@needs_nvcc
def test_the_program_of_the_cases_compiles_for_a_card_too(source, tmp_path):
    from etude.commands.config import INCLUDE

    asked = program(source(MENDED), relu_of(0, 5))
    done = subprocess.run(["nvcc", "-std=c++17", "-lineinfo", "-arch=sm_75", f"-I{INCLUDE}",
                           str(asked.source), "-o", str(tmp_path / "watched")],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


#: Stands in for NVIDIA's program, which needs a card: it writes what memcheck prints of PAST.
STAND_IN = """#!/bin/sh
while [ "$1" != --log-file ]; do [ "$1" = --tool ] && tool=$2; shift; done
{ echo "========= COMPUTE-SANITIZER"
if [ $tool = memcheck ]; then
echo "========= Invalid __global__ read of size 4 bytes"
echo "=========     at relu(const float *, float *, long)+0xd0 in relu.cu:8"
echo "=========     by thread (1,0,0) in block (1,0,0)"
echo "========= "
echo "========= ERROR SUMMARY: 1 error"
elif [ $tool != synccheck ]; then echo "========= ERROR SUMMARY: 0 errors"; fi; } > "$2"
[ $tool = memcheck ] && exit 86
exit 0
"""


@needs_nvcc
def test_all_four_tools_are_asked_and_one_without_a_summary_did_not_run(source, tmp_path,
                                                                        monkeypatch):
    (tmp_path / "compute-sanitizer").write_text(STAND_IN)
    (tmp_path / "compute-sanitizer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sanitizer, "missing", list)
    found = sanitizer.watch(source(PAST), relu_of(33))
    assert [(f.tool, f.kind, f.line) for f in found.findings] == [("memcheck", "out-of-bounds", 8)]
    assert found.tools == ["memcheck", "racecheck", "initcheck"]
    assert found.notes == ["synccheck did not run to its end: it printed no summary"]
    assert found.not_run == ""


# ------------------------------------------------------------------ etude check


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "check-your-kernel.md"


@needs_gxx
def test_the_kernel_of_the_documentation_has_the_race_that_the_page_shows(source):
    _, _, text = PAGE.read_text().partition(":caption: softmax.cu\n\n")
    text = text.partition("```")[0]
    x = np.ones((3, 200), np.float32)
    cases = {"softmax/layout/0@0": Notes("softmax", ["f32"]).of((x,), {"dim": -1})}
    path = source(text).rename("softmax.cu")
    found = in_lab.watch(path, cases).findings
    assert ("race", 16, [16, 11]) in [(f.kind, f.line, f.lines) for f in found]
    assert text.splitlines()[15] in PAGE.read_text().partition("  > 16 | ")[2]
    last = "    for (int64_t c = threadIdx.x;"
    path.write_text(text.replace(last, f"    __syncthreads();\n{last}"))
    assert in_lab.watch(path, cases).findings == []


@needs_gxx
def test_cases_are_few_and_small_of_the_kinds_that_show_mistakes(source, lab_column):
    [one] = everywhere(Candidate.parse(source=str(source(MENDED))), "gpu-lab")
    found = watched(one)
    assert {c.split("/")[1] for c in found.cases} >= {"empty", "0d", "tail", "layout"}
    assert len(found.cases) <= 20
    assert found.findings == []
    assert watched(one, kinds=["tail"]).cases != found.cases
    assert watched(one, case="relu/tail/3@0").cases == ["relu/tail/3@0"]
    assert "none of the cases that were asked for can be watched" in watched(
        one, dtypes=["float64"]).not_run


@needs_gxx
def test_a_race_whose_results_are_right_fails_the_check(source, lab_column, monkeypatch):
    monkeypatch.setattr("etude_check.worker.candidate.no_card", lambda: ["card: there is none"])
    monkeypatch.setattr(sanitizer, "missing", lambda: ["card: there is none"])
    source(RELU)
    done = CliRunner().invoke(check, ["--source", "relu.cu", "--cases", "tail", "--level", "smoke",
                                      "--json", "r.json", "--junit", "r.xml", "--html", "r.html"])
    assert done.exit_code == 1
    assert "error: a race on s[" in done.output
    assert "  > 6 |     float zero = s[threadIdx.x ^ 1] * 0;" in done.output
    assert "none of 6 cases of 1 op is wrong, but the lab saw 1 mistake" in " ".join(
        done.output.split())
    report = json.loads(Path("r.json").read_text())
    assert report["passed"] is False
    [finding] = report["watches"][0]["findings"]
    assert (finding["kind"], finding["line"], finding["lines"]) == ("race", 6, [6, 5])
    assert [(r["by"], r["verdict"]) for r in report["rulings"]] == [
        ("lab", "FAILED"), ("card", "NOT RUN"), ("compute-sanitizer", "NOT RUN")]
    assert "card: there is none" in report["rulings"][2]["words"]
    assert "relu.cu:6 race" in Path("r.xml").read_text()
    assert "a race on s[" in Path("r.html").read_text()
    source(MENDED)
    done = CliRunner().invoke(check, ["--source", "relu.cu", "--cases", "tail", "--level", "smoke"])
    assert (done.exit_code, "0 findings" in done.output) == (0, True)


@needs_gxx
def test_on_one_device_there_is_one_verdict(source, lab_column):
    source(MENDED)
    done = CliRunner().invoke(check, ["--source", "relu.cu", "--cases", "tail", "--level", "smoke",
                                      "--device", "gpu-lab", "--json", "-"])
    report = json.loads(done.stdout)
    assert [(r["by"], r["verdict"]) for r in report["rulings"]] == [("lab", "PASSED")]
    assert report["disagreements"] == []
