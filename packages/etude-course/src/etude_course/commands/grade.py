"""``etude course grade``: a class, in parallel; the same command goes on where it was stopped."""

from __future__ import annotations

from typing import Any

import click

from etude_course.commands import _grading, refusing

EPILOG = """\b
Examples:
  etude course grade hand-ins --assignment a2-elementwise
  etude course grade hand-ins --assignment a2-elementwise --roster class.csv
      --due 2026-11-28T23:59:00Z --times times.csv --free-days 3 --jobs 4
  mpiexec -n 3 python -P -m mpi4py.futures -m etude course grade hand-ins
      --assignment a2-elementwise --executor mpi
  etude course grade hand-ins --assignment a2-elementwise --executor dask

\b
Exit status: 0 everyone was graded; 1 some were not, and the reasons stand
there; 2 the request cannot be carried out; 130 interrupted.

It may be stopped or killed at any moment: what was graded is kept.
"""


@click.command(epilog=EPILOG)
@_grading.options
@click.pass_context
def grade(ctx: click.Context, /, **given: Any) -> None:
    """Grade a class.

    FOLDER holds a folder, a file or an archive for each student, with the
    student's id in its name.
    """
    from etude_course.grade.cohort import Cohort

    with refusing():
        settings = _grading.settings(given)
        try:
            with _grading.Watch() as watch:
                outcome = Cohort(settings, watch).run()
        except KeyboardInterrupt:
            click.echo("INTERRUPTED. What was graded is kept; the same command goes on.", err=True)
            ctx.exit(130)
    ctx.exit(_grading.say(outcome, settings.into))
