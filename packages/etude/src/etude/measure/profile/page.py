"""A profile as one page of HTML that needs nothing but a browser: numbers, roofline, flame, tables.

``excerpt`` is what a notebook shows: the same without the flame.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from etude.measure.profile import text
from etude.measure.profile.flame import PALE, flame
from etude.measure.profile.sums import OUTSIDE

if TYPE_CHECKING:
    from etude.measure.profile.report import Profile, Row

MOST = 40  # ops, and lines

STYLE = """
.etude-profile { font: 14px/1.5 system-ui, sans-serif; color: #22223b; max-width: 1100px; }
.etude-profile h1 { font-size: 1.4em; margin: 0 0 .2em; }
.etude-profile h2 { font-size: 1.05em; margin: 1.8em 0 .5em; }
.etude-profile .cards { display: flex; gap: 12px; flex-wrap: wrap; margin: 1em 0; }
.etude-profile .card { flex: 1 1 200px; border: 1px solid #dcdce6; border-radius: 8px;
  padding: 10px 14px; }
.etude-profile .card b { font-size: 1.7em; display: block; line-height: 1.25; }
.etude-profile .card span { color: #5a5a6e; font-size: .9em; }
.etude-profile .bar { display: flex; height: 26px; border-radius: 5px; overflow: hidden;
  background: #f2f2f6; }
.etude-profile .bar div { overflow: hidden; white-space: nowrap; font-size: 12px;
  line-height: 26px; padding: 0; text-indent: 6px; }
.etude-profile .python { background-image: repeating-linear-gradient(45deg, transparent 0 5px,
  #fff9 5px 9px); }
.etude-profile table { border-collapse: collapse; width: 100%; font-size: 13px; }
.etude-profile th { text-align: right; font-weight: 600; border-bottom: 1px solid #8d8d99;
  padding: 3px 8px; }
.etude-profile td { text-align: right; padding: 2px 8px; border-bottom: 1px solid #eeeef3;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.etude-profile th.l, .etude-profile td.l { text-align: left; }
.etude-profile td.l code { white-space: pre; font-size: 12px; }
.etude-profile .meter { display: inline-block; height: 9px; background: #2a7f62;
  vertical-align: middle; border-radius: 2px; margin-left: 6px; }
.etude-profile .room { display: inline-block; width: 62px; text-align: left; }
.etude-profile .busy { background: #fdf1e4; border-left: 4px solid #e07a1f; padding: 6px 12px; }
.etude-profile .notes { color: #5a5a6e; font-size: .9em; }
"""


def page(p: Profile) -> str:
    """The document."""
    title = html.escape(f"Profile of {p.name or 'a block'}")
    inside = _empty(p) if p.empty else "".join([
        _head(p), _bar(p), "<h2>Roofline: each op, and what this machine could do</h2>",
        p.roofline()._repr_html_(),
        "<h2>Flame graph: who called what</h2><p class='notes'>A click makes a box the widest, a "
        "click beside all boxes shows the whole again. What has nothing above it is Python.</p>",
        flame(p), "<h2>Ops</h2>", _ops(p.rows()), "<h2>Lines</h2>", _lines(p), _notes(p)])
    return (f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
            f"<style>body {{ margin: 28px auto; max-width: 1100px; }}{STYLE}</style></head>"
            f"<body><div class='etude-profile'>{inside}</div></body></html>")


def excerpt(p: Profile) -> str:
    """For a notebook."""
    inside = _empty(p) if p.empty else _head(p) + _bar(p) + _ops(p.rows()[:12]) + _notes(p)
    return f"<style>{STYLE}</style><div class='etude-profile'>{inside}</div>"


def _empty(p: Profile) -> str:
    return f"<p>{html.escape(p.empty)}</p>"


def _head(p: Profile) -> str:
    numbers = p.numbers()
    cards = [f"<div class='card'>{name}<b>{number}</b><span>{html.escape(what)}</span></div>"
             for name, number, what in text.four(numbers)]
    busy = [f"<p class='busy'>{html.escape(why)}</p>" for why in text.warnings(p, numbers)]
    return (f"<h1>{html.escape(text.heading(p, numbers))}</h1>{''.join(busy)}"
            f"<div class='cards'>{''.join(cards)}</div>")


def _bar(p: Profile) -> str:
    """One bar for all of the time. What is striped is Python, outside ops."""
    pieces = []
    for name, inside, python in text.shares(p):
        word = text.WORDS.get(name, name)
        colour = PALE.get(name, "#d5d5de")
        outside = word if name in (OUTSIDE, "watching") else f"{word}: Python"
        for share, kind, label in ((inside, "", word), (python, "python", outside)):
            if share > 0.0005:
                told = f"{label} {share:.0%}"
                shown = told if share > 0.011 * len(told) else ""
                pieces.append(f"<div class='{kind}' style='width: {share:.2%}; background-color: "
                              f"{colour}' title='{told}'>{shown}</div>")
    return (f"<div class='bar'>{''.join(pieces)}</div><p class='notes'>All of the time: plain "
            f"colours are ops, stripes are Python outside of ops.</p>")


def _ops(rows: list[Row]) -> str:
    whole = sum(row.seconds for row in rows) or 1.0
    heads = [("op", "l"), ("phase", "l"), ("dtype", "l"), ("column", "l"), ("calls", ""),
             ("ms", ""), ("share", ""), ("GFLOP/s", ""), ("GB/s", ""), ("of the roof", ""),
             ("MB made", "")]
    body = []
    for row in rows[:MOST]:
        share = row.seconds / whole
        meter = f"<span class='room'><span class='meter' style='width: {60 * share:.0f}px'></span>"
        roof = min(row.of_roof or 0.0, 1.0)
        far = (f"<span class='room'><span class='meter' style='width: {60 * roof:.0f}px; "
               f"background: #3d5a98'></span>")
        body.append("<tr>" + "".join([
            f"<td class='l'><b>{row.op}</b></td>", f"<td class='l'>{row.phase}</td>",
            f"<td class='l'>{row.dtype}</td>", f"<td class='l'>{html.escape(row.column)}</td>",
            f"<td>{row.calls}</td>", f"<td>{1e3 * row.seconds:.2f}</td>",
            f"<td>{share:.1%}{meter}</span></td>",
            f"<td>{text.speed(row.flops, row.seconds)}</td>",
            f"<td>{text.speed(row.bytes, row.seconds)}</td>",
            f"<td>{text.percent(row.of_roof)}{far}</span></td>",
            f"<td>{1e-6 * row.made:.1f}</td>"]) + "</tr>")
    head = "".join(f"<th class='{kind}'>{name}</th>" for name, kind in heads)
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def _lines(p: Profile) -> str:
    wall = max(p.span.wall, 1e-9)
    body = []
    for line, spent in p.lines()[:MOST]:
        where = html.escape(f"{line.file}:{line.number}")
        body.append(f"<tr><td class='l' title='{where}'>{html.escape(str(line))}</td>"
                    f"<td>{spent.calls}</td><td>{spent.seconds / wall:.1%}</td>"
                    f"<td>{spent.python / wall:.1%}</td>"
                    f"<td class='l'><code>{html.escape(text.code(line)[:90])}</code></td></tr>")
    return ("<table><tr><th class='l'>line</th><th>calls</th><th>in ops</th><th>Python</th>"
            f"<th class='l'>text</th></tr>{''.join(body)}</table>")


def _notes(p: Profile) -> str:
    told = "".join(f"<p>{html.escape(note)}</p>" for note in text.notes(p, p.numbers()))
    return f"<div class='notes'>{told}</div>"
