"""A .cu file is a column of the device gpu-lab, and what is wrong with it is said with its line."""

import pytest

import etude

HEAD = """\
#include <cuda_runtime.h>
#include <etude.h>

__global__ void relu_kernel(const float *x, float *y, int64_t n)
{
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = x[i] < 0 ? 0 : x[i];
}

"""
HOST = """\
extern "C" int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a,
                              double b)
{
    relu_kernel<<<(n + 255) / 256, THREADS, 0, (cudaStream_t)ctx->stream>>>(x, y, n);
    cudaError_t status = cudaGetLastError();
    if (status != cudaSuccess)
        snprintf(ctx->error, sizeof ctx->error, "relu_kernel: %s", cudaGetErrorString(status));
    return status == cudaSuccess ? ETUDE_OK : ETUDE_FAILED;
}
"""


@pytest.fixture
def source(tmp_path, lab_column):
    def write(text):
        path = tmp_path / "relu.cu"
        path.write_text(text)
        return path

    return write


def test_its_ops_run_and_the_plugin_has_the_others(source):
    path = source(HEAD + HOST.replace("THREADS", "256"))
    with etude.use(path, "gpu-lab", strict=True), etude.receipt() as receipt:
        x = etude.tensor([-1.0, 2.0], device="gpu-lab")
        assert (x.relu() + 1).tolist() == [1, 3]
        assert x.expand(3, 2).T.relu().tolist() == [[0, 0, 0], [2, 2, 2]]
    assert {row.op: row.column for row in receipt.rows()} == {
        "relu": "relu.cu", "add": "gpu-lab", "contiguous": "gpu-lab"}


def test_its_kernels_are_its_own_and_not_those_of_the_lab_it_is_linked_to(source):
    from etude_cuda.column import open_source

    column = open_source(source(HEAD + HOST.replace("THREADS", "256")))
    assert set(column.ops) == {"relu"}
    assert column.device == "gpu-lab"
    assert not column.steps


def test_what_cuda_says_is_raised_with_the_name_of_the_kernel(source):
    path = source(HEAD + HOST.replace("THREADS", "2048"))
    with etude.use(path, "gpu-lab"):
        x = etude.tensor([-1.0, 2.0], device="gpu-lab")
        with pytest.raises(etude.BackendError, match="relu: relu_kernel: invalid configuration"):
            x.relu()
        assert (x * 2).tolist() == [-2, 4]


def test_a_mistake_in_the_language_is_quoted_with_its_line(source):
    with pytest.raises(etude.BackendError, match=r"relu\.cu:7.*") as raised:
        etude.set_default_backend(source(HEAD.replace("if (i < n)", "if (i < m)") + HOST))
    assert "if (i < m)" in str(raised.value)


def test_a_file_without_a_kernel_of_etude_says_how_one_is_called(source):
    with pytest.raises(etude.BackendError, match=r"exports no kernel of etude\.h\. A kernel is"):
        etude.set_default_backend(source(HEAD))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(etude.BackendError, match=r"there is no file 'no_such\.cu'"):
        etude.set_default_backend("no_such.cu")
