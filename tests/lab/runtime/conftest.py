"""Programs of the lab with a case for each argument, built once, run in fast or inspect mode."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ran:
    """What a run of ``source`` printed, and the lines of JSON that the lab wrote."""

    source: Path
    status: int
    output: str
    errors: str
    events: list

    @property
    def kinds(self):
        return [f["kind"] for f in self.found()]

    @property
    def lines(self):
        return self.output.splitlines()

    def found(self, kind=None):
        return [e for e in self.events
                if e["event"] == "finding" and kind in (None, e["kind"])]

    def marks(self, finding):
        """The comments at the ends of the lines that a finding names."""
        lines = self.source.read_text().splitlines()
        return sorted(lines[p["line"] - 1].partition("// ")[2] for p in finding["places"])

    def of(self, event):
        return [e for e in self.events if e["event"] == event]


@pytest.fixture(scope="session")
def executable():
    if not shutil.which("g++"):
        pytest.skip("NOT RUN: needs g++")
    build = pytest.importorskip("etude_cuda.lab.build", reason="NOT RUN: needs etude-cuda")
    return lambda name, mode: build.build_program([HERE / name], mode).executable


@pytest.fixture
def run(executable, tmp_path):
    """``run("name.cu", "case")``; words in capitals are variables: ``run(..., LAB_CARD="T4")``."""
    def go(name, *arguments, mode="fast", **variables):
        events = tmp_path / "events"
        events.unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LAB_")}
        environment |= {"LAB_EVENTS": str(events), "LAB_TIMEOUT": "20"} | variables
        done = subprocess.run([executable(name, mode), *map(str, arguments)], env=environment,
                              capture_output=True, text=True, timeout=100, check=False)
        written = events.read_text().splitlines() if events.exists() else []
        return Ran(HERE / name, done.returncode, done.stdout, done.stderr,
                   [json.loads(w) for w in written])

    return go
