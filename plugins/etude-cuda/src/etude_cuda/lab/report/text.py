"""A Report on a terminal: each finding with the lines it quotes, then the counters, then the sum.

Fits any width from 40 columns, is readable without colour and is ASCII but for what it quotes.
Everything goes through one rich console, so that a file or a pipe gets plain text.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from etude_cuda.lab.case import Site, dims, many
from etude_cuda.lab.cost import Occupancy
from etude_cuda.lab.counters import Line
from etude_cuda.lab.events import Launch
from etude_cuda.lab.fidelity import short as short_fidelity
from etude_cuda.lab.findings import Told

if TYPE_CHECKING:
    from etude_cuda.lab.report.record import Report

COLOURS = {"error": "bold red", "warning": "yellow", "advice": "cyan"}
IN_FULL = 12  # findings with all their lines; of the rest, one line each
LAUNCHES = 8  # different launches in the table
LINES = 12  # lines with counters
SITES = 8  # of a finding, beside those that its text names
LEAST = 40  # columns


def dumps(report: Report, width: int = 100) -> str:
    """The whole report as plain text, for a width."""
    into = Console(file=StringIO(), width=max(width, LEAST), no_color=True, highlight=False,
                   markup=False)
    show(report, into)
    assert isinstance(into.file, StringIO)
    return "\n".join(line.rstrip() for line in into.file.getvalue().splitlines()) + "\n"


def finding(report: Report, told: Told, width: int = 100) -> str:
    """One finding of a report as plain text, for who shows findings among other things."""
    into = Console(file=StringIO(), width=width, no_color=True, highlight=False, markup=False)
    _finding(report, told, into, False)
    assert isinstance(into.file, StringIO)
    return "\n".join(line.rstrip() for line in into.file.getvalue().splitlines())


def show(report: Report, to: Console) -> None:
    """The whole report."""
    advised: set[tuple[str, ...]] = set()
    for told in report.findings[:IN_FULL]:
        _finding(report, told, to, told.advice in advised)
        advised.add(told.advice)
        to.print()
    rest = report.findings[IN_FULL:]
    if rest:
        to.print(Text(f"And {len(rest)} more:", "bold"))
        for told in rest:
            _line(to, Text.assemble(("  " + told.severity, COLOURS[told.severity]),
                                    f"  {_where(told)}{told.headline}"))
        to.print()
    _launches(report, to)
    _counters(report, to)
    _sum(report, to)


# ------------------------------------------------------------------ one finding


def _finding(report: Report, told: Told, to: Console, advised: bool) -> None:
    """One finding; what was advised before is not said again."""
    head = textwrap.wrap(f"{told.severity}: {told.headline} [{told.kind}]", to.width)
    for i, line in enumerate(head):
        word = len(told.severity) if not i else 0
        to.print(Text.assemble((line[:word], COLOURS[told.severity]), (line[word:], "bold")))
    times = f", {told.count:,} times" if told.count > 1 else ""
    if told.line:
        of = f" in {told.kernel}" if told.kernel else ""
        _line(to, Text(f"  at {told.file}:{told.line}{of}{times}", "dim"))
    _quote(report, told, to)
    _paragraph(to, told.what, "  ")
    others = [s for s in told.sites if s.who.lower() not in told.what.lower()]
    for site in others[:SITES] if len(told.sites) > 1 else ():
        _site(to, site)
    for advice in () if advised else told.advice:
        _paragraph(to, advice, "  try: ", "       ")
    if advised:
        _line(to, Text("  try: as above"))
    if told.shrunk:
        _paragraph(to, told.shrunk, "  smallest: ", "            ")


def _where(told: Told) -> str:
    return f"{told.file}:{told.line}: " if told.line else ""


def _quote(report: Report, told: Told, to: Console) -> None:
    """The lines that took part, with their numbers, in order; the one to look at is marked."""
    wide = max([len(str(n)) for _, n in told.lines] or [1])
    before: tuple[str, int] | None = None
    for file, number in sorted(told.lines, key=lambda p: (p[0] != told.file, p)):
        text = report.quotes.lines(file)
        if not 0 < number <= len(text):
            continue
        if before and (before[0] != file or number > before[1] + 1):
            gap = f"    {'':{wide}} :" + (f" {file}" if before[0] != file else "")
            _line(to, Text(gap, "dim"))
        mark = (file, number) == (told.file, told.line)
        _line(to, Text.assemble((f"  {'>' if mark else ' '} {number:{wide}} | ", "dim"),
                                (text[number - 1].rstrip(), "bold" if mark else "")))
        before = file, number


def _site(to: Console, site: Site) -> None:
    who = f"{site.who} {site.does}".strip()
    at = f" at {site.file}:{site.line}" if site.line else ""
    _paragraph(to, f"{who}{at}", "  - ", "    ")


# ------------------------------------------------------------------ launches and counters


def _launches(report: Report, to: Console) -> None:
    together: dict[tuple[object, ...], list[Launch]] = {}
    for one in report.launches:
        key = one.kernel, one.grid, one.block, one.static_shared + one.dynamic_shared, one.status
        together.setdefault(key, []).append(one)
    if not together:
        return
    to.print(Text(f"Launches, and what they would be on {report.card.name}", "bold"))
    for same in list(together.values())[:LAUNCHES]:
        one = same[0]
        times = f" x {len(same)}" if len(same) > 1 else ""
        name = f"  {one.kernel}<<<{dims(one.grid)}, {dims(one.block)}>>>{times}"
        how = occupancy_text(report.occupancy(one), report)
        _paragraph(to, f"{name}: {how}" if one.status == "ok" else
                   f"{name}: failed ({one.status})", "", "    ")
    left = len(together) - LAUNCHES
    if left > 0:
        to.print(Text(f"  and {left} other configurations", "dim"))
    for kernel in report.kernels:
        if (kernel.flops or kernel.sectors) and not report.all_failed(kernel.name):
            _paragraph(to, f"  {kernel.name}: {roofline_text(report, kernel)}", "", "    ")
    to.print()


def occupancy_text(o: Occupancy, report: Report) -> str:
    """Occupancy in words."""
    if not o.blocks:
        return f"no block fits on a multiprocessor of {report.card.name} ({o.limiter})"
    known = "assumed" if o.assumed else "by nvcc"
    filled = f"; the grid is {o.waves:.1f} times what fits" if o.waves >= 1 else ""
    idle = f"; {o.idle_sms} of {report.card.sms} multiprocessors idle" if o.idle_sms else ""
    return (f"occupancy {o.share:.0%} ({o.blocks} block{'s' * (o.blocks != 1)} = {o.warps} warps "
            f"of {report.card.warps_per_sm}), limited by {o.limiter}; {o.registers} registers "
            f"{known}{filled}{idle}")


def roofline_text(report: Report, one: object) -> str:
    """A roofline position in words."""
    r = report.roofline(one)  # type: ignore[arg-type]
    if not r.flops:
        return f"no FLOPs on {r.bytes:,} bytes: memory-bound"
    if not r.bytes:
        return f"{many(r.flops, 'FLOP')}, and no global memory"
    position = f"{many(r.flops, 'FLOP')} on {r.bytes:,} bytes = {r.intensity:.2f} a byte"
    return (f"{position}: {r.bound}-bound (ridge {report.card.ridge:.1f}), at most "
            f"{r.attainable / 1e9:,.0f} GFLOP/s")


def _counters(report: Report, to: Console) -> None:
    shown = [c for c in report.counters if c.requests or c.shared_requests or c.flops]
    if not shown:
        return
    worst = sorted(shown, key=lambda c: -(c.sectors + c.conflicts + c.flops / 32))[:LINES]
    to.print(Text("By line", "bold"))
    _paragraph(to, "global: sectors of a warp's request (and the ideal); shared: passes beyond the "
               "first; lanes of 32 that take part; FLOPs of all threads.", "  ", style="dim")
    _line(to, Text(f"  {'line':>5} {'global':>13} {'shared':>7} {'lanes':>6} {'FLOPs':>7}  source",
                   "dim"))
    files = {c.file for c in shown}
    places = Counter((c.file, c.line) for c in shown)
    for c in sorted(worst, key=lambda c: (c.file, c.line)):
        before = f"{c.file}: " if len(files) > 1 else ""
        before += f"{c.kernel}: " if places[c.file, c.line] > 1 else ""
        _line(to, _row(report, c, before))
    if len(shown) > len(worst):
        to.print(Text(f"  and {len(shown) - len(worst)} lines with less", "dim"))
    to.print()


def _row(report: Report, c: Line, before: str) -> Text:
    glob = f"{c.sectors / c.requests:.1f} ({c.ideal / c.requests:.1f})" if c.requests else "-"
    shared = f"{c.conflicts / c.shared_requests:.1f}" if c.shared_requests else "-"
    lanes = f"{c.lanes / c.warps:.1f}" if c.warps else "-"
    hot = bool(c.requests) and c.sectors >= 2 * c.ideal
    return Text.assemble(f"  {c.line:5d} ", (f"{glob:>13} ", "yellow" if hot else ""),
                         (f"{shared:>7} ", "yellow" if c.conflicts else ""),
                         f"{lanes:>6} {short(c.flops):>7}  ",
                         (f"{before}{report.quotes.line(c.file, c.line)}", "dim"))


def short(n: int) -> str:
    """A count in seven columns or fewer: 512, 1.3 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return str(n) if n else "-"


# ------------------------------------------------------------------ the sum


def _sum(report: Report, to: Console) -> None:
    for note in report.notes:
        _paragraph(to, note, "Note: ", "      ")
    for name, words in short_fidelity(report.mode):
        _paragraph(to, words, f"{name.capitalize()}: ", "  ", "dim")
    accesses = report.log.end.get("accesses")
    seen = f", {accesses:,} accesses seen" if isinstance(accesses, int) else ""
    n = len(report.launches)
    _paragraph(to, f"{report.program}, {report.mode} mode, seed {report.seed}: {n} launch"
               f"{'es' * (n != 1)}{seen}", "", "", "dim")
    _paragraph(to, report.verdict, "", "", "bold red" if report.failed else "bold green")


def _paragraph(to: Console, text: str, first: str, rest: str | None = None,
               style: str = "") -> None:
    lines = textwrap.wrap(text, to.width, initial_indent=first,
                          subsequent_indent=first if rest is None else rest)
    for line in lines:
        to.print(Text(line, style), overflow="fold")


def _line(to: Console, text: Text) -> None:
    """A line that is cut at the edge, with three dots."""
    if len(text) > to.width:
        text = text[:to.width - 3].append("...")
    to.print(text, overflow="crop", no_wrap=True)
