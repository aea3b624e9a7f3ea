"""Every test here runs once for each instruction set that is built and that this machine runs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

cpu = pytest.importorskip("etude_cpu._glue", reason="etude-cpu is not installed",
                          exc_type=ImportError)


def _built():
    from etude_cpu import glue
    from etude_cpu.backend import ISAS

    folder = Path(cpu.__file__).parent
    return [i for i in ISAS if (folder / f"libetude_cpu_{i}.so").exists() and glue.runs(i)]


@pytest.fixture(params=_built())
def isa(request):
    return request.param


@pytest.fixture
def ops(isa):
    """The ops of the library for one instruction set; copies a binder asks for go there too."""
    from etude import Column, use
    from etude.backends.native.library import open_library

    library = open_library(Path(cpu.__file__).parent / f"libetude_cpu_{isa}.so")
    with use(Column(f"cpu {isa}", "cpu", library, isa=isa, checks=True), strict=True):
        yield library


@pytest.fixture
def threads():
    """Sets the number of threads, and sets it back after the test."""
    import etude_cpu

    before = etude_cpu.get_num_threads()
    yield etude_cpu.set_num_threads
    etude_cpu.set_num_threads(before)
