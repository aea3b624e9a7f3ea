"""Measures how near honest kernels come to their bounds, and writes what bounds.md shows.

    python docs/measure_bounds.py reference cpu zoo:torch

runs ``engine.check`` on each column in float32 and writes ``measured.md``, a table by op, and
``measured.svg``, a plot by family. It takes minutes, so the two files are committed, with their
date, and not made when the documentation is built. What ``measured.md`` has from its first heading
on is kept: ``python tests/definition --write`` writes that.
"""

import math
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path

from etude.core.table import TABLE
from etude_check.engine import check
from etude_check.report.record import Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate

HERE = Path(__file__).parent
KINDS = ("tail", "broadcast", "layout", "special", "duplicate-index", "cotangent", "large")
LEAST = 1e-3  # the left end of the plot: what is nearer to 0 is drawn there
ROW, LEFT, WIDTH = 18, 122, 560
CSS = """
  .m-text { font: 12.5px var(--font-stack--monospace, monospace);
            fill: var(--color-foreground-primary, #222); }
  .m-say { font: 12.5px var(--font-stack, sans-serif);
           fill: var(--color-foreground-secondary, #5a5c63); }
  .m-line { stroke: var(--color-background-border, #ddd); stroke-width: 1; }
  .m-bound { stroke: var(--color-foreground-primary, #222); stroke-width: 1.6; }
  .m-0 { fill: var(--color-brand-primary, #0a4bff); }
  .m-1 { fill: none; stroke: #d9730d; stroke-width: 2; }
  .m-2 { fill: none; stroke: #2e9d5b; stroke-width: 2; }
"""


def measure(target):
    """(op -> the largest error over bound among the cases that passed, number of cases)."""
    report = check(Candidate.parse(target), kinds=KINDS, dtypes=("float32",), jobs=2)
    worst, count = defaultdict(float), 0
    for r in report.records:
        if r.verdict is Verdict.PASS and r.ratio is not None:
            worst[r.op] = max(worst[r.op], r.ratio)
            count += 1
        elif r.verdict.failed:
            print(f"{target}: {r.case}: {r.verdict.value}: {r.message}", file=sys.stderr)
    return dict(worst), count


def models(op):
    """The error models of an op in words: ``Accumulate``, or ``Softmax, Exact``."""
    given = specs()[op].model
    every = given.values() if isinstance(given, dict) else [given]
    return ", ".join(dict.fromkeys(type(m).__name__ for m in every))


def table(found):
    head = " | ".join(found)
    lines = [f"| op | error model | {head} |", "| --- | --- |" + " ---: |" * len(found)]
    for op in sorted({o for worst, _ in found.values() for o in worst}):
        kind = models(op)
        if kind != "Exact":
            cells = [f"{worst[op]:.3f}" if op in worst else "" for worst, _ in found.values()]
            lines.append(f"| `{op}` | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found):
    """Families down, error over bound across on a logarithmic scale; a mark for each column."""
    worst = {t: defaultdict(float) for t in found}
    for target, (ops, _) in found.items():
        for op, ratio in ops.items():
            if models(op) != "Exact":
                family = TABLE[op].family
                worst[target][family] = max(worst[target][family], ratio)
    families = sorted({f for by in worst.values() for f in by})
    height = ROW * len(families) + 62

    def x(ratio):
        span = math.log10(max(ratio, LEAST) / LEAST) / math.log10(1 / LEAST)
        return LEFT + span * (WIDTH - LEFT - 30)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="measured-title" '
             f'xmlns="http://www.w3.org/2000/svg">',
             '<title id="measured-title">Largest error over bound of honest float32 kernels, by '
             'family of ops</title>', f"<style>{CSS}</style>"]
    bottom = height - 42
    for power in range(round(math.log10(LEAST)), 1):
        at = x(10.0**power)
        kind = "m-bound" if power == 0 else "m-line"
        parts += [f'<path class="{kind}" d="M{at:.1f} 4 V{bottom}"/>',
                  f'<text class="m-say" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">'
                  f'{"bound" if power == 0 else f"{10.0**power:g}"}</text>']
    for i, family in enumerate(families):
        y = 14 + ROW * i
        parts.append(f'<text class="m-text" x="{LEFT - 10}" y="{y + 4}" text-anchor="end">'
                     f'{family}</text>')
        for k, by in enumerate(worst.values()):
            if family in by:
                parts.append(f'<circle class="m-{k}" cx="{x(by[family]):.1f}" cy="{y}" r="'
                             f'{3.5 if k == 0 else 4 + k}"/>')
    for k, target in enumerate(found):
        at = LEFT + 140 * k
        parts += [f'<circle class="m-{k}" cx="{at}" cy="{height - 8}" r="4.5"/>',
                  f'<text class="m-say" x="{at + 10}" y="{height - 4}">{target}</text>']
    return "\n".join([*parts, "</svg>", ""])


def main(targets):
    found = {}
    for target in targets:
        found[target.removeprefix("zoo:")] = measure(target)
        write(found, targets)  # what there is, in case somebody stops it


def write(found, targets):
    counts = ", ".join(f"{t} {n}" for t, (_, n) in found.items())
    top = max((r, op, t) for t, (ops, _) in found.items() for op, r in ops.items())
    (HERE / "measured.svg").write_text(plot(found))
    asked = f"python docs/measure_bounds.py {' '.join(targets)}"
    page = HERE / "measured.md"
    _, heading, rest = page.read_text().partition("\n## ")
    page.write_text(
        f"Measured {date.today()} with `{asked}`, level full, seed 0, float32, cases of "
        f"{', '.join(KINDS)}. Cases: {counts}. The largest of all is {top[0]:.3f} ({top[1]}, "
        f"{top[2]}). Exact ops, whose bound is 0, are left out.\n\n{table(found)}\n"
        f"{heading}{rest}")


if __name__ == "__main__":
    main(sys.argv[1:])
