"""A library of somebody's own: one kernel, compiled by hand, opened as a column."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cpu_cases import agree, normal

import etude
from etude.backends.native import library as native
from etude.core.table import TABLE

INCLUDE = Path(etude.__file__).parent / "include"
CC = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang") or "cc"

SOFTMAX = r"""
#include <etude.h>
#include <math.h>

int etude_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        float top = x[0], sum = 0;
        for (int64_t c = 1; c < cols; c++)
            top = x[c] > top ? x[c] : top;
        for (int64_t c = 0; c < cols; c++)
            sum += y[c] = expf(x[c] - top);
        for (int64_t c = 0; c < cols; c++)
            y[c] /= sum;
    }
    return ETUDE_OK;
}
"""

#: uses every service of the context, in a way that shows whether they work
SERVICES = r"""
#include <etude.h>
#include <stdio.h>
#include <string.h>

typedef struct { etude_context *ctx; const double *x; double *y; double *shared; int ok; } job;

static void body(void *arg, int64_t begin, int64_t end)
{
    job *j = arg;
    double *own = etude_scratch(j->ctx, 64 * sizeof(double));
    if (!own || own == j->shared || begin % 8)
        j->ok = 0;
    for (int64_t i = begin; i < end; i++) {
        own[i % 64] = j->x[i];
        j->y[i] = own[i % 64] + j->shared[i % 64];
    }
}

int etude_exp_f64(etude_context *ctx, const double *x, double *y, int64_t n, double a, double b)
{
    (void)a, (void)b;
    if (n == 13) {
        snprintf(ctx->error, sizeof ctx->error, "thirteen elements");
        return ETUDE_UNSUPPORTED;
    }
    if (n == 14)
        return ETUDE_NO_MEMORY;
    if (n == 15)
        return 99;
    if (n == 16)
        return ETUDE_BAD_INDEX;
    if (ctx->version >> 16 != ETUDE_INTERFACE >> 16 || ctx->threads < 1)
        return ETUDE_UNSUPPORTED;
    job j = {ctx, x, y, etude_scratch(ctx, 64 * sizeof(double)), 1};
    if (!j.shared || (uintptr_t)j.shared % 64)
        return ETUDE_NO_MEMORY;
    for (int i = 0; i < 64; i++)
        j.shared[i] = 1;
    etude_parallel_for(ctx, body, &j, n, 8);
    return j.ok ? ETUDE_OK : ETUDE_UNSUPPORTED;
}
"""


def compiled(folder, source, name="kernel", *flags):
    """Compile as a reader of the tutorial would: one command, nothing linked."""
    text, library = folder / f"{name}.c", folder / f"{name}.so"
    text.write_text(source)
    subprocess.run([CC, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{INCLUDE}",
                    *flags, str(text), "-o", str(library), "-lm"], check=True)
    return library


@pytest.fixture(params=["glue", "abi"])
def mode(request, monkeypatch):
    """Called through the glue of etude-cpu, and without it."""
    if request.param == "abi":
        monkeypatch.setattr(native, "host", native.abi_host)
    assert native.host().name == request.param
    return request.param


def test_a_lone_softmax_runs_and_declines_what_it_has_no_kernel_for(tmp_path, mode):
    ops = native.open_library(compiled(tmp_path, SOFTMAX, "softmax"))
    assert list(ops) == ["softmax"]
    assert ops.dtypes == {"softmax": ("float32",)}
    x = normal(33, 10)
    agree("softmax", ops["softmax"](x, dim=-1), TABLE["softmax"](x, dim=-1))
    agree("softmax", ops["softmax"](x, dim=0), TABLE["softmax"](x, dim=0))
    agree("softmax", ops["softmax"](x[::2].T), TABLE["softmax"](x[::2].T))
    with pytest.raises(etude.Unsupported, match="no kernel for float64"):
        ops["softmax"](x.astype(np.float64))


def test_use_takes_its_path_and_counts_what_the_reference_did(tmp_path, mode):
    library = compiled(tmp_path, SOFTMAX, "softmax")
    x = normal(5, 7)
    with etude.use(str(library)) as used:
        table = etude.current("cpu")
        table["softmax"](x, dim=-1)
        table["softmax"](x.astype(np.float64), dim=-1)
        table["exp"](x)
        reasons = {(op, dtype): reason for op, dtype, reason in used.fallbacks}
    assert "no kernel for float64" in reasons["softmax", "float64"]
    assert ("softmax", "float32") not in reasons
    assert "not implemented" in reasons["exp", "float32"]


def test_the_context_offers_scratch_and_threads_in_either_mode(tmp_path, mode):
    exp = native.open_library(compiled(tmp_path, SERVICES))["exp"]
    for n in (1, 7, 8, 9, 1000, 100_001):
        x = normal(n, dtype="float64")
        np.testing.assert_array_equal(exp(x), x + 1)


def test_every_status_becomes_an_error_that_says_what_happened(tmp_path, mode):
    exp = native.open_library(compiled(tmp_path, SERVICES))["exp"]
    with pytest.raises(etude.Unsupported, match="thirteen elements"):
        exp(np.ones(13))
    with pytest.raises(MemoryError, match="exp: no memory"):
        exp(np.ones(14))
    with pytest.raises(etude.BackendError, match="exp: the kernel returned the unknown status 99"):
        exp(np.ones(15))
    with pytest.raises(etude.BackendError, match="the reference finds none"):
        exp(np.ones(16))


def test_our_own_source_compiles_alone_and_agrees_with_itself(tmp_path, ops):
    """c_src/cpu/softmax.c needs nothing but the headers beside it."""
    folder = Path(__file__).parents[2] / "c_src" / "cpu"
    library = compiled(tmp_path, (folder / "softmax.c").read_text(), "softmax", f"-I{folder}",
                       "-fopenmp-simd")
    alone = native.open_library(library)
    assert set(alone) == {"softmax", "log_softmax", "softmax_backward", "log_softmax_backward"}
    x = normal(20, 30)
    agree("softmax", alone["softmax"](x), ops["softmax"](x))


def test_what_is_no_library_or_has_no_kernel_is_refused(tmp_path):
    text = tmp_path / "not.so"
    text.write_text("hello")
    with pytest.raises(etude.BackendError, match=r"not\.so cannot be opened as a library"):
        native.open_library(text)
    with pytest.raises(etude.BackendError, match=r"empty\.so exports no kernel of etude\.h"):
        native.open_library(compiled(tmp_path, "int unrelated(void) { return 1; }", "empty"))


def test_a_library_compiled_again_is_read_again(tmp_path, mode):
    library = compiled(tmp_path, SOFTMAX, "softmax")
    x = normal(4, 5)
    agree("softmax", native.open_library(library)["softmax"](x), TABLE["softmax"](x))
    compiled(tmp_path, SOFTMAX.replace("y[c] /= sum", "y[c] = 7"), "softmax")
    np.testing.assert_array_equal(native.open_library(library)["softmax"](x), np.full_like(x, 7))


def test_header_and_table_speak_of_the_same_ops():
    """Every kernel in etude.h is of an op that computes, and arrays agree."""
    header = native.header()
    computing = {n for n, op in TABLE.items() if op.cls not in ("view", "create")
                 and op.reference.__module__.startswith("etude.ops")}
    assert set(header.kernels) <= computing
    for name, family in header.kernels.items():
        op = TABLE[name]
        pointers = [p for p in header.families[family] if p.kind == "array"]
        arrays = len(op.arrays) + len(op.outputs)
        if name in ("matmul", "scatter_add"):  # a bias that is not there; x is in y already
            arrays += 1 if name == "matmul" else -1
        assert len(pointers) == arrays, name


def test_the_header_is_c11_and_cxx(tmp_path):
    text = tmp_path / "t.c"
    text.write_text("#include <etude.h>\n")
    subprocess.run([CC, "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}",
                    "-fsyntax-only", str(text)], check=True)
    if shutil.which("g++"):
        subprocess.run(["g++", "-x", "c++", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}",
                        "-fsyntax-only", str(text)], check=True)
