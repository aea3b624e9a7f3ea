"""A profile as text: four numbers, where the time went, the ops and the lines that took longest."""

from __future__ import annotations

import linecache
import textwrap
from typing import TYPE_CHECKING

from etude.measure.profile.sums import OUTSIDE, Line

if TYPE_CHECKING:
    from etude.measure.profile.report import Numbers, Profile, Row

BAR = 30  # characters


def table(p: Profile, ops: int, lines: int) -> str:
    """All of it."""
    if p.empty:
        return p.empty
    numbers = p.numbers()
    parts = [heading(p, numbers), _filled(warnings(p, numbers)), _four(numbers), _parts(p),
             _ops(p.rows(), ops), _lines(p, lines), _filled(notes(p, numbers))]
    return "\n\n".join(part for part in parts if part)


def heading(p: Profile, n: Numbers) -> str:
    """What was profiled, for how long."""
    text = f"Profile of {p.name or 'a block'}: {seconds(n.seconds)}"
    if n.steps:
        text += f", {n.steps} step{'s' if n.steps > 1 else ''}"
    if n.step:
        text += f" of {seconds(n.step)}"
    return f"{text}, {n.calls} op calls"


def four(n: Numbers) -> list[tuple[str, str, str]]:
    """(name, the number, what it says) of the four that matter."""
    alive = f"{n.live / n.reserved:.0%}" if n.reserved else "?"
    held = f"{size(n.reserved)} reserved, {size(n.before)} of it before" if n.reserved else (
        "and this system does not say what the process holds")
    return [
        ("busy", f"{n.busy:.0%}", f"of {n.cores} cores; {n.inside_ops:.0%} of the time was inside "
                                  f"ops"),
        ("achieved", f"{n.of_peak:.1%}", f"of the peak: {1e-9 * n.achieved:.3g} of "
                                         f"{1e-9 * n.peak:.3g} GFLOP/s; inside ops {n.of_roof:.0%} "
                                         f"of what the roofline allows"),
        ("memory", alive, f"alive: {size(n.live)} in arrays at most, {held}"),
        ("data", f"{n.waiting:.0%}", "of the time was waiting for data"),
    ]


def _four(n: Numbers) -> str:
    return "\n".join(f"  {name:<9} {number:>6}  {what}" for name, number, what in four(n))


def shares(p: Profile) -> list[tuple[str, float, float]]:
    """(phase, share of the time in ops, share in Python): what follows each other in a bar."""
    wall = max(p.span.wall, 1e-9)
    return [(name, spent.seconds / wall, spent.python / wall) for name, spent in p.parts().items()]


WORDS = {"data": "data", OUTSIDE: "outside steps", "watching": "profiling"}


def _parts(p: Profile) -> str:
    """A bar for each phase: # is inside ops, + is Python outside of them."""
    rows = [f"{'where the time went':<20} {'share':>6} {'in ops':>7} {'outside':>8}"]
    for name, inside, python in shares(p):
        bar = "#" * round(BAR * inside) + "+" * round(BAR * python)
        rows.append(f"  {WORDS.get(name, name):<18} {inside + python:>6.1%} {inside:>7.1%} "
                    f"{python:>8.1%}  {bar}".rstrip())
    return "\n".join(rows)


def _ops(rows: list[Row], most: int) -> str:
    whole = sum(row.seconds for row in rows) or 1.0
    width = max([14, *(len(row.op) for row in rows[:most])])
    lines = [f"{'op':<{width}} {'phase':<9} {'dtype':<7} {'column':<10} {'calls':>6} {'ms':>8} "
             f"{'share':>6} {'GFLOP/s':>7} {'GB/s':>6} {'roof':>5} {'MB made':>8}"]
    for row in rows[:most]:
        lines.append(f"{row.op:<{width}} {row.phase:<9} {row.dtype:<7} {row.column:<10} "
                     f"{row.calls:>6} {1e3 * row.seconds:>8.2f} {row.seconds / whole:>6.1%} "
                     f"{speed(row.flops, row.seconds):>7} {speed(row.bytes, row.seconds):>6} "
                     f"{percent(row.of_roof):>5} {1e-6 * row.made:>8.1f}")
    if len(rows) > most:
        rest = sum(row.seconds for row in rows[most:])
        lines.append(f"{len(rows) - most} more: {1e3 * rest:.2f} ms, {rest / whole:.1%}")
    return "\n".join(lines)


def _lines(p: Profile, most: int) -> str:
    found = p.lines()[:most]
    if not found:  # other threads made all the calls
        return ""
    wall = max(p.span.wall, 1e-9)
    rows = [f"{'line':<28} {'calls':>6} {'in ops':>7} {'outside':>8}"]
    for line, spent in found:
        rows.append(f"{str(line)[-28:]:<28} {spent.calls:>6} {spent.seconds / wall:>7.1%} "
                    f"{spent.python / wall:>8.1%}  {code(line)[:44]}".rstrip())
    return "\n".join(rows)


def warnings(p: Profile, n: Numbers) -> list[str]:
    """Why the numbers say less than they seem to."""
    found = []
    if n.machine_busy:
        found.append(f"Times say little, for this machine was busy: {n.machine_busy}.")
    if p.peaks.busy:
        found.append(f"The peaks are too low, for this machine was busy when they were measured: "
                     f"{p.peaks.busy}.")
    return found


def notes(p: Profile, n: Numbers) -> list[str]:
    """What to know when one reads it, each a sentence or two."""
    found = [f"Roof: the share of what this machine does at the intensity of the op, by the peaks "
             f"of {p.peaks.date[:10]} ('etude roofline'); above 100 % its data came from a cache.",
             f"Profiling took {n.watching:.1%} of the time; it is no part of the other shares."]
    if p.sums.elsewhere:
        found.append(f"Other threads were in ops for {seconds(p.sums.elsewhere)}. These calls are "
                     f"in the table of ops alone: shares of the time and lines are those of one "
                     f"thread.")
    elsewhere = sorted({row.column for row in p.rows(views=False) if row.bytes and not row.least})
    if elsewhere:
        found.insert(1, f"Of {', '.join(elsewhere)}, on another device, no roof is known; a time "
                        f"is that of the call, which may return before the work is done.")
    return found


def _filled(sentences: list[str]) -> str:
    return "\n".join(textwrap.fill(text, 100) for text in sentences)


def code(line: Line) -> str:
    """The source of a line; "" where there is none."""
    return linecache.getline(line.file, line.number).strip()


def percent(share: float | None) -> str:
    """Empty for none."""
    return "" if share is None else f"{share:.0%}"


def speed(amount: float, spent: float) -> str:
    """10^9 a second; empty for nothing."""
    return f"{1e-9 * amount / spent:.3g}" if amount and spent else ""


def seconds(t: float) -> str:
    """In the unit that makes it readable."""
    if t >= 1:
        return f"{t:.2f} s"
    return f"{1e3 * t:.2f} ms" if t >= 1e-3 else f"{1e6 * t:.0f} us"


def size(n: float) -> str:
    """Bytes in the unit that makes them readable."""
    return f"{n / 1e9:.2f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB"
