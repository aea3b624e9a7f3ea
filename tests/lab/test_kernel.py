"""One kernel of a file: what its parameters are given, and the program around it."""

from pathlib import Path

import pytest

from etude_cuda.lab.build import LabError
from etude_cuda.lab.kernel import Drive, values_of
from etude_cuda.lab.source import passed

FILE = Path("k.cu")


def kernels(text):
    return passed(text, "k.cu").kernels


def values(parameters, grid=(4,), block=(64,), **given):
    [kernel] = kernels(f"__global__ void k({parameters}) {{}}")
    return [str(v) for v in values_of(kernel, (*grid, 1, 1)[:3], (*block, 1, 1)[:3], given)]


def test_a_size_is_the_number_of_threads_and_arrays_have_as_many_elements():
    assert values("const float *x, float *out, int n") == [
        "x: 256 elements, drawn (normal)", "out: 256 elements, 0 everywhere", "n = 256"]


def test_what_is_given_counts_for_the_arrays_too():
    assert values("const float *x, int *y, int n, float a", n="1000", a="0.5", y="ones") == [
        "x: 1,000 elements, drawn (normal)", "y: 1,000 elements, 1 everywhere", "n = 1000",
        "a = 0.5"]


def test_arrays_may_be_given_with_a_kind_and_a_size():
    assert values("float *a, float *b, float *d, int *e, int n",
                  a="zeros:10", b="0.25:2*n", d="uniform:3", e="range:0x10", n="7") == [
        "a: 10 elements, 0 everywhere", "b: 14 elements, 0.25 everywhere",
        "d: 3 elements, drawn (uniform)", "e: 16 elements, 0, 1, 2, ...", "n = 7"]


def test_a_number_may_be_written_as_in_c_or_with_an_exponent():
    assert [values("int n", n=text) for text in ("1e3", "0x3E8", "0X3e8", "-7")] == [
        ["n = 1000"], ["n = 1000"], ["n = 1000"], ["n = -7"]]


def test_a_grid_of_two_dimensions_means_a_matrix():
    two = {"grid": (2, 3), "block": (8, 4)}
    assert values("float *a, int width, int height", **two) == [
        "a: 192 elements, drawn (normal)", "width = 16", "height = 12"]
    assert values("float *a, int n", **two, n="10") == [
        "a: 100 elements, drawn (normal)", "n = 10"]
    assert values("const float *A, int M, int N, int K", **two, M="5", N="7", K="11")[0] == \
        "A: 77 elements, drawn (normal)"


def test_blocks_are_rows_where_there_are_columns():
    assert values("const float *x, float *y, int columns") == [
        "x: 256 elements, drawn (normal)", "y: 256 elements, 0 everywhere", "columns = 64"]
    assert values("const float *x, float *y, int rows, int cols", cols="100", y="400") == [
        "x: 400 elements, drawn (normal)", "y: 400 elements, 0 everywhere", "rows = 4",
        "cols = 100"]


def test_numbers_that_are_no_size_are_one_or_drawn():
    assert values("int stride, float alpha, bool flag, unsigned block_size") == [
        "stride = 1", "alpha = drawn", "flag = 1", "block_size = 1"]


@pytest.mark.parametrize(("given", "said"), [
    ({"m": "3"}, "k has no parameter 'm'"),
    ({"n": "many"}, "'many' is no number"),
    ({"n": "6.5"}, "int n takes a whole number"),
    ({"x": "normla:3"}, "Did you mean 'normal'?"),
    ({"x": "zeros:0"}, "at least one element"),
])
def test_what_does_not_fit_is_an_error(given, said):
    with pytest.raises(LabError, match=r".") as error:
        values("float *x, int n", **given)
    assert said in str(error.value)


TEXT = """namespace a { template <typename T, int N> __global__ void scale(T *x, T a) {} }
__global__ void other(int *p) {}"""


def drive(name, **more):
    return Drive.of(FILE, kernels(TEXT), name, **({"grid": (2,), "block": (64,)} | more))


def test_the_program_launches_the_kernel_by_its_whole_name():
    one = drive("scale<float, 4>", grid=(2, 2), shared=64)
    assert one.launch() == "a::scale<float, 4><<<dim3(2, 2), 64, 64>>>"
    assert "&a::scale<float, 4>" in one.program()


def test_an_unknown_kernel_is_told_which_there_are():
    with pytest.raises(LabError) as error:
        drive("othr")
    assert "Did you mean 'other'?" in str(error.value)
    assert "    2 | other(int *p)" in str(error.value)
    with pytest.raises(LabError, match="defines no kernel"):
        Drive.of(FILE, [], "k", (1,), (1,))


def test_a_template_wants_its_arguments():
    with pytest.raises(LabError, match="--kernel 'scale<float, 16>'"):
        drive("scale")


def test_a_block_has_at_most_1024_threads():
    with pytest.raises(LabError, match="1,056 threads, and a block has at most 1,024"):
        drive("other", block=(33, 32))
