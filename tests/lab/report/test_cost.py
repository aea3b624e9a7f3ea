"""Occupancy by the rules of a card, rooflines, registers from nvcc, FLOPs from machine code."""

import shutil
import subprocess
import textwrap

import pytest

from etude.core.errors import BackendError
from etude_cuda.lab import cards, cost, flops
from etude_cuda.lab.cards import CARDS, card
from etude_cuda.lab.cost import occupancy, roofline
from etude_cuda.lab.events import Block, Launch

T4, A100, H100 = (CARDS[name] for name in ("T4", "A100", "H100"))


# ------------------------------------------------------------------ cards


@pytest.mark.parametrize(("name", "peak", "bandwidth"), [
    ("T4", 8.1e12, 320e9), ("A100", 19.5e12, 1555e9), ("H100", 66.9e12, 3352e9)])
def test_lanes_times_clock_is_the_published_peak(name, peak, bandwidth):
    assert CARDS[name].peak == pytest.approx(peak, rel=0.006)
    assert CARDS[name].bandwidth == bandwidth


def test_a_card_is_found_in_any_case_and_an_unknown_one_is_named():
    assert card("a100") is A100
    with pytest.raises(BackendError, match=r"'V100'.*It knows T4, A100, H100"):
        card("V100")


def test_the_default_card_is_in_the_table():
    assert cards.DEFAULT in CARDS


# ------------------------------------------------------------------ occupancy


@pytest.mark.parametrize(("which", "threads", "shared", "registers", "blocks", "limiter"), [
    # Worked by hand from the table of the programming guide.
    (A100, 256, 0, 32, 8, "warps and registers"),  # 8 blocks of 8 warps; 65536 / (8 * 1024)
    (A100, 256, 0, 64, 4, "registers"),  # a warp takes 2048 registers: 32 warps
    (A100, 32, 0, 16, 32, "blocks"),  # 64 warps would fit
    (A100, 256, 48 * 1024, 32, 3, "shared memory"),  # 164 KB / (48 KB + 1 KB)
    (A100, 1024, 0, 32, 2, "warps and registers"),
    (A100, 1024, 0, 65, 0, "registers"),  # 72 registers a thread, 73,728 of 65,536
    (T4, 256, 0, 32, 4, "warps"),  # 1024 threads a multiprocessor
    (T4, 256, 32 * 1024, 32, 2, "shared memory"),  # 64 KB, nothing reserved
    (H100, 128, 100 * 1024, 32, 2, "shared memory"),  # 228 KB / 101 KB
    (H100, 96, 0, 40, 16, "registers"),  # 65536 / 1280 = 51 warps, 48 in whole fours, of 3
])
def test_occupancy_and_its_limiter(which, threads, shared, registers, blocks, limiter):
    o = occupancy(which, threads, shared, registers, blocks=100_000)
    assert (o.blocks, o.limiter) == (blocks, limiter)
    assert o.share == o.warps / which.warps_per_sm
    assert not o.assumed


def test_without_a_report_of_the_compiler_the_registers_are_said_to_be_assumed():
    o = occupancy(A100, 256, 0)
    assert (o.registers, o.assumed) == (cost.ASSUMED_REGISTERS, True)


def test_a_small_grid_is_the_limit_and_leaves_multiprocessors_idle():
    o = cost.of_launch(A100, Launch(1, "k", "f", 1, (4, 2, 1), (128, 1, 1)), 32)
    assert o.limiter == "grid"
    assert o.idle_sms == 108 - 8
    assert o.waves == pytest.approx(8 / (108 * 16))


# ------------------------------------------------------------------ roofline


def test_a_vector_add_is_bound_by_memory_and_a_large_product_by_arithmetic():
    add = roofline(A100, 1000, 12_000)
    assert add.bound == "memory"
    assert add.attainable == pytest.approx(1555e9 / 12)
    assert add.seconds == pytest.approx(12_000 / 1555e9)
    product = roofline(A100, 2 * 1024 ** 3, 12 * 1024 ** 2)
    assert product.bound == "compute"
    assert product.attainable == A100.peak
    assert A100.ridge == pytest.approx(19.49e12 / 1555e9, rel=1e-3)


# ------------------------------------------------------------------ registers


REPORT = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z4axpyfPKfPfi' for 'sm_80'
ptxas info    : Function properties for _Z4axpyfPKfPfi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 376 bytes cmem[0]
ptxas info    : Compiling entry function '_Z4tileILi16EfEvPKT0_PS0_' for 'sm_80'
ptxas info    : Used 40 registers, used 1 barriers
ptxas info    : Compiling entry function '_Z4tileILi32EfEvPKT0_PS0_' for 'sm_80'
ptxas info    : Used 36 registers, used 1 barriers
ptxas info    : Compiling entry function '_ZN2ns5inner6kernelEv' for 'sm_90'
ptxas info    : Used 8 registers
ptxas info    : Compiling entry function 'plain_c' for 'sm_90'
ptxas info    : Used 9 registers
"""


def test_registers_are_read_from_the_compilers_report_by_kernel():
    assert cost.read_resources(REPORT) == {"axpy": 12, "tile": 40, "kernel": 8, "plain_c": 9}


def test_a_launch_finds_its_kernel_whatever_is_written_around_the_name():
    assert [cost.kernel_name(n) for n in ("axpy", "tile<16, float>", "ns::inner::kernel")] == [
        "axpy", "tile", "kernel"]


def test_nvcc_itself_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if shutil.which("nvcc") is None:
        assert cost.registers(tmp_path / "k.cu", A100) == {}
        pytest.skip("NOT RUN: needs nvcc")
    (tmp_path / "k.cu").write_text(
        "template <int N> __global__ void k(float *x) { x[threadIdx.x] *= N; }\n"
        "void f(float *x) { k<2><<<1, 32>>>(x); }\n")
    assert 4 <= cost.registers(tmp_path / "k.cu", A100)["k"] <= 64
    monkeypatch.setattr(cost.subprocess, "run", None)
    assert cost.registers(tmp_path / "k.cu", A100)["k"] >= 4


# ------------------------------------------------------------------ FLOPs


LISTING = """\
0000000000401136 <k(float*)>:
  401136:\t55                   \tpush   %rbp
  40113a:\te8 00 00 00 00       \tcall   401030 <__sanitizer_cov_trace_pc@plt>
  40113f:\tf3 0f 58 c1          \taddss  %xmm1,%xmm0
  401143:\tf2 0f 59 c1          \tmulsd  %xmm1,%xmm0
  401147:\t0f 2e c1             \tucomiss %xmm1,%xmm0
  40114a:\te8 00 00 00 00       \tcall   401040 <expf@plt>
  40114f:\te8 00 00 00 00       \tcall   401030 <__sanitizer_cov_trace_pc@plt>
  401154:\tc5 f2 5e c0          \tvdivss %xmm0,%xmm1,%xmm0
  401158:\te8 00 00 00 00       \tcall   401050 <__tsan_write4>
  40115d:\tc3                   \tret

0000000000401160 <other()>:
  401160:\tf3 0f 58 c1          \taddss  %xmm1,%xmm0
"""


def test_a_block_has_what_stands_between_two_of_its_calls():
    found = flops.regions(LISTING)
    assert set(found) == {0x40113f, 0x401154}
    assert found[0x40113f].flops == [(0x40113f, 1), (0x401143, 1)]
    assert found[0x40113f].calls == [(0x40114a, "expf")]
    assert found[0x401154].flops == [(0x401154, 1)]


def test_arm_code_is_read_too_and_a_fused_one_counts_twice():
    found = flops.regions(
        "  400800:\t97ffff00 \tbl\t400400 <__sanitizer_cov_trace_pc@plt>\n"
        "  400804:\t1e212800 \tfadd\ts0, s0, s1\n"
        "  400808:\t1f420c20 \tfmadd\td0, d1, d2, d3\n"
        "  40080c:\t97ffff00 \tbl\t400410 <sinf@plt>\n")
    assert found[0x400804].flops == [(0x400804, 1), (0x400808, 2)]
    assert found[0x400804].calls == [(0x40080c, "sinf")]


def test_work_is_the_code_of_a_block_times_the_lanes_that_ran_it():
    done = flops.work(flops.regions(LISTING), [Block(1, 0x40113f, 2, 50, 1, 1),
                                               Block(1, 0x401154, 2, 64, 0, 0),
                                               Block(2, 0x40113f, 1, 32, 0, 0)])
    assert sum(n for (launch, _), n in done.flops.items() if launch == 1) == 2 * 50 + 64
    assert done.calls[1, 0x40114a] == {"expf": 50}
    assert done.flops[2, 0x40113f] == 32


PROGRAM = """\
#include <cmath>
#include <cstdio>
static void *at[64];
static long runs[64];
extern "C" __attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc() {
    void *pc = __builtin_return_address(0);
    int i = 0;
    while (at[i] && at[i] != pc) i++;
    at[i] = pc;
    runs[i]++;
}
__attribute__((noinline)) float work(float a, float b, int n) {
    for (int i = 0; i < n; i++)
        a = a * b + 1.5f;
    if (n > 100)
        a = a / b;
    return a - expf(b);
}
__attribute__((no_sanitize_coverage)) int main(int argc, char **) {
    volatile float kept = work(argc, 0.5f, 40);
    for (int i = 0; at[i]; i++)
        std::printf("%p %ld\\n", at[i], runs[i]);
}
"""


def test_the_flops_of_a_real_program_are_those_of_its_formula(tmp_path):
    if not all(map(shutil.which, ("g++", "objdump"))):
        pytest.skip("NOT RUN: needs g++ and objdump")
    (tmp_path / "p.cpp").write_text(textwrap.dedent(PROGRAM))
    subprocess.run(["g++", "-std=c++17", "-O1", "-g", "-no-pie", "-ffp-contract=off",
                    "-fsanitize-coverage=trace-pc", "p.cpp", "-o", "p"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "p"], capture_output=True, text=True, check=True).stdout
    counted = [line.split() for line in printed.splitlines()]
    blocks = [Block(1, int(pc, 16), int(n), int(n), 0, 0) for pc, n in counted]
    done = flops.work(flops.disassemble(tmp_path / "p"), blocks)
    assert sum(done.flops.values()) == 2 * 40 + 1
    assert sum(c["expf"] for c in done.calls.values()) == 1


def test_a_file_that_is_no_executable_is_an_error_that_says_so(tmp_path):
    if shutil.which("objdump") is None:
        pytest.skip("NOT RUN: needs objdump")
    (tmp_path / "x").write_text("no")
    with pytest.raises(BackendError, match="cannot read"):
        flops.disassemble(tmp_path / "x")
