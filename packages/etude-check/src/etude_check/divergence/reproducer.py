"""Reproducers: a folder with one op call and a script that makes it again.

``call.npz`` has the inputs, the expected values and the bounds. ``repro.py`` needs Etude and the
column, and nothing of the kit. Only ``diagnose.py`` has them written. One call cannot show what a
column does because of *earlier* calls, such as returning a result that it has cached.
"""

from __future__ import annotations

import inspect
import shlex
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.shapes import Spec
from etude.core.table import TABLE
from etude.data.files import write_atomically

if TYPE_CHECKING:
    from etude_check.divergence.runs import Divergence

Array = np.ndarray[Any, Any]
SCRIPT, DATA = "repro.py", "call.npz"


@dataclass(frozen=True)
class Evidence:
    """The wrong call: what went in, and (expected, bound) for each output."""

    arrays: tuple[Any, ...]  # in the layouts they had
    attrs: dict[str, Any]
    expected: list[tuple[Array, Array]]
    aliases: dict[int, int]  # output buffer -> the input it is written over
    output: int


def laid(values: Array, strides: tuple[int, ...]) -> Array:
    """A copy of ``values`` with these strides (in bytes), in memory of its own."""
    steps = [(n - 1) * s for n, s in zip(values.shape, strides) if n]
    least, most = sum(min(s, 0) for s in steps), sum(max(s, 0) for s in steps)
    room = np.zeros(most - least + values.itemsize, np.uint8)
    copied = np.ndarray(values.shape, values.dtype, room, -least, strides)
    copied[...] = values
    return copied


TEMPLATE = Template('''\
"""$title

Found by etude_check.first_divergence at $where.
    python $script                 on $shown
    python $script COLUMN ...      on other columns, such as a file.py or a library.so
Exits 1 while the result is out of its bound, 0 once it is mended, 2 without a column.
"""

import sys
from math import inf, nan  # noqa: F401 - attributes may have them
from pathlib import Path

import numpy as np
from numpy import dtype  # noqa: F401

import etude

Array = np.ndarray
COLUMNS = $columns
OP, ATTRS = $op, $attrs
STRIDES = $strides  # of the inputs, in bytes; None for an array that was not given
ALIASES = $aliases  # output -> the input whose memory it is written into
OUTPUTS = $outputs


$laid


def main(columns):
    data = np.load(Path(__file__).with_name("$data"))
    given = [None if s is None else laid(data[f"input{i}"], s) for i, s in enumerate(STRIDES)]
    with etude.use(*columns, strict=True) as chosen, np.errstate(all="ignore"):
        table = chosen.table
        arrays = [None if a is None else table.upload(a) for a in given]
        attrs = dict(ATTRS)
        if ALIASES:
            fresh = [np.zeros(data[f"expected{i}"].shape, data[f"dtype{i}"].dtype)
                     for i in range(len(OUTPUTS))]
            buffers = tuple([arrays[ALIASES[i]] if i in ALIASES else table.upload(y)
                             for i, y in enumerate(fresh)])
            attrs["out"] = buffers if len(buffers) > 1 else buffers[0]
        results = table[OP](*arrays, **attrs)
        results = results if isinstance(results, tuple) else (results,)
        results = [table.download(r) for r in results]
    failed = False
    for i, (name, got) in enumerate(zip(OUTPUTS, results)):
        expected, bound = data[f"expected{i}"], data[f"bound{i}"]
        if got.dtype.kind != "f":
            got, expected = got.astype(float), expected.astype(float)
        with np.errstate(all="ignore"):
            error = np.abs(got.astype(np.float64) - expected)
            fine = (error <= bound) | (got == expected) | (np.isnan(got) & np.isnan(expected))
            excess = np.where(fine, -1.0, np.nan_to_num(error / np.maximum(bound, 1e-300), nan=inf))
        wrong = int((~fine).sum())
        if not wrong:
            print(f"{OP}: {name}: all {fine.size} elements are within their bounds")
            continue
        at = np.unravel_index(np.argmax(excess), fine.shape)
        print(f"{OP}: {name}: {wrong} of {fine.size} elements are out of their bounds, the worst "
              f"at {[int(k) for k in at]}")
        print(f"  expected  {expected[at]:.9g}\\n  got       {got[at]:.9g}\\n"
              f"  error     {error[at]:.3g}\\n  bound     {bound[at]:.3g}")
        failed = True
    return int(failed)


if __name__ == "__main__":
    chosen = sys.argv[1:] or COLUMNS
    if not chosen:
        print("the column was made in a running program; name its file: "
              "python $script my_column.py", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(chosen))
''')


def write(folder: Path, found: Divergence, evidence: Evidence, columns: list[str] | None) -> None:
    """Make ``folder`` with the script and its data. Raises FileExistsError if it is there, OSError
    if the disk is full; each file is whole or not there.
    """
    folder.mkdir(parents=True)
    data = {f"input{i}": a for i, a in enumerate(evidence.arrays) if a is not None}
    for i, (expected, bound) in enumerate(evidence.expected):
        data |= {f"expected{i}": expected, f"bound{i}": bound}
    results = TABLE[found.op].check(evidence.arrays, evidence.attrs)
    results = (results,) if isinstance(results, Spec) else results
    data |= {f"dtype{i}": np.empty(0, s.dtype) for i, s in enumerate(results)}
    packed = BytesIO()
    np.savez_compressed(packed, **data)
    write_atomically(folder / DATA, packed.getvalue())
    names = TABLE[found.op].outputs
    outputs = [f"{names[0][1:]}[{i}]" for i in range(len(results))] if names[0].startswith(
        "*") else list(names)
    text = TEMPLATE.substitute(
        title=f"{found.op} on {found.column}: out of its bound. {found.asked}"[:400],
        laid=inspect.getsource(laid).rstrip(),
        where=found.where.replace("\\", "/"), script=SCRIPT, data=DATA,
        shown=shlex.join(columns) if columns else "the columns named",
        columns=repr(columns or []), op=repr(found.op), attrs=repr(evidence.attrs),
        strides=repr([None if a is None else np.asarray(a).strides for a in evidence.arrays]),
        aliases=repr(evidence.aliases), outputs=repr(outputs))
    write_atomically(folder / SCRIPT, text.encode())
