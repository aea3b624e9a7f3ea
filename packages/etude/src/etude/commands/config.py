"""``etude config``: where things are, for build scripts."""

from __future__ import annotations

from pathlib import Path

import click

INCLUDE = Path(__file__).parents[1] / "include"

EXAMPLE = """\b
Example:
  cc -O2 -shared -fPIC -I"$(etude config --include)" softmax.c -o softmax.so
"""


@click.command(epilog=EXAMPLE)
@click.option("--include", is_flag=True, help="The folder that holds etude.h.")
def config(include: bool) -> None:
    """Print where Etude keeps what a compiler needs."""
    if include:
        click.echo(INCLUDE)
    else:
        click.echo(f"include  {INCLUDE}")
