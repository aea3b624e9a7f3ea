"""Writes what the page "Speed" shows: tables and a picture, from the JSON of ``etude bench``.

``docs/measure_speed.sh`` measures and writes the JSON, one file for each kind, and they are
committed. No figure on the page is typed by hand.
"""

from pathlib import Path

from etude.bench import memory, report
from etude.bench.report import Report
from op_pages import replace

HERE = Path(__file__).parent
KINDS = {"steps": "Training steps", "memory": "Memory", "inference": "Inference", "ops": "Ops"}
MEMORY = ("The most memory that the first steps of training take, less what the process had with "
          "the model in it: the median of three processes for each side. What a library loads when "
          "it is first called counts. The arena is where the results in between of the captured "
          "step are; no arena is smaller than the live bound.")


def write(folder):
    """``speed_table.md`` and ``speed.svg`` in ``folder``."""
    files = {kind: HERE / f"speed-{kind}.json" for kind in KINDS}
    found = {kind: Report.read(path) for kind, path in files.items() if path.exists()}
    text = "\n\n".join(section(kind, made) for kind, made in found.items())
    replace(folder / "speed_table.md", f"{text or 'Nothing was measured yet.'}\n")
    drawn = [found[kind] for kind in ("steps", "inference") if kind in found]
    report.save(drawn, folder / "speed.svg")


def section(kind, made):
    """A heading, when and where, what follows, and the table."""
    if kind == "memory":
        return f"## {KINDS[kind]}\n\n{made.where}\n\n{MEMORY}\n\n{memory.markdown(made.rows)}"
    said = " ".join(report.means(made))
    table = ops_table(made) if kind == "ops" else f"{report.markdown(made)}\n\n{notes(made)}"
    return f"## {KINDS[kind]}\n\n{made.where}\n\n{said}\n\n{table}".rstrip()


def notes(made):
    """Who was left out and why, and what was not judged: a line for each race."""
    said = [f"- {row.work}: {line}" for row in made.rows for line in report.verdicts(row)
            if line.startswith(("Without", "Nothing", "The rest"))]
    return "\n".join(said)


def ops_table(made):
    """A line for each op: PyTorch's time over Etude's at each size, and what is not judged."""
    lines = ["How many times as fast as PyTorch, at about 1 thousand, 65 thousand and a million "
             "elements:", "", "| op | small | medium | large |", "| --- | ---: | ---: | ---: |"]
    ops = {}
    for row in made.rows:
        cell = next(iter(row.left_out.values()), "")
        for lead in row.leads:
            cell = "not judged" if lead.why else f"{lead.value:.2f}"
        ops.setdefault(row.work.partition(" ")[0], []).append(cell)
    lines += [f"| `{name}` | {' | '.join(cells)} |" for name, cells in ops.items()]
    return "\n".join(lines)
