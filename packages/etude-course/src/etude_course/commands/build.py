"""``etude course build``: what is made of an assignment's source."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--to", default="build", show_default=True, metavar="FOLDER",
              type=click.Path(path_type=Path), help="Where it is written: A2 into FOLDER/a2.")
@click.option("--all", "all_", is_flag=True, help="Install the kits of all assignments of the "
              "course into the package: for those who work on Etude itself.")
def build(folders: tuple[Path, ...], to: Path, all_: bool) -> None:
    """Make the starter, the solution, the handout and the kit of assignments.

    FOLDERS hold an assignment.toml each. Building twice gives the same bytes.
    """
    from etude_course.build import make
    from etude_course.commands import refusing
    from etude_course.errors import CourseError
    from etude_course.kit.kit import folder as installed
    from etude_course.source.source import Source

    with refusing():
        if all_ == bool(folders):
            raise CourseError("name the folders of assignments, or say --all in Etude's folder")
        for folder in folders or sorted(p.parent for p in Path("tutorials").glob(
                "a*/assignment.toml")):
            source = Source.read(folder)
            if all_:
                click.echo(f"Wrote {make.install(source, installed())}")
                continue
            for path in make.build(source, to / source.assignment.id.lower()):
                click.echo(f"Wrote {path}")
