"""Programs of the lab, built once for all tests, and what the inspector wrote about a run."""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def built():
    """``built("name.cu")`` compiles a program of this folder in inspect mode, once."""
    if not shutil.which("g++"):
        pytest.skip("NOT RUN: needs g++")
    lab = pytest.importorskip("etude_cuda.lab.build", reason="NOT RUN: needs etude-cuda")
    done = {}

    def build(name):
        if name not in done:
            done[name] = lab.build_program([HERE / name], "inspect").executable
        return done[name]

    return build


@dataclass(frozen=True)
class Seen:
    """What the inspector wrote about a run of ``source``."""

    source: Path
    executable: Path
    log: object
    output: str
    status: int

    @cached_property
    def symbols(self):
        from etude_cuda.lab.symbols import Symbols

        return Symbols(self.executable, HERE)

    def line_of(self, pc, stack=()):
        """The text of the user's line at a program counter, without its indentation."""
        frame = self.symbols.place(pc, stack)
        if not frame.users:
            return ""
        return self.source.read_text().splitlines()[frame.line - 1].strip()

    @property
    def splits(self):
        """(warps, lanes, split) of the user's basic blocks that not all lanes ran together."""
        return {(b.warps, b.lanes, b.split) for b in self.log.blocks
                if b.split and self.line_of(b.pc)}

    def at(self, mark, op=None):
        """The counters of the accesses whose line ends with this comment."""
        return [a for a in self.log.accesses if self.line_of(a.pc).endswith(f"// {mark}")
                and op in (None, a.op)]

    @property
    def kinds(self):
        return sorted({f.kind for f in self.log.findings})

    def found(self, kind):
        """The findings of a kind."""
        return [f for f in self.log.findings if f.kind == kind]

    def lines(self, finding):
        """The comments at the lines of a finding's places."""
        lines = [self.line_of(p.pc, p.stack) for p in finding.places]
        return [line.partition("// ")[2] for line in lines]


@pytest.fixture
def watch(built, tmp_path):
    """``watch("name.cu", "case")`` runs a program of this folder and reads what was seen."""
    from etude_cuda.lab.events import read
    from etude_cuda.lab.program import Settings, run_program

    def run(name, *arguments, **settings):
        events = tmp_path / "events"
        events.unlink(missing_ok=True)
        executable = built(name)
        ran = run_program(executable, [str(a) for a in arguments], events, Settings(**settings),
                          keep=True)
        return Seen(HERE / name, executable, read(events), ran.output, ran.status)

    return run
