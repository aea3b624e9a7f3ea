"""A Report on a terminal: the matrix of ops and kinds of cases, each failing op once, the sum.

Fits 80 columns, is readable without colour and is ASCII. Everything goes through one rich console,
so that a file or a pipe gets plain text.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from io import StringIO

from rich.console import Console
from rich.text import Text

from etude_check.report import summary
from etude_check.report.record import Record, Report, Verdict
from etude_check.report.summary import Failing
from etude_check.report.watch import Watch

COLOURS = {Verdict.PASS: "green", Verdict.CERTAIN: "bold red", Verdict.INACCURATE: "red",
           Verdict.CRASH: "bold magenta", Verdict.TIMEOUT: "magenta",
           Verdict.MISTRUSTED: "yellow", Verdict.WAIVED: "cyan", Verdict.NOT_RUN: "yellow",
           Verdict.UNSUPPORTED: "dim"}
SIGNS = {Verdict.CRASH: "C", Verdict.TIMEOUT: "T", Verdict.MISTRUSTED: "m", Verdict.WAIVED: "w",
         Verdict.PASS: ".", Verdict.NOT_RUN: "/", Verdict.UNSUPPORTED: "-"}
IN_FULL = 12  # failing ops that are shown with all their lines; of the rest, one line each
INDENT = 13  # columns before the text of a fact
REASONS = 12  # to decline calls, that are shown
OTHERS = 3  # other complaints about the same op that are shown
LEAST_NAME = 18


def show(report: Report, to: Console, matrix: bool = True) -> None:
    """The whole report, or (of a run of a single case) without the matrix."""
    if matrix and any(r.op != "-" for r in report.records):
        for line in _matrix(report, to.width):
            to.print(line)
        to.print()
    found = summary.failing(report)
    for one in found[:IN_FULL]:
        _print(report, one, to)
        to.print()
    if found[IN_FULL:]:
        to.print(Text(f"And {len(found) - IN_FULL} more failing ops:", "bold"))
        for one in found[IN_FULL:]:
            to.print(Text.assemble(("  " + one.op, "red"), f"  {_counted(one)}  "
                                   f"{one.first.case}"), overflow="ellipsis", no_wrap=True)
        to.print()
    for watch in report.watches:
        watched(report, watch, to)
    _sum(report, to)


def rulings(report: Report, to: Console) -> None:
    """The verdicts of the lab, of a card and of compute-sanitizer, and where they differ."""
    room = max(len(r.by) for r in report.rulings)
    for r in report.rulings:
        style = {"PASSED": "bold green", "FAILED": "bold red"}.get(r.verdict, "yellow")
        lines = textwrap.wrap(summary.printable(r.words), max(to.width - room - 15, 20)) or [""]
        for i, line in enumerate(lines):
            to.print(Text.assemble(f"{r.by if not i else '':{room}}  ",
                                   (f"{r.verdict if not i else '':13}", style), line))
    if sum(r.verdict in ("PASSED", "FAILED") for r in report.rulings) < 2:
        return
    n = len(report.disagreements)
    to.print(Text(f"{n} disagreement{'s' * (n != 1)} between them" + ":" * (n > 0), "bold"))
    for said in report.disagreements:
        for line in textwrap.wrap(summary.printable(said), to.width, initial_indent="  ",
                                  subsequent_indent="    "):
            to.print(Text(line))


def watched(report: Report, watch: Watch, to: Console) -> None:
    """What a tool saw of some cases, each mistake with the lines it quotes."""
    by = "the lab" if watch.by == "lab" else watch.by
    if watch.not_run:
        return  # the verdicts at the end say why
    n = len(watch.cases)
    seen = f"{len(watch.findings)} finding{'s' * (len(watch.findings) != 1)}"
    to.print(Text(f"{n} case{'s' * (n != 1)} watched by {by}: {seen}", "bold"))
    for one in watch.findings:
        for i, line in enumerate(summary.printable(one.text).split("\n")):
            head = "bold red" if one.severity == "error" else "yellow"
            to.print(Text(line, head if not i else ""), soft_wrap=True)
        if one.case:
            _fact(to, "case", one.case)
            _fact(to, "run again", f"etude check {report.target} --case {one.case}")
        to.print()
    for note in watch.notes:
        to.print(Text.assemble(("Note: ", "yellow"), summary.printable(note)))
    if not watch.findings:
        to.print()


def failure_text(report: Report) -> str:
    """The failures of a report alone, as plain text: what the pytest plugin prints of an op."""
    into = Console(file=StringIO(), width=100, no_color=True, highlight=False, markup=False)
    for one in summary.failing(report):
        _print(report, one, into)
    assert isinstance(into.file, StringIO)
    return "\n".join(line.rstrip() for line in into.file.getvalue().splitlines())


# ------------------------------------------------------------------ the matrix


def _matrix(report: Report, width: int) -> list[Text]:
    columns = summary.kinds(report)
    cells, largest = summary.cells(report), summary.largest(report)
    absent = summary.absent(report)
    families = {g: [op for op in ops if op not in absent]
              for g, ops in summary.families(report).items()}
    shown = [op for ops in families.values() for op in ops]
    lines: list[Text] = []
    if shown:
        # Two columns for the indent, three for each kind of case, twelve for the two numbers.
        room = max(LEAST_NAME, min(max(map(len, shown)), width - 3 * len(columns) - 14))
        head = "".join(f"{summary.heading(c):>3}" for c in columns)
        lines.append(Text(f"{'':{room + 2}}{head} cases worst", "bold"))
        for family, ops in families.items():
            if ops:
                lines.append(Text(family, "bold"))
            for op in ops:
                lines += _row(op, room, columns, cells, largest.get(op))
        lines += [Text(), *_legend(columns, cells, width)]
    missing = sorted(absent - {"-"})
    if missing:
        lines += [Text(), _paragraph(f"Not implemented, not checked ({len(missing)}): "
                                     + ", ".join(missing), width)]
    return lines


def _row(op: str, room: int, columns: list[str], cells: dict[tuple[str, str], summary.Cell],
         largest: float | None) -> list[Text]:
    found = [cells.get((op, c), Counter()) for c in columns]
    before = [Text("  " + op)] if len(op) > room else []
    line = Text(f"  {'' if before else op:{room}}")
    for cell in found:
        line.append(*_cell(cell))
    line.append(f"{sum(n for cell in found for v, n in cell.items() if v.executed):6d}")
    line.append(f"{largest:6.2f}" if largest else "     0" if largest == 0 else "     -")
    return [*before, line]


def _cell(cell: summary.Cell) -> tuple[str, str]:
    if not cell:
        return "   ", ""
    verdict = summary.worst(cell)
    sign = SIGNS.get(verdict) or f"{min(sum(cell[v] for v in Verdict if v.failed), 99)}"
    return f"{sign:>3}", COLOURS[verdict]


def _legend(columns: list[str], cells: dict[tuple[str, str], summary.Cell],
            width: int) -> list[Text]:
    seen = {summary.worst(c) for c in cells.values()}
    words = [". all passed"]
    if seen & {Verdict.CERTAIN, Verdict.INACCURATE}:
        words.append("3 as many failed")
    words += [f"{s} {w}" for v, s, w in (
        (Verdict.CRASH, "C", "a crash, or raised"), (Verdict.TIMEOUT, "T", "a time-out"),
        (Verdict.MISTRUSTED, "m", "mistrusted"), (Verdict.WAIVED, "w", "waived"),
        (Verdict.NOT_RUN, "/", "not run, as it hangs"),
        (Verdict.UNSUPPORTED, "-", "declined")) if v in seen]
    words.append("worst: largest error/bound of what passed")
    heads = "  ".join(f"{summary.heading(c)} {c}" for c in columns if summary.heading(c) != c)
    return [_paragraph(heads, width), _paragraph("; ".join(words) + ".", width)]


def _paragraph(text: str, width: int) -> Text:
    made = Text(style="dim")
    line = ""
    # Two spaces hold a heading and its word apart from the next pair; pairs are not broken.
    for word in text.split("  ") if "  " in text else text.split(" "):
        gap = "  " if "  " in text else " "
        if line and len(line) + len(gap) + len(word) > width:
            made.append(line + "\n")
            line = ""
        line += (gap if line else "") + word
    return made.append(line)


# ------------------------------------------------------------------ one failing op


def _print(report: Report, one: Failing, to: Console) -> None:
    r = one.first
    name = one.op if one.op != "-" else {"load": "loading", "waiver": "waivers"}.get(
        r.kind, "conduct")
    to.print(Text.assemble((name, "bold red"), f"  {_counted(one)}"))
    for label, text in facts(report, r):
        if label == "run again" and one.likely and not r.likely:
            _fact(to, "looks like", f"{one.likely} ({one.alike} of the others)")
        _fact(to, label, text)
    for message, other, times in one.others[:OTHERS]:
        _fact(to, "also", summary.printable(
            f"{message} ({times} case{'s' * (times > 1)}, {other.case})"))
    if one.others[OTHERS:]:
        _fact(to, "", f"and {len(one.others) - OTHERS} other complaints")


def _fact(to: Console, label: str, text: str) -> None:
    """A label and its text, indented; what is there to be copied stays in one line."""
    whole = label in ("case", "run again")
    lines = [text] if whole else [part for line in text.split("\n")
                                  for part in textwrap.wrap(line, to.width - INDENT) or [""]]
    for i, line in enumerate(lines):
        to.print(Text.assemble((f"  {label if not i else '':{INDENT - 2}}", "dim"), (
            line, "bold" if label in ("expected", "got") else "")), soft_wrap=whole)


def facts(report: Report, r: Record) -> list[tuple[str, str]]:
    """Label and text of what is known of a failed case, in the order to read it."""
    where = summary.place(r)
    found = [("asked", r.asked), ("case", r.case if r.asked else ""), ("wrong", r.message)]
    if r.expected is not None:
        found.append(("expected", f"{r.expected!r}" + (f" at {where}" if where else "")))
    if r.got is not None:
        found.append(("got", f"{r.got!r}"))
    more = f"; {r.wrong:,} elements are wrong" if r.wrong > 1 else ""
    found += [("error", (summary.excess(r) + more).lstrip("; ")), ("looks like", r.likely),
              ("run again", summary.reproduction(report, r))]
    return [(label, summary.printable(text)) for label, text in found if text]


def _counted(one: Failing) -> str:
    many = ", ".join(f"{n} {v.value}" for v, n in sorted(
        one.verdicts.items(), key=lambda p: summary.WORST.index(p[0])))
    if one.op == "-":
        return many
    rest = f"; given up, {one.left} not run" if one.left else ""
    return f"{one.verdicts.total()} of {one.total} case{'s' * (one.total != 1)}: {many}{rest}"


# ------------------------------------------------------------------ the sum


def _sum(report: Report, to: Console) -> None:
    wrong = {r.op for r in report.failures if r.verdict is not Verdict.MISTRUSTED}
    blind = [s for s in report.screens if not s.trusted and s.op not in wrong]
    for s in blind:
        few = ", ".join(f"{i} {n}" for i, n in s.caught.items()
                        if n < s.least and i not in s.exempt)
        to.print(Text.assemble(("Not trusted: ", "yellow"), f"{s.op} {s.dtype}, output "
                               f"{s.output}: too few cases catch {few} (at least {s.least} are "
                               f"needed)"))
    accused = [r.message for r in report.failures if r.kind == "conduct"]
    notes = [n for n in report.notes if not any(m.endswith(n) for m in accused)]
    for note in notes:
        to.print(Text.assemble(("Note: ", "yellow"), summary.printable(note)))
    declined = summary.declined(report)
    for op, reason, n in declined[:REASONS]:
        to.print(Text(summary.printable(f"{op} declined {n:,} call{'s' * (n > 1)}: {reason}")))
    if declined[REASONS:]:
        to.print(Text(f"and {len(declined) - REASONS} more reasons to decline calls"))
    if blind or notes or declined:
        to.print()
    to.print(counts(report))
    if report.mutation_score:
        to.print(Text(f"The kit itself: {report.mutation_score}", "dim"))
    known = ", ".join(f"{k} {v}" for k, v in report.environment.items()
                      if v not in (None, "") and k in ("backend", "isa", "threads", "etude",
                                                       "numpy"))
    to.print(Text(f"{report.target}, level {report.level}, seed {report.seed}, "
                  f"{report.seconds:.1f} s" + (f"; {known}" if known else ""), "dim"))
    to.print(Text(summary.verdict_line(report),
                  "bold green" if summary.passed(report) else "bold red"))


def counts(report: Report) -> Text:
    """Every verdict with its number, those of interest in colour."""
    made = Text(f"{report.executed:,} executed: ")
    named = {Verdict.PASS: "passed", Verdict.CERTAIN: "failed (certain)",
             Verdict.INACCURATE: "failed (inaccurate)", Verdict.CRASH: "crashed",
             Verdict.TIMEOUT: "timed out", Verdict.MISTRUSTED: "mistrusted",
             Verdict.WAIVED: "waived", Verdict.UNSUPPORTED: "unsupported",
             Verdict.NOT_RUN: "not run"}
    for i, (verdict, word) in enumerate(named.items()):
        n = report.count(verdict)
        if verdict is Verdict.NOT_RUN and not n:
            continue
        gap = "" if not i else "; " if verdict is Verdict.UNSUPPORTED else ", "
        made.append(gap)
        made.append(f"{n:,} {word}", COLOURS[verdict] if n else "dim")
    return made
