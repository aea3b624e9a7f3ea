"""The twelve programs of ``programs/``: the lab runs them unchanged, as nvcc compiles them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from etude_cuda.lab.build import build_program
from etude_cuda.zoo import expectations
from etude_cuda.zoo.score import watch

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.cu"))
FEW = ("scan.cu", "transpose.cu")  # in inspect mode; ETUDE_SOAK runs all

gxx = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None,
                         reason="NOT RUN: needs g++")
nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="NOT RUN: needs nvcc")
name = pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)


def test_there_are_twelve():
    assert len(PROGRAMS) == 12


@gxx
@name
def test_a_program_runs_in_the_lab(path):
    built = build_program([path], "fast")
    done = subprocess.run([built.executable], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", ok" in done.stdout
    assert "WRONG" not in done.stdout


@gxx
@name
def test_watching_a_program_finds_what_it_declares_and_nothing_else(path):
    if path.name not in FEW and "ETUDE_SOAK" not in os.environ:
        pytest.skip("NOT RUN: takes some seconds; needs ETUDE_SOAK=1")
    seen = watch(path)
    assert (seen.status, seen.trouble) == (0, ""), seen.output
    wanted = expectations(path.read_text())
    assert [str(w) for w in wanted if not any(f.is_(w) for f in seen.found)] == []
    assert [str(f) for f in seen.found if not any(f.is_(w) for w in wanted)] == []


@nvcc
@name
def test_nvcc_compiles_a_program_without_a_word(path, tmp_path):
    if path.name not in FEW and "ETUDE_SOAK" not in os.environ:
        pytest.skip("NOT RUN: takes some seconds; needs ETUDE_SOAK=1")
    done = subprocess.run(["nvcc", "-std=c++17", "-arch=sm_80", "-c", str(path), "-o",
                           str(tmp_path / "out.o")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
