"""The sweep: every definition, over everything, in float32 and float64.

    python tests/definition                        all ops; minutes for each family
    python tests/definition --op tanh --op exp     some of them
    python tests/definition --write                and put the table into docs/measured.md

Ends with 1 if the reference is wrong anywhere.
"""

import argparse
import sys
from datetime import date
from pathlib import Path

from exact import load
from judge import hold

from etude_check.specs import specs

MEASURED = Path(__file__).parents[2] / "docs/measured.md"
HEADING = "## How near the definition comes to exact values"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", action="append", help="only this op (may be repeated)")
    parser.add_argument("--thin", action="store_true", help="only what CI asks")
    parser.add_argument("--write", action="store_true", help="write docs/measured.md")
    args = parser.parse_args(argv)
    definitions = load()
    unknown = sorted(set(args.op or ()) - set(definitions))
    if unknown:
        parser.error(f"no definition of {', '.join(unknown)}; there are {', '.join(definitions)}")
    rows, wrong = [], 0
    for op in args.op or sorted(definitions):
        for dtype in specs()[op].dtypes:
            found = hold(op, definitions[op], dtype, whole=not args.thin)
            wrong += bool(found.wrong)
            rows.append((op, dtype, found))
            print(f"{op:32} {dtype:8} {found.calls:5} calls {found.places:8} places   "
                  f"{found.worst:.3f}  {found.where}", flush=True)
            print(*found.wrong[:5], sep="\n", flush=True)
    if args.write and not wrong:
        write(rows)
    return 1 if wrong else 0


def write(rows):
    """Put the table under the heading of docs/measured.md; docs/measure_bounds.py writes what is
    above.
    """
    above = MEASURED.read_text().partition("\n## ")[0].rstrip()
    MEASURED.write_text(f"{above}\n\n{HEADING}\n\n{table(rows)}\n")


def table(rows):
    """In words and rows: the largest error over bound of the reference, by op and dtype."""
    by_op = {}
    for op, dtype, found in rows:
        by_op.setdefault(op, {})[dtype] = found
    places = sum(found.places for _, _, found in rows)
    lines = [f"Measured {date.today()} with `python tests/definition --write`: the reference at "
             f"{places:,} places against exact values. Ops whose results must be the bits of the "
             f"exact value, rounded, show 0.", "",
             "| op | places | float32 | float64 |", "| --- | ---: | ---: | ---: |"]
    for op, found in by_op.items():
        cells = [f"{found[d].worst:.3f}" if d in found else "" for d in ("float32", "float64")]
        lines.append(f"| `{op}` | {sum(f.places for f in found.values()):,} | "
                     f"{' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
