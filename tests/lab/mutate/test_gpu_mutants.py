"""The mutants of CUDA programs: what is changed, and a sample of them on trial. All of them:
`python tests/lab/mutate`.
"""

import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from changes import KINDS, changes
from tried import Trials

HERE = Path(__file__).parent
PROGRAMS = HERE.parent / "programs"

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
void host(int n) { if (n < 0) return; }
"""


def after(kind):
    return [c.after for c in changes("k.cu", TEXT) if c.kind == kind]


def test_barriers_go():
    assert after("barrier") == [";  // a comment about __syncthreads();", ";"]


def test_guards_let_everybody_in_whole_and_in_part():
    assert after("guard") == ["if (true && threadIdx.y < n) {", "if (true) {",
                              "if (i < n && true) {", "if (false) return;",
                              "atomicAdd(&x[0], true ? s[0][i] : 0.0f);"]


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
    assert all(c.line < 15 for c in changes("k.cu", TEXT))


def test_a_key_outlives_other_lines():
    keys = {c.key for c in changes("k.cu", TEXT)}
    assert len(keys) == len(changes("k.cu", TEXT))
    assert {c.key for c in changes("k.cu", "\n\n" + TEXT)} == keys


def test_all_kinds_of_mistakes_can_be_made_in_the_programs():
    found = {c.kind for p in PROGRAMS.glob("*.cu") for c in changes(p.name, p.read_text())}
    assert found == set(KINDS)


def test_what_is_explained_still_exists():
    keys = {c.key for p in PROGRAMS.glob("*.cu") for c in changes(p.name, p.read_text())}
    assert set(tomllib.loads((HERE / "explained.toml").read_text())) <= keys


@gxx
@pytest.mark.parametrize(("file", "kind", "verdict"), [
    ("scan.cu", "barrier", "found"), ("tiled_matmul.cu", "guard", "found")])
def test_a_mistake_is_reported(file, kind, verdict, tmp_path):
    text = (PROGRAMS / file).read_text()
    change = next(c for c in changes(file, text) if c.kind == kind)
    found = Trials(PROGRAMS, tmp_path).run(change, text)
    assert found["verdict"] == verdict, found
