"""``etude course regrade``: an assignment that was corrected in mid-term, taken over."""

from __future__ import annotations

from typing import Any

import click

from etude_course.commands import _grading, refusing


@click.command()
@_grading.options
@click.option("--yes", is_flag=True, help="Do it. Without, only what changed is said.")
@click.pass_context
def regrade(ctx: click.Context, /, yes: bool, **given: Any) -> None:
    """Say what changed in an assignment since it was graded, and grade again.

    The options are those of the grading. Points by hand stay. With --yes
    everyone is graded with the assignment as it is now, and whose points have
    changed is said.
    """
    from etude_course.errors import CourseError
    from etude_course.grade import journal, pinned
    from etude_course.grade.cohort import Cohort
    from etude_course.grade.state import State
    from etude_course.source.assignment import read

    with refusing():
        settings = _grading.settings(given)
        state = State.of(journal.read(settings.into))
        new = read(settings.assignment)
        digest = pinned.digest(settings.assignment)
        begun = state.assignment
        if begun and begun["course"] != given["course"]:
            raise CourseError(f"{settings.into} was graded for the course {begun['course']!r}, and "
                              f"--course says {given['course']!r}. Parameters depend on it.")
        was = next((v for v in reversed(state.versions) if v["digest"] != digest), None)
        if was is None:
            click.echo("Nothing has changed: nobody has to be graded again.")
            ctx.exit(0)
        before = state.results(was["digest"])
        old = settings.into / "assignment" / was["digest"][:16]
        changed = pinned.changed(read(old), new, old, settings.assignment)
        click.echo(f"{new.id}: version {was['version']} was graded, version {new.version} is "
                   f"there now.")
        for sentence in (*changed.checks, *[f"{f} is different" for f in changed.files]):
            click.echo(f"  {sentence}")
        for sentence in changed.wording:
            click.echo(f"  {sentence} (wording)")
        if changed.points and new.version == was["version"]:
            click.echo("The version is the same: raise it in assignment.toml, so that a result "
                       "says which it was.")
            ctx.exit(2)
        click.echo(f"{len(before)} hand-ins are concerned." if changed.points else
                   "Nobody's points can change.")
        if not yes:
            click.echo("Nothing was done. With --yes they are graded again.")
            ctx.exit(0)
        try:
            with _grading.Watch() as watch:
                outcome = Cohort(settings, watch, regrade=True).run()
        except KeyboardInterrupt:
            click.echo("INTERRUPTED. What was graded is kept; the same command goes on.", err=True)
            ctx.exit(130)
    status = _grading.say(outcome, settings.into)
    lines = pinned.differences(before, outcome.results)
    click.echo(f"The points of {len(lines)} hand-ins have changed" + (":" if lines else "."))
    for line in lines:
        click.echo(f"  {line}")
    total = {r.max_score for r in before} ^ {r.max_score for r in outcome.results}
    if total:
        click.echo(f"The assignment has {new.points} points now.")
    ctx.exit(status)
