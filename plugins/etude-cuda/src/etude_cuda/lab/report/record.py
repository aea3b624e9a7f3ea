"""A Report: findings in words, counters by line, launches with occupancy and roofline.

``build`` makes one from the events of a run and the executable that wrote them. The forms are in
text.py, html.py and json.py beside this file.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.core.errors import BackendError
from etude_cuda.lab import branches, cards, cost, counters, findings, flops, thresholds
from etude_cuda.lab.cards import Card
from etude_cuda.lab.counters import Kernel, Line
from etude_cuda.lab.events import Launch, Log, read
from etude_cuda.lab.findings import Told
from etude_cuda.lab.quotes import Quotes
from etude_cuda.lab.symbols import Symbols

if TYPE_CHECKING:
    from rich.console import Console

FRAME = 720  # pixels, the height of a report in a notebook


@dataclass
class Report:
    """One run. ``failed`` says whether something is wrong; advice about speed does not fail it."""

    program: str
    mode: str
    card: Card
    log: Log
    findings: list[Told]
    counters: list[Line]
    kernels: list[Kernel]
    registers: dict[str, int]
    quotes: Quotes = field(repr=False)
    symbols: Symbols = field(repr=False)
    seed: int = 0
    exit_status: int = 0
    output: str = ""
    notes: list[str] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)  # the arrays of a single kernel

    @property
    def launches(self) -> list[Launch]:
        """Every launch, in the order of the program."""
        return self.log.launches

    @property
    def errors(self) -> list[Told]:
        """The findings that fail the run."""
        return [t for t in self.findings if t.severity == "error"]

    @property
    def failed(self) -> bool:
        """Whether the run found an error, or did not come to its end."""
        return bool(self.errors) or self.exit_status != 0

    @property
    def verdict(self) -> str:
        """One line: what was found."""
        numbers = [(sum(t.severity == s for t in self.findings), s)
                   for s in ("error", "warning", "advice")]
        words = [f"{n} {s}{'s' * (n != 1 and s != 'advice')}" for n, s in numbers if n]
        if not self.findings:
            words = ["nothing found"]
        if self.mode == "fast":
            words.append("fast mode looks at barriers, shuffles and the API alone")
        if self.exit_status < 0:
            words.append(f"the program was ended by signal {-self.exit_status}")
        elif self.exit_status:
            words.append(f"the program ended with status {self.exit_status}")
        elif not self.log.finished:
            why = self.log.end.get("stopped") or "it did not come to its end"
            words.append(f"stopped early: {why}")
        return "; ".join(words)

    def kernel(self, name: str) -> Kernel | None:
        """The sums of a kernel."""
        return next((k for k in self.kernels if k.name == name), None)

    def all_failed(self, kernel: str) -> bool:
        """Whether no launch of a kernel came to its end: what it did until then says nothing about
        its speed.
        """
        return all(one.status != "ok" for one in self.launches if one.kernel == kernel)

    def occupancy(self, launch: Launch) -> cost.Occupancy:
        """How full the card gets by a launch."""
        return cost.of_launch(self.card, launch,
                              self.registers.get(cost.kernel_name(launch.kernel)))

    def roofline(self, one: Kernel | Line) -> cost.Roofline:
        """Where a kernel, or a line of one, lies under the card's roof."""
        return cost.roofline(self.card, one.flops, counters.SECTOR * one.sectors)

    def text(self, width: int | None = None) -> str:
        """As the terminal shows it, without colour."""
        from etude_cuda.lab.report import text
        return text.dumps(self, width or 100)

    def show(self, to: Console | None = None) -> None:
        """Print it, in colour where the terminal has some."""
        from rich.console import Console

        from etude_cuda.lab.report import text
        text.show(self, to or Console(highlight=False, markup=False))

    def html(self) -> str:
        """One page that needs nothing else."""
        from etude_cuda.lab.report import html as page
        return page.dumps(self)

    def json(self) -> str:
        """As schema.json describes it."""
        from etude_cuda.lab.report import json as document
        return document.dumps(self)

    def _repr_html_(self) -> str:
        """For a notebook: the page in a frame of its own, so that neither styles the other."""
        page = html.escape(self.html(), quote=True)
        return (f'<iframe srcdoc="{page}" title="etude lab: {html.escape(self.program)}" '
                f'style="width:100%;height:{FRAME}px;border:1px solid #8884"></iframe>')

    def __repr__(self) -> str:
        return f"<Report of {self.program}: {self.verdict}>"


def build(events: str | Path | Log, binary: str | Path | None, *, program: str,
          card: str | Card = cards.DEFAULT, mode: str = "inspect", seed: int = 0,
          exit_status: int = 0, output: str = "", nvcc_source: str | Path | None = None,
          include: Sequence[str | Path] = (),
          folder: str | Path | None = None, texts: dict[str, str] | None = None,
          symbols: Symbols | None = None) -> Report:
    """The Report of a run.

    ``events`` is the file that LAB_EVENTS named, ``binary`` the executable that wrote it, for its
    debug information and machine code. ``nvcc_source`` is the CUDA source, compiled by nvcc (where
    there is one, with the folders of ``include``) for the registers of its kernels. Files are named
    relative to where one stands, or else to ``folder``, which is the program's own if it is not
    given. ``texts`` gives the sources that are in no file; ``symbols`` stands in for the
    executable's where they are known.
    """
    log = events if isinstance(events, Log) else read(events)
    folders = [Path.cwd(), Path(program).absolute().parent if folder is None else folder]
    symbols = symbols or Symbols(binary, *folders)
    quotes = Quotes(*folders, texts=texts)
    log = replace(log, _numbered={}, launches=[
        replace(one, file=symbols.relative(one.file)) for one in log.launches])
    model = cards.card(card)
    work, notes = None, list(log.notes)
    if log.blocks and binary is not None:
        try:
            work = flops.work(flops.disassemble(binary), log.blocks)
        except BackendError as error:
            notes.append(str(error))
    if log.cut:
        notes.append("The program was killed while it wrote: its last line is lost, and whatever "
                     "would have come after it.")
    judged = [f for f in log.findings if f.kind not in thresholds.KINDS]
    judged = branches.only_in_branches(judged, symbols, quotes)
    told = findings.tell(log, judged + thresholds.judge(log, symbols), symbols, quotes)
    registers = cost.registers(nvcc_source, model, include) if nvcc_source else {}
    lines = counters.by_line(log, symbols, work)
    for name in {*(t.file for t in told), *(c.file for c in lines),
                 *(one.file for one in log.launches)}:
        quotes.lines(name)  # now: the file may be gone when the report is read
    kernels = counters.by_kernel(log, work)
    return Report(symbols.relative(program), mode, model, log, told, lines, kernels, registers,
                  quotes, symbols, seed, exit_status, output, notes)


def summary_of(one: Any) -> str:
    """A finding in one line: place, kind, headline."""
    where = f"{one.file}:{one.line}: " if one.line else ""
    return f"{where}{one.severity}: {one.headline} [{one.kind}]"
