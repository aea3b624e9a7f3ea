"""Mistakes in the shipped kernels on trial: built for inspection, called on small cases of the kit.

A mutant of ``c_src/cuda`` is compiled with every file that includes it, for float32, into a library
that runs in a process of its own (calls.py). It is *found* when the lab says something, which of
the kernels as they are it does not, and *wrong* when an answer is wrong or a call does not end.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import etude
from etude_cuda.lab.build import LabError, Options, build_library
from etude_cuda.lab.events import read

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "c_src/cuda"
INCLUDE = re.compile(r'^\s*#\s*include\s*"(\w+\.cuh)"', re.M)
SECONDS = 120.0


def sources():
    """The files that are mutated: name -> text."""
    return {f.name: f.read_text() for f in sorted([*SOURCES.glob("*.cu"), *SOURCES.glob("*.cuh")])}


def users(name, texts):
    """The .cu files that a file is part of, the shortest first."""
    def includes(file, seen):
        for other in INCLUDE.findall(texts.get(file, "")):
            if other not in seen:
                seen.add(other)
                includes(other, seen)
        return seen

    found = [f for f in texts if f.endswith(".cu") and (f == name or name in includes(f, set()))]
    return sorted(found, key=lambda f: len(texts[f]))


class Shipped:
    """Trials of the shipped kernels; ``folder`` holds trees with one file changed."""

    most_users = 2  # files that are built with a mutant of a header, the shortest ones

    def __init__(self, folder):
        self.folder = Path(folder)
        self.texts = sources()
        self._whole, self._known = None, {}

    @property
    def whole(self):
        """The plugin's library built for inspection: the host's part, and what copies arrays."""
        if self._whole is None:
            self._whole = self._built(SOURCES, [SOURCES / "copy.cu",
                                                *sorted((SOURCES / "host").glob("*.cpp"))])
        return self._whole

    def _built(self, tree, files, runtime=None):
        include = Path(etude.__file__).parent / "include"
        options = Options(folders=(tree, include), defines=("ETUDE_REAL=32",))
        return build_library(files, "inspect", options, runtime=runtime).executable

    def known(self, file):
        """What the lab says of the kernels of a file as they are; their answers must be right."""
        if file not in self._known:
            verdict, found, said = self._called(SOURCES, file)
            if verdict == "wrong":
                raise RuntimeError(f"{file} as it is: {said}")
            self._known[file] = found
        return self._known[file]

    def prepare(self, name):
        """Learn what the lab says of all the files that a mutant of ``name`` is built with."""
        for file in users(name, self.texts)[:self.most_users]:
            self.known(file)

    def run(self, change, text):
        """What became of one mistake, as a dictionary."""
        start = time.perf_counter()
        tree = self.folder / change.key
        tree.mkdir(parents=True, exist_ok=True)
        for path in SOURCES.glob("*.cu*"):
            (tree / path.name).write_text(path.read_text())
        (tree / change.file).write_text(change.apply(text))
        told = {k: v for k, v in asdict(change).items() if k not in ("start", "end", "new")}
        told |= self.judged(change.file, tree)
        shutil.rmtree(tree)
        return told | {"seconds": round(time.perf_counter() - start, 1)}

    def judged(self, name, tree):
        """The verdict of the first file that notices."""
        for file in users(name, self.texts)[:self.most_users]:
            try:
                verdict, found, said = self._called(tree, file)
            except LabError as error:
                return {"verdict": "broken", "by": str(error)[-300:]}
            if found - self.known(file):
                one = sorted(found - self.known(file))[0]
                return {"verdict": "found", "by": one[0], "says": " ".join(one)}
            if verdict == "wrong":
                return {"verdict": "wrong", "by": "comparison of results", "says": said}
        return {"verdict": "survived", "by": ""}

    def _called(self, tree, file):
        """("right" or "wrong", what the lab found, what was wrong) of the kernels of one file."""
        made = self._built(tree, [tree / file], runtime=self.whole)
        events = self.folder / f"{tree.name}-{file}.jsonl"
        self.folder.mkdir(parents=True, exist_ok=True)
        said = ""
        try:
            done = subprocess.run([sys.executable, str(HERE / "calls.py"), str(self.whole),
                                   str(made)], capture_output=True, text=True, check=False,
                                  timeout=SECONDS,
                                  env=os.environ | {"LAB_EVENTS": str(events), "LAB_SEED": "1"})
            answer = json.loads(done.stdout) if done.returncode == 0 else {}
            if not answer.get("calls"):
                said = f"status {done.returncode}: {done.stderr[-300:] or 'no call was made'}"
            elif answer["wrong"]:
                said = "; ".join(answer["wrong"][:3])
        except subprocess.TimeoutExpired:
            said = f"no answer within {SECONDS:.0f} s"
        log = read(events) if events.exists() else None
        events.unlink(missing_ok=True)
        found = {(f.kind, f.scope, _kernel(log, f)) for f in log.findings} if log else set()
        return "wrong" if said else "right", found, said


def _kernel(log, found):
    launch = log.launched(found.launch)
    return launch.kernel if launch else ""
