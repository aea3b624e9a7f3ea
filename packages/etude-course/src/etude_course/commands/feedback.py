"""``etude course feedback``: what each student is told, a text file each."""

from __future__ import annotations

from pathlib import Path

import click

from etude_course.commands import refusing


@click.command()
@click.argument("grading", type=click.Path(path_type=Path))
@click.option("--into", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="A folder; STUDENT.txt is written there for each.")
def feedback(grading: Path, into: Path) -> None:
    """Write for each student what failed and why, to be given back.

    GRADING is the folder that 'etude course grade' made. Points by hand are
    there with their reasons; hidden cases and remarks for those who teach are
    not. Each member of a group has a file.
    """
    from etude_course.commands.export import results_of
    from etude_course.export import text
    from etude_course.kit.progress import write_ours

    with refusing():
        results = results_of(grading)
        whose = [(member, r) for r in results for member in r.members or [r.student]]
        for member, result in whose:
            write_ours(into / f"{member}.txt", text.feedback(result))
    click.echo(f"Wrote {len(whose)} texts into {into}")
    waiting = sum(bool(r.waiting) for r in results)
    if waiting:
        click.echo(f"Answers of {waiting} of them still wait for a person.")
