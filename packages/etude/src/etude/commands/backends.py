"""``etude backends``: the matrix of what is installed, and what is wrong with it.

Every backend is loaded, each under its own guard, so that a broken one is a line of the matrix and
not the end of it. ``Plugin`` (``backends/plugins.py``) says what the states mean.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import click
from rich.console import Console
from rich.text import Text

import etude
from etude.backends.plugins import INTERFACE, Plugin, registry
from etude.commands.show import (
    SHORT,
    console,
    countable,
    describe,
    grid,
    print_json,
    reference_dtypes,
)
from etude.core.errors import BackendError

COLOURS = {"active": "green", "unavailable": "yellow", "broken": "red", "blocked": "yellow"}


@dataclass
class Line:
    """One backend, or one plugin that offers none. ``reason`` says why a state is not active."""

    plugin: str
    version: str
    state: str
    reason: str = ""
    traceback: str = ""
    backend: str | None = None
    device: str | None = None
    isa: str | None = None
    threads: int | None = None
    ops: dict[str, list[str]] = field(default_factory=dict)  # op -> dtypes; [] where not stated


def lines() -> list[Line]:
    """The reference, then every plugin with each of its backends, loaded."""
    ops = {op.name: list(reference_dtypes(op)) for op in countable()}
    found = [Line("etude", etude.__version__, "active", backend="reference", device="cpu",
                  isa=describe(()), ops=ops)]
    for plugin in registry().plugins:
        offered = [_backend(plugin, info.name, info.device) for info in plugin.backends]
        found.extend(offered)
        all_work = all(line.state == "active" for line in offered)
        if not offered or (plugin.state != "active" and all_work):  # nothing says what is wrong
            found.append(_plugin(plugin))
    return found


def _plugin(plugin: Plugin) -> Line:
    return Line(plugin.name, plugin.version, plugin.state, plugin.reason, plugin.detail)


def _backend(plugin: Plugin, name: str, device: str) -> Line:
    """A backend, loaded; if it does not load, the reason."""
    line = Line(plugin.name, plugin.version, "active", backend=name, device=device)
    try:
        loaded = registry().load(name)
    except BackendError:
        line.state, line.reason, line.traceback = plugin.trouble[name]
    else:
        line.isa, line.threads = loaded.isa, loaded.threads
        line.ops = {op.name: list(loaded.dtypes.get(op.name, ())) for op in countable()
                    if op.name in loaded.ops}
    return line


def _dtypes(line: Line) -> str:
    """How many ops there are for each dtype, where the backend says: "f32 52  f64 52"."""
    count = Counter(d for dtypes in line.ops.values() for d in dtypes)
    words = [f"{SHORT[d]} {count[d]}" for d in SHORT if count[d]]
    if line.ops and not words:
        return "not stated"
    pairs = [words[i : i + 2] for i in range(0, len(words), 2)]
    return "\n".join("  ".join(f"{w:<7}" for w in pair) for pair in pairs)


def _show(found: list[Line], to: Console, verbose: bool) -> None:
    table = grid("backend", "state", "device", "ISA", "threads", "ops", "dtypes",
                 right=("threads", "ops"))
    total = len(countable())
    for line in found:
        name = Text(line.backend or "-", "bold")
        name.append(f"\n{line.plugin} {line.version}", "not bold dim")
        state = Text(line.state, COLOURS.get(line.state, ""))
        share = f"{len(line.ops)}/{total}" if line.ops else "-"
        table.add_row(name, state, line.device or "-", line.isa or "-",
                      str(line.threads or "-"), share, _dtypes(line) or "-")
    to.print(table)
    to.print("\nUnder each backend stand the plugin that offers it and its version. Views "
             "(reshape, slice, ...) belong to the array type and are not counted.", style="dim")
    for line in found:
        if line.state != "active":
            what = f"backend {line.backend!r} of plugin" if line.backend else "plugin"
            to.print(Text.assemble("\n", (line.state, "bold"),
                                   f": {what} {line.plugin!r} {line.version}"))
            to.print(Text(textwrap.indent(textwrap.fill(line.reason, to.width - 4), "    ")))
            if line.traceback and verbose:
                to.print(Text(textwrap.indent(line.traceback.rstrip(), "    "), "dim"))
            elif line.traceback:
                to.print(Text("    'etude backends --verbose' shows the traceback", "dim"))
    if len(found) == 1:
        to.print("\nNo accelerator is installed. The C kernels: pip install etude-cpu")


def as_json(found: list[Line]) -> dict[str, Any]:
    """The document that --json prints."""
    return {"etude": etude.__version__, "interface": ".".join(map(str, INTERFACE)),
            "ops": [op.name for op in countable()], "backends": [asdict(x) for x in found]}


@click.command(epilog="\b\nExamples:\n  etude backends --verbose     with the traceback of what is "
                      "broken\n  ETUDE_PLUGINS= etude backends    with every plugin blocked")
@click.option("--json", "json_", is_flag=True, help="For programs: every op with its dtypes.")
@click.option("--verbose", is_flag=True, help="Show the traceback of what is broken.")
def backends(json_: bool, verbose: bool) -> None:
    """List the backends: state, device, instruction set, threads, ops.

    \b
    active       it works
    unavailable  it is installed, but cannot run here; the reason says why
    broken       it fails; the reason says how
    blocked      the allow-list ETUDE_PLUGINS leaves it out
    """
    found = lines()
    if json_:
        print_json(as_json(found))
    else:
        _show(found, console(), verbose)
