"""A Report as one HTML page: matrix, error over bound, every case behind filters. No network.

The page is ``assets/page.html`` with its style, its scripts and the data put in. Thirty thousand
cases fit, because one that passed is only a number and a ratio in the list of its op, kind and
dtype. Failures have their details with them, the smallest DETAILED of each op.
"""

from __future__ import annotations

import html
import json
import math
from collections import Counter, defaultdict
from importlib.resources import files
from typing import Any

from etude_check.report import summary
from etude_check.report.record import Record, Report, Verdict
from etude_check.report.terminal import facts

DETAILED = 40  # failures of an op that keep message, values and command
SCRIPTS = ("data.js", "matrix.js", "plot.js", "cases.js")


def dumps(report: Report) -> str:
    """The page. What the report says is data in it, never markup."""
    parts = {"title": html.escape(f"etude check {report.target}"),
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
    return files("etude_check.report").joinpath("assets", name).read_text("utf-8").rstrip()


def _safe(document: Any) -> str:
    """JSON that ends no script element and starts no comment in one."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def encode(report: Report) -> dict[str, Any]:
    """The report as the scripts read it; ``data.js`` is the other side."""
    families = summary.families(report)
    ops = [(op, g) for g, members in families.items() for op in members]
    columns = summary.kinds(report)
    kinds = columns + sorted({r.kind for r in report.records} - set(columns))
    dtypes = sorted({r.dtype for r in report.records})
    verdicts = [v.value for v in Verdict]
    if any(r.op == "-" for r in report.records):
        ops.insert(0, ("-", "-"))
    return {
        "target": report.target, "level": report.level, "seed": report.seed,
        "seconds": round(report.seconds, 1), "passed": summary.passed(report),
        "line": summary.verdict_line(report), "executed": report.executed,
        "counts": report.counts, "notes": report.notes, "score": report.mutation_score,
        "environment": {k: str(v) for k, v in report.environment.items() if v not in (None, "")},
        "blind": [{"op": s.op, "dtype": s.dtype, "output": s.output, "least": s.least,
                   "few": {i: n for i, n in s.caught.items()
                           if n < s.least and i not in s.exempt}}
                  for s in report.screens if not s.trusted],
        "findings": [{"text": f.text + (f"\n  case {f.case}" if f.case else ""),
                      "error": f.severity == "error"}
                     for w in report.watches for f in w.findings],
        "rulings": [f"{r.by}: {r.verdict}. {r.words}" for r in report.rulings]
                   + [f"They disagree: {d}" for d in report.disagreements],
        "screens": len(report.screens), "ops": ops, "columns": len(columns),
        "kinds": kinds, "dtypes": dtypes, "verdicts": verdicts,
        "failed": [v.value for v in Verdict if v.failed],
        "runs": _runs(report, [o for o, _ in ops], kinds, dtypes, verdicts),
    }


def _runs(report: Report, *names: list[str]) -> list[list[Any]]:
    """Records that agree in op, kind of case, dtype and verdict, as one list each:
    [op, kind, dtype, verdict, names of the cases, ratios, details by place].
    """
    places = [{name: i for i, name in enumerate(known)} for known in names]
    together: dict[tuple[int, ...], list[Record]] = defaultdict(list)
    for r in report.records:
        fields = r.op, r.kind, r.dtype, r.verdict.value
        together[tuple(p[f] for p, f in zip(places, fields))].append(r)
    kept = _detailed(report)
    runs: list[list[Any]] = []
    for key, records in sorted(together.items()):
        details = {i: _details(report, r) for i, r in enumerate(records) if id(r) in kept}
        runs.append([*key, [_name(report, r) for r in records], [_ratio(r) for r in records],
                     *([details] if details else [])])
    return runs


def _detailed(report: Report) -> set[int]:
    """The records that keep their details, by id(). Besides the smallest failures of each op, that
    is one for each verdict in each cell of the matrix, so that no cell is without.
    """
    kept, of_op, of_cell = set(), Counter[str](), Counter[tuple[str, ...]]()
    rest = [r for r in report.records if r.verdict in (
        Verdict.UNSUPPORTED, Verdict.NOT_RUN, Verdict.WAIVED)]
    for r in [*report.failures, *rest]:
        if of_op[r.op] < DETAILED or not of_cell[r.op, r.kind, r.verdict]:
            kept.add(id(r))
        of_op[r.op] += 1
        of_cell[r.op, r.kind, r.verdict] += 1
    return kept


def _details(report: Report, r: Record) -> list[tuple[str, str]]:
    """The facts of a record; what the page shows elsewhere is left out."""
    return [(k, v) for k, v in facts(report, r) if k not in ("case", "run again")]


def _name(report: Report, r: Record) -> int | str:
    """The last part of a case's name: a number, or "number or plan@seed" for another seed."""
    which, _, seed = r.case.split("/", 2)[2].rpartition("@")
    if seed != str(report.seed):
        return f"{which}@{seed}"
    return int(which) if which.isdigit() else which


def _ratio(r: Record) -> float | None:
    if r.ratio is None or math.isnan(r.ratio):
        return None
    # Three digits are enough to draw it. What passed for an exact result is 0.
    return float(f"{min(r.ratio, 1e30):.2e}") or 0
