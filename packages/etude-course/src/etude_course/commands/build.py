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
@click.option("--for", "platform", type=click.Choice(["gradescope", "prairielearn",
                                                      "classroom50"]),
              help="Make the zip that grades there instead; with the solution in it.")
@click.option("--wheels", default="wheels", show_default=True, metavar="DIR",
              type=click.Path(path_type=Path), help="With --for: the wheels of Etude, and of what "
              "it needs.")
@click.option("--secret", type=click.Path(path_type=Path), metavar="FILE", help="With --for: "
              "hidden cases are drawn from its text.")
@click.option("--course", default="", metavar="NAME", help="With --for: the name that students "
              "start with. Without it everybody has the same parameters.")
def build(folders: tuple[Path, ...], to: Path, all_: bool, platform: str | None, wheels: Path,
          secret: Path | None, course: str) -> None:
    """Make the starter, solution, handout, notebook and kit of assignments.

    FOLDERS hold an assignment.toml each. Building twice gives the same bytes.
    """
    from etude_course.author import bundle, make
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
            if platform is not None:
                path = bundle.bundle(source, platform, wheels, to, _secret(secret), course)
                click.echo(f"Wrote {path}, which has the solution in it: for the platform alone")
                continue
            for path in make.build(source, to / source.assignment.id.lower()):
                click.echo(f"Wrote {path}")
            values = source.assignment.combinations[0]
            if values:
                example = ", ".join(f"{k} {v}" for k, v in values.items())
                click.echo(f"starter, solution and handout.md are an example ({example}), and not "
                           f"to be handed out: each student's own come from the kit. In the "
                           f"notebook everybody has the same.")


def _secret(path: Path | None) -> str:
    from etude_course.errors import CourseError

    if path is None:
        raise CourseError("--secret is missing: a file with a text that nobody can guess, such as "
                          "openssl rand -hex 16 > secret")
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"the secret {path} cannot be read: {error}") from None
