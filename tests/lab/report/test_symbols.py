"""From addresses to lines, with executables that g++ made here."""

import shutil
import subprocess

import pytest

from etude.core.errors import BackendError
from etude_cuda.lab.symbols import UNKNOWN, Frame, Symbols

PROGRAM = """\
#include <cstdio>
#include "lab.h"
__attribute__((noinline)) void *pc() {
    asm volatile("");
    return __builtin_return_address(0);
}
static inline __attribute__((always_inline)) void *inner() {
    void *p = pc();
    return p;
}
void *outer() {
    void *p = inner();
    return p;
}
int main() {
    std::printf("%p %p %p\\n", pc(),
                outer(), from_header());
}
"""
IN_HEADER = """\
void *pc();
static inline __attribute__((always_inline)) void *from_header() {
    void *p = pc();
    return p;
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    if not all(map(shutil.which, ("g++", "addr2line"))):
        pytest.skip("NOT RUN: needs g++ and addr2line")
    folder = tmp_path_factory.mktemp("symbols")
    (folder / "c_src/lab/include").mkdir(parents=True)
    (folder / "c_src/lab/include/lab.h").write_text(IN_HEADER)
    (folder / "prog.cpp").write_text(PROGRAM)
    subprocess.run(["g++", "-g", "-O1", "-no-pie", f"-I{folder}/c_src/lab/include", "prog.cpp",
                    "-o", "prog"], cwd=folder, check=True)
    printed = subprocess.run([folder / "prog"], capture_output=True, text=True, check=True)
    return folder, [int(p, 16) for p in printed.stdout.split()]


def test_a_return_address_leads_to_the_line_of_the_call(built):
    folder, (plain, _, _) = built
    assert Symbols(folder / "prog", folder).place(plain) == Frame("prog.cpp", 16, "main")


def test_an_inlined_function_is_a_chain_and_its_own_line_comes_first(built):
    folder, (_, inlined, _) = built
    chain = Symbols(folder / "prog", folder).chain(inlined)
    assert [f.line for f in chain[:2]] == [8, 12]
    assert chain[1].function == "outer()"


def test_a_header_of_the_lab_is_skipped_for_the_line_that_called_it(built):
    folder, (_, _, lab) = built
    symbols = Symbols(folder / "prog", folder)
    assert symbols.chain(lab)[0].file == "c_src/lab/include/lab.h"
    assert symbols.place(lab).file == "prog.cpp"
    assert symbols.place(lab).line in (16, 17)


def test_the_stack_helps_where_the_address_itself_is_nobodys(built):
    folder, (plain, _, _) = built
    symbols = Symbols(folder / "prog", folder)
    assert symbols.place(0x10) == UNKNOWN
    assert symbols.place(0x10, [plain]).line == 16


def test_many_addresses_are_one_call_and_keep_their_order(built, monkeypatch):
    folder, pcs = built
    asked = []
    from etude_cuda.lab import symbols as module
    real = module._addr2line
    monkeypatch.setattr(module, "_addr2line", lambda b, text: asked.append(text) or real(b, text))
    symbols = Symbols(folder / "prog", folder)
    symbols.load([*pcs, *pcs, 0])
    singly = [Symbols(folder / "prog", folder).chain(pc) for pc in pcs]
    assert [symbols.chain(pc) for pc in pcs] == singly
    assert len(asked) == 1 + len(pcs)


def test_a_missing_tool_or_file_is_an_error_that_says_so(built, monkeypatch):
    folder, _ = built
    with pytest.raises(BackendError, match="cannot read"):
        Symbols(folder / "none").chain(0x401000)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(BackendError, match="package binutils"):
        Symbols(folder / "prog").chain(0x401000)
