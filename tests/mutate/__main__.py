"""Automatic mutation of the C sources: how many small mistakes does the kit notice?

    python tests/mutate --seed 0 --count 300 --jobs 2        (tox -e mutate)
    python tests/mutate --file softmax.c --count 20

Mutants are drawn evenly over the files, each is built and checked, smoke first and then full.
Results are kept by mutant in --folder, so that an interrupted run goes on; survivors are tried
again with --again. The report: killed over total with a 95 % interval, and every survivor with its
explanation from explained.toml, if it has one. A survivor without one has survived.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import sys
import tomllib
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))

import build as builder
import tables
import trial
from mutants import mutants

COUNTED = ("killed", "survived")


class Results:
    """What is known of each mutant, one file each."""

    def __init__(self, folder, again):
        self.folder, self.again = Path(folder) / "results", again
        self.folder.mkdir(parents=True, exist_ok=True)

    def stamp(self, text):
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def get(self, mutant, text):
        path = self.folder / f"{mutant.key}.json"
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        fresh = found["of"] == self.stamp(text) and found["verdict"] not in ("error", "unspecified")
        return found if fresh and not (self.again and found["verdict"] == "survived") else None

    def put(self, found, text):
        found["of"] = self.stamp(text)
        (self.folder / f"{found['key']}.json").write_text(json.dumps(found, indent=1))


def drawn(texts, seed):
    """File -> its mutants in the order they are tried."""
    order = {}
    for file, text in texts.items():
        order[file] = mutants(file, text)
        random.Random(f"{seed} {file}").shuffle(order[file])
    return order


def shares(order, count):
    """How many mutants each file gives: as even as their numbers allow."""
    share = dict.fromkeys(order, 0)
    while count > 0 and any(share[f] < len(order[f]) for f in order):
        for file in sorted(order, key=lambda f: (share[f], f)):
            if count > 0 and share[file] < len(order[file]):
                share[file] += 1
                count -= 1
    return share


def run(arguments):
    """The counted mutants, and the others that were drawn on the way."""
    texts = {f: t for f, t in builder.sources().items() if arguments.file in (None, f)}
    if not texts:
        sys.exit(f"there is no file {arguments.file!r} to mutate")
    builder.Build(Path(arguments.folder) / "build").make()
    known = trial.Trials(arguments.folder)
    for file in [f for f in texts if not any(known.ops(u) for u in builder.users(f))]:
        print(f"NOT RUN    {file}: no op in it has a spec")
        del texts[file]
    order = drawn(texts, arguments.seed)
    share, queues = shares(order, arguments.count), {f: iter(o) for f, o in order.items()}
    kept, results, running = [], Results(arguments.folder, arguments.again), {}
    levels = ("smoke",) if arguments.smoke else ("smoke", "full")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, context, trial.begin, (arguments.folder,)) as pool:

        def draw(file):
            """The next mutant of a file goes to a process; known ones are taken as they are."""
            for mutant in queues[file]:
                known = results.get(mutant, texts[file])
                if known is None:
                    running[pool.submit(trial.one, mutant, texts[file], levels)] = file
                    return
                kept.append(known)
                if known["verdict"] in COUNTED:
                    return

        for i in range(max(share.values())):  # all files in turn: a run cut short is even too
            for file in share:
                if i < share[file]:
                    draw(file)
        while running:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                file, found = running.pop(done), done.result()
                results.put(found, texts[file])
                kept.append(found)
                print(tables.line(found), flush=True)
                if found["verdict"] not in COUNTED:
                    draw(file)
    return kept


def main():
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300, help="mutants that count")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--file", help="mutate this file alone: softmax.c")
    parser.add_argument("--folder", default=".mutate", help="where builds and results are kept")
    parser.add_argument("--again", action="store_true", help="try survivors again")
    parser.add_argument("--smoke", action="store_true", help="no full level for those that survive")
    parser.add_argument("--least", type=float, default=0.95,
                        help="the part that must be killed, explained ones not counted")
    arguments = parser.parse_args()
    explained = tomllib.loads((HERE / "explained.toml").read_text())
    found = tables.summary(run(arguments), explained, arguments.seed)
    folder = Path(arguments.folder)
    (folder / "mutate.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "mutate.md").write_text(tables.markdown(found))
    print("\n" + tables.markdown(found))
    sys.exit(found["score"] < arguments.least)


if __name__ == "__main__":
    main()
