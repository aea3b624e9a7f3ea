"""Measures the ladder of the fast kernels; writes ``kernels.md`` and ``kernels.svg``.

    python docs/measure_kernels.py

Every step is one C file, built here: the loops of ``c_src/cpu/plain``, the same text allowed to use
vectors, and the kernels as they are shipped, for each instruction set that runs here. All steps of
a ladder take turns in one process, on one thread, and the least time of many turns counts: on a
machine that has other work to do that is the honest figure. Needs GCC or Clang, and matplotlib.
It takes minutes, so the two files are committed, with their date.
"""

import ctypes
import shutil
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

import matplotlib
import numpy as np

import etude

matplotlib.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
CPU = HERE.parent / "c_src" / "cpu"
INCLUDE = Path(etude.__file__).parent / "include"
KERNEL = "-O3 -fno-math-errno -fno-trapping-math -fopenmp-simd -ffp-contract=off"
AVX512 = "-mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512"
#: name of the step, folder of the text, flags
STEPS = [("plain loops, -O2", CPU / "plain", "-O2"),
         ("plain loops, -O3, all instructions, any order of sums", CPU / "plain",
          f"-O3 -ffast-math {AVX512}"),
         ("shipped, portable (128-bit vectors)", CPU, KERNEL),
         ("shipped, AVX2 (256 bits, fused)", CPU, f"{KERNEL} -mavx2 -mfma"),
         ("shipped, AVX-512 (512 bits, fused)", CPU, f"{KERNEL} {AVX512}")]
TURNS, SECONDS = 5, 0.7  # of each step: at least so many turns, and about so much time

PEAK = """
#include <immintrin.h>
float peak(long n)
{
    __m512 sum[16], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.3f);
    for (int i = 0; i < 16; i++)
        sum[i] = _mm512_set1_ps((float)i);
    while (n--)
        for (int i = 0; i < 16; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], a, b);
    float all = 0;
    for (int i = 0; i < 16; i++)
        all += _mm512_reduce_add_ps(sum[i]);
    return all;
}
"""


class Context(ctypes.Structure):
    """etude_context of etude.h, with neither threads nor scratch memory of the host."""

    _fields_ = [("version", ctypes.c_uint32), ("threads", ctypes.c_int32),
                ("parallel_for", ctypes.c_void_p), ("scratch", ctypes.c_void_p),
                ("stream", ctypes.c_void_p), ("impl", ctypes.c_void_p),
                ("error", ctypes.c_char * 256), ("level", ctypes.c_int32),
                ("buffer", ctypes.c_void_p * 2), ("bytes", ctypes.c_size_t * 2),
                ("keep", ctypes.c_void_p), ("tail", ctypes.c_void_p)]


CONTEXT = Context(version=0x00020003, threads=1)


def build(sources, flags, folder, name):
    """A library of these C files."""
    library = folder / f"{name}.so"
    compiler = shutil.which("gcc") or shutil.which("clang")
    subprocess.run([compiler, *flags.split(), "-DETUDE_REAL=32", f"-I{INCLUDE}", "-shared", "-fPIC",
                    *map(str, sources), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def at(array):
    return ctypes.c_void_p(array.ctypes.data)


def numbers(*values):
    return [ctypes.c_int64(v) for v in values]


def matmul(library, n=512):
    """The call, its FLOP and its result: C = A B, n x n."""
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, n, n)).astype(np.float32)
    sizes = numbers(1, n, n, n, 0, n, 1, 0, n, 1)
    return (lambda: library.etude_matmul_f32(ctypes.byref(CONTEXT), at(a), at(b), None, at(c),
                                             *sizes)), 2 * n**3, c


def conv2d(library, N=4, C=64, H=32, O=64, K=3):  # noqa: E741
    """The call, its FLOP and its result: 3 x 3 taps, 64 channels to 64, images of 32 x 32."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, C, H, H)).astype(np.float32)
    w = rng.standard_normal((O, C, K, K)).astype(np.float32)
    y = np.empty((N, O, H, H), np.float32)
    sizes = numbers(N, C, H, H, O, K, K, H, H, 1, 1, 1, 1, 1, 1, 1)
    return (lambda: library.etude_conv2d_f32(ctypes.byref(CONTEXT), at(x), at(w), None, at(y),
                                             *sizes)), 2 * N * O * H * H * C * K * K, y


def fastest(calls):
    """The least time of each call, in seconds of this thread, in turns."""
    best, spent, turns = [float("inf")] * len(calls), [0.0] * len(calls), 0
    while turns < TURNS or min(spent) < SECONDS:
        for i, call in enumerate(calls):
            if turns >= TURNS and spent[i] >= SECONDS:
                continue
            start = time.thread_time()
            call()
            seconds = time.thread_time() - start
            best[i], spent[i] = min(best[i], seconds), spent[i] + seconds
        turns += 1
    return best


def ladder(made):
    """GFLOP/s of every step; all must agree about the result."""
    for call, _, _ in made:
        assert call() == 0
    for _, _, result in made[1:]:
        np.testing.assert_allclose(result, made[0][2], rtol=1e-3, atol=1e-2)
    return [flop / t / 1e9 for t, (_, flop, _) in zip(fastest([m[0] for m in made]), made,
                                                       strict=True)]


def write(peak, rates):
    lines = [f"Measured {date.today()} with `python docs/measure_kernels.py` on one core of a Xeon "
             f"(Sapphire Rapids, AVX-512, GCC), one thread. The peak of that core, fused "
             f"multiply-adds that wait for nothing, is {peak:.0f} GFLOP/s.", "",
             "| step | matmul 512 x 512 x 512, GFLOP/s | of the peak | times the step before "
             "| conv2d 64 to 64 channels, 3 x 3, 32 x 32, GFLOP/s | of the peak "
             "| times the step before |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for i, (name, _, _) in enumerate(STEPS):
        cells = []
        for rate in rates.values():
            gain = f"{rate[i] / rate[i - 1]:.1f}" if i else ""
            cells += [f"{rate[i]:.1f}", f"{rate[i] / peak:.1%}", gain]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    (HERE / "kernels.md").write_text("\n".join(lines) + "\n")


def draw(peak, rates):
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 2.9), sharey=True, layout="constrained")
    names = ["plain", "plain, vectorised\nby the compiler", "shipped,\nportable", "shipped,\nAVX2",
             "shipped,\nAVX-512"]
    for axis, (title, rate) in zip(axes, rates.items(), strict=True):
        bars = axis.barh(names, rate, color="#3b6fd4")
        axis.bar_label(bars, [f"{r:.1f}" for r in rate], padding=3, fontsize=8, zorder=3,
                       bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        axis.axvline(peak, color="#d9730d", linewidth=1.5)
        axis.set(title=title, xscale="log", xlabel="GFLOP/s; the line is the peak of the core",
                 xlim=(0.5, 3 * peak))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    plt.rcParams["svg.hashsalt"] = "etude"
    figure.savefig(HERE / "kernels.svg", metadata={"Date": None})


def main():
    rates = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "peak.c"
        source.write_text(PEAK)
        flops = build([source], f"-O3 {AVX512}", folder, "peak")
        n = 4_000_000
        peak = n * 16 * 32 / min(fastest([lambda: flops.peak(ctypes.c_long(n))])) / 1e9
        for op, title in ((matmul, "matmul"), (conv2d, "conv2d")):
            made = []
            for i, (_, where, flags) in enumerate(STEPS):
                library = build([where / f"{op.__name__}.c"], flags, folder, f"{title}{i}")
                made.append(op(library))
            rates[title] = ladder(made)
            print(title, [round(r, 1) for r in rates[title]], f"peak {peak:.0f}")
    write(peak, rates)
    draw(peak, rates)


if __name__ == "__main__":
    main()
