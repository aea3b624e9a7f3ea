"""The mutants of CUDA programs and of the shipped kernels: what is changed, and a sample of them on
trial. All of them: `python tests/lab/mutate`, and `--kernels`.
"""

import os
import shutil
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from changes import KINDS, changes
from shipped import CLEAN, Kernels, users
from tried import Trials, arrays, same

HERE = Path(__file__).parent

gxx = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None,
                         reason="NOT RUN: needs g++")
TEXT = """
__device__ int last[2] = {1, 2};
__global__ void k(float *x, int n)
{
    __shared__ float s[16][17];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && threadIdx.y < n) {
        s[threadIdx.y][i] = x[threadIdx.y * n + i];
    }
    __syncthreads();  // a comment about __syncthreads();
    if (i >= n) return;
    atomicAdd(&x[0], i > 0 ? s[0][i] : 0.0f);
    cg::this_grid().sync();
}
__device__ int sign(int x) { return x < 0 ? -1 : 1; }
void host(int n) { if (n < 0) return; }
"""


def after(kind):
    return [c.after for c in changes("k.cu", TEXT) if c.kind == kind]


def test_barriers_go():
    assert after("barrier") == [";  // a comment about __syncthreads();", ";"]


def test_guards_let_everybody_in_whole_and_in_part():
    assert after("guard") == ["if (true && threadIdx.y < n) {", "if (true) {",
                              "if (i < n && true) {", "if (false) return;",
                              "atomicAdd(&x[0], true ? s[0][i] : 0.0f);",
                              "__device__ int sign(int x) { return true ? -1 : 1; }"]


def test_an_atomic_becomes_two_steps_and_keeps_its_line():
    [change] = [c for c in changes("k.cu", TEXT) if c.kind == "atomic"]
    mutant = change.apply(TEXT)
    assert "plain_Add(&x[0]" in mutant.split("\n")[change.line - 1]
    assert "atomicAdd" not in mutant
    assert mutant.count("\n") == TEXT.count("\n")


def test_indices_are_swapped():
    swapped = after("swap")
    assert "s[i][threadIdx.y] = x[threadIdx.y * n + i];" in swapped
    assert "s[threadIdx.y][i] = x[i * n + threadIdx.y];" in swapped
    assert "s[threadIdx.x][i] = x[threadIdx.y * n + i];" in swapped
    assert not any("__shared__" in line for line in swapped)


def test_the_host_is_left_alone():
    assert all(c.line < 16 for c in changes("k.cu", TEXT))


def test_a_key_outlives_other_lines():
    keys = {c.key for c in changes("k.cu", TEXT)}
    assert len(keys) == len(changes("k.cu", TEXT))
    assert {c.key for c in changes("k.cu", "\n\n" + TEXT)} == keys


def test_all_kinds_of_mistakes_can_be_made_in_the_programs():
    assert {c.kind for c in made_in(Trials)} == set(KINDS)


def test_what_is_explained_still_exists():
    keys = {c.key for c in [*made_in(Trials), *made_in(Kernels)]}
    assert set(tomllib.loads((HERE / "explained.toml").read_text())) <= keys


def made_in(trials):
    return [c for file, text in trials("").texts().items() for c in changes(file, text)]


def test_a_header_is_tried_with_all_files_that_include_it():
    texts = Kernels("").texts()
    assert sorted(users("order.cuh", texts)) == ["gather.cu", "index.cu", "topk.cu"]
    assert users("pool2d.cu", texts) == ["pool2d.cu"]
    assert sorted(users("kernel.cuh", texts)) == sorted(p.name for p in CLEAN.glob("*.cu"))


def test_results_may_differ_by_rounding_and_by_nothing_else():
    was = np.array([1, 0, np.nan, np.inf], np.float32)
    assert same(was, was * np.float32(1 + 1e-6))
    for place, value in ((0, 1.01), (1, -0.0), (2, 5), (3, -np.inf)):
        now = was.copy()
        now[place] = value
        assert not same(was, now)
    assert not same(np.array([7]), np.array([8]))


def test_arrays_are_read_as_a_program_writes_them(tmp_path):
    written = tmp_path / "results"
    written.write_bytes(b"f4 2\n" + np.array([1, 10], np.float32).tobytes()
                        + b"u1 3\n\n\0\1" + b"i8 1\n" + np.array([-5]).tobytes())
    assert [a.tolist() for a in arrays(written)] == [[1, 10], [10, 0, 1], [-5]]


@gxx
@pytest.mark.parametrize(("trials", "file", "kind", "verdict"), [
    (Trials, "scan.cu", "barrier", "found"), (Trials, "tiled_matmul.cu", "guard", "found"),
    (Kernels, "select.cu", "guard", "wrong"), (Kernels, "picked.cuh", "atomic", "found")])
def test_a_mistake_is_reported(trials, file, kind, verdict, tmp_path):
    tried = trials(tmp_path)
    text = tried.texts()[file]
    change = next(c for c in changes(file, text) if c.kind == kind)
    found = tried.run(change, text)
    assert found["verdict"] == verdict, found


@gxx
def test_a_kernel_without_a_mistake_survives(tmp_path):
    tried = Kernels(tmp_path)
    text = tried.texts()["triangle.cu"]
    found = tried.run(replace(changes("triangle.cu", text)[0], start=0, end=0, new=""), text)
    assert found["verdict"] == "survived", found
