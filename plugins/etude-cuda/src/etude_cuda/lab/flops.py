"""FLOPs by source line, from the machine code of the inspected program and its block counts.

The program is compiled without contraction and without vectors, so each floating-point instruction
is one operation of one thread. g++ puts a call of __sanitizer_cov_trace_pc at the head of each
basic block, and the runtime counts them by their return address. So a block's instructions, those
up to the next such call, ran once for each lane that is counted there. Additions, subtractions,
multiplications, divisions, square roots, minima and maxima are one FLOP each; a fused
multiply-add, which this build does not make but AArch64 has, is two. Comparisons, conversions and
moves are none. Calls of the maths library are counted apart, by name: what one costs depends on the
card. It is a count of the CPU's code, so what nvcc would hoist or fuse is not in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from etude.core.errors import BackendError
from etude_cuda.lab.events import Block

TRACE = "__sanitizer_cov_trace_pc"
ARITHMETIC = re.compile(r"^v?(?:add|sub|mul|div|sqrt|min|max)s[sd]$"  # x86-64
                        r"|^f(?:add|sub|mul|nmul|div|sqrt|min|max|minnm|maxnm)$")  # AArch64
FUSED = re.compile(r"^vfn?m(?:add|sub)\d+s[sd]$|^fn?m(?:add|sub)$")
MATHS = re.compile(r"^(?:exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|sin|cos|sincos|tan|asin|"
                   r"acos|atan|atan2|sinh|cosh|tanh|asinh|acosh|atanh|erf|erfc|lgamma|tgamma|cbrt|"
                   r"hypot|fmod|remainder|rint|nearbyint|round|floor|ceil|trunc)f?$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(?:[0-9a-f]{2,8} )+\s*\t?([a-z][\w.]*)\s*(.*)$")
CALLED = re.compile(r"<([^>+@]+)(?:@[^>]*)?>")


@dataclass
class Region:
    """The instructions that matter of one basic block: (address, FLOPs) and (address, name)."""

    flops: list[tuple[int, int]] = field(default_factory=list)
    calls: list[tuple[int, str]] = field(default_factory=list)


def regions(text: str) -> dict[int, Region]:
    """The blocks of a disassembly (``objdump -d``), by the address that the runtime counts."""
    found: dict[int, Region] = {}
    now: Region | None = None
    traced = False  # the instruction before this one was the call at the head of a block
    for line in text.splitlines():
        if line.endswith(">:"):  # a new function: nothing runs on into it
            now, traced = None, False
            continue
        parts = INSTRUCTION.match(line)
        if not parts:
            continue
        address, name, rest = int(parts[1], 16), parts[2], parts[3]
        if traced:
            now = found.setdefault(address, Region())
        called = CALLED.search(rest) if name.startswith(("call", "bl")) else None
        traced = called is not None and called[1] == TRACE
        if now is None or traced:
            continue
        if called and MATHS.match(called[1]):
            now.calls.append((address, called[1]))
        elif ARITHMETIC.match(name):
            now.flops.append((address, 1))
        elif FUSED.match(name):
            now.flops.append((address, 2))
    return found


def disassemble(binary: str | Path) -> dict[int, Region]:
    """The blocks of an executable. Raises BackendError where objdump is missing or fails."""
    tool = shutil.which(os.environ.get("OBJDUMP", "objdump"))
    if tool is None:
        raise BackendError("objdump is not installed, so FLOPs cannot be counted; it comes with "
                           "g++ in the package binutils")
    done = subprocess.run([tool, "-d", str(binary)], capture_output=True, text=True,
                          errors="replace", check=False)
    if done.returncode:
        raise BackendError(f"objdump cannot read {binary}: {done.stderr.strip()}")
    return regions(done.stdout)


@dataclass
class Work:
    """What one instruction address did in one launch, over all lanes."""

    flops: dict[tuple[int, int], int]  # (launch, address) -> FLOPs
    calls: dict[tuple[int, int], Counter[str]]  # (launch, address) -> calls by name


def work(code: dict[int, Region], blocks: Iterable[Block]) -> Work:
    """FLOPs and maths calls of a run: what stands in each block, times how often lanes ran it."""
    flops: dict[tuple[int, int], int] = defaultdict(int)
    calls: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for b in blocks:
        region = code.get(b.pc)
        if region is None:
            continue
        for address, n in region.flops:
            flops[b.launch, address] += n * b.lanes
        for address, name in region.calls:
            calls[b.launch, address][name] += b.lanes
    return Work(dict(flops), dict(calls))
