"""What this machine can do at most: FLOP/s of a large matrix product, bytes a second of a copy.

They are the roof over every kernel: no program gets more. The answer is measured once (``probe.py``
does it, for 1, 2, 4 ... threads, some seconds in all) and kept as JSON in the user's cache folder.
The file is named after the machine and the versions that the answer depends on, and says when it
was made.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import numpy as np

from etude.data.files import user_cache, write_atomically
from etude.measure.machine import cores

SECONDS = 0.3  # for each number
VERSION = 2  # of the file
#: What tells the libraries under NumPy how many threads to take.
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS",
           "VECLIB_MAXIMUM_THREADS")
KERNELS = "ETUDE_NUM_THREADS"  # the same for the kernels of etude-cpu


@dataclass(frozen=True)
class Peak:
    """What is possible with some number of threads, each a second."""

    threads: int
    float32: float  # FLOP
    float64: float  # FLOP
    bandwidth: float  # bytes read or written
    float32_by: str = "NumPy"  # whose matrix product was the fastest
    float64_by: str = "NumPy"


@dataclass(frozen=True)
class Peaks:
    """The peaks of a machine, the fewest threads first."""

    machine: dict[str, str]  # all that they depend on
    date: str  # when they were measured, ISO 8601 in UTC
    peaks: tuple[Peak, ...]
    busy: str = ""  # the machine was, in words: then they are too low, and not kept

    def of(self, threads: int) -> Peak:
        """The peak for so many threads, or for the next smaller number that was measured."""
        found = [p for p in self.peaks if p.threads <= threads]
        if not found:
            raise ValueError(f"peaks: threads must be 1 or more, got {threads}")
        return found[-1]

    @classmethod
    def read(cls, path: Path) -> Self:
        """From the file that ``keep`` wrote. OSError as from ``open``, ValueError for any other."""
        try:
            return cls._of(json.loads(path.read_bytes()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: not a file of peaks, or a damaged one ({error}); "
                             f"etude.measure.peaks(anew=True) writes it again") from None

    @classmethod
    def _of(cls, state: Any) -> Self:
        """From what ``json`` says. Of the wrong form it is one of five kinds of error."""
        if state.pop("version") != VERSION:
            raise ValueError("another version")
        found = cls(peaks=tuple(Peak(**peak) for peak in state.pop("peaks")), **state)
        datetime.fromisoformat(found.date)
        if not all(isinstance(text, str) for text in [found.busy, *found.machine.values()]):
            raise TypeError("a number where a text should be")
        numbers = [n for peak in found.peaks
                   for n in (peak.threads, peak.float32, peak.float64, peak.bandwidth)]
        if not all(isinstance(by, str) for p in found.peaks for by in (p.float32_by, p.float64_by)):
            raise TypeError("a number where a name should be")
        if not numbers or not all(0 < n < math.inf for n in numbers):
            raise ValueError("a number that is no speed")
        if found.peaks[0].threads != 1:
            raise ValueError("no peak of one thread")
        return found

    def json(self) -> str:
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)

    def __str__(self) -> str:
        lines = [f"{'threads':>7} {'float32 GFLOP/s':>17} {'by':<10} {'float64 GFLOP/s':>17} "
                 f"{'by':<10} {'GB/s':>6}"]
        lines += [f"{p.threads:>7} {1e-9 * p.float32:>17.1f} {p.float32_by:<10} "
                  f"{1e-9 * p.float64:>17.1f} {p.float64_by:<10} {1e-9 * p.bandwidth:>6.1f}"
                  for p in self.peaks]
        lines.append(f"{self.machine['processor']}, measured {self.date}")
        if self.busy:
            lines.append(f"Too low, because this machine was busy: {self.busy}.")
        return "\n".join(lines)



def peaks(anew: bool = False) -> Peaks:
    """The peaks of this machine: from the file, or measured, in some seconds, where there is none,
    where it is damaged or of other versions, or if ``anew`` asks for it.

    What was measured on a busy machine is returned with the reason in ``busy``. It is kept for this
    process only, which does not measure again unless it is asked to.
    """
    machine = this_machine()
    path = file_of(machine)
    if not anew:
        kept = _kept(path)
        if kept is not None and kept.machine == machine:
            return kept
        if path in _BUSY:
            return _BUSY[path]
    found = _measured(machine)
    keep(found)
    if found.busy:
        _BUSY[path] = found
    return found


#: What was measured by this process on a busy machine, by the file where it is not.
_BUSY: dict[Path, Peaks] = {}


def this_machine() -> dict[str, str]:
    """What peaks depend on."""
    blas = np.show_config("dicts")["Build Dependencies"]["blas"]
    return {"processor": _processor(), "cores": str(cores()), "machine": platform.machine(),
            "node": platform.node(), "system": platform.system(), "numpy": np.__version__,
            "blas": f"{blas.get('name')} {blas.get('version')}",
            "kernels": _kernels(), "python": platform.python_version()}


def _kernels() -> str:
    """The version of etude-cpu, which may have the fastest matrix product; "none" without it."""
    try:
        return version("etude-cpu")
    except PackageNotFoundError:
        return "none"


def file_of(machine: dict[str, str]) -> Path:
    """Where the peaks of ``machine`` are kept: in the user's cache folder."""
    key = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:16]
    return user_cache() / f"peaks-{key}.json"


def _processor() -> str:
    """Its name, as the system gives it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _kept(path: Path) -> Peaks | None:
    """What the file says; None if there is none that can be read."""
    try:
        return Peaks.read(path)
    except (OSError, ValueError):
        return None


def keep(found: Peaks) -> None:
    """Write the file, unless the machine was busy. Where it cannot be written, peaks are measured
    again the next time.
    """
    path = file_of(found.machine)
    if not found.busy:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, found.json().encode())


def _measured(machine: dict[str, str]) -> Peaks:
    """One process for each number of threads, one after the other."""
    counts = [2**i for i in range(cores().bit_length()) if 2**i < cores()] + [cores()]
    probed = [_probed(threads) for threads in counts]
    busy = next((why for _, why in probed if why), "")
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Peaks(machine, date, tuple(peak for peak, _ in probed), busy)


def _probed(threads: int) -> tuple[Peak, str]:
    """(the peak with so many threads, why it is too low or "")."""
    command = [sys.executable, "-m", "etude.measure.probe", str(threads), str(SECONDS),
               str(_megabytes())]
    environment = {**os.environ, **dict.fromkeys((*THREADS, KERNELS), str(threads))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"peaks: measuring with {threads} threads failed:\n{done.stderr}")
    found = json.loads(done.stdout)
    return Peak(**found["peak"]), found["busy"]


def _megabytes() -> int:
    """For an array that no cache holds: twice the largest cache, from 64 MB to 512 MB."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1, "M": 1024}[text[-1]] // 1024)
    return min(512, max(64, 2 * max(sizes, default=0)))
