"""Writes the tables of the how-to on ONNX: what is read, what is written, and what differs.

All of it is in ``etude.onnx.table``, beside the ops; the counts are those that
tests/onnx/test_node_tests.py holds. Nothing here needs the package onnx.
"""

import tomllib
from pathlib import Path

from etude.core.table import TABLE
from etude.onnx import flow, record, table
from op_pages import page

COUNTS = tomllib.loads(Path(__file__).with_name("onnx_counts.toml").read_text(encoding="ascii"))

#: What the words of the counts mean.
REASONS = {"other dtypes": "float16, bfloat16, float8, small integers, unsigned ones of 32 and 64 "
                           "bits, text", "no such op": "an op that the table lacks",
           "sequences and optionals": "values that are no tensors",
           "conventions": "three spatial axes, and the rows marked *refused* below"}


def tables():
    """The counts, then a table for each direction, then the conventions, as text of a page."""
    table.fill()
    return "\n\n".join([_counts(), "### What is read", _read(), "### What is written", _written(),
                        "### Conventions that differ", _differences()]) + "\n"


def _counts():
    lines = [f"Of the {COUNTS['cases']:,} node tests of onnx {COUNTS['onnx']}, "
             f"**{COUNTS['right']:,} run and are right** within the bound of each, "
             f"{COUNTS['drawn']} draw random numbers and are right in shape and dtype, and "
             f"{COUNTS['refused']} are refused by name:", "", "| refused for | tests |",
             "| --- | ---: |"]
    lines += [f"| {REASONS[why]} | {count} |"
              for why, count in sorted(COUNTS["reasons"].items(), key=lambda item: -item[1])]
    return "\n".join(lines)


def opsets(entries):
    """ "7 on", or "6 to 10, 11 on": the versions for which there is a rule."""
    ranges = []
    for entry in sorted(entries, key=lambda e: e.since):
        first = max(entry.since, table.OLDEST)
        if entry.to is not None and entry.to < table.OLDEST:
            continue
        if ranges and ranges[-1][1] == first - 1:
            ranges[-1] = (ranges[-1][0], entry.to)
        else:
            ranges.append((first, entry.to))
    return ", ".join(_range(first, last) for first, last in ranges)


def _range(first, last):
    if last is None:
        return f"{first} on"
    return str(first) if first == last else f"{first} to {last}"


def _read():
    lines = ["| family | ONNX op and the opsets for which it is read |", "| --- | --- |"]
    families = {}
    for (_, op), entries in sorted(table.READERS.items()):
        families.setdefault(entries[0].family, []).append(f"{op} ({opsets(entries)})")
    families["control flow"] = [f"{op} ({table.OLDEST} on)" for op in sorted(flow.FLOW)]
    return "\n".join(lines + [f"| {family} | {', '.join(ops)} |"
                              for family, ops in sorted(families.items())])


def _written():
    lines = ["| opsets | Etude's ops that are written in them |", "| --- | --- |"]
    rows = {op: opsets(entries) for op, entries in table.WRITERS.items()}
    for op in record.EXPANDED:
        rows[op] = f"{rows[op]}; else by its definition" if op in rows else "by its definition"
    together = {}
    for op in sorted(rows):
        together.setdefault(rows[op], []).append(_linked(op))
    return "\n".join(lines + [f"| {opset} | {', '.join(ops)} |"
                              for opset, ops in sorted(together.items())])


def _linked(op):
    if op not in TABLE or TABLE[op].internal:
        return f"`{op}`"
    return f"[`{op}`](../ops/{page(TABLE[op].family)}.md#op-{op.replace('_', '-')})"


def _differences():
    lines = ["| op | ONNX | Etude | answer |", "| --- | --- | --- | --- |"]
    for d in sorted(table.DIFFERENCES, key=lambda d: d.op.lower()):
        cells = (d.op, d.onnx, d.etude, _answer(d.answer))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _answer(text):
    word, _, rest = text.partition(": ")
    return f"*{word}*: {rest}"
