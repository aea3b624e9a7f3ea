"""Automatic mutation of CUDA code: how many small mistakes does the lab report?

    python tests/lab/mutate --jobs 2                 (tox -e mutate-gpu)
    python tests/lab/mutate --kernels                the shipped kernels, c_src/cuda
    python tests/lab/mutate --file scan.cu --count 5

In the device code of the twelve programs, or of the shipped kernels, each barrier, fence,
__syncwarp, guard and atomic is deleted and indices are swapped, one at a time; each mutant runs in
the lab's inspect mode. It is reported if the lab finds something that it does not find in the code
as it is, or if results are wrong: those of a program by its own comparison with the CPU, those of a
kernel by comparison with what it gives without the mistake. Survivors are told with their
explanation from explained.toml; one without is a gap. Results are kept in --folder, so that a run
goes on where it was interrupted.
"""

import argparse
import hashlib
import json
import os
import random
import sys
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from changes import KINDS, changes
from shipped import Kernels
from tried import Trials

HERE = Path(__file__).parent


def drawn(texts, seed, count):
    """The mistakes to make: all of them, or some of each file in an order that the seed gives."""
    order = {file: changes(file, text) for file, text in texts.items()}
    if count is None:
        return [c for some in order.values() for c in some]
    for file, some in order.items():
        random.Random(f"{seed} {file}").shuffle(some)
    found = [c for turn in range(max(map(len, order.values()))) for some in order.values()
             for c in some[turn:turn + 1]]
    return found[:count]


def run(arguments, trials, texts, explained):
    """Every verdict, those that are known from an earlier run included."""
    folder = trials.folder.parent
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder.absolute() / "cache")  # mutants are built but once

    def one(change):
        text = texts[change.file]
        stamp = hashlib.sha256(text.encode()).hexdigest()[:12]
        kept = results / f"{change.key}.json"
        if kept.exists():
            found = json.loads(kept.read_text())
            again = (arguments.again and found["verdict"] == "survived"
                     and change.key not in explained)
            if found["of"] == stamp and not again:
                return found
        found = trials.run(change, text) | {"of": stamp}
        kept.write_text(json.dumps(found, indent=1))
        print(f"{found['verdict']:9}{found['seconds']:6.1f} s  {found['key']}  {found['file']}:"
              f"{found['line']}  {found['by'] or found['after'][:70]}", flush=True)
        return found

    with ThreadPoolExecutor(arguments.jobs) as pool:
        return list(pool.map(one, drawn(texts, arguments.seed, arguments.count)))


def markdown(found, explained):
    """The report. What is explained counts apart; what does not compile does not count."""
    counted = [f for f in found if f["verdict"] != "broken"]
    reported = [f for f in counted if f["verdict"] != "survived"]
    lived = [f for f in counted if f["verdict"] == "survived"]
    argued = [f for f in lived if f["key"] in explained]
    judged = len(counted) - len(argued)
    out = ["# Mutants of CUDA code", "",
           f"**{len(reported)} of {judged} reported ({len(reported) / max(judged, 1):.1%})**, "
           f"{len(argued)} more survived and are explained; with them {len(reported)} of "
           f"{len(counted)}. Not counted: {len(found) - len(counted)} that do not compile.", "",
           "Known by: " + ", ".join(f"{k} {n}" for k, n in Counter(
               f["by"] for f in reported).most_common()) + ".", "",
           "| mistake | reported | explained | survived |", "| --- | ---: | ---: | ---: |"]
    for kind in KINDS:
        of = [f for f in counted if f["kind"] == kind]
        n, why = sum(f in reported for f in of), sum(f in argued for f in of)
        out.append(f"| {kind} | {n} | {why} | {len(of) - n - why} |")
    out += ["", "| file | reported | explained | survived |", "| --- | ---: | ---: | ---: |"]
    for file in sorted({f["file"] for f in counted}):
        of = [f for f in counted if f["file"] == file]
        n, why = sum(f in reported for f in of), sum(f in argued for f in of)
        out.append(f"| {file} | {n} | {why} | {len(of) - n - why} |")
    for title, some in (("Survived", [f for f in lived if f not in argued]),
                        ("Explained", argued)):
        out += ["", f"## {title}"] if some else []
        for f in some:
            out += ["", f"`{f['key']}` {f['file']}:{f['line']} ({f['kind']})", "", "```diff",
                    f"- {f['before']}", f"+ {f['after']}", "```"]
            out += ["", explained[f["key"]]["why"].strip()] if f["key"] in explained else []
    return "\n".join(out) + "\n", len(reported) / max(judged, 1)


def main():
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kernels", action="store_true", help="the shipped kernels")
    parser.add_argument("--file", help="only this file: scan.cu")
    parser.add_argument("--count", type=int, help="so many, drawn evenly over the programs")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--folder", help="where results are kept, else a folder in .mutate")
    parser.add_argument("--again", action="store_true", help="try unexplained survivors again")
    parser.add_argument("--least", type=float, default=0.95,
                        help="the part that must be reported, explained ones not counted")
    arguments = parser.parse_args()
    folder = Path(arguments.folder or f".mutate/{'kernels' if arguments.kernels else 'gpu'}")
    trials = (Kernels if arguments.kernels else Trials)(folder / "tree")
    texts = {f: t for f, t in trials.texts().items()
             if arguments.file in (None, f) and changes(f, t)}
    if not texts:
        sys.exit(f"there is no file {arguments.file!r} with device code to mutate")
    explained = tomllib.loads((HERE / "explained.toml").read_text())
    found = run(arguments, trials, texts, explained)
    text, score = markdown(found, explained)
    (folder / "mutate.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "mutate.md").write_text(text)
    print("\n" + text)
    sys.exit(score < arguments.least)


if __name__ == "__main__":
    main()
