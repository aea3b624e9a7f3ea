"""``etude course check``: a student's answers, held to the visible cases."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--assignment", metavar="ID", help="Which it is, of a folder that was not started.")
@click.option("--question", "questions", metavar="ID", multiple=True,
              help="Only this question. Repeatable.")
@click.option("--json", "json_", is_flag=True, help="Print the result as JSON.")
def check(folder: Path, assignment: str | None, questions: tuple[str, ...], json_: bool) -> None:
    """Check your answers in FOLDER, a started assignment.

    What is wrong is shown in the order to read it: the mistake by name where
    the answer behaves like a known one, then the smallest failing case. Only
    the visible cases are asked; grading asks more, drawn anew.
    """
    from etude.commands.show import console
    from etude_course.commands import refusing
    from etude_course.errors import CourseError
    from etude_course.export.text import print_result
    from etude_course.kit import progress
    from etude_course.kit.folder import Started
    from etude_course.kit.kit import Kit
    from etude_course.record import Status
    from etude_course.run.run import run

    with refusing():
        if not folder.is_dir():
            raise CourseError(f"there is no folder {str(folder)!r} (looked in {Path.cwd()})")
        started = Started(assignment, 0) if assignment else Started.read(folder)
        kit = Kit.read(assignment) if assignment else progress.kit_of(folder)
        only = _chosen(kit, questions)
        result = run(kit, folder, only=only, student=started.student, course=started.course,
                     values=started.parameters or None)
        if not assignment:
            result.notes += [*progress.keep(folder, result), *progress.newer(kit)]
    if json_:
        click.echo(result.text(), nl=False)
    else:
        print_result(result, console())
    lost = [c for c in result.checks if c.points < c.max_points
            and c.status is not Status.WAITING and not c.untimed]
    raise SystemExit(int(bool(lost)))


def _chosen(kit: object, questions: tuple[str, ...]) -> list[str] | None:
    from etude.core.errors import did_you_mean
    from etude_course.errors import CourseError
    from etude_course.kit.kit import Kit

    assert isinstance(kit, Kit)
    known = {q.id: q for q in kit.assignment.questions}
    for id_ in questions:
        if id_ not in known:
            raise CourseError(f"{kit.assignment.id} has no question {id_!r}"
                              f"{did_you_mean(id_, known)}")
    return [c.id for id_ in questions for c in known[id_].checks] or None
