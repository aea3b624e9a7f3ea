"""``etude ops``: the table, and the card of one op.

Everything is read from TABLE, from the source of the op and from the installed backends, so an
op entered anywhere is listed here with nothing edited. The docs write their op pages from the
same row (``docs/op_pages.py``).
"""

from __future__ import annotations

import inspect
import math
import os
import sys
import textwrap
from collections import defaultdict
from typing import Any

import click
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from etude.backends.native import signature as native
from etude.backends.plugins import registry
from etude.commands import backends
from etude.commands.facts import differentiable, example, times
from etude.commands.show import console, grid, print_json, reference_dtypes, short
from etude.core.errors import did_you_mean
from etude.core.table import TABLE, Op
from etude.functional import signature


def _headline(family: list[Op]) -> str:
    """The first sentence of the docstring of a family's file."""
    doc = inspect.getdoc(sys.modules[family[0].reference.__module__]) or ""
    return doc.replace("\n", " ").split(". ")[0].rstrip(".")


def _doc(op: Op) -> str:
    return (inspect.getdoc(op.reference) or "").replace("``", "")


def _columns() -> list[backends.Line]:
    """The backends that work, the reference first."""
    return [line for line in backends.lines() if line.state == "active" and line.backend]


def _families() -> dict[str, list[Op]]:
    found: dict[str, list[Op]] = defaultdict(list)
    for op in TABLE.values():
        found[op.family].append(op)
    return found


# ------------------------------------------------------------------ the list


def _list(families: dict[str, list[Op]], to: Console) -> None:
    accelerators = [c for c in _columns() if c.backend != "reference"]
    width = max(len(op.name) for ops in families.values() for op in ops)
    for name, ops in sorted(families.items()):
        to.print(Text.assemble((name, "bold"), "  ", (_headline(ops), "dim")))
        table = grid("", "", "")
        table.show_header = False
        table.expand = True
        op_names, sentences, who = table.columns
        op_names.min_width = width + 2
        op_names.no_wrap = True
        sentences.ratio = 1
        sentences.no_wrap = True
        who.style = "green"
        for op in ops:
            also = ", ".join(str(c.backend) for c in accelerators if op.name in c.ops)
            first = Text(_doc(op).split("\n")[0], overflow="ellipsis")
            table.add_row(Text("  " + op.name), first, also)
        to.print(table)
        to.print()
    names = ", ".join(str(c.backend) for c in accelerators) or "no accelerator is active"
    to.print(f"{sum(map(len, families.values()))} ops. The reference has them all; on the right, "
             f"who else does ({names}).\n'etude ops NAME' shows one op: formula, cost, gradient, "
             f"source.")


# ------------------------------------------------------------------ the card


def _dtypes(op: Op, array: str) -> list[str]:
    """The dtypes an array may have. One with several of its own is bool, or like the others."""
    if array not in op.fixed:
        return list(reference_dtypes(op))
    only = op.fixed[array]
    return ["bool", *reference_dtypes(op)] if only is None else [only.name]


def card(op: Op) -> dict[str, Any]:
    """All that is known of an op, as the JSON form prints it."""
    call = example(op)
    path, line = _place(op)
    return {
        "name": op.name,
        "family": op.family,
        "class": op.cls,
        "signature": signature(op),
        "internal": op.internal,
        "doc": _doc(op),
        "arrays": {a: {"dtypes": _dtypes(op, a), "optional": a in op.optional}
                   for a in op.arrays},
        "attributes": {name: _about(op, name) for name in op.attrs},
        "outputs": list(op.outputs),
        "saves": list(op.saves),
        "alias": op.alias,
        "conventions": list(map(str, op.conventions)),
        "gradient": op.rule is not None,
        "composite": op.composite_rule is not None,
        "differentiable": None if times(op) == math.inf else int(times(op)),
        "cost": None if call is None else {
            "arrays": {n: str(s) for n, s in call.arrays.items()},
            "attributes": {k: _plain(v) for k, v in call.attrs.items()},
            "flops": call.flops, "bytes": call.bytes},
        "c": None if not native.has_signature(op) else {
            "comment": native.comment(op), "signature": native.signature(op),
            "numbers": dict(native.meanings(op))},
        "backends": {str(c.backend): c.ops.get(op.name) for c in _columns()},
        "source": {"file": path, "line": line, "text": _source(op)},
    }


def _about(op: Op, attribute: str) -> dict[str, Any]:
    default = op.attrs[attribute]
    required = default is inspect.Parameter.empty
    return {"required": required, "default": None if required else _plain(default),
            "choices": list(op.choices.get(attribute, ()))}


def _plain(value: Any) -> Any:
    """``value`` as JSON has it; a dtype as its name."""
    return value if isinstance(value, (int, float, str, type(None), tuple)) else str(value)


def _place(op: Op) -> tuple[str, int]:
    code = inspect.unwrap(op.reference).__code__  # not that of np.errstate around it
    return code.co_filename, code.co_firstlineno


def _source(op: Op) -> str:
    """The source of the reference and of its rules; "" for an op typed into a session."""
    parts = []
    for function in (op.reference, op.rule, op.composite_rule):
        if function is None:
            continue
        try:
            text = inspect.getsource(function)
        except OSError:
            continue
        parts.append(textwrap.dedent(text).rstrip())
    return "\n\n".join(parts)


def _cost(op: Op, to: Table, width: int) -> None:
    call = example(op)
    if op.cls == "view":
        to.add_row("cost", "none: a view moves no data")
    elif call is not None:
        given = [f"{n} {s}" for n, s in call.arrays.items()]
        given += [f"{k}={_plain(v)}" for k, v in call.attrs.items() if v != op.attrs.get(k)]
        ratio = f" ({call.flops / call.bytes:.2g} FLOP per byte)" if call.flops else ""
        first = f"{call.flops:,} FLOP, at least {call.bytes:,} bytes{ratio} for"
        to.add_row("cost", "\n".join([first, *_lines(given, width)]))


def _lines(words: list[str], width: int) -> list[str]:
    """Words in lines of ``width``. A word may hold spaces, and no line ends within it."""
    text = ", ".join(w.replace(" ", "\0") for w in words)
    return [line.replace("\0", " ") for line in textwrap.wrap(text, width)]


def _facts(op: Op, width: int) -> Table:
    info = card(op)
    table = grid("", "")
    table.show_header = False
    table.columns[0].style, table.columns[0].no_wrap = "bold", True

    def add(name: str, words: list[str]) -> None:
        if words:
            table.add_row(name, Text("\n".join(words)))

    if signature(op) != op.signature:
        add("op", [f"{op.signature}, as a column implements it"])
    star = "*" if op.variadic else ""
    add("arrays", [star + _array(name, about) for name, about in info["arrays"].items()])
    add("attributes", [_attribute(name, about) for name, about in info["attributes"].items()])
    add("returns", _returns(op))
    if op.saves:
        add("saves", [f"{', '.join(op.saves)}, for the gradient"])
    add("out", [f"{o} may be written over {i}" for o, i in op.alias.items()])
    add("conventions", list(map(str, op.conventions)))
    add("gradient", [differentiable(op)])
    _cost(op, table, width)
    for column in _columns():
        where = f" ({column.isa})" if column.isa else ""
        if op.cls in ("view", "create"):
            add("backends", ["the array type has it, on every device"])
            break
        answer = "no: the reference stands in, and is counted"
        if op.name in column.ops:
            answer = f"yes, {short(tuple(column.ops[op.name]))}{where}"
        add(str(column.backend), [answer])
    if native.has_signature(op):
        add("C", [*native.comment(op, width - 2).split("\n"),
                  *native.signature(op, width=width - 2).split("\n"),
                  *[f"{names}: {words}" for names, words in native.meanings(op)]])
    path, line = _place(op)
    add("source", [f"{_short_path(path)}:{line}"])
    return table


def _array(name: str, about: dict[str, Any]) -> str:
    text = f"{name}: {_either(about['dtypes'])}"
    return f"{text}, may be None" if about["optional"] else text


def _attribute(name: str, about: dict[str, Any]) -> str:
    if about["required"]:
        return f"{name}: required"
    text = f"{name} = {about['default']!r}"
    return f"{text}, one of {', '.join(about['choices'])}" if about["choices"] else text


def _returns(op: Op) -> list[str]:
    first, *hidden = op.outputs
    if op.internal:
        return [", ".join(op.outputs)]
    if first.startswith("*"):
        return [f"{first.lstrip('*')}, a tuple"]
    if not hidden:
        return [first]
    return [first, f"hidden: {', '.join(hidden)} (for backward; no gradient)"]


def _either(words: list[str]) -> str:
    """("a", "b", "c") as "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _short_path(path: str) -> str:
    """The path as seen from here, if that is shorter."""
    return min(os.path.relpath(path), path, key=len)


def _show(op: Op, to: Console) -> None:
    what = "a backward or an optimiser step, not public" if op.internal else "etude.functional"
    to.print(Text.assemble((signature(op), "bold cyan")))
    to.print(Text(f"family {op.family}, class {op.cls}; {what}\n", "dim"))
    to.print(Text(_prose(_doc(op), to.width) + "\n"))
    to.print(_facts(op, to.width - 15))
    source = _source(op)
    if not source:
        to.print("\nThe source was typed into a session, so there is no file to show.")
    elif to.is_terminal:
        to.print()
        to.print(Syntax(source, "python", theme="ansi_dark", background_color="default",
                        word_wrap=True))
    else:
        click.echo("\n" + source)


def _prose(doc: str, width: int) -> str:
    """Paragraphs, indented. One with a line that is too long is broken into lines anew."""
    blocks = []
    for block in doc.split("\n\n"):
        if max(map(len, block.split("\n"))) > width - 4:
            block = textwrap.fill(" ".join(block.split("\n")), width - 4, break_on_hyphens=False)
        blocks.append(textwrap.indent(block, "    "))
    return "\n\n".join(blocks)


def _find(name: str) -> Op:
    if name not in TABLE:
        families = _families()
        hint = did_you_mean(name, TABLE)
        if name in families:
            hint = f", but a family: etude ops --family {name}."
        raise click.ClickException(f"There is no op called {name!r}{hint} "
                                   f"'etude ops' lists all {len(TABLE)}")
    return TABLE[name]


@click.command(epilog="\b\nExamples:\n  etude ops                     the table by family\n"
                      "  etude ops --family softmax    one family\n"
                      "  etude ops softmax             the card of one op\n"
                      "  etude ops softmax --json | python -m json.tool")
@click.argument("name", required=False)
@click.option("--json", "json_", is_flag=True, help="For programs.")
@click.option("--family", metavar="F", help="Only the ops of this family (a file in ops/).")
def ops(name: str | None, json_: bool, family: str | None) -> None:
    """List the ops, or show the card of the op NAME.

    A card has the signature, formula, arrays, attributes, gradient, cost, who
    implements the op, and the source of the reference.
    """
    registry()  # plugins may enter ops of their own
    families = _families()
    if family is not None and family not in families:
        raise click.ClickException(f"There is no family called {family!r}"
                                   f"{did_you_mean(family, families)} There are "
                                   f"{', '.join(sorted(families))}")
    if name is not None:
        op = _find(name)
        if json_:
            print_json(card(op))
        else:
            _show(op, console())
        return
    chosen = families if family is None else {family: families[family]}
    if json_:
        print_json([card(op) for ops in chosen.values() for op in ops])
    else:
        _list(chosen, console())
