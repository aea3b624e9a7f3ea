"""A library of somebody's own: one kernel, compiled by hand, opened as a column."""

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cpu_cases import agree, normal

import etude
from etude.backends.native import library as native
from etude.backends.native.header import read_header
from etude.backends.native.image import missing
from etude.backends.native.library import open_library
from etude.backends.plugins import INTERFACE
from etude.core.table import TABLE

INCLUDE = Path(etude.__file__).parent / "include"
MAPS = Path("/proc/self/maps")
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
    if (n == 12)
        return ETUDE_UNSUPPORTED;
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


def test_copies_that_prepare_a_call_are_no_fallback(tmp_path, mode):
    library = compiled(tmp_path, SOFTMAX, "softmax")
    x = normal(6, 5, 7)
    with etude.use(str(library), strict=True) as used, etude.receipt() as receipt:
        table = etude.current("cpu")
        for array, dim in ((x, 0), (x[::-1], -1), (x.T, 1)):
            agree("softmax", table["softmax"](array, dim=dim), TABLE["softmax"](array, dim=dim))
    assert not used.fallbacks
    assert "contiguous" not in str(receipt)


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
    with pytest.raises(etude.Unsupported, match="declined by the kernel"):
        exp(np.ones(12))  # without a word, and not with that of the call before
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


OPEN_EACH = """
import sys
import etude
from etude.backends.native.library import open_library
for path in sys.argv[1:]:
    try:
        open_library(path)
    except etude.BackendError as error:
        print(error)
    else:
        print("whole")
"""


def test_a_library_cut_short_is_refused_and_does_not_end_the_process(tmp_path):
    """In a process of its own: dlopen of most of these ends it with SIGBUS."""
    whole = compiled(tmp_path, SOFTMAX, "softmax").read_bytes()
    size = len(whole)
    lengths = sorted({0, 1, 3, 4, 17, 40, 63, 64, 65, 200, 1000, *range(2048, size, 1024),
                      size - 64, size - 1})
    paths = []
    for n in [*lengths, size]:
        paths.append(tmp_path / f"cut{n}.so")
        paths[-1].write_bytes(whole[:n])
    done = subprocess.run([sys.executable, "-c", OPEN_EACH, *map(str, paths)], text=True,
                          capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    *cut, last = done.stdout.splitlines()
    assert last == "whole"
    assert len(cut) == len(lengths)
    for n, said in zip(lengths, cut, strict=True):
        assert said.startswith(f"cut{n}.so cannot be opened as a library: "), said
        if n >= 4 and whole[:4] == b"\x7fELF":
            assert "it is cut short: " in said
            assert said.endswith("still writing it? Wait until it is done, or compile it again")


def test_every_library_of_this_machine_is_taken_for_whole():
    """Those that a process here has opened: none is cut short, whoever linked it. A test before
    this one may have removed its own since.
    """
    from etude_cpu import glue

    folders = [Path(glue.COMPILED).parent, *Path(np.__file__).parents[1].glob("numpy*/")]
    found = [path for folder in folders for path in folder.rglob("*.so*")]
    maps = MAPS.read_text().splitlines() if MAPS.exists() else []
    found += [Path(line.split()[-1]) for line in maps
              if ".so" in line and not line.endswith("(deleted)")]
    assert len(set(found)) > 5
    assert {path: missing(path) for path in set(found)} == dict.fromkeys(found, "")


def made_mach(order, wide, offset, length):
    """A Mach-O file of headers alone: one segment that maps ``length`` bytes at ``offset``."""
    magic = 0xFEEDFACF if wide else 0xFEEDFACE
    form = "II16sQQQQ" if wide else "II16sIIII"
    command = struct.pack(order + form, 0x19 if wide else 1, struct.calcsize(order + form), b"",
                          0, length, offset, length)
    head = struct.pack(order + "7I", magic, 0, 0, 6, 1, len(command), 0)
    return head + (bytes(4) if wide else b"") + command


def made_elf32(order, end):
    """A 32-bit ELF file of headers alone: one segment and one section, which end at ``end``."""
    head = b"\x7fELF" + bytes([1, 1 if order == "<" else 2]) + bytes(10) + struct.pack(
        order + "HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 84, 0, 52, 32, 1, 40, 2, 0)
    return (head + struct.pack(order + "8I", 1, 0, 0, 0, end, end, 5, 4096)
            + struct.pack(order + "10I", 0, 1, 0, 0, end - 10, 10, 0, 0, 0, 0)
            + struct.pack(order + "10I", 0, 8, 0, 0, end, 10**6, 0, 0, 0, 0))


@pytest.mark.parametrize("order", ["<", ">"])
def test_headers_of_other_machines_are_understood(tmp_path, order):
    files = [made_elf32(order, 300), *(made_mach(order, wide, 100, 200) for wide in (False, True))]
    fat = struct.pack(">II5I", 0xCAFEBABE, 1, 7, 3, 100, 200, 0)
    path = tmp_path / "foreign.so"
    for whole in (*files, fat):
        whole = whole.ljust(300, b"\0")
        path.write_bytes(whole)
        assert missing(path) == ""
        path.write_bytes(whole[:299])
        assert missing(path) == "it is cut short: it has 299 bytes, and by its headers at least 300"
        path.write_bytes(whole[:20])
        assert missing(path) == "it is cut short: its 20 bytes end within its headers"
    for far in (b"\xff", b"\x7f"):  # tables beyond what a file can have, and where none can begin
        path.write_bytes(b"\x7fELF\x02\x01" + far * 300)
        assert "it is cut short" in missing(path)


def test_a_library_compiled_again_is_read_again(tmp_path, mode):
    library = compiled(tmp_path, SOFTMAX, "softmax")
    x = normal(4, 5)
    agree("softmax", native.open_library(library)["softmax"](x), TABLE["softmax"](x))
    compiled(tmp_path, SOFTMAX.replace("y[c] /= sum", "y[c] = 7"), "softmax")
    np.testing.assert_array_equal(native.open_library(library)["softmax"](x), np.full_like(x, 7))


def test_every_class_of_the_table_is_a_function_type_and_the_other_way_round():
    """All but views and creation."""
    classes = {op.cls for op in TABLE.values() if op.reference.__module__.startswith("etude.ops")}
    without = {"view", "create"}
    assert classes - without == set(native.header().types)


def test_a_library_for_another_interface_is_refused_before_a_call(tmp_path):
    """The first header had no mark, and its kernels take other parameters."""
    kernel = "int etude_exp_f32(void *ctx, const float *x, float *y, long n, double a, double b)"
    body = "{ (void)ctx, (void)x, (void)y, (void)n, (void)a, (void)b; return 0; }"
    ours, mark = read_header().interface, "const unsigned etude_interface = "
    for name, marked, words in (
            ("first", "", "first.so was compiled with etude.h 1.0, this Etude has 2.3, whose "
                          "kernels take other parameters. Compile it again with the header that "
                          "`etude config --include` names"),
            ("later", f"{mark}{ours + 0x10000};\n", "etude.h 3.3"),
            ("newer", f"{mark}{ours + 1};\n", "etude.h 2.4, this Etude")):
        text = f"{marked}{kernel}\n{body}\n"
        with pytest.raises(etude.BackendError, match=re.escape(words)):
            open_library(compiled(tmp_path, text, name))


def test_a_library_for_an_earlier_minor_number_runs(tmp_path):
    """What 2.1 added are types that no library of 2.0 has."""
    text = ("const unsigned etude_interface = 0x00020000;\n"
            "int etude_neg_f32(void *ctx, const float *x, float *y, long n, double a, double b)\n"
            "{ (void)ctx, (void)a, (void)b; for (long i = 0; i < n; i++) y[i] = -x[i]; return 0; }")
    ops = open_library(compiled(tmp_path, text, "earlier"))
    assert ops["neg"](np.ones(3, np.float32)).tolist() == [-1, -1, -1]


def test_a_library_in_another_language_says_its_interface_itself(tmp_path):
    ours = read_header().interface
    text = (f"const unsigned etude_interface = {ours};\n"
            "int etude_neg_f32(void *ctx, const float *x, float *y, long n, double a, double b)\n"
            "{ (void)ctx, (void)a, (void)b; for (long i = 0; i < n; i++) y[i] = -x[i]; return 0; }")
    ops = open_library(compiled(tmp_path, text, "foreign"))
    assert ops["neg"](np.ones(3, np.float32)).tolist() == [-1, -1, -1]


def test_header_and_python_have_one_interface():
    major, minor = INTERFACE
    assert read_header().interface == major << 16 | minor


def test_the_header_is_c11_and_cxx(tmp_path):
    text = tmp_path / "t.c"
    text.write_text("#include <etude.h>\n")
    subprocess.run([CC, "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}",
                    "-fsyntax-only", str(text)], check=True)
    if shutil.which("g++"):
        subprocess.run(["g++", "-x", "c++", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}",
                        "-fsyntax-only", str(text)], check=True)
