"""The command that this package adds to ``etude``: ``etude course``, a group of a file each.

Every ``etude`` command imports this package to find it, so nothing here imports NumPy or the rest
of the course before a command runs.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager

import click

from etude.backends.plugins import hookimpl


class Commands(click.Group):
    """The commands of this folder: each in a file of its name, imported when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)
                      if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        files = {m.name.replace("_", "-"): m.name for m in pkgutil.iter_modules(__path__)}
        command = getattr(importlib.import_module(f"{__name__}.{files[name]}"), files[name])
        return command if isinstance(command, click.Command) else None


class Refused(click.ClickException):
    """A request that cannot be carried out."""

    exit_code = 2


@contextmanager
def refusing() -> Iterator[None]:
    """What the course cannot do, as the command line says it."""
    from etude_check.errors import CheckError
    from etude_course.errors import CourseError

    try:
        yield
    except (CourseError, CheckError) as error:
        raise Refused(str(error)) from error


@click.group(cls=Commands)
def course() -> None:
    """The course: assignments, their checks, and grading.

    Students: list, start, check, hint, submit, progress. Those who teach: new,
    prove, build, grade, override, feedback, report, export.
    """


@hookimpl
def etude_commands() -> list[click.Command]:
    """The command for ``etude``."""
    return [course]
