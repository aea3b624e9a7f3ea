"""The table of what nvcc gives each kernel: how its report is read, and that it holds."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REPORT = """\
k.cu(7): warning #177-D: variable "x" was declared but never referenced
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z5tilesILi2EEv7product' for 'sm_80'
ptxas info    : Function properties for _Z5tilesILi2EEv7product
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 16896 bytes smem, 512 bytes cmem[0]
ptxas info    : Compiling entry function '_Z5tilesILi1EEv7product' for 'sm_90'
ptxas info    : Function properties for _Z5tilesILi1EEv7product
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 90 registers, used 1 barriers
"""

SASS = """\
        Function : _Z5tilesILi2EEv7product
        /*0010*/                   LDG.E.128.CONSTANT R4, [R2.64] ;
        /*0020*/                   LDG.E R8, [R2.64+0x10] ;
        /*0030*/                   STL [R1], R8 ;
        /*0040*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0050*/                   LDS.U.128 R4, [R2] ;
"""


@pytest.fixture(scope="module")
def resources():
    path = ROOT / "plugins" / "etude-cuda" / "resources.py"
    spec = importlib.util.spec_from_file_location("resources", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["resources"] = module
    spec.loader.exec_module(module)
    return module


def test_a_report_becomes_numbers_and_a_warning_is_kept(resources):
    report = resources.read_report(REPORT)
    kernel = report.kernels["tiles"]
    assert kernel.registers == {80: 128, 90: 90}
    assert (kernel.shared, kernel.frame, kernel.spills) == (16896, 16, 20)
    assert len(kernel.instances) == 2
    assert report.complaints == [REPORT.splitlines()[0]]


@pytest.mark.parametrize(("symbol", "name"), [
    ("_Z12softmax_rowsPKfPflli", "softmax_rows"),
    ("_ZN32_GLOBAL__N__3a7_9_matmul_cu_11d49add_partsEPKfS1_Pflll", "add_parts"),
    ("plain_c_name", "plain_c_name"),
])
def test_a_kernel_is_called_by_its_own_name(resources, symbol, name):
    assert resources.short_name(symbol) == name


def test_instructions_are_counted_for_each_function(resources):
    assert resources.read_machine_code(SASS) == {"_Z5tilesILi2EEv7product": {
        "16-byte loads from global memory": 1, "16-byte stores to global memory": 0,
        "16-byte loads from shared memory": 1, "barriers": 1, "local memory": 1}}


def test_without_nvcc_it_says_so_and_is_no_failure(resources, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert resources.main([]) == 0
    assert capsys.readouterr().out == "NOT RUN: no nvcc\n"


def test_nvcc_takes_a_kernel_without_a_warning_or_a_spill(resources, monkeypatch, capsys):
    if shutil.which("nvcc") is None:
        pytest.skip("NOT RUN: no nvcc")
    monkeypatch.setattr(resources, "ARCHITECTURES", (80,))
    assert resources.main(["plain/matmul"]) == 0
    assert capsys.readouterr().out.count("| matmul_elements |") == 2


def test_the_page_is_about_files_that_are_there_and_no_kernel_spills(resources):
    rows = [line.split("|")[1:-1] for line in resources.kept_rows([], resources.COLUMNS)]
    code = [line.split("|")[1:-1] for line in resources.kept_rows([], resources.CODE_COLUMNS)]
    there = {resources.name_of(f) for f in resources.sources([])}
    assert {row[0].strip() for row in rows} == {row[0].strip() for row in code} == there
    assert all(row[-1].strip() == "0" for row in rows)


def test_the_rows_of_other_files_stay(resources, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "PAGE", tmp_path / "page.md")
    kernel = resources.Kernel({"k"}, {80: 32})
    rows = [resources.row(name, "f32", "k", kernel) for name in ("matmul", "softmax")]
    code = [resources.Code(name, "f32", {}).row() for name in ("matmul", "softmax")]
    resources.PAGE.write_text(resources.page(rows, code, "13.0"))
    asked = resources.sources(["matmul"])
    assert resources.kept_rows(asked, resources.COLUMNS) == rows[1:]
    assert resources.kept_rows(asked, resources.CODE_COLUMNS) == code[1:]


def test_machine_code_that_is_not_what_the_source_says_is_told(resources):
    counts = dict.fromkeys(resources.INSTRUCTIONS, 0)
    source = "/* k.cu. Plan. Loads of 16 bytes. */ void k() { __syncthreads(); }"
    bare = resources.Code("k", "f32", {"_Z1kv": {**counts, "local memory": 3}})
    assert bare.wrong(source) == [
        "k f32: its plan speaks of 16 bytes, and no load is of 16",
        "k f32: the source has barriers, and the machine code none",
        "k f32: k keeps something in local memory"]
    good = {**counts, "16-byte loads from global memory": 1, "barriers": 1}
    assert resources.Code("k", "f32", {"_Z1kv": good}).wrong(source) == []
    assert resources.Code("k", "f32", {"_Z1kv": counts}).wrong("/* no plan */ void k() {}") == []
