"""The sweep: every definition, over everything, in every dtype of the op.

    python tests/definition --jobs 2               all ops: an hour or so
    python tests/definition --op tanh --op exp     some of them
    python tests/definition --write                and put what was measured into docs/measured.md

Ends with 1 if the reference is wrong anywhere.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

from exact import load
from judge import hold

from etude_check.specs import specs

MEASURED = Path(__file__).parents[2] / "docs/measured.md"
HEADING = "\n## How near the definition comes to exact values\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", action="append", help="only this op (may be repeated)")
    parser.add_argument("--jobs", type=int, default=1, help="processes; an op is done by one")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/measured.md")
    args = parser.parse_args()
    ops = args.op or sorted(load())
    if unknown := set(ops) - set(load()):
        parser.error(f"no definition of {', '.join(unknown)}; there are {', '.join(load())}")
    wrong = 0
    with ProcessPoolExecutor(args.jobs) as pool:
        for op, found in zip(ops, pool.map(swept, ops)):
            here = tell(op, found)
            wrong += here
            if args.write and not here:
                write(op, found)
    return 1 if wrong else 0


def swept(op):
    """What was found of an op, by dtype."""
    return {dtype: hold(op, load()[op], dtype, whole=True) for dtype in specs()[op].dtypes}


def tell(op, found):
    """Print what was found of an op; how many dtypes have wrong results."""
    for dtype, f in found.items():
        print(f"{op:32} {dtype:8} {f.calls:5} calls {f.places:8} places  {f.worst:6.3f}  {f.where}",
              flush=True)
        for sentence in f.wrong[:5]:
            print(f"    WRONG: {sentence}", flush=True)
    return sum(bool(f.wrong) for f in found.values())


def write(op, found):
    """Put the row of one op into the table of docs/measured.md, in place of the one that is there.

    ``docs/measure_bounds.py`` writes what stands above the heading.
    """
    above, _, below = MEASURED.read_text().partition(HEADING)
    rows = {line.split("`")[1]: line for line in below.splitlines() if line.startswith("| `")}
    places = sum(f.places for f in found.values())
    worst = [f"{found[d].worst:.3f}" if d in found else "" for d in ("float32", "float64")]
    rows[op] = f"| `{op}` | {places} | {' | '.join(worst)} | {date.today()} |"
    table = "\n".join(rows[op] for op in sorted(rows))
    MEASURED.write_text(f"""{above.rstrip()}
{HEADING}
The largest error of the reference over its bound, where the error is the distance to the exact
value: `python tests/definition --write`. An op whose results must be the bits of the exact value,
rounded, shows 0. softplus shows 1 at its threshold, where the formula and x are both allowed. Whole
numbers and bools are exact everywhere.

| op | results | float32 | float64 | measured |
| --- | ---: | ---: | ---: | --- |
{table}
""")


if __name__ == "__main__":
    sys.exit(main())
