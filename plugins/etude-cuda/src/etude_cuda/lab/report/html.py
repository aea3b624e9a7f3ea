"""A Report as one HTML page: the source with heat and findings, launches, a roofline. No network.

The page is ``assets/page.html`` with its style, its scripts and the data put in. Whatever a program
says (its source, names, messages) is data there, and reaches the page as text alone.
"""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from etude_cuda.lab.counters import Kernel, Line
from etude_cuda.lab.events import Access, Launch
from etude_cuda.lab.fidelity import sections
from etude_cuda.lab.report.text import occupancy_text, roofline_text

if TYPE_CHECKING:
    from etude_cuda.lab.report.record import Report

SCRIPTS = ("data.js", "warp.js", "listing.js", "launches.js")
WHOLE = 1500  # lines up to which a file is shown whole; of a longer one, what lies around
AROUND = 12  # lines before and after one that has something to show
FINDINGS = 200
LAUNCHES = 60


def dumps(report: Report) -> str:
    """The page."""
    parts = {"title": html.escape(f"etude lab {report.program}"),
             "style": _asset("style.css"),
             "script": "\n".join(_asset(s) for s in SCRIPTS),
             "data": _safe(encode(report))}
    page = _asset("page.html")
    # From the left, so that no part is searched for the name of another.
    made = []
    while "{{" in page:
        before, _, rest = page.partition("{{")
        name, _, page = rest.partition("}}")
        made += [before, parts[name]]
    return "".join(made) + page


def _asset(name: str) -> str:
    return files("etude_cuda.lab.report").joinpath("assets", name).read_text("utf-8").rstrip()


def _safe(document: Any) -> str:
    """JSON that ends no script element and starts no comment in one."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def encode(report: Report) -> dict[str, Any]:
    """The report as the scripts read it; ``data.js`` is the other side."""
    card = report.card
    n = len(report.launches)
    seen = report.log.end.get("accesses")
    return {
        "program": report.program, "line": report.verdict, "failed": report.failed,
        "asked": f"{report.mode.capitalize()} mode, seed {report.seed}, {n} launch"
                 f"{'es' * (n != 1)}" + (f", {seen:,} accesses seen" if isinstance(seen, int)
                                         else "") + ".",
        "notes": report.notes, "findings": [t.to_json() for t in report.findings[:FINDINGS]],
        "hidden": max(len(report.findings) - FINDINGS, 0),
        "files": [{"name": name, "lines": _kept(report, name)} for name in _files(report)],
        "counters": [_counter(report, c) for c in report.counters],
        "card": {"name": card.name, "peak": card.peak, "bandwidth": card.bandwidth,
                 "ridge": card.ridge, "source": card.source},
        "launches": _launches(report),
        "kernels": [_kernel(report, k) for k in report.kernels if not report.all_failed(k.name)],
        "fidelity": [[name, list(lines)] for name, lines in sections(report.mode)],
    }


def _files(report: Report) -> list[str]:
    """Files that have something to show, those with findings first."""
    names = [t.file for t in report.findings] + [c.file for c in report.counters] \
        + [one.file for one in report.launches]
    return [f for f in dict.fromkeys(names) if report.quotes.lines(f)]


def _kept(report: Report, name: str) -> list[tuple[int, str]]:
    """Number and text of the lines to show."""
    lines = report.quotes.lines(name)
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    numbered = list(enumerate(lines, 1))
    if len(numbered) <= WHOLE:
        return numbered
    of_interest = {n for t in report.findings for f, n in t.lines if f == name} \
        | {c.line for c in report.counters if c.file == name}
    near = {n + d for n in of_interest for d in range(-AROUND, AROUND + 1)}
    return [(n, text) for n, text in numbered if n in near]


def _counter(report: Report, c: Line) -> dict[str, Any]:
    made = c.to_json()
    made["examples"] = [_example(report, a) for a in c.examples]
    made["roof"] = roofline_text(report, c) if c.flops else ""
    return made


def _example(report: Report, a: Access) -> dict[str, Any]:
    launch = report.log.launched(a.launch)
    n = max(a.requests, 1)
    return {"op": a.op, "space": a.space, "size": a.size, "addresses": list(a.example),
            "sectors": round(a.sectors / n, 2), "ideal": round(a.ideal / n, 2),
            "conflicts": round(a.conflicts / n, 2), "requests": a.requests,
            "block": list(launch.block) if launch else []}


def _launches(report: Report) -> list[dict[str, Any]]:
    """One row for each configuration of a kernel."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in report.launches:
        key = one.kernel, one.grid, one.block, one.static_shared + one.dynamic_shared, one.status
        if key in rows:
            rows[key]["times"] += 1
        elif len(rows) < LAUNCHES:
            rows[key] = _launch(report, one)
    return list(rows.values())


def _launch(report: Report, one: Launch) -> dict[str, Any]:
    o = report.occupancy(one)
    return {"kernel": one.kernel, "file": one.file, "line": one.line, "times": 1,
            "grid": list(one.grid), "block": list(one.block), "status": one.status,
            "shared": one.static_shared + one.dynamic_shared,
            "share": round(o.share, 4) if one.status == "ok" else 0,
            "occupancy": occupancy_text(o, report) if one.status == "ok" else "failed"}


def _kernel(report: Report, k: Kernel) -> dict[str, Any]:
    r = report.roofline(k)
    return {"name": k.name, "flops": k.flops, "moved": r.bytes, "wanted": k.bytes,
            "intensity": r.intensity, "attainable": r.attainable, "bound": r.bound,
            "calls": dict(k.calls), "text": roofline_text(report, k)}
