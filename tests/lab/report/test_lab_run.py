"""etude.lab.run from end to end: what it finds in real programs, and counters worked by hand."""

import shutil
import sys

import pytest

import etude
from etude.core.errors import BackendError
from etude_cuda.lab.report.record import Report

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("g++", "addr2line", "objdump"))),
                                reason="NOT RUN: needs g++ and the binutils")

# 4 blocks of 64 threads = 8 warps; a warp's 32 floats lie in 4 sectors of 32 bytes. NVIDIA's
# profiler gives the same on an H100: 4 sectors a request side by side, 32 for a column; for a tile
# of 32 read by columns 31 conflicts a load, for a padded one none.
COUNTED = """\
#include <cstdio>
__global__ void walk(const float *x, float *y) {
    __shared__ float tile[32 * 32], padded[32 * 33];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    y[i] = x[i] * 2.0f + 1.0f;
    y[i] = x[i * 8];
    tile[t % 32 * 32 + t / 32] = y[i];
    tile[t % 32 * 32 + t / 32] += expf(t);
    y[i] = tile[t % 32 * 32 + t / 32];
    padded[t % 32 * 33 + t / 32] = y[i];
    y[i] = padded[t % 32 * 33 + t / 32];
    if (t % 2) for (int k = 0; k < 9; k++) y[i] *= 0.5f;
}
int main() {
    float *x, *y;
    cudaMalloc(&x, 8 * 256 * sizeof(float));
    cudaMalloc(&y, 256 * sizeof(float));
    cudaMemset(x, 0, 8 * 256 * sizeof(float));
    walk<<<4, 64>>>(x, y);
    printf("ran %d\\n", (int)cudaDeviceSynchronize());
    cudaFree(x);
    cudaFree(y);
}
"""

RACE = """\
__global__ void sum(const float *x, float *out) {
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = x[blockIdx.x * 128 + t];
    out[blockIdx.x * 128 + t] = s[127 - t];
}
int main() {
    float *x, *y;
    cudaMalloc(&x, 4 * 128 * sizeof(float));
    cudaMalloc(&y, 4 * 128 * sizeof(float));
    cudaMemset(x, 0, 4 * 128 * sizeof(float));
    sum<<<4, 128>>>(x, y);
    cudaDeviceSynchronize();
    cudaFree(x);
    cudaFree(y);
}
"""


@pytest.fixture(scope="module")
def counted():
    return etude.lab.run(COUNTED)


@pytest.fixture(scope="module")
def race():
    return etude.lab.run(RACE)


def line(report, number):
    return next(c for c in report.counters if c.line == number)


def test_a_coalesced_load_and_store_take_four_sectors_each(counted):
    at = line(counted, 5)
    assert (at.requests, at.sectors, at.ideal) == (2 * 8, 2 * 8 * 4, 2 * 8 * 4)
    assert at.bytes == 2 * 256 * 4


def test_a_stride_of_eight_floats_takes_thirty_two_sectors(counted):
    at = line(counted, 6)
    assert at.sectors == 8 * 32 + 8 * 4
    told = next(t for t in counted.findings if t.kind == "uncoalesced")
    assert told.line == 6
    assert "32.0 sectors a request, 4.0 would do" in told.headline


def test_a_column_of_a_tile_of_32_has_31_extra_passes(counted):
    assert line(counted, 7).conflicts == 8 * 31
    conflicts = [t for t in counted.findings if t.kind == "bank-conflict"]
    assert {t.line for t in conflicts} == {7, 8}  # the compiler keeps the value for line 9


def test_a_padded_tile_has_none(counted):
    assert (line(counted, 10).shared_requests, line(counted, 10).conflicts) == (8, 0)


def test_odd_threads_diverge_and_nothing_else_does(counted):
    assert [t.line for t in counted.findings if t.kind == "branch-divergence"] == [12]


def test_flops_are_counted_by_line_and_maths_calls_apart(counted):
    assert line(counted, 5).flops == 2 * 256
    assert line(counted, 8).flops == 256
    assert line(counted, 8).calls == {"expf": 256}
    assert line(counted, 12).flops == 9 * 128
    assert counted.kernel("walk").flops == 3 * 256 + 9 * 128


def test_a_program_with_nothing_wrong_but_slow_lines_does_not_fail(counted):
    assert not counted.failed
    assert counted.log.finished
    assert counted.errors == []


def test_what_the_program_prints_is_printed(counted, capsys):
    etude.lab.run(COUNTED)
    assert capsys.readouterr().out == "ran 0\n"
    assert counted.output == "ran 0\n"


def test_a_missing_barrier_is_found_with_both_lines_and_named(race):
    told = race.errors[0]
    assert (told.kind, told.scope) == ("race", "block")
    assert {n for _, n in told.lines} == {4, 5}
    assert told.kernel == "sum"
    assert "__syncthreads() is missing after line 4 and before line 5" in told.advice[0]
    assert race.failed


def test_a_race_is_shown_by_a_smaller_launch(race):
    assert race.errors[0].shrunk.startswith("sum<<<1, ")


def test_a_notebook_shows_the_page(race):
    assert isinstance(race, Report)
    assert "cell.cu" in race._repr_html_()
    assert "missing after line 4" in race.text()


def test_a_kernel_runs_alone_by_name():
    report = etude.lab.run(
        "__global__ void twice(const float *x, float *y, int n) {\n"
        "    int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "    if (i < n) y[i] = 2 * x[i];\n}\n", kernel="twice", grid=2, block=(32,),
        args={"n": 50})
    assert not report.failed
    assert report.launches[0].block == (32, 1, 1)
    assert report.results


@pytest.mark.parametrize(("keywords", "words"), [
    ({"kernel": "k"}, "grid="), ({"kernel": "k", "grid": 1, "block": 1, "args": [1]}, "by name"),
    ({"grid": 1}, "kernel=NAME"), ({"mode": "slow"}, "no mode 'slow'"),
    ({"card": "V100"}, "It knows T4")])
def test_what_does_not_fit_is_an_error_that_says_what_would(keywords, words):
    with pytest.raises(BackendError, match=words):
        etude.lab.run(RACE, **keywords)


def test_a_kernel_by_itself_has_its_memory_called_as_its_parameters_are():
    text = """
__global__ void count(const int *bin, int *found) {
    found[bin[blockIdx.x * blockDim.x + threadIdx.x]]++;
}
"""
    report = etude.lab.run(text, kernel="count", grid=2, block=64,
                           args={"bin": "zeros:128", "found": "zeros:4"})
    assert report.errors[0].headline == "a race on found[0] between blocks"
    assert "allocated at" not in report.text()
    report = etude.lab.run(text, kernel="count", grid=2, block=64,
                           args={"bin": "zeros:100", "found": "zeros:4"})
    beyond = next(e for e in report.errors if e.kind == "out-of-bounds")
    assert "bin[1" in beyond.what  # one of the threads 100 to 127



def test_without_the_package_etude_lab_says_which_one_to_install(monkeypatch):
    monkeypatch.delitem(etude.__dict__, "lab", raising=False)
    monkeypatch.setitem(sys.modules, "etude_cuda.lab", None)
    with pytest.raises(BackendError, match="pip install etude-cuda"):
        _ = etude.lab
