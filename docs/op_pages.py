"""Writes the op reference from the op table: a page per family, an index with a column per backend.

Everything shown is read from TABLE, from the source of each op, from etude.h and from the
installed backends. A new op appears with the next build; there is no list to edit.
"""

import inspect
import json
import math
import re
import sys
import textwrap
from collections import defaultdict
from contextlib import suppress
from html import escape

import numpy as np

import calculator
from etude.backends import plugins
from etude.backends.native import signature as native
from etude.backends.native.kernel import SUFFIX
from etude.commands import facts
from etude.core.errors import BackendError
from etude.core.table import TABLE
from etude.functional import signature


def write(folder, theirs):
    """Write ``folder``.md, the table, and a page for each family into ``folder``; leave unchanged
    pages alone. ``theirs``: name of an op -> its names in PyTorch.
    """
    families = defaultdict(list)
    for op in TABLE.values():
        families[op.family].append(op)
    columns = _columns()
    pages = {page(name): _family(name, ops, columns, theirs) for name, ops in families.items()}
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        replace(folder / f"{name}.md", text)
    replace(folder.with_suffix(".md"), _index(families, columns, folder.name, theirs))


def page(family):
    """The name of a family's page. That of the family ``index`` must not be index: a web server
    shows index.html to whoever asks for the folder.
    """
    return f"{family}_ops"


def replace(path, text):
    """Write a page, unless it says this already: Sphinx reads a page again when it is newer."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _columns():
    """The accelerators active where the docs are built: name -> Column."""
    columns = {}
    for name in plugins.registry().backends:
        with suppress(BackendError):
            columns[name] = plugins.registry().load(name)
    return columns


def _index(families, columns, folder, theirs):
    public = sum(not op.internal for op in TABLE.values())
    lines = [
        "# Ops",
        "",
        f"The table: {public} public ops and the {len(TABLE) - public} backward and optimiser-step "
        "ops behind them, one row each. The reference is always there and is the definition; a dot "
        "marks a backend that brings its own version. Where there is none, the reference stands in "
        "and the receipt says so.",
        "",
        _finder(theirs),
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *(f"{folder}/{page(name)}" for name in sorted(families)),
        "```",
    ]
    for name, ops in sorted(families.items()):
        heads = ["op", "differentiable", "reference", *columns]
        lines += [
            "",
            f"## [{name}]({folder}/{page(name)}.md)",
            "",
            _title(ops),
            "",
            "{.op-index}",
            "| " + " | ".join(heads) + " |",
            "|" + " --- |" + " --- |" + " :-: |" * (len(heads) - 2),
        ]
        for op in ops:
            marks = ["●", *("●" if op.name in c.ops else "" for c in columns.values())]
            lines.append(
                f"| [`{signature(op)}`]({folder}/{page(name)}.md#{_anchor(op)}) | {_times(op)} | "
                + " | ".join(marks)
                + " |"
            )
    return "\n".join(lines) + "\n"


def _finder(theirs):
    """A field that leaves the rows whose op has a name with these letters, here or in PyTorch."""
    names = {op: " ".join(theirs.get(op, ())) for op in TABLE}
    return (f'<input class="op-finder" type="search" '
            f'placeholder="Find an op, also by its PyTorch name" '
            f'data-names="{escape(json.dumps(names))}" hidden>')


def _family(name, ops, columns, theirs):
    module = sys.modules[ops[0].reference.__module__]
    lines = [f"# {name} ops", "", _prose(inspect.getdoc(module))]
    for op in ops:
        lines += ["", f"({_anchor(op)})=", f"## {op.name}", ""]
        lines += [_prose(inspect.getdoc(op.reference)), ""]
        lines += [f"`{'etude.ops' if op.internal else 'etude.functional'}.{signature(op)}`", ""]
        lines += [f"{key}\n: {value}\n" for key, value in _facts(op, columns, theirs)]
        if not op.internal:
            lines += [calculator.box(op), ""]
        if op.conventions:
            lines += ["By convention:", "", "```python", *map(str, op.conventions), "```", ""]
        lines += ["```python", _source(op.reference)]
        for rule in filter(None, (op.rule, op.composite_rule)):
            lines += ["", "", _source(rule)]
        lines += ["```"]
        if native.has_signature(op):
            lines += _in_c(op, columns)
    return "\n".join(lines) + "\n"


def _facts(op, columns, theirs):
    """What the table knows of the op, as (what, markdown)."""
    if names := theirs.get(op.name):
        yield "In PyTorch", ", ".join(f"`{name}`" for name in names)
    yield "Differentiable", _linked(facts.differentiable(op))
    if example := facts.example(op):
        call = ", ".join(f"{name} `{spec}`" for name, spec in example.arrays.items())
        yield "Cost", f"{example.flops:,} FLOP and {example.bytes:,} bytes for {call}"
    if op.outputs[1:]:
        visible = "all visible" if op.outputs[0].startswith("*") else "only the first is public"
        yield "Outputs", ", ".join(f"`{n}`" for n in op.outputs) + f" ({visible})"
    if op.saves:
        yield "Kept for the gradient", ", ".join(f"`{n}`" for n in op.saves)
    if op.alias:
        yield "In place", ", ".join(f"`{o}` may be written into `{i}`" for o, i in op.alias.items())
    have = [f"`{name}`" for name, column in columns.items() if op.name in column.ops]
    yield "Columns", ", ".join(["the reference", *have])


def _times(op):
    n = facts.times(op)
    return {0: "no", 1: "once", 2: "twice", math.inf: "any order"}.get(n) or f"{n:.0f} times"


def _linked(text):
    """The internal ops that a sentence names, as links."""
    return re.sub(
        r"\b\w+\b",
        lambda m: f"[`{m[0]}`]({page(TABLE[m[0]].family)}.md#{_anchor(TABLE[m[0]])})"
        if m[0] in TABLE and TABLE[m[0]].internal
        else m[0],
        text,
    )


def _in_c(op, columns):
    """The prototype of a kernel, the comment over its function type, and what the numbers are.

    Shown is float32, or the first dtype that a column has a kernel for.
    """
    text = native.signature(op, _suffix(op, columns))
    yield from ["", "In C, by `etude.h`:", "", "```c", f"{native.comment(op)}\n{text};", "```", ""]
    for name, words in native.meanings(op):
        yield f"- `{name}`: {f'`{words}`' if name == 'layout' else words}"


def _suffix(op, columns):
    """f32, or what stands for the first dtype of which some column has a kernel of ``op``."""
    for column in columns.values():
        dtypes = column.dtypes.get(op.name, ("float32",))
        if "float32" not in dtypes:
            return SUFFIX[np.dtype(dtypes[0])]
    return "f32"


def _anchor(op):
    return "op-" + op.name.replace("_", "-")


def _title(ops):
    module = sys.modules[ops[0].reference.__module__]
    return _inline(inspect.getdoc(module).split("\n\n")[0].replace("\n", " "))


def _source(function):
    return textwrap.dedent(inspect.getsource(function)).rstrip()


def _inline(text):
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text, quote=False))


def _prose(doc):
    """A docstring as HTML, since formulas use * and _ freely: paragraphs, and indented lines."""
    blocks = []
    for block in doc.split("\n\n"):
        kept = block.startswith(" ") or "\n  " in block
        tag = "pre" if kept else "p"
        blocks.append(f'<{tag} class="doc">{_inline(block)}</{tag}>')
    return "\n\n".join(blocks)
