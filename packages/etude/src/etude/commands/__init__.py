"""What ``etude`` can do: one file per command, and the commands that plugins add.

A command is a click command in a file of this folder named after it; nothing else lists them.
Plugins add theirs through the hook ``etude_commands``. A broken plugin costs a line of warning and
never the command line.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import reprlib
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

import etude as framework
from etude.backends.plugins import Plugin, registry
from etude.core.errors import BackendError, DeviceError, did_you_mean

INTERRUPTED = 130  # 128 + SIGINT

#: Commands of other packages of ours, which somebody may type before the package is installed.
PACKAGES = {"check": "etude-check", "zoo": "etude-check", "course": "etude-course"}

EPILOG = """\b
Examples:
  etude tour             a network learns digits, on every backend
  etude backends         what is installed, and what is wrong with it
  etude ops              the op table
  etude ops softmax      one op: formula, cost, gradient, source
  etude profile job.py   where the time of a script goes
  etude roofline         what this machine can do at most
  etude bench steps      training steps beside PyTorch and JAX
  etude gallery          an idea of each framework before this one, run

ETUDE_BACKEND=cpu chooses a backend for a whole run; ETUDE_PLUGINS=a,b loads only the plugins
named, each within ETUDE_PLUGIN_SECONDS.
"""


class Commands(click.Group):
    """The commands of this folder first, then those of plugins that load."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return own + sorted(set(plugin_commands()) - set(own))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        return own if own is not None else plugin_commands().get(name)

    def resolve_command(self, ctx: click.Context, args: list[str]
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            package = PACKAGES.get(args[0])
            if package is not None:
                raise click.UsageError(f"'etude {args[0]}' comes with the package {package}, "
                                       f"which is not installed, or did not load: pip install "
                                       f"{package}, or in a clone of Etude pip install "
                                       f"packages/{package}{registry().troubles()}", ctx)
            known = self.list_commands(ctx)
            raise click.UsageError(f"There is no command {args[0]!r}{did_you_mean(args[0], known)} "
                                   f"Known are {', '.join(known)}{registry().troubles()}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt:
            raise stopped("Stopped before it began.") from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (BackendError, DeviceError) as error:  # worded for a reader
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:  # of a command that has nothing to say about it
            raise stopped("Stopped.") from None

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **options)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            with suppress(OSError):  # what is still in the buffer of stdout has nowhere to go
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            what = error.filename or "the output"
            sys.exit(f"etude: {what} could not be written: {error.strerror}")


def stopped(sentence: str) -> click.exceptions.Exit:
    """What to raise after Ctrl-C: it ends the program with the status that shells give to it."""
    click.echo(f"\n{sentence}", err=True)
    return click.exceptions.Exit(INTERRUPTED)


def plugin_commands() -> dict[str, click.Command]:
    """Name -> command, of all plugins. What is no command, or has a name that is taken, is left out
    with a warning.
    """
    found: dict[str, click.Command] = {}
    for plugin in registry().plugins:
        for command in plugin.commands:
            wrong = unusable(command)
            if wrong:
                warn(f"plugin {plugin.name!r} offers {reprlib.repr(command)} as a command, "
                     f"{wrong}; left out")
            elif command.name in etude.commands or command.name in found:
                warn(f"plugin {plugin.name!r} offers a command {command.name!r}, but that name is "
                     f"taken; left out")
            else:
                found[command.name] = guarded(command, plugin)
    return found


def unusable(command: Any) -> str:
    """Why something cannot be a command, or "" if it can: the help must be able to list it."""
    try:
        if not isinstance(command, click.Command) or not str(command.name or "").strip():
            return "which is no click command with a name"
        if not isinstance(command.name, str):
            return "whose name is no text"
        command.get_short_help_str()
    except Exception as error:
        return f"whose help fails with {type(error).__name__}"
    return ""


def guarded(command: click.Command, plugin: Plugin) -> click.Command:
    """The same command, but an exception that it lets through names its plugin."""

    def guard(inside: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            try:
                return inside(*args, **options)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BackendError,
                    BrokenPipeError):  # the reader of a pipe left; click knows what to do
                raise
            except Exception as error:
                traceback.print_exception(error)
                raise click.ClickException(
                    f"{command.name!r} comes from the plugin {plugin.name!r} {plugin.version}, and "
                    f"failed there with {type(error).__name__}: {error}") from error

        return call

    for step in ("make_context", "invoke"):
        if step not in vars(command):
            setattr(command, step, guard(getattr(command, step)))
    return command


_warned: set[str] = set()


def warn(text: str) -> None:
    """Print a line on stderr, each text once."""
    if text not in _warned:
        _warned.add(text)
        click.echo(f"Warning: {text}", err=True)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"],
                                                            "max_content_width": 80})
@click.version_option(framework.__version__, prog_name="etude")
def etude() -> None:
    """Etude: a deep-learning framework to read, take apart and make fast.

    Every op is defined once in NumPy. Backends implement some ops faster, and
    are held against that definition. These commands show the table, the
    backends, and both at work.
    """


for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    if _module == "picture":  # no command: tour.py imports it, and the extra that it needs
        continue
    _command = getattr(importlib.import_module(f"{__name__}.{_module}"), _module, None)
    if isinstance(_command, click.Command):
        etude.add_command(_command)
