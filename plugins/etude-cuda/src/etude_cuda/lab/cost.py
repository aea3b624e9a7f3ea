"""What a launch would mean for a named card: occupancy and its limit, and the place on a roofline.

Both are models, by the public rules of the card (cards.py): how many blocks fit on a multiprocessor
at once, and how fast the arithmetic or the memory could be at most. Nothing here is a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.data.files import user_cache, write_atomically
from etude_cuda.lab.cards import Card
from etude_cuda.lab.events import Launch

ASSUMED_REGISTERS = 32  # of a thread, where no nvcc says how many it takes


@dataclass(frozen=True)
class Occupancy:
    """How full a multiprocessor gets. ``limiter`` is what hinders one more block."""

    blocks: int  # on one multiprocessor
    warps: int
    share: float  # of the warps that could be resident
    limiter: str
    registers: int  # of a thread
    assumed: bool  # the registers were not read from nvcc's report
    waves: float  # how many times the whole card is filled by the grid
    idle_sms: int  # multiprocessors without any block

    def to_json(self) -> dict[str, Any]:
        """As schema.json describes it."""
        return dict(vars(self))


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def occupancy(card: Card, threads: int, shared: int, registers: int | None = None,
              blocks: int = 1) -> Occupancy:
    """For blocks of so many threads with ``shared`` bytes; ``blocks`` is the size of the grid."""
    taken = ASSUMED_REGISTERS if registers is None else max(registers, 1)
    warps = max(_up(threads, card.warp) // card.warp, 1)
    of_warp = _up(taken * card.warp, card.register_unit)
    # A multiprocessor has four schedulers with a quarter of the registers each.
    by_registers = card.registers_per_sm // 4 // of_warp * 4 // warps
    of_block = _up(shared + card.shared_reserved, card.shared_unit)
    limits = {"blocks": card.blocks_per_sm, "warps": card.warps_per_sm // warps,
              "registers": by_registers,
              "shared memory": card.shared_per_sm // of_block if of_block else card.blocks_per_sm}
    fits = min(limits.values())
    names = [name for name, n in limits.items() if n == fits]
    limiter = "grid" if 0 < blocks < fits * card.sms else " and ".join(names)
    resident = fits * warps
    return Occupancy(fits, resident, resident / card.warps_per_sm, limiter, taken,
                     registers is None, blocks / (fits * card.sms) if fits else 0.0,
                     max(card.sms - blocks, 0))


def of_launch(card: Card, launch: Launch, registers: int | None) -> Occupancy:
    """The occupancy of a launch."""
    gx, gy, gz = launch.grid
    bx, by, bz = launch.block
    return occupancy(card, bx * by * bz, launch.static_shared + launch.dynamic_shared, registers,
                     gx * gy * gz)


@dataclass(frozen=True)
class Roofline:
    """A place under a card's roof. ``bytes`` is what the warps' sectors move, as if uncached."""

    flops: int
    bytes: int
    intensity: float  # FLOPs a byte
    attainable: float  # FLOP a second, at most
    bound: str  # "memory" or "compute"
    seconds: float  # at least: the longer of the two

    def to_json(self) -> dict[str, Any]:
        """As schema.json describes it."""
        return dict(vars(self))


def roofline(card: Card, flops: int, moved: int) -> Roofline:
    """Where so many FLOPs on so many bytes lie for a card."""
    intensity = flops / moved if moved else float("inf") if flops else 0.0
    slope = card.bandwidth * intensity
    bound = "memory" if intensity < card.ridge else "compute"
    return Roofline(flops, moved, min(intensity, 1e9), min(slope, card.peak), bound,
                    max(flops / card.peak, moved / card.bandwidth))


# -------------------------------------------------------------------- registers


def registers(source: str | Path, card: Card,
              include: Sequence[str | Path] = ()) -> dict[str, int]:
    """Registers of a thread by kernel, from nvcc's resource report; {} without nvcc or if it fails.

    Kernels are named as in the source, without arguments; of the instances of a template the one
    with the most registers counts. What a source gave is kept in the user's cache: nvcc takes its
    second or two once.
    """
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return {}
    flags = ["-std=c++17", f"-arch={card.arch}", *(f"-I{folder}" for folder in include)]
    try:
        kept = _kept(nvcc, flags, Path(source))
        if kept.exists():
            return {str(k): int(n) for k, n in json.loads(kept.read_text("utf-8")).items()}
        done = subprocess.run([nvcc, *flags, "-Xptxas", "-v", "-cubin", "-o", os.devnull,
                               str(source)], capture_output=True, text=True, errors="replace",
                              timeout=120, check=False)
        found = read_resources(done.stderr + done.stdout) if not done.returncode else {}
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(found).encode())
        return found
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}


def _kept(nvcc: str, flags: Sequence[str], source: Path) -> Path:
    """Where the answer for this text is kept. Files beside it count, for it may include them."""
    digest = hashlib.sha256(repr((nvcc, flags, str(source.absolute()))).encode())
    beside = (p for p in source.absolute().parent.iterdir() if p.suffix in (".cuh", ".h", ".hpp"))
    for file in (source, *sorted(beside)):
        digest.update(file.read_bytes())
    return user_cache() / "lab" / "registers" / f"{digest.hexdigest()[:20]}.json"


def read_resources(report: str) -> dict[str, int]:
    """What ``nvcc -Xptxas -v`` says, by kernel. The lines that are there differ by architecture."""
    found: dict[str, int] = {}
    kernel = ""
    for line in report.splitlines():
        entry = re.search(r"(?:entry function|Function properties for) '?([\w$]+)'?", line)
        if entry:
            kernel = entry[1]
        used = re.search(r"Used (\d+) registers", line)
        if used and kernel:
            name = plain(kernel)
            found[name] = max(found.get(name, 0), int(used[1]))
    return found


def plain(mangled: str) -> str:
    """The function's own name in an Itanium-mangled one: _Z4axpyfPKfPfi is axpy. Others as is."""
    nested = re.match(r"_ZN(.*)", mangled)
    rest = nested[1] if nested else mangled[2:] if mangled.startswith("_Z") else ""
    name = ""
    while number := re.match(r"(?:St|L|12_GLOBAL__N_1)?(\d+)", rest):
        start, length = number.end(), int(number[1])
        name, rest = rest[start:start + length], rest[start + length:]
        if not nested:
            break
    return name or mangled


def kernel_name(text: str) -> str:
    """The function's own name in what a launch calls: lab::k<float, 4> is k."""
    return text.split("<")[0].strip().rpartition("::")[2]
