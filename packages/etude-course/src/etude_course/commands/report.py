"""``etude course report``: a class as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etude_course.commands import refusing

if TYPE_CHECKING:
    from etude_course.grade.state import State
    from etude_course.report.page import Class


@click.command()
@click.argument("grading", type=click.Path(path_type=Path))
@click.option("--to", default="report.html", show_default=True, type=click.Path(path_type=Path),
              metavar="FILE", help="The page.")
@click.option("--roster", metavar="CSV", help="For names, and for who handed in nothing.")
@click.option("--anonymous", is_flag=True, help="Without names, ids and notes.")
def report(grading: Path, to: Path, roster: str | None, anonymous: bool) -> None:
    """Write the report on a class: scores, what blocks whom, mistakes, similarity.

    GRADING is the folder that 'etude course grade' made. One page, without
    scripts or network.
    """
    from etude.data.files import write_atomically
    from etude_course.errors import CourseError
    from etude_course.grade import journal
    from etude_course.grade import roster as rosters
    from etude_course.grade.state import State
    from etude_course.report import page

    with refusing():
        state = State.of(journal.read(grading))
        about = page.Class(state.results(), rosters.read(roster) if roster else rosters.Roster(),
                           state.ungraded(), anonymous=anonymous)
        if not about.results:
            raise CourseError(f"Nobody has been graded in {grading} yet.")
        _compare(about, state, grading)
        try:
            write_atomically(to, page.dumps(about).encode())
        except OSError as error:
            raise CourseError(f"{to} cannot be written: {error.strerror}.") from error
    click.echo(f"Wrote {to}")


def _compare(about: Class, state: State, grading: Path) -> None:
    """What is alike, from the files that were graded."""
    from etude_course.report import similarity
    from etude_course.source.source import Source

    source = Source.read(grading / "assignment" / state.assignment["digest"][:16])
    starter = source.starters()
    texts = {}
    for result in about.results:
        folder = grading / "hand-ins" / result.student / result.submission[:16]
        texts[result.student] = {p.name: p.read_text(errors="replace")
                                 for p in sorted(folder.glob("*")) if p.is_file()}
    ours = {"the solution": source.solutions(), **_reference(source)}
    about.alike = similarity.between(texts, starter)
    about.same = similarity.identical(texts, starter)
    about.left_out = [w for w in similarity.left_out(texts, starter) if texts[w]]
    about.ours = similarity.to_ours(texts, starter, ours)
    about.compared = True


def _reference(source: object) -> dict[str, dict[str, str]]:
    """The files of the reference that define the ops asked for."""
    import inspect

    from etude.core.table import TABLE
    from etude_course.source.source import Source

    assert isinstance(source, Source)
    found = {}
    for check in source.assignment.checks:
        for name in (*check.ops, *([check.speed] if check.speed else [])):
            op = TABLE.get(name)
            path = inspect.getsourcefile(op.reference) if op is not None else None
            if path:
                label = f"the reference, {Path(path).name}"
                found[label] = {Path(path).name: Path(path).read_text()}
    return found
