"""The report on a class as one HTML page: no script, no network, everything said in text too.

Distribution of the scores, which check blocks whom, which named mistakes the class makes, what is
alike, and a row for each hand-in. With ``anonymous`` a hand-in is called by a number that says
nothing about the roster, and what a student may have put a name into (notes, files) is left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from statistics import mean, median

from etude_course.grade.roster import Roster
from etude_course.record import CheckResult, Result, Status
from etude_course.report.similarity import Pair, Same

BINS = 25  # columns of the distribution, at most
PAIRS = 100  # rows of a table of what is alike, at most
PASSED, PARTLY = "passed", "partly"
#: What became of a check -> its sign in the table. Two more than Status has: by points.
SIGNS = {PASSED: "+", PARTLY: "~", "failed": "x", "crashed": "!", "timed out": "t",
         "not written": ".", "not run": "/", "refused": "r", "waiting": "?"}


@dataclass
class Class:
    """What the page is made from."""

    results: Sequence[Result]
    roster: Roster = field(default_factory=Roster)
    ungraded: Sequence[str] = ()  # students whose hand-in has no result yet
    alike: Sequence[Pair] = ()
    ours: Sequence[Pair] = ()
    same: Sequence[Same] = ()
    left_out: Sequence[str] = ()  # hand-ins of which too little was left to compare
    compared: bool = False  # whether anything was compared
    anonymous: bool = False


def dumps(about: Class) -> str:
    """The page. Raises ValueError for no results. What students wrote is escaped text in it."""
    if not about.results:
        raise ValueError("nobody has been graded: there is nothing to report")
    page = _Page(about)
    sections = [page.head(), page.distribution(), page.checks(), page.mistakes(),
                page.similarity(), page.everyone(), page.notes()]
    parts = {"title": escape(page.title), "style": _asset("style.css"),
             "body": "\n".join(s for s in sections if s)}
    made, rest = [], _asset("page.html")
    while "{{" in rest:
        before, _, rest = rest.partition("{{")
        name, _, rest = rest.partition("}}")
        made += [before, parts[name]]
    return "".join(made) + rest + "\n"


def _asset(name: str) -> str:
    return files("etude_course.report").joinpath("assets", name).read_text("utf-8").rstrip()


def state(result: Result, check: CheckResult) -> str:
    """What became of a check, points by hand included: a key of SIGNS."""
    points = result.points(check)
    if points == check.max_points:
        return PASSED
    if check.status is Status.WAITING and check in result.waiting:
        return Status.WAITING.value
    return PARTLY if points else _lost(check)


def _lost(check: CheckResult) -> str:
    said = check.status.value
    return "failed" if said in (PASSED, "waiting") else said


class _Page:
    """The sections, each an HTML element."""

    def __init__(self, about: Class) -> None:
        self.about, self.results = about, about.results
        last = max(self.results, key=lambda r: r.version)
        self.title = f"{last.assignment} {last.title}".strip()
        self.ids = list(dict.fromkeys(c.id for r in self.results for c in r.checks))
        self.best = max(r.max_score for r in self.results)
        self.names = self._called()
        self.there = {m for r in self.results for m in (r.members or [r.student])}

    def _called(self) -> dict[str, str]:
        """How a student is called on the page."""
        if self.about.anonymous:
            order = sorted(self.results, key=lambda r: hashlib.sha256(
                f"{r.submission}{r.student}".encode()).digest())
            return {r.student: f"hand-in {n}" for n, r in enumerate(order, 1)}
        return {r.student: ", ".join(self._full(m) for m in (r.members or [r.student]))
                for r in self.results}

    def _full(self, student: str) -> str:
        name = self.about.roster.student(student).name
        return f"{name} ({student})" if name else student

    # -------------------------------------------------------------- sections

    def head(self) -> str:
        scores = [r.score for r in self.results]
        known = self.there | set(self.about.ungraded)
        missing = [s for s in self.about.roster.students if s not in known]
        waiting = sum(bool(r.waiting) for r in self.results)
        tiles = [(len(scores), "hand-ins"), (len(missing), "of the roster without one"),
                 (sum(s == self.best for s in scores), "with full marks"),
                 (sum(s == 0 for s in scores), "with no points"),
                 (sum(bool(r.late_days) for r in self.results), "late"),
                 (waiting, "to be graded by hand")]
        if self.about.ungraded:
            tiles.append((len(self.about.ungraded), "students not graded yet"))
        items = "".join(f"<li><b>{n}</b> {what}</li>" for n, what in tiles)
        versions = sorted({r.version for r in self.results})
        mixed = ("<p class=warn>Not all were graded with the same version of the assignment: "
                 f"{escape(', '.join(map(str, versions)))}.</p>" if len(versions) > 1 else "")
        names = "" if self.about.anonymous or not missing else (
            f"<details><summary>{len(missing)} handed in nothing</summary>"
            f"<p>{escape(', '.join(self._full(m) for m in missing))}</p></details>")
        return (f"<header><h1>{escape(self.title)}</h1>"
                f"<p>Version {versions[-1]}. Mean {mean(scores):.1f}, median {median(scores):g} "
                f"of {self.best} points.</p>{mixed}<ul class=tiles>{items}</ul>{names}</header>")

    def distribution(self) -> str:
        width = -(-(self.best + 1) // BINS)
        counts = Counter(r.score // width for r in self.results)
        most = max(counts.values())
        columns = []
        for b in range(self.best // width + 1):
            low, high = b * width, min(self.best, b * width + width - 1)
            label = str(low) if low == high else f"{low}-{high}"
            n = counts[b]
            columns.append(f'<li title="{label} points: {n}"><i>{n or ""}</i>'
                           f'<b style="height:{100 * n / most:.1f}%"></b><span>{low}</span></li>')
        text = "; ".join(f"{b * width}: {counts[b]}" for b in sorted(counts))
        return _section("Distribution", "How many hand-ins have so many points"
                        + (f", {width} to a column." if width > 1 else "."),
                        f'<ol class=bars aria-label="{escape(text)}">{"".join(columns)}</ol>')

    def checks(self) -> str:
        rows = []
        for id_ in self.ids:
            found = [(r, c) for r in self.results for c in r.checks if c.id == id_]
            first = found[0][1]
            counts = Counter(state(r, c) for r, c in found)
            bar = "".join(f'<i class="{_css(s)}" style="flex:{counts[s]}" '
                          f'title="{s}: {counts[s]}"></i>' for s in SIGNS if counts[s])
            words = ", ".join(f"{counts[s]} {s}" for s in SIGNS if counts[s])
            blocked = [self.names[r.student] for r, c in found
                       if state(r, c) not in (PASSED, "waiting")]
            rows.append(
                f"<li><h3>{escape(id_)} <span class=dim>{escape(first.title)}, "
                f"{first.max_points} point{'s' * (first.max_points != 1)}</span></h3>"
                f"<div class=bar>{bar}</div>"
                f"<p>{100 * counts[PASSED] / len(found):.0f} % have all its points: {words}.</p>"
                f"{_who(f'blocks {len(blocked)}', blocked)}</li>")
        order = "The checks in their order, and who does not have all the points of each."
        return _section("Which check blocks whom", order, f"<ol class=checks>{''.join(rows)}</ol>")

    def mistakes(self) -> str:
        found: dict[str, list[tuple[str, str]]] = {}
        for r in self.results:
            for c in r.checks:
                if c.mistake:
                    found.setdefault(c.mistake, []).append((c.id, self.names[r.student]))
        if not found:
            return _section("Named mistakes", "No hand-in behaves like a named mistake.", "")
        rows = []
        most = max(len({n for _, n in v}) for v in found.values())
        for sentence, whose in sorted(found.items(), key=lambda f: (-len(f[1]), f[0])):
            names = sorted({n for _, n in whose}, key=_natural)
            where = ", ".join(dict.fromkeys(i for i, _ in whose))
            rows.append(f"<li><p><b>{len(names)}</b> {escape(sentence)} "
                        f"<span class=dim>({escape(where)})</span></p><div class=bar>"
                        f'<i class=failed style="width:{100 * len(names) / most:.1f}%"></i></div>'
                        f"{_who('who', names)}</li>")
        return _section("Named mistakes", "Answers that behave like a known mistake, by how many "
                        "make it.", f"<ol class=mistakes>{''.join(rows)}</ol>")

    def similarity(self) -> str:
        if not self.about.compared:
            return ""
        text = ("The part of the smaller text whose tokens are in the other one too, in the same "
                "order. What the starter holds, and what a third of the class wrote, does not "
                "count. It is a reason to look at both, and no proof of anything: short answers to "
                "one question are alike.")
        rows = [(self.names[p.first], self.names[p.second], p.part) for p in self.about.alike]
        ours = [(self.names[p.first], p.second, p.part) for p in self.about.ours]
        return _section("Similarity", text, self._same()
                        + _pairs("Between hand-ins", ("hand-in", "hand-in"), rows)
                        + self._left_out()
                        + _pairs("To texts of the course", ("hand-in", "text"), ours))

    def _same(self) -> str:
        """The groups that share a file, however many they are."""
        if not self.about.same:
            return "<h3>The same file</h3><p>No two hand-ins have the same file.</p>"
        items = []
        for s in self.about.same:
            names = "; ".join(sorted((self.names[w] for w in s.whose), key=_natural))
            how = "but for names, numbers and comments" if s.renamed else "word for word"
            items.append(f"<li><b>{len(s.whose)}</b> {escape(s.file)}, {how}: {escape(names)}</li>")
        return f"<h3>The same file</h3><ul class=notes>{''.join(items)}</ul>"

    def _left_out(self) -> str:
        n = len(self.about.left_out)
        return f"<p>{n} of {len(self.results)} hand-ins were left out of this table: without the " \
               f"starter and what a third of the class wrote, too little of them is left to " \
               f"compare.</p>{_who('who', [self.names[w] for w in self.about.left_out])}" \
               if n else ""

    def everyone(self) -> str:
        heads = "".join(f"<th><span>{escape(i)}</span></th>" for i in self.ids)
        rows = []
        for r in sorted(self.results, key=lambda r: _natural(self.names[r.student])):
            cells = {c.id: c for c in r.checks}
            late = f"-{r.penalty}" if r.penalty else ""
            rows.append(f"<tr><th scope=row>{escape(self.names[r.student])}</th>"
                        f"<td class=n>{r.score}</td><td class=n>{late}</td>"
                        + "".join(_cell(r, cells.get(i)) for i in self.ids) + "</tr>")
        legend = " ".join(f'<span class="sign {_css(s)}">{escape(SIGNS[s])}</span> {s}'
                          for s in SIGNS)
        return _section("Everyone", "", f"<p class=legend>{legend}</p><p class=sideways>A wide "
                        f"table goes on to the right: scroll it sideways for all {len(self.ids)} "
                        f"checks.</p><div class=box tabindex=0><table>"
                        f"<thead><tr><th>hand-in</th><th>points</th><th>late</th>{heads}</tr>"
                        f"</thead><tbody>{''.join(rows)}</tbody></table></div>")

    def notes(self) -> str:
        if self.about.anonymous:
            return ""
        noted = [(self.names[r.student], n) for r in self.results
                 for n in [*r.notes, *r.remarks]]
        noted += [(self.names[r.student], f"{c.id}: the points were given by hand, "
                   f"{o.points} of {c.max_points}: {o.reason}{f' ({o.by})' if o.by else ''}")
                  for r in self.results for c in r.checks
                  for o in r.overrides if o.check == c.id]
        noted += [("sandbox", f"it could not have a wall: {w}")
                  for w in sorted({w for r in self.results for w in r.walls})]
        if not noted:
            return ""
        items = "".join(f"<li><b>{escape(who)}</b> {escape(said)}</li>" for who, said in noted)
        return _section("Notes", "What was noticed while collecting and grading.",
                        f"<ul class=notes>{items}</ul>")


def _section(title: str, text: str, body: str) -> str:
    about = f"<p class=dim>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>{about}{body}</section>"


def _who(label: str, names: Iterable[str]) -> str:
    names = sorted(names, key=_natural)
    if not names:
        return ""
    return (f"<details><summary>{escape(label)}</summary>"
            f"<p>{escape('; '.join(names))}</p></details>")


def _pairs(title: str, heads: tuple[str, str], rows: Sequence[tuple[str, str, float]]) -> str:
    if not rows:
        return f"<h3>{title}</h3><p>Nothing that was compared is alike.</p>"
    lines = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td>"
                    f"<td class=n>{100 * part:.0f} %</td></tr>" for a, b, part in rows[:PAIRS])
    more = (f"<p>And {len(rows) - PAIRS} more, less alike than these.</p>" if len(rows) > PAIRS
            else "")
    return (f"<h3>{title}</h3><div class=box><table class=pairs><thead><tr><th>{heads[0]}</th>"
            f"<th>{heads[1]}</th><th>alike</th></tr></thead><tbody>{lines}</tbody></table></div>{more}")


def _cell(result: Result, check: CheckResult | None) -> str:
    if check is None:
        return "<td></td>"
    said = state(result, check)
    text = f"{check.id}: {result.points(check)} of {check.max_points}, {said}"
    return (f'<td class="sign {_css(said)}" title="{escape(text)}">{SIGNS[said]}</td>')


def _css(said: str) -> str:
    return said.replace(" ", "-")


def _natural(name: str) -> tuple[str, int, str]:
    """hand-in 2 before hand-in 10."""
    words, _, number = name.rpartition(" ")
    return (words, int(number), "") if words and number.isdigit() else (name, 0, name)
