"""The kernels of c_src/cuda under the lab's eyes, at small shapes: no race, no read of what nobody
wrote, no address out of bounds; and where the plan of a file promises it, no wasted sector, no bank
conflict and no warp that runs half empty.

The programs are in ``clean/``, one for each file of kernels, which they are named for.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from etude.commands.config import INCLUDE
from etude_cuda.lab.build import Options
from etude_cuda.lab.session import run_program_of
from etude_cuda.places import sources

sys.path.insert(0, str(Path(__file__).parent / "clean"))

from dtypes import dtypes

CUDA = sources() / "cuda"
PROGRAMS = sorted((Path(__file__).parent / "clean").glob("*.cu"))
FEW = ("random", "reduce")  # ETUDE_SOAK runs all

#: What a plan does not promise. Elements lie where an index, a label, a window or a digit says, or
#: threads fold up a few numbers at the end.
NOT_PROMISED = {
    "attention": {"uncoalesced"},
    "batch_norm": {"branch-divergence", "uncoalesced"},
    "conv2d": {"uncoalesced"},
    "cross_entropy": {"uncoalesced"},
    "gather": {"uncoalesced"},
    "matmul": {"branch-divergence"},
    "pool2d": {"bank-conflict", "branch-divergence", "uncoalesced"},
    "topk": {"bank-conflict", "branch-divergence", "uncoalesced"},
}

gxx = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None,
                         reason="NOT RUN: needs g++")
each = pytest.mark.parametrize(("program", "dtype"), [(p, d) for p in PROGRAMS
                                                      for d in dtypes(p.name)],
                               ids=lambda value: getattr(value, "stem", value))


def found(program, dtype, *arguments):
    """The findings of a program and the kernels that it calls."""
    if program.stem not in FEW and "ETUDE_SOAK" not in os.environ:
        pytest.skip("NOT RUN: takes some seconds; needs ETUDE_SOAK=1")
    session = run_program_of([program, CUDA / program.name], "inspect",
                             Options(folders=(CUDA, INCLUDE), defines=(dtype,)),
                             arguments=arguments)
    assert session.ran.status == 0, session.report.text(100)
    assert session.report.launches
    return session.report.findings


def texts(findings):
    return [f"{one.file}:{one.line}: {one.kind}" for one in findings]


def test_every_file_of_kernels_has_a_program():
    assert {p.name for p in PROGRAMS} == {p.name for p in CUDA.glob("*.cu")}


@gxx
@each
def test_shapes_that_fit_leave_nothing_to_find(program, dtype):
    # The programs call kernels and read few results: that advice is on them, not on the kernels.
    allowed = NOT_PROMISED.get(program.stem, set()) | {"unread-output"}
    assert texts(one for one in found(program, dtype) if one.kind not in allowed) == []


@gxx
@each
def test_shapes_that_do_not_fit_leave_no_error(program, dtype):
    assert texts(one for one in found(program, dtype, "odd") if one.severity != "advice") == []
