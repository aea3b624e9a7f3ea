"""``etude course override``: points that a person gives, with the reason."""

from __future__ import annotations

from pathlib import Path

import click

from etude_course.commands import Refused, refusing


@click.command()
@click.argument("grading", type=click.Path(path_type=Path))
@click.argument("student", required=False)
@click.argument("check", required=False)
@click.argument("points", required=False, type=click.IntRange(min=0))
@click.option("--reason", default="", help="Why: the student reads it.")
@click.option("--by", default="", metavar="NAME", help="Who gives them.")
@click.option("--file", "file", type=click.Path(path_type=Path), metavar="CSV|TOML",
              help="Many at once: student, check, points, reason, by.")
@click.option("--without-hand-in", is_flag=True, help="Also to students who handed in nothing: it "
              "was on paper, or they are excused.")
def override(grading: Path, student: str | None, check: str | None, points: int | None,
             reason: str, by: str, file: Path | None, without_hand_in: bool) -> None:
    """Give points by hand: grade what waits for a person, or put a check right.

    GRADING is the folder that 'etude course grade' made.
    """
    from etude_course.grade import overrides

    one = student is not None and check is not None and points is not None
    if one == (file is not None):
        raise Refused("Name a student, a check and the points, or give a --file.")
    with refusing():
        if file is not None:
            given = overrides.read(file)
        else:
            assert student is not None
            assert check is not None
            assert points is not None
            if not reason.strip():
                raise Refused("Points by hand need a --reason: the student reads it.")
            given = [overrides.Given(student, check, points, reason, by)]
        for before, after in overrides.give(grading, given, without_hand_in):
            click.echo(f"{after.student}: {before.score} -> {after.score} of {after.max_score}")
