"""The notebook of an assignment, for Jupyter and nbgrader: what is asked, a cell for each file of
the answer, and a cell for each check, that starts the grader.

It is made from the kit, so it holds nothing that a student does not have. The metadata is that of
nbgrader (schema 3); ids follow from those of the checks, so they are unique and stay the same. It
is paired by jupytext with a text in the percent format, which jupytext writes when it is saved.
nbgrader would cut the answer cells when it makes the release: ``CONFIG`` tells it not to.
"""

from __future__ import annotations

import json
from typing import Any

from etude_course.kit.kit import Kit
from etude_course.kit.start import handed_out
from etude_course.source import parameters
from etude_course.source.assignment import Assignment, Check

CONFIG = """\
# nbgrader: the answer cells are starters already, so nothing is cut from them.
c = get_config()
c.ClearSolutions.enabled = False
"""


def notebook(kit: Kit) -> str:
    """The file, the same bytes for the same kit. Everybody has the same parameters."""
    a = kit.assignment
    texts = handed_out(kit, parameters.drawn(a, "", ""))
    cells = [_text("handout", texts["handout.md"].strip())]
    for name in a.files:
        cells.append(_text(f"about-{_plain(name)}", f"## {name}\n\nRun the cell: it writes the "
                           f"file, and the checks below read it."))
        cells.append(_code(f"answer-{_plain(name)}", f"%%writefile {name}\n{texts[name].rstrip()}",
                           solution=True))
    for q in a.questions:
        cells.append(_text(f"question-{q.id}", f"## {q.title}"))
        cells += [_check(a, c) for c in q.checks]
    document = {
        "cells": cells, "nbformat": 4, "nbformat_minor": 5,
        "metadata": {
            "jupytext": {"formats": "ipynb,py:percent", "cell_metadata_filter": "all"},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(name: str) -> str:
    return name.replace(".", "-").lower()


def _check(a: Assignment, check: Check) -> dict[str, Any]:
    if check.kind == "hand":
        cell = _text(check.id, f"*{check.title} ({check.points} points, graded by a person): your "
                               f"answer*")
        cell["metadata"] = _nbgrader(check.id, grade=True, solution=True, points=check.points)
        return cell
    source = f'from etude_course.notebook import check\n\ncheck("{a.id}", "{check.id}")'
    return _code(check.id, source, points=check.points)


def _text(id_: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": _id(id_), "metadata": {}, "source": _lines(source)}


def _code(id_: str, source: str, solution: bool = False, points: int = 0) -> dict[str, Any]:
    return {"cell_type": "code", "id": _id(id_), "execution_count": None, "outputs": [],
            "metadata": _nbgrader(id_, grade=points > 0, solution=solution, points=points),
            "source": _lines(source)}


def _id(id_: str) -> str:
    return id_[:64]  # the longest that nbformat takes


def _nbgrader(id_: str, grade: bool, solution: bool, points: int = 0) -> dict[str, Any]:
    made: dict[str, Any] = {"schema_version": 3, "grade_id": id_, "grade": grade,
                            "solution": solution, "locked": not solution, "task": False}
    return {"nbgrader": made | {"points": points} if grade else made}


def _lines(source: str) -> list[str]:
    return source.splitlines(keepends=True)
