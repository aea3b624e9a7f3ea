"""The source pass: what it rewrites, what it leaves alone, and that lines stay where they were."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from etude_cuda.lab.files import pass_file
from etude_cuda.lab.source import passed

ROOT = Path(__file__).parents[2]


def body(text):
    """The passed text without its first line, which names the file."""
    return passed(text, "p.cu").text.split("\n", 1)[1]


def launch(name, rest, call=None):
    return (f'::lab::Launch("{name}", __FILE__, __LINE__, {rest})'
            f"([&](auto &...lab_a) LAB_QUIET {{ {call or name}(lab_a...); }}")


LAUNCHES = {
    "k<<<g, b>>>(x, n);": launch("k", "g, b") + ", x, n);",
    "k<<<1, 2>>>();": launch("k", "1, 2") + ");",
    "k<<<g, b, 8 * sizeof(float), s>>>(x);": launch("k", "g, b, 8 * sizeof(float), s") + ", x);",
    "k << <g, b >> > (x);": launch("k", "g, b ") + ", x);",
    "k<<<g, b>>> ( x );": launch("k", "g, b") + ",  x );",
    "k<float, 16><<<g, b>>>(x);": launch("k<float, 16>", "g, b") + ", x);",
    "k<A<B<int>>><<<g, b>>>(x);": launch("k<A<B<int>>>", "g, b") + ", x);",
    "ns::k<<<g, b>>>(x);": launch("ns::k", "g, b") + ", x);",
    "::k<<<g, b>>>(x);": launch("::k", "g, b") + ", x);",
    "A<int>::k<<<g, b>>>(x);": launch("A<int>::k", "g, b") + ", x);",
    "if (n) k<<<g, b>>>(x); else j<<<g, b>>>(y);":
        f"if (n) {launch('k', 'g, b')}, x); else {launch('j', 'g, b')}, y);",
    "table[i]<<<g, b>>>(x);": launch("table[i]", "g, b") + ", x);",
    "(*f)<<<g, b>>>(x);": launch("(*f)", "g, b") + ", x);",
    "pick(i)<<<g, b>>>(x);": launch("pick(i)", "g, b") + ", x);",
    "this->f<<<g, b>>>(x);": launch("this->f", "g, b") + ", x);",
    "k<<<n >> 8, sizeof(A<B<C>>)>>>(x);": launch("k", "n >> 8, sizeof(A<B<C>>)") + ", x);",
    "k<<<dim3(1, 2), {3, 4}>>>(f<int, 2>(y));":
        launch("k", "dim3(1, 2), {3, 4}") + ", f<int, 2>(y));",
    "k<<<1, 1>>>(NULL, 0, nullptr, 1);":
        launch("k", "1, 1") + ", ::lab::Null{}, ::lab::Null{}, ::lab::Null{}, 1);",
    "k<<<1, 1>>>(f(0, 1), x[0]);": launch("k", "1, 1") + ", f(0, 1), x[0]);",
}


@pytest.mark.parametrize("text", LAUNCHES)
def test_a_launch_becomes_a_call_of_the_lab(text):
    assert body(f"void f() {{ {text} }}") == f"void f() {{ {LAUNCHES[text]} }}"


SHARED = {
    "__shared__ float a[16][17];":
        'static ::lab::Shared<float [16][17]> lab_s_a{"a", __FILE__, __LINE__}; '
        "float (&a)[16][17] = lab_s_a.here();",
    "__shared__ int n, *p;":
        'static ::lab::Shared<int> lab_s_n{"n", __FILE__, __LINE__}; int (&n) = lab_s_n.here(); '
        'static ::lab::Shared<int *> lab_s_p{"p", __FILE__, __LINE__}; '
        "int *(&p) = lab_s_p.here();",
    "volatile __shared__ unsigned int s[32];":
        'static ::lab::Shared<volatile unsigned int [32]> lab_s_s{"s", __FILE__, __LINE__}; '
        "volatile unsigned int (&s)[32] = lab_s_s.here();",
    "static __shared__ __align__(16) char s[sizeof(T) * 4];":
        'static ::lab::Shared<char [sizeof(T)*4]> lab_s_s{"s", __FILE__, __LINE__}; '
        "char (&s)[sizeof(T)*4] = lab_s_s.here();",
    "__shared__ typename A<T, 2>::type q;":
        'static ::lab::Shared<typename A<T, 2>::type> lab_s_q{"q", __FILE__, __LINE__}; '
        "typename A<T, 2>::type (&q) = lab_s_q.here();",
    "__shared__ struct { int a; } s;":
        "struct lab_t_s {int a;}; "
        'static ::lab::Shared<lab_t_s> lab_s_s{"s", __FILE__, __LINE__}; '
        "lab_t_s (&s) = lab_s_s.here();",
    "__shared__ struct P s[2];":
        'static ::lab::Shared<struct P [2]> lab_s_s{"s", __FILE__, __LINE__}; '
        "struct P (&s)[2] = lab_s_s.here();",
    "extern __shared__ float s[];": 'float *s = ::lab::dynamic_shared<float>("s");',
    "extern __shared__ volatile double s[];":
        'volatile double *s = ::lab::dynamic_shared<volatile double>("s");',
    "extern __shared__ float s[][32];":
        'float (*s)[32] = ::lab::dynamic_shared<float [32]>("s");',
}


@pytest.mark.parametrize("text", SHARED)
def test_a_shared_variable_becomes_a_reference_into_the_block(text):
    assert body(f"__global__ void k() {{ {text} }}") == f"__global__ void k() {{ {SHARED[text]} }}"


@pytest.mark.parametrize("around", ["__device__ float f() { %s }",
                                    "template <typename T> __global__ void k() { if (1) { %s } }",
                                    "struct S { __device__ void f() const { %s } };"])
def test_shared_variables_may_stand_in_any_function(around):
    text = "__shared__ int n;"
    new = 'static ::lab::Shared<int> lab_s_n{"n", __FILE__, __LINE__}; int (&n) = lab_s_n.here();'
    assert body(around % text) == around % new


def test_dynamic_shared_memory_of_a_whole_file_is_an_object():
    assert body("extern __shared__ int s[];") == 'static ::lab::DynamicShared<int> s{"s"};'


def symbol(name, space):
    return (f' static ::lab::Symbol lab_y_{name}{{(void *)&{name}, sizeof {name}, "{name}", '
            f"::lab::Symbol::{space}, __FILE__, __LINE__}};")


VARIABLES = {
    "__constant__ float w[3] = {1, 2, 3};": symbol("w", "constant"),
    "static __device__ int n, m[4];": symbol("n", "device") + symbol("m", "device"),
    "__device__ __managed__ int n = 0;": symbol("n", "managed"),
    "__constant__ struct { int a; } s;": symbol("s", "constant"),
    "namespace a { __device__ int n; }": None,
    "__device__ int f(int);": "",
    "__device__ A<int> operator+(A<int>, A<int>);": "",
    "extern __constant__ int n[];": "",
    "__device__ void f() { int x = 3; }": "",
}


@pytest.mark.parametrize("text", VARIABLES)
def test_a_variable_of_the_device_is_announced(text):
    after = VARIABLES[text]
    if after is None:
        assert body(text) == text[:-2] + symbol("n", "device") + " }"
    else:
        assert body(text) == text + after


LEFT_ALONE = [
    "// k<<<1, 2>>>(x);\n/* __shared__ int n; */",
    'const char *s = "k<<<1, 2>>>(x)"; const char *r = R"x(k<<<1, 2>>>(")"))x";',
    "#if 0\nk<<<1, 2>>>(x);\n__shared__ int n;\n#endif",
    "#if 1\nint a;\n#else\nvoid f() { k<<<1, 2>>>(x); }\n#endif",
    "int f() { std::cout << a << b; return c >> 3 > (d); }",
    "std::ostream &operator<< <char>(std::ostream &, int);",
    "auto a = 1'000'000; char c = '\"', d = '\\'';",
    "#error \"k<<<1, 2>>>(x)\"",
    "#define A 1 // <<<not this>>>",
]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_no_code_is_left_alone(text):
    assert body(text) == text


def test_dead_branches_end_where_they_should():
    text = ("#if 0\n{ {\n#elif A\nvoid f() { k<<<1, 1>>>(); }\n#else\nvoid g() { k<<<1, 1>>>(); }\n"
            "#endif")
    assert body(text).count("::lab::Launch") == 2


def test_both_branches_of_a_condition_may_open_the_same_brace():
    text = ("__global__ void k() {\n#ifdef A\nif (a) {\n#else\nif (b) {\n#endif\n"
            "__shared__ int n; }\n}\n__device__ int after;")
    assert symbol("after", "device").strip() in body(text)


MACROS = {
    "#define GO(n) k<<<n, 256>>>(x)": "#define GO(n) " + launch("k", "n, 256") + ", x)",
    "#define GO(k, ...) k<<<1, 2>>>(__VA_ARGS__)":
        '#define GO(k, ...) ::lab::Launch(#k, __FILE__, __LINE__, 1, 2)'
        "([&](auto &...lab_a) LAB_QUIET { k(lab_a...); } __VA_OPT__(,) __VA_ARGS__)",
    "#define GO(name, T) f_##name<T><<<1, 2>>>(x)":
        '#define GO(name, T) ::lab::Launch("f_" #name "<" #T ">", __FILE__, __LINE__, 1, 2)'
        "([&](auto &...lab_a) LAB_QUIET { f_##name<T>(lab_a...); }, x)",
    "#define TILE(T, name) __shared__ T name[32]":
        "#define TILE(T, name) static ::lab::Shared<T [32]> lab_s_##name{#name, __FILE__, "
        "__LINE__}; T (&name)[32] = lab_s_##name.here();",
}


@pytest.mark.parametrize("text", MACROS)
def test_bodies_of_macros_are_passed(text):
    assert body(text) == MACROS[text]


def test_lines_stay_where_they_were():
    text = ("#define GO(x) \\\n  k<<<1, \\\n  2>>>(x)\nvoid f() {\n  k<<<g,\n     b>>>(\n  x);\n"
            "  __shared__ int a[4],\n   b; }\nint last;\n")
    new = body(text)
    assert new.count("\n") == text.count("\n")
    assert new.splitlines()[9] == "int last;"
    assert [line.endswith("\\") for line in new.splitlines()[:3]] == [True, True, False]
    assert passed(text, 'a "b".cu').text.startswith('#line 1 "a \\"b\\".cu"\n')


def test_kernels_are_listed_with_their_parameters():
    text = ("template <typename T, int N>\n__global__ void __launch_bounds__(256)\n"
            "k(const T *__restrict__ x, unsigned int n = 3, float y[], Pair<int, T> p) {}\n"
            '__global__ void declared(int *);\nextern "C" __global__ void none(void) {}\n')
    kernels = passed(text, "p.cu").kernels
    assert [str(k) for k in kernels] == [
        "k<typename T, int N>(const T *x, unsigned int n, float *y, Pair<int, T> p)", "none()"]
    assert [(k.file, k.line) for k in kernels] == [("p.cu", 3), ("p.cu", 5)]


REFUSED = {
    "texture<float, 2> t;": ("textures", 1),
    "void f() {\n  curand_init(a, b); }": ("cuRAND", 2),
    "#include <thrust/sort.h>": ("Thrust", 1),
    "#include <curand_kernel.h>": ("cuRAND", 1),
    '__global__ void k() {\n\n  asm volatile("bar.sync 0;"); }': ("inline PTX", 3),
    "__global__ void k() { k<<<1, 1>>>(); }": ("dynamic parallelism", 1),
    "using namespace nvcuda::wmma;": ("tensor cores", 1),
    "void f() { cudaGraphLaunch(g, s); }": ("graphs", 1),
    "__global__ void k() {\n  __shared__ int n = 0; }": ("initial values", 2),
    "__global__ void k() {\n  __shared__ int n[]; }": ("without an extent", 2),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_lab_does_not_have_is_refused_by_name_and_line(text):
    what, line = REFUSED[text]
    [found] = passed(text, "p.cu").refusals
    assert what in found.what
    assert found.line == line
    assert found.sure
    assert found.quote == text.splitlines()[line - 1].strip()
    assert str(found).startswith(f"p.cu:{line}: the lab has no ")


@pytest.mark.parametrize("text", ['void f() { asm("nop"); }', "int cub = 3, texture;",
                                  '// asm\n__global__ void k() { char c[] = "asm cub::"; }'])
def test_words_that_only_look_refused_are_not(text):
    assert passed(text, "p.cu").refusals == []


def test_a_refusal_behind_a_condition_is_left_to_the_compiler():
    text = "#ifndef GUARD_H\n#define GUARD_H\n#ifdef BLAS\n#include <cudnn.h>\n#endif\n%s#endif"
    assert [r.sure for r in passed(text % "", "p.cu").refusals] == [False]
    assert [r.sure for r in passed(text % "#include <mma.h>\n", "p.cu").refusals] == [False, True]


def test_some_calls_are_there_and_the_others_are_left_to_the_compiler():
    text = "#include <cublas_v2.h>\nvoid f(cublasHandle_t h) { cublasSgemm(h); }"
    assert [(r.what, r.sure) for r in passed(text, "p.cu").refusals] == [
        ("cuBLAS (cublasSgemm)", False)]


def test_local_includes_are_passed_too(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "main.cu").write_text('#include "k.cuh"\n#include <stdio.h>\n#include "k.cuh"\n')
    (tmp_path / "k.cuh").write_text('#pragma once\n#include <deep.cuh>\nint k;\n')
    deeper = "void f() { j<<<1, 1>>>(); }\n__global__ void j() {}"
    (tmp_path / "more" / "deep.cuh").write_text(deeper)
    table = pass_file(tmp_path / "main.cu", tmp_path / "out" / "main.cpp", [tmp_path / "more"])
    text = (tmp_path / "out" / "main.cpp").read_text()
    first, third = re.findall(r'#include "([^"]+)"', text)
    assert first == third
    assert "<stdio.h>" in text
    deep = re.findall(r'#include "([^"]+)"', Path(first).read_text())[0]
    assert "::lab::Launch" in Path(deep).read_text()
    assert [k.name for k in table.kernels] == ["j"]
    assert len(table.files) == 3


def test_the_pass_runs_where_nothing_is_installed(tmp_path):
    (tmp_path / "a.cu").write_text("void f() { k<<<1, 1>>>(); }")
    script = ROOT / "plugins/etude-cuda/build_source.py"
    done = subprocess.run([sys.executable, "-I", "-S", str(script), str(tmp_path / "a.cu"),
                           str(tmp_path / "a.cpp")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "::lab::Launch" in (tmp_path / "a.cpp").read_text()
    (tmp_path / "a.cu").write_text("texture<float> t;")
    done = subprocess.run([sys.executable, "-I", "-S", str(script), str(tmp_path / "a.cu"),
                           str(tmp_path / "a.cpp")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "textures" in done.stderr


CASTS = {
    "cudaLaunchKernel((void *)k, g, b, args, 0, s);": "cudaLaunchKernel(k, g, b, args, 0, s);",
    "cudaFuncSetAttribute((const void*)k<int, 2>, a, 3);":
        "cudaFuncSetAttribute(k<int, 2>, a, 3);",
    "cudaFuncGetAttributes(&a, reinterpret_cast<const void *>(k));":
        "cudaFuncGetAttributes(&a, (k));",
    "cudaOccupancyMaxPotentialBlockSize(&a, &b, (void*)k);":
        "cudaOccupancyMaxPotentialBlockSize(&a, &b, k);",
    "cudaLaunchKernel(k, (void *)g);": "cudaLaunchKernel(k, (void *)g);",
}


def test_noinline_has_a_name_of_the_labs():
    assert body("__noinline__ __device__ void f();") == "LAB_NOINLINE __device__ void f();"
    kept = "__attribute__((__noinline__)) void f();"
    assert body(kept) == kept


@pytest.mark.parametrize("text", CASTS)
def test_kernels_that_the_runtime_takes_keep_their_type(text):
    assert body(text) == CASTS[text]
