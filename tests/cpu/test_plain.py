"""The plain kernels of c_src/cpu/plain: read first, and right as well."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from c_sources import CPU, defines

import etude
from etude_check.engine import check
from etude_check.worker.candidate import Candidate

INCLUDE = Path(etude.__file__).parent / "include"
FAST = {"matmul": ["matmul"], "conv2d": ["conv2d", "conv2d_weight"], "softmax": ["softmax"]}
STRICT = ["-O2", "-fPIC", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"]


@pytest.fixture
def compiler():
    named = shlex.split(os.environ.get("CC", ""))
    found = named or [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]
    return found or pytest.skip("NOT RUN: needs a C compiler")


def compiled(compiler, name, folder):
    """Both dtypes in one library: an object each, as CMakeLists.txt does it for the fast ones."""
    source, library = CPU / "plain" / f"{name}.c", folder / f"plain-{name}.so"
    objects = [folder / f"{name}{bits}.o" for bits in (32, 64)]
    for bits, made in zip((32, 64), objects, strict=True):
        subprocess.run([*compiler, *STRICT, f"-DETUDE_REAL={bits}", f"-I{INCLUDE}", "-c",
                        str(source), "-o", str(made)], check=True)
    subprocess.run([*compiler, "-shared", *map(str, objects), "-o", str(library), "-lm"],
                   check=True)
    return library


def kernels(name):
    """The ops whose kernels a file of c_src/cpu defines."""
    return {k.removeprefix("etude_") for k in defines((CPU / f"{name}.c").read_text())}


def test_every_plain_file_is_checked_here():
    assert {path.stem for path in (CPU / "plain").glob("*")} == set(FAST)


@pytest.mark.parametrize("name", FAST)
def test_a_plain_file_has_the_kernels_of_its_fast_counterpart(name):
    fast = set().union(*map(kernels, FAST[name]))
    assert name in fast
    assert kernels(f"plain/{name}") == fast


@pytest.mark.parametrize("name", FAST)
def test_a_plain_file_compiles_without_a_warning_and_agrees_with_the_reference(name, compiler,
                                                                              tmp_path):
    library = compiled(compiler, name, tmp_path)
    ops = sorted(kernels(f"plain/{name}"))
    report = check(Candidate("library", str(library)), ops=ops, level="smoke")
    assert [f"{r.case}: {r.verdict.value}: {r.message}" for r in report.failures] == []
    ran = {(r.op, r.dtype) for r in report.records if r.verdict.executed and r.family != "errors"}
    assert ran >= {(op, dtype) for op in ops for dtype in ("float32", "float64")}
    assert report.passed


def test_a_plain_file_is_a_source_that_etude_check_takes(compiler):
    """The command in its opening comment, for one op."""
    report = check(Candidate.parse(source=CPU / "plain" / "softmax.c"), ops=["softmax"],
                   dtypes=["float32"], level="smoke")
    assert report.passed


def test_a_plain_file_that_is_wrong_is_found_out(compiler, tmp_path):
    text = (CPU / "plain" / "softmax.c").read_text()
    wrong = text.replace("real top = largest(x, cols), sum = 0;", "real top = 0, sum = 0;")
    assert wrong != text
    source = tmp_path / "softmax.c"
    source.write_text(wrong.replace("../kernel.h", str(CPU / "kernel.h")))
    report = check(Candidate.parse(source=source), ops=["softmax"], dtypes=["float32"],
                   level="smoke")
    assert report.failures
