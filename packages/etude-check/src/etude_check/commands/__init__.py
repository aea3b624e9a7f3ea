"""The commands that this package adds to ``etude``: ``etude check`` and ``etude zoo``.

Every ``etude`` command imports this package to find them: nothing here imports NumPy, rich or the
rest of the kit before a command runs.
"""

from __future__ import annotations

import click

from etude.backends.plugins import hookimpl
from etude_check.commands.check import check as _check
from etude_check.commands.zoo import zoo as _zoo


@hookimpl
def etude_commands() -> list[click.Command]:
    """The commands for ``etude``."""
    return [_check, _zoo]
