"""What compute-sanitizer prints, read into findings: the forms of its four tools, old and new."""

from pathlib import Path

import pytest

from etude_cuda.watch.sanitizer import executable, lacking, parse

SOURCE = """__global__ void relu(const float *x, float *y, int n) {
    __shared__ float s[256];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    s[threadIdx.x] = x[i];
    float left = s[threadIdx.x ^ 1];
    if (i <= n) y[i] = left;
    __syncwarp(left > 0);
}
"""
HOST = """=========     Saved host backtrace up to driver entry point at kernel launch time
=========         Host Frame: etude_relu_f32 in relu.cu:3 [0x8a81] in watched
=========
"""
MEMCHECK = f"""========= COMPUTE-SANITIZER
========= Invalid __global__ write of size 4 bytes
=========     at relu(const float *, float *, int)+0xd0 in relu.cu:6
=========     by thread (5,0,0) in block (0,0,0)
=========     Access at 0x7f241b0001e0 is out of bounds
=========     and is 1 bytes after the nearest allocation at 0x7f241b000000 of size 20 bytes
{HOST}========= Invalid __global__ write of size 4 bytes
=========     at relu(const float *, float *, int)+0xd0 in relu.cu:6
=========     by thread (6,0,0) in block (0,0,0)
=========     Access at 0x7f241b0001e4 is out of bounds
{HOST}========= Invalid __global__ read of size 16 bytes
=========     at load(const float *)+0x40 in helper.cuh:3
=========     by thread (1,0,0) in block (0,0,0)
=========     Access at 0x7f241b000004 is misaligned
=========         Device Frame: relu(const float *, float *, int)+0x60 in relu.cu:4
{HOST}========= Program hit cudaErrorLaunchFailure (error 719) due to "unspecified launch failure" \
on CUDA API call to cudaStreamSynchronize.
=========     Saved host backtrace up to driver entry point at error
=========         Host Frame: main in relu.cu:8 [0x8a03] in watched
=========
========= ERROR SUMMARY: 4 errors
"""
RACECHECK = """========= COMPUTE-SANITIZER
========= Error: Race reported between Read access at relu(const float *, float *, int)+0x1f0 \
in relu.cu:5
=========     and Write access at relu(const float *, float *, int)+0x180 in relu.cu:4 [508 hazards]
=========
========= Warning: Race reported between Write access at relu(const float *, float *, int)+0x180 \
in relu.cu:4
=========     and Write access at relu(const float *, float *, int)+0x180 in relu.cu:4 [4 hazards]
=========
========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)
"""
INITCHECK = """========= COMPUTE-SANITIZER
========= Uninitialized __global__ memory read of size 4 bytes
=========     at relu(const float *, float *, int)+0x70 in /home/student/relu.cu:4
=========     by thread (31,0,0) in block (1,0,0)
=========     Address 0x7f3c7ec000fc
=========
========= ERROR SUMMARY: 1 error
"""
SYNCCHECK = """========= COMPUTE-SANITIZER
========= Barrier error detected. Divergent thread(s) in block.
=========     at relu(const float *, float *, int)+0x15520 in relu.cu:5
=========     by thread (128,0,0) in block (0,0,0)
=========
========= Barrier error detected. Invalid arguments.
=========     at __syncwarp(unsigned int)+0xe0 in sm_30_intrinsics.hpp:110
=========     by thread (3,0,0) in block (0,0,0)
=========         Device Frame: relu(const float *, float *, int)+0xb0 in relu.cu:7
=========
========= ERROR SUMMARY: 2 errors
"""
BEFORE_2023 = """========= COMPUTE-SANITIZER
========= Invalid __shared__ read of size 4 bytes
=========     at 0x3b0 in /home/student/relu.cu:5:relu(const float *, float *, int)
=========     by thread (0,0,0) in block (0,0,0)
=========     Address 0x400 is out of bounds
=========     Device Frame:/home/student/relu.cu:5:relu(const float *, float *, int) [0x3b0]
=========     Saved host backtrace up to driver entry point at kernel launch time
=========     Host Frame: [0x32e990]
=========                in /lib/x86_64-linux-gnu/libcuda.so.1
=========
========= ERROR SUMMARY: 1 error
"""
CLEAN = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"
NO_CARD = """========= COMPUTE-SANITIZER
========= Error: Target application terminated before first instrumented API call
========= Error: couldn't find exit code.
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("relu.cu").write_text(SOURCE)
    return lambda text, tool: parse(text, tool, Path("relu.cu"))


def facts(read):
    return [(f.kind, f.severity, f.file, f.line, f.count) for f in read.findings]


def test_memcheck_says_what_is_out_of_bounds_and_what_is_misaligned_at_the_readers_line(read):
    found = read(MEMCHECK, "memcheck")
    assert facts(found) == [("out-of-bounds", "error", "relu.cu", 6, 2),
                            ("misaligned", "error", "relu.cu", 4, 1)]
    first = found.findings[0]
    assert (first.kernel, first.space, first.source) == ("relu", "global",
                                                         "if (i <= n) y[i] = left;")
    assert first.text.splitlines()[:3] == [
        "error: Invalid __global__ write of size 4 bytes [out-of-bounds]",
        "  at relu.cu:6 in relu, 2 times", "  > 6 |     if (i <= n) y[i] = left;"]
    assert "by thread (5,0,0) in block (0,0,0); Access at 0x7f241b0001e0 is" in first.text
    assert found.trouble == ""


def test_the_error_that_a_broken_kernel_leaves_is_no_finding_of_its_own_beside_its_cause(read):
    assert "launch-failed" not in [f.kind for f in read(MEMCHECK, "memcheck").findings]
    alone = "========= COMPUTE-SANITIZER\n" + MEMCHECK[MEMCHECK.index("========= Program hit"):]
    [found] = read(alone, "memcheck").findings
    assert (found.kind, found.line) == ("launch-failed", 8)


def test_racecheck_gives_both_lines_and_its_warnings_fail_nothing(read):
    error, warning = read(RACECHECK, "racecheck").findings
    assert (error.kind, error.severity, error.lines, error.count) == ("race", "error", [4, 5], 508)
    assert (error.space, error.line) == ("shared", 5)
    assert (warning.severity, warning.lines) == ("warning", [4])


def test_initcheck_and_synccheck_are_read(read):
    assert facts(read(INITCHECK, "initcheck")) == [("uninitialized", "error", "relu.cu", 4, 1)]
    assert facts(read(SYNCCHECK, "synccheck")) == [
        ("barrier-divergence", "error", "relu.cu", 5, 1),
        ("shuffle-mask", "error", "relu.cu", 7, 1)]


def test_the_form_before_2023_is_read_too(read):
    found = read(BEFORE_2023, "memcheck")
    assert facts(found) == [("out-of-bounds", "error", "relu.cu", 5, 1)]
    assert (found.findings[0].kernel, found.findings[0].space) == ("relu", "shared")


def test_a_summary_of_nothing_is_clean_and_no_summary_is_trouble(read):
    assert read(CLEAN, "memcheck") == type(read(CLEAN, "memcheck"))([], "")
    assert "no summary" in read("", "memcheck").trouble
    found = read(NO_CARD, "memcheck")
    assert found.findings == []
    assert "terminated before first instrumented API call" in found.trouble


def test_a_record_that_nobody_knows_is_a_finding_and_so_is_a_count_without_records(read):
    odd = ("========= COMPUTE-SANITIZER\n========= Tensor core overheated\n"
           "=========     at relu+0x10 in relu.cu:4\n========= \n"
           "========= ERROR SUMMARY: 1 error\n")
    assert facts(read(odd, "memcheck")) == [("other", "error", "relu.cu", 4, 1)]
    [found] = read("========= ERROR SUMMARY: 3 errors\n", "memcheck").findings
    assert "counts 3, and no record of it could be read" in found.headline


def test_what_it_lacks_to_run_is_told_one_by_one(monkeypatch):
    monkeypatch.setattr("etude_cuda.watch.sanitizer.missing", lambda: [
        "driver: libcuda.so.1 cannot be opened", "library: libetude_cuda.so is not there"])
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("etude_cuda.watch.sanitizer.TOOLKIT", "/nowhere")
    why = lacking()
    assert [w.partition(":")[0] for w in why] == ["driver", "compute-sanitizer", "nvcc"]


def test_it_is_found_where_nvidias_wheel_puts_it(tmp_path, monkeypatch):
    there = tmp_path / "nvidia" / "cu13" / "bin" / "compute-sanitizer"
    there.parent.mkdir(parents=True)
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("etude_cuda.watch.sanitizer.TOOLKIT", "/nowhere")
    assert executable() == there
