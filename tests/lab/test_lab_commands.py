"""``etude lab``: what people type, what they see, and the exit status."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from etude_cuda.lab import session
from etude_cuda.lab.commands import lab

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="NOT RUN: needs g++")

PROGRAM = """#include <stdio.h>
__global__ void scale(const float *x, float *out, float a, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = a * x[i];
}
template <typename T> __global__ void fill(T *x, T value) { x[threadIdx.x] = value; }
int main(int argc, char **argv) {
    float h[4] = {1, 2, 3, 4}, *x, *y;
    cudaMalloc(&x, sizeof h);
    cudaMalloc(&y, sizeof h);
    cudaMemcpy(x, h, sizeof h, cudaMemcpyHostToDevice);
    scale<<<1, 4>>>(x, y, 2, 4);
    cudaMemcpy(h, y, sizeof h, cudaMemcpyDeviceToHost);
    printf("%g %g", h[0], h[3]);
    for (int i = 1; i < argc; i++) printf(" %s", argv[i]);
    printf("\\n");
    cudaFree(x);
    cudaFree(y);
    return argc > 1 ? atoi(argv[1]) : 0;
}
"""


@pytest.fixture
def etude_lab(tmp_path, monkeypatch, capfd):
    """Runs ``etude lab`` beside prog.cu: (exit status, what the program printed, the rest)."""
    monkeypatch.chdir(tmp_path)
    Path("prog.cu").write_text(PROGRAM)

    def call(*words):
        done = CliRunner().invoke(lab, list(words))
        printed = capfd.readouterr()
        return done.exit_code, printed.out, done.output + printed.err
    return call


@needs_gxx
def test_a_program_runs_with_its_arguments(etude_lab):
    assert etude_lab("run", "prog.cu", "--mode", "fast")[:2] == (0, "2 8\n")
    assert etude_lab("run", "--mode", "fast", "prog.cu", "--", "7", "--seed")[:2] == (
        7, "2 8 7 --seed\n")


@needs_gxx
def test_the_report_is_written_as_json(etude_lab):
    status, _, _ = etude_lab("run", "prog.cu", "--mode", "fast", "--json", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert status == 0
    assert report["launches"][0]["kernel"] == "scale"


@needs_gxx
def test_one_kernel_runs_on_drawn_inputs(etude_lab):
    run = ["run", "prog.cu", "--mode", "fast", "--kernel", "scale", "--grid", "4", "--block", "32"]
    status, _, said = etude_lab(*run, "--arg", "x=ones", "--arg", "a=3", "--arg", "n=100")
    assert status == 0
    assert "scale<<<4, 32>>> with" in said
    assert "x: 100 elements, 1 everywhere" in said
    assert "out: 100 of 100 changed; min 3, max 3, mean 3; [3, 3, 3, 3, 3, 3, 3, 3, ...]" in said
    again = etude_lab(*run)[2]
    assert again == etude_lab(*run)[2]
    assert again != etude_lab(*run, "--seed", "2")[2]


@needs_gxx
def test_a_template_runs_with_its_arguments(etude_lab):
    status, _, said = etude_lab("run", "prog.cu", "--mode", "fast", "--kernel", "fill<int>",
                                "--grid", "1", "--block", "8", "--arg", "value=9")
    assert status == 0
    assert "x: 8 of 8 changed; min 9, max 9, mean 9" in said


@needs_gxx
def test_a_kernel_that_never_ends_is_stopped_at_the_limit(etude_lab):
    Path("spin.cu").write_text("__global__ void spin(int *x) {\n"
                               "  for (unsigned i = 0; ; i++) x[0] += i;\n}\n")
    status, _, said = etude_lab("run", "spin.cu", "--mode", "fast", "--kernel", "spin", "--grid",
                                "1", "--block", "1", "--arg", "x=zeros:1", "--timeout", "1")
    assert status == 3
    assert "Stopped (time limit) after" in said


WRONG = """__global__ void big(float *x) { x[threadIdx.x] = 0; }
__global__ void much(float *x) { extern __shared__ float s[]; x[0] = s[0]; }
__global__ void spin(volatile int *x) { while (*x == 0) {} }
int main(int argc, char **argv) {
    float *x;
    cudaMalloc(&x, 4);
    if (argv[1][0] == 'b') big<<<1, 2048>>>(x);
    if (argv[1][0] == 'm') much<<<1, 1, 300000>>>(x);
    if (argv[1][0] == 's') spin<<<1, 32>>>((int *)x);
    cudaDeviceSynchronize();
    cudaFree(x);
}
"""


@needs_gxx
@pytest.mark.parametrize(("word", "line", "said"), [
    ("b", 7, "its block has 2048 threads; a block may have"),
    ("m", 8, "shared memory"),
    ("s", 9, "nobody can go on"),
])
def test_what_no_card_can_do_is_told_with_the_line_of_the_launch(etude_lab, word, line, said):
    Path("wrong.cu").write_text(WRONG)
    status, _, told = etude_lab("run", "wrong.cu", "--mode", "fast", "--timeout", "60", "--", word)
    assert status == 1
    assert said in told
    assert f"  at wrong.cu:{line}" in told
    assert f"  > {line} |     {WRONG.splitlines()[line - 1].strip()}" in told
    assert "lab: " not in told  # said once


@needs_gxx
def test_a_launch_that_would_take_too_long_offers_a_smaller_one(etude_lab, monkeypatch):
    monkeypatch.setattr(session, "LARGE", 1)
    monkeypatch.setattr(session, "_seconds", lambda built, drive, blocks, *rest: 0.01 * blocks)
    status, _, said = etude_lab("run", "prog.cu", "--mode", "fast", "--kernel", "scale",
                                "--grid", "2000000", "--block", "64", "--arg", "x=10",
                                "--arg", "out=10", "--arg", "n=10")
    assert status == 2
    assert "scale<<<2000000, 64>>> has 2,000,000 blocks of 64 threads" in said
    assert "about 6 h (fast mode, 10 ms a block)" in said
    assert "Try --grid 3000, which takes some 30 s" in said


@pytest.mark.parametrize(("words", "said"), [
    (["prog.cu", "--grid", "3"], "go with --kernel NAME"),
    (["prog.cu", "--kernel", "scale"], "--kernel scale needs --grid and --block as well"),
    (["prog.cu", "--kernel", "scale", "--block", "64"],
     "Try: etude lab run prog.cu --kernel scale --grid 4 --block 64"),
    (["prog.cu", "other.cu", "--kernel", "scale", "--grid", "1", "--block", "1"], "got 2."),
    (["prog.cu", "--kernel", "scale", "--grid", "1", "--block", "1", "--", "7"],
     "nobody takes the arguments after --"),
    (["folder"], "folder is a folder, and a source file is wanted"),
    (["folder", "--kernel", "k", "--grid", "1", "--block", "1"], "is a folder, and a source"),
    (["prog.cu", "--kernel", "scale", "--grid", "a", "--block", "1"], "--grid a: one to three"),
    (["prog.cu", "--kernel", "scale", "--grid", "1", "--block", "1", "--arg", "n"], "a name and"),
    (["prog.cu", "--kernel", "sclae", "--grid", "1", "--block", "1"], "Did you mean 'scale'?"),
    (["prog.cu", "--kernel", "fill", "--grid", "1", "--block", "1"], "is a template over"),
    (["prog.cu", "--kernel", "scale", "--grid", "1", "--block", "2048"], "at most 1,024"),
    (["gone.cu"], "there is no such file"),
    (["prog.cu", "1024"], "as in: etude lab run prog.cu -- 1024"),
    (["prog.cu", "--html", "no/such.html"], "a file in a folder that exists"),
])
def test_a_request_that_cannot_be_carried_out_is_refused(etude_lab, words, said):
    Path("folder").mkdir()
    status, _, told = etude_lab("run", *words)
    assert status == 2
    assert said in told


def test_kernels_are_listed_with_their_lines(etude_lab):
    status, _, said = etude_lab("kernels", "prog.cu")
    assert status == 0
    assert said.splitlines() == [
        "prog.cu:2: scale(const float *x, float *out, float a, int n)",
        "prog.cu:6: fill<typename T>(T *x, T value)"]


@pytest.mark.parametrize(("text", "said"), [
    ("int main() {}", "none.cu defines no kernel: no function in it is marked __global__, as in"),
    ("\n", "none.cu is empty: it defines no kernel.")])
def test_a_file_without_a_kernel_is_told_as_such(etude_lab, text, said):
    Path("none.cu").write_text(text)
    status, _, told = etude_lab("kernels", "none.cu")
    assert (status, said in told) == (2, True)
    status, _, told = etude_lab("kernels", "none.cu", "prog.cu")
    assert (status, said in told, "prog.cu:2: scale" in told) == (0, True, True)
    assert said in etude_lab("run", "none.cu", "--kernel", "k", "--grid", "1", "--block", "1")[2]


def test_a_folder_is_no_file_of_kernels(etude_lab):
    Path("folder").mkdir()
    status, _, told = etude_lab("kernels", "folder")
    assert (status, "folder is a folder, and a source file is wanted" in told) == (2, True)


@needs_gxx
def test_a_file_with_nothing_to_run_is_not_asked_for_its_kernels(etude_lab):
    Path("none.cu").write_text("")
    status, _, told = etude_lab("run", "none.cu", "--mode", "fast")
    assert (status, "none.cu is empty." in told) == (2, True)
    Path("none.cu").write_text("int f() { return 1; }")
    assert "there is nothing to run" in etude_lab("run", "none.cu", "--mode", "fast")[2]


@needs_gxx
def test_a_library_that_is_not_there_is_named(etude_lab):
    status, _, told = etude_lab("run", "prog.cu", "--mode", "fast", "-l", "nope", "-l", "m")
    assert status == 2
    assert "The linker finds no -l nope (libnope.so or libnope.a) on this machine." in told
    assert "/usr/bin/ld" not in told


def test_the_help_shows_examples(etude_lab):
    for words in (["--help"], ["run", "--help"], ["kernels", "--help"]):
        status, _, said = etude_lab(*words)
        assert status == 0
        assert "Usage:" in said
    assert "etude lab run softmax.cu --kernel softmax --grid 32" in etude_lab("run", "--help")[2]
