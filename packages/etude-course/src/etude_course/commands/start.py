"""``etude course start``: an assignment, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("assignment")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--student", default="", metavar="ID", help="Who you are: your id in the class. "
              "[default: as you said last]")
@click.option("--course", default="", metavar="NAME", help="The name of the course that your "
              "teacher gave you. [default: as you said last]")
def start(assignment: str, folder: Path | None, student: str, course: str) -> None:
    """Start ASSIGNMENT (A2, or a kit file of your teacher's: x1.json) in FOLDER.

    The folder is called a2 if you name none. Started again, it is brought to
    the version that is installed. What you have changed is never written over.
    """
    from etude_course.commands import refusing
    from etude_course.kit import start as starting
    from etude_course.kit.folder import NAME
    from etude_course.kit.kit import Kit
    from etude_course.kit.progress import Desk

    with refusing():
        file = assignment.endswith(".json")
        kit = Kit.load(Path(assignment)) if file else Kit.read(assignment)
        folder = folder or Path(kit.assignment.id.lower())
        if not (folder / NAME).exists():
            desk = Desk.read()
            student, course = student or desk.student, course or desk.course
        said = starting.start(kit, folder, student, course)
    a = kit.assignment
    click.echo(f"{a.id}  {a.title}: {a.points} points, in {folder}/")
    for sentence in said:
        click.echo(f"  {sentence}")
    click.echo(f"Read {folder / 'handout.md'}, write in {', '.join(a.files)}, and in that folder "
               f"type 'etude course check'.")
