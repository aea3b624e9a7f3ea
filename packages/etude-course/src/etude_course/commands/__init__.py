"""The command that this package adds to ``etude``: ``etude course``, a group of a file each.

Every ``etude`` command imports this package to find it, so nothing here imports NumPy or the rest
of the course before a command runs.
"""

from __future__ import annotations

import importlib
import pkgutil

import click

from etude.backends.plugins import hookimpl


class Commands(click.Group):
    """The commands of this folder: each in a file of its name, imported when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_files())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        file = _files().get(name)
        if file is None:
            return None
        command = getattr(importlib.import_module(f"{__name__}.{file}"), file)
        return command if isinstance(command, click.Command) else None


def _files() -> dict[str, str]:
    """Command -> file: "dry-run" is in a file dry_run, and what would be a keyword ends in _."""
    return {m.name.rstrip("_").replace("_", "-"): m.name for m in pkgutil.iter_modules(__path__)
            if not m.name.startswith("_")}


@click.group(cls=Commands)
def course() -> None:
    """The course: assignments, their checks, and grading.

    Students: list, start, check, hint, submit, progress. Those who teach: new,
    prove, build, grade, report, export.
    """


@hookimpl
def etude_commands() -> list[click.Command]:
    """The command for ``etude``."""
    return [course]
