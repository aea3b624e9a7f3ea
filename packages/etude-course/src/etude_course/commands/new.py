"""``etude course new``: an assignment of your own, from a template."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("assignment")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def new(assignment: str, folder: Path | None) -> None:
    """Write a small assignment called ASSIGNMENT (X1) into FOLDER, to be changed.

    It can be proven as it is. Its comments say what each part is for.
    """
    from etude_course.author.new import new as write
    from etude_course.commands import refusing

    folder = folder or Path(assignment.lower())
    with refusing():
        for path in write(assignment, folder):
            click.echo(f"Wrote {path}")
    click.echo(f"Next: etude course prove {folder}")
