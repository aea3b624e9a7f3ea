"""What ``etude`` can do: one file per command, and the commands that plugins add.

A command is a click command in a file of this folder named after it; nothing else lists them.
Plugins add theirs through the hook ``etude_commands``. A broken plugin costs a line of warning and
never the command line.
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from typing import Any

import click

import etude as framework
from etude.backends.plugins import Plugin, registry
from etude.core.errors import BackendError, DeviceError, did_you_mean

INTERRUPTED = 130  # 128 + SIGINT

EPILOG = """\b
Examples:
  etude tour             a network learns digits, on every backend
  etude backends         what is installed, and what is wrong with it
  etude ops              the op table
  etude ops softmax      one op: formula, cost, gradient, source

ETUDE_BACKEND=cpu chooses a backend for a whole run; ETUDE_PLUGINS=a,b loads only the plugins
named.
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
            known = self.list_commands(ctx)
            raise click.UsageError(f"There is no command {args[0]!r}{did_you_mean(args[0], known)} "
                                   f"Known are {', '.join(known)}", ctx)
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
            if not isinstance(command, click.Command) or not command.name:
                warn(f"plugin {plugin.name!r} offers {command!r} as a command, which is no click "
                     f"command with a name; left out")
            elif command.name in etude.commands or command.name in found:
                warn(f"plugin {plugin.name!r} offers a command {command.name!r}, but that name is "
                     f"taken; left out")
            else:
                found[command.name] = guarded(command, plugin)
    return found


def guarded(command: click.Command, plugin: Plugin) -> click.Command:
    """The same command, but an exception that it lets through names its plugin."""
    inside = command.invoke

    def invoke(ctx: click.Context) -> Any:
        try:
            return inside(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BackendError,
                BrokenPipeError):  # the reader of a pipe left; click knows what to do
            raise
        except Exception as error:
            traceback.print_exception(error)
            raise click.ClickException(
                f"{command.name!r} comes from the plugin {plugin.name!r} {plugin.version}, and "
                f"failed there with {type(error).__name__}: {error}") from error

    if "invoke" not in vars(command):
        command.invoke = invoke  # type: ignore[method-assign]
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
    try:
        _command = getattr(importlib.import_module(f"{__name__}.{_module}"), _module, None)
    except ModuleNotFoundError as _missing:  # picture.py, which is no command, needs an extra
        if _missing.name != "matplotlib":
            raise
        continue
    if isinstance(_command, click.Command):
        etude.add_command(_command)
