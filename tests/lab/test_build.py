"""Programs are built with g++, and what it says is told with the reader's own lines."""

import shutil
from pathlib import Path

import pytest

from etude_cuda.lab import build
from etude_cuda.lab.build import LabError, Options, build_program, errors_of, worded
from etude_cuda.lab.program import Settings, run_program

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="NOT RUN: needs g++")

GOOD = """#include <stdio.h>
__global__ void add(float *x, float y) { x[threadIdx.x] += y; }
int main() {
    float *x;
    cudaMalloc(&x, 4 * sizeof(float));
    add<<<1, 4>>>(x, 2.0f);
    cudaDeviceSynchronize();
    cudaFree(x);
    puts("done");
}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes prog.cu in the current folder."""
    monkeypatch.chdir(tmp_path)

    def to_file(text, name="prog.cu"):
        Path(name).write_text(text)
        return Path(name)
    return to_file


def refused(*files, mode="fast", **options):
    with pytest.raises(LabError) as error:
        build_program(files, mode, Options(**options))
    return str(error.value)


@needs_gxx
def test_a_program_is_built_once(write):
    file = write(GOOD)
    first = build_program([file], "fast").executable
    assert first == build_program([file], "fast").executable
    file.write_text(GOOD.replace("done", "made"))
    assert build_program([file], "fast").executable != first
    assert build_program([file], "fast", Options(defines=("A=1",))).executable != first


@needs_gxx
def test_a_syntax_error_is_shown_at_the_readers_line(write):
    said = refused(write(GOOD.replace("sizeof(float));", "sizeof(float))")))
    assert said.startswith("prog.cu does not compile:\nprog.cu:5: expected ';'")
    assert "    5 | cudaMalloc(&x, 4 * sizeof(float))" in said


@needs_gxx
@pytest.mark.parametrize(("old", "new", "line", "word"), [
    ("(x, 2.0f)", "(x)", 6, "too few arguments"),
    ("(x, 2.0f)", "(2.0f, x)", 6, "cannot convert"),
    ("add<<<", "sub<<<", 6, "sub"),
    ("+= y", "+= z", 2, "z"),
])
def test_an_error_in_a_launch_or_a_kernel_is_shown_at_its_line(write, old, new, line, word):
    said = refused(write(GOOD.replace(old, new)))
    text = Path("prog.cu").read_text().splitlines()[line - 1].strip()
    assert f"prog.cu:{line}: " in said
    assert f"    {line} | {text}" in said
    assert word in said
    assert "lab_a" not in said
    assert "/" not in said.replace("//", "")  # no file of the lab, and none that was generated


@needs_gxx
def test_an_error_in_an_included_file_names_that_file(write):
    write("#pragma once\n\n__device__ int f() { return nothing; }\n", "k.cuh")
    said = refused(write('#include "k.cuh"\n' + GOOD))
    assert "k.cuh:3: " in said
    assert "    3 | __device__ int f() { return nothing; }" in said


@needs_gxx
def test_a_file_without_main_is_told_how_to_run_a_kernel(write):
    said = refused(write("__global__ void k(int *x) { x[0] = 1; }"))
    assert "prog.cu has no main()" in said
    assert "etude lab run prog.cu --kernel NAME" in said


@needs_gxx
def test_what_is_defined_elsewhere_is_named(write):
    said = refused(write("void there();\nint main() { there(); }"))
    assert said.startswith("prog.cu: nothing defines there()")
    other = write("void there() {}", "other.cpp")
    assert build_program([Path("prog.cu"), other], "fast").executable.exists()


def test_what_the_lab_does_not_have_is_said_once_with_its_line(write):
    said = refused(write("#include <thrust/sort.h>\nvoid f() { thrust::sort(a, b); }\n"
                         "texture<float> t;"))
    assert said.splitlines()[:2] == [
        "prog.cu:1: the lab has no Thrust (<thrust/sort.h>). Write the kernel yourself (that is "
        "what the lab is for), or take it out by #ifndef ETUDE_LAB.",
        "    1 | #include <thrust/sort.h>"]
    assert said.count("Thrust") == 1
    assert "prog.cu:3: the lab has no textures and surfaces (texture)" in said


@needs_gxx
def test_what_an_if_takes_out_is_not_refused(write):
    text = "#ifdef BLAS\n#include <cudnn.h>\n#endif\n" + GOOD
    build_program([write(text)], "fast")
    assert "prog.cu:2: the lab has no cuDNN" in refused(write(text), defines=("BLAS",))


@needs_gxx
def test_cublas_may_be_mentioned_but_not_called(write):
    text = ("#include <cublas_v2.h>\n" + GOOD).replace("float *x;", "float *x; cublasHandle_t h; "
                                                       "cublasCreate(&h);")
    build_program([write(text)], "fast")
    said = refused(write(text.replace("cublasCreate(&h)", "cublasSscal(h, 4, 0, x, 1)")))
    assert "prog.cu:5: the lab has no cuBLAS (cublasSscal)" in said


def test_a_file_that_is_not_there_is_an_error(write):
    assert refused(Path("gone.cu")) == "gone.cu: there is no such file."


def test_a_missing_compiler_is_told_how_to_install(write, monkeypatch):
    monkeypatch.setenv("CXX", "g++-none")
    build.compiler.cache_clear()
    try:
        said = refused(write(GOOD))
    finally:
        build.compiler.cache_clear()
    assert "'g++-none' was not found" in said
    assert "sudo apt install g++" in said


def test_an_error_inside_a_header_is_told_at_the_line_that_led_there():
    inside = f"{build.home()}/include/lab/memory.h"
    said = (f"{inside}: In instantiation of 'f<int>':\na.cu:7:3:   required from here\n"
            f"{inside}:3:4: error: no match for operator\na.cu:9:1: error: stray [-Wx]\n")
    assert [(e.file, e.line, e.text) for e in errors_of(said)] == [
        ("a.cu", 7, "no match for operator"), ("a.cu", 9, "stray")]
    assert worded([], "ld: what?") == "ld: what?"


@needs_gxx
def test_the_same_text_in_another_folder_is_another_program(write, tmp_path, monkeypatch):
    first = build_program([write(GOOD)], "fast").executable
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert build_program([write(GOOD)], "fast").executable != first


EVERY_FORM = """#include <cstdio>
#define GO(k, n, ...) k<<<1, n>>>(__VA_ARGS__)
#define TILE(T, name) __shared__ T name[8]
__constant__ float weights[2] = {1, 2};
__device__ int count, pairs[2][2];
extern __shared__ float everywhere[];
template <typename T, int N> struct Box { typedef T type; T x[N]; };
template <typename T, int N> __global__ void tiled(T *x, Box<T, N> box) {
    __shared__ T tile[N][N + 1], *row;
    __shared__ typename Box<T, N>::type cell;
    __shared__ struct { int a; float b; } pair;
    __shared__ __align__(16) volatile unsigned int flags[N];
    extern __shared__ T dynamic[];
    extern __shared__ T wide[][2];
    TILE(T, macro);
    if (threadIdx.x == 0) {
        row = tile[0]; row[0] = box.x[0]; cell = row[0]; pair.a = 1; flags[0] = 2;
        dynamic[0] = cell; wide[1][1] = 3; macro[7] = 4; everywhere[1] = weights[1];
        x[0] = tile[0][0] + pair.a + flags[0] + dynamic[0] + wide[1][1] + macro[7] + everywhere[1];
        atomicAdd(&count, 1);
    }
}
namespace deep { namespace er { __global__ void nothing() {} } }
__global__ void set(int *x, int value) { if (x) *x = value; }
struct Runner {
    void (*f)(int *, int) = set;
    void go(int *x) { this->f<<<1, 1>>>(x, 5); auto again = [&] { f<<<1, 1>>>(x, 6); }; again(); }
};
template <class K> void launch(K kernel) { kernel<<<dim3(1, 1), {1, 1}>>>(nullptr, 0); }
int main() {
    float *x;
    int *n, h;
    cudaMallocManaged(&x, 4);
    cudaMalloc(&n, sizeof *n);
    Box<float, 4> box{{1}};
    tiled<float, 4><<<1,
        32, 64>>>(x, box);
    GO(set, 1, n, 4); GO(deep::er::nothing, 2);
    ::deep::er::nothing << <1, 1 >> > ();
    set<<<1, 1>>>(NULL, 0);
    Runner().go(n);
    launch(set);
    void (*table[])(int *, int) = {set};
    if (h = 0, true) table[h]<<<1, 1>>>(n, 7); else (*table[0])<<<1, 1>>>(n, 8);
    cudaMemcpy(&h, n, sizeof h, cudaMemcpyDeviceToHost);
    int counted;
    cudaMemcpyFromSymbol(&counted, count, sizeof counted);
    std::printf("%g %d %d %s\\n", *x, h, counted, cudaGetErrorString(cudaGetLastError()));
}
"""


@needs_gxx
@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_every_form_that_the_pass_rewrites_compiles_and_runs(write, tmp_path, mode):
    built = build_program([write(EVERY_FORM)], mode)
    ran = run_program(built.executable, [], tmp_path / "events", Settings(), keep=True)
    assert ran.output == "14 7 1 no error\n"
