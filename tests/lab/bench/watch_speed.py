"""How many accesses a second the inspector watches, on one core.

    python tests/lab/bench/watch_speed.py

The time is the CPU's, of the whole program, so a busy machine does not change it much. The goal is
10 million a second.
"""

import resource
import subprocess
import tempfile
from pathlib import Path

from etude_cuda.lab.build import build_program
from etude_cuda.lab.events import read

HERE = Path(__file__).parent


def cpu_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(program: Path, kernel: str) -> None:
    """Run one kernel and print what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        events, before = Path(folder) / "events", cpu_seconds()
        subprocess.run([str(program), kernel], check=True, env={"LAB_EVENTS": str(events)},
                       stdout=subprocess.DEVNULL)
        seconds, accesses = cpu_seconds() - before, read(events).end["accesses"]
    print(f"{kernel:8} {accesses / 1e6:6.1f} million accesses in {seconds:5.2f} s of CPU: "
          f"{accesses / seconds / 1e6:5.1f} million a second")


if __name__ == "__main__":
    built = build_program([HERE / "watched.cu"], "inspect").executable
    for name in ("add", "matmul"):
        measure(built, name)
