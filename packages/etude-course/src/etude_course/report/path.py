"""The page on one student's way: the path drawn as a road, in HTML that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import resources
from string import Template

from etude_course.kit.path import Chapter, Task

ACROSS = 5  # stations in a row
STEP, DROP, EDGE = 150, 110, 60  # pixels between stations, between rows, around
RADIUS = 20


def page(chapters: Sequence[Chapter]) -> str:
    """All of it."""
    assets = resources.files("etude_course.report") / "assets"
    tasks = [t for c in chapters for t in c.tasks]
    return Template((assets / "path.html").read_text()).substitute(
        style=(assets / "style.css").read_text(),
        done=sum(t.done for t in tasks), assignments=len(tasks),
        points=sum(t.points for t in tasks), of=sum(t.of for t in tasks),
        road=road(chapters), rows="\n".join(_row(c) for c in chapters))


def road(chapters: Sequence[Chapter]) -> str:
    """An SVG: stations in rows that turn at each end; green as far as their points go."""
    stations = [c for c in chapters if c.number]
    places = [_place(i) for i in range(len(stations))]
    width = 2 * EDGE + (ACROSS - 1) * STEP
    height = 2 * EDGE + (len(stations) - 1) // ACROSS * DROP
    line = " ".join(f"{x},{y}" for x, y in places)
    drawn = "\n".join(_station(c, *place) for c, place in zip(stations, places, strict=True))
    return (f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="The path">\n'
            f'<polyline points="{line}" class="road"/>\n{drawn}\n</svg>')


def _place(i: int) -> tuple[int, int]:
    row, column = divmod(i, ACROSS)
    if row % 2:
        column = ACROSS - 1 - column
    return EDGE + column * STEP, EDGE + row * DROP


def _station(chapter: Chapter, x: int, y: int) -> str:
    of, points = sum(t.of for t in chapter.tasks), sum(t.points for t in chapter.tasks)
    kind = "done" if of and points == of else "begun" if points else "open" if of else "read"
    round_ = 2 * 3.14159 * RADIUS
    label = " ".join(t.assignment.id for t in chapter.tasks)
    said = html.escape(f"{chapter.number}. {chapter.title}" + (f": {points} of {of} points" if of
                                                              else ""))
    return (f'<g class="{kind}"><title>{said}</title><circle cx="{x}" cy="{y}" r="{RADIUS}"/>'
            f'<circle cx="{x}" cy="{y}" r="{RADIUS}" class="share" transform="rotate(-90 {x} {y})" '
            f'stroke-dasharray="{round_ * points / max(1, of):.1f} {round_:.1f}"/>'
            f'<text x="{x}" y="{y + 5}">{chapter.number}</text>'
            f'<text x="{x}" y="{y + RADIUS + 18}" class="id">{label}</text></g>')


def _row(chapter: Chapter) -> str:
    number = chapter.number or ""
    tasks = "".join(_task(t) for t in chapter.tasks)
    return f"<tr><td>{number}</td><td>{html.escape(chapter.title)}{tasks}</td></tr>"


def _task(task: Task) -> str:
    parts = "".join(
        f"<li>{html.escape(id_.replace('-', ' '))}: {points} of {of}, {html.escape(status)}</li>"
        for id_, (points, of, status) in (task.work.record.checks if task.work else {}).items())
    hints = sum(task.work.record.hints.values()) if task.work else 0
    said = f"{task.points} of {task.of} points" if task.work else "not started"
    asked = f", {hints} hint{'s' * (hints != 1)} shown" if hints else ""
    return (f"<p><b>{task.assignment.id}</b> {html.escape(task.assignment.title)}: {said}{asked} "
            f'<progress max="{task.of}" value="{task.points}"></progress></p>'
            + (f"<details><summary>Its checks</summary><ul>{parts}</ul></details>" if parts
               else ""))
