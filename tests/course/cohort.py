"""Grades a class of 300, killed twice on the way, and says what came of it. Not part of the tests.

    python tests/course/cohort.py --size 300 --assignment tutorials/a2-elementwise

Solutions, starters, named and automatic mutants, in Python and C, one in ten hanging or crashing.
It fails when something was lost or graded twice, when a named mutant loses other checks than it
names, when a solution loses any, and when fewer than 95 % of the automatic mutants lose points.
"""

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import made_handins
import runs_grading as runs

from etude_course.source.source import Source

LEAST = 0.95  # of the automatic mutants lose points
MINUTES = 15


def main():
    asked = arguments()
    top = Path(asked.into or tempfile.mkdtemp(prefix="cohort-"))
    source = Source.read(asked.assignment)
    made = made_handins.class_for(source, asked.size, asked.seed)
    shutil.rmtree(top / "in", ignore_errors=True)
    made_handins.write(top / "in", made)
    (top / "class.csv").write_text(made_handins.roster(made))
    command = runs.command(top / "in", asked.assignment, top / "out", "--jobs", str(asked.jobs),
                           "--executor", asked.executor, "--roster", str(top / "class.csv"))
    print(f"{asked.size} hand-ins: {dict(Counter(m.kind.split()[0] for m in made))}", flush=True)
    wrong, start = [], time.monotonic()
    for count in (asked.size // 5, asked.size // 2)[:asked.kills]:
        below = runs.kill_after(command, top / "out", count)
        print(f"killed after {len(runs.graded(top / 'out'))}", flush=True)
        wrong += [f"process {p} lives on" for p in runs.still_there(below)]
    status, said = runs.finish(command)
    seconds = time.monotonic() - start
    processor = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(said)
    wrong += [f"the status is {status}"] * bool(status) + judged(made, top / "out")
    wrong += [f"graded twice: {key}" for key in runs.twice(top / "out")]
    print(f"{seconds:.0f} s, {processor:.0f} s of processor time in those that were not killed")
    if seconds > MINUTES * 60:
        print(f"That is more than {MINUTES} minutes.")
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    sys.exit(bool(wrong))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--assignment", type=Path, default=Path("tutorials/a2-elementwise"))
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2, choices=(0, 1, 2))
    parser.add_argument("--executor", default="local")
    parser.add_argument("--into", help="A folder to keep. [default: a new one]")
    return parser.parse_args()


def judged(made, out):
    """What is not as it should be; prints what each kind of hand-in scored."""
    found = {r["student"]: r for r in runs.results(out)}
    wrong, kinds, caught = [], defaultdict(Counter), Counter()
    for each in made:
        result = found.get(each.student)
        if result is None:
            wrong.append(f"{each.student} was lost")
            continue
        lost = runs.lost(result)
        kinds[each.kind][f"{result['score']}/{result['max_score']}"] += 1
        if each.loses is not None and lost != set(each.loses):
            wrong.append(f"{each.student} ({each.kind}) lost {sorted(lost)}, and not "
                         f"{sorted(each.loses)}: " + " ".join(
                             f"{c['id']}: {c['status']} {c['message']}" for c in result["checks"]
                             if c["id"] in lost ^ set(each.loses)))
        if each.kind.startswith("changed"):
            caught[bool(lost)] += 1
            if not lost:
                print(f"no points lost by {each.student}:\n{each.files}")
        if each.kind in ("hanging", "crashing") and not lost:
            wrong.append(f"{each.student} ({each.kind}) lost nothing")
    for kind, scores in sorted(kinds.items()):
        print(f"{kind:28} {dict(scores)}")
    share = caught[True] / max(1, sum(caught.values()))
    print(f"{caught[True]} of {sum(caught.values())} automatic mutants lost points "
          f"({100 * share:.1f} %)")
    if share < LEAST:
        wrong.append(f"that is less than {100 * LEAST:.0f} %")
    return wrong


if __name__ == "__main__":
    main()
