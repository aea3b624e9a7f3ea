"""One mutant on trial: built for float32 first, then for the rest, at smoke, then at full.

A mutant is *killed* when the kit fails it where it passes the kernels as they are, *same* when the
compiler makes the same code of it, *broken* when it does not compile; else it has *survived*.
"""

import os
import time
from dataclasses import asdict
from pathlib import Path

import build as builder

from etude_check.cases.spec import KINDS
from etude_check.engine import check
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate
from etude_check.worker.parent import end_with_parent

REST = ("f64", "i64", "b8")
SERIAL = tuple(f for f in KINDS if f != "threads")
SECONDS = 3.0  # a call; the slowest of the honest kernels needs 0.1


class Trials:
    """Trials in one process, with a folder of its own."""

    def __init__(self, folder):
        self.build = builder.Build(Path(folder) / "build")
        self.folder = Path(folder) / f"tree-{os.getpid()}"
        self.whole = self.build.folder / f"libetude_cpu_{self.build.isa}.so"
        self.honest = {}  # (op, kind, level) -> cases that the unmodified kernels fail

    def ops(self, file):
        known = specs()
        return [op for op in self.build.ops(file) if op in known]

    def run(self, mutant, text, levels=("smoke", "full")):
        start = time.perf_counter()
        users = [u for u in builder.users(mutant.file) if self.ops(u)]
        tree = builder.tree(self.folder, mutant.file, mutant.apply(text))
        found = {"verdict": "same"} if users else {"verdict": "unspecified"}
        self._seen = set()
        changed, touched = {}, {}  # objects; C file -> dtypes whose object differs
        for level in levels:
            # All files for float32, where most mutants die, before any is compiled once more; and
            # several threads last, because they need workers of their own.
            for dtypes, kinds in ((("f32",), SERIAL), (REST, SERIAL),
                                     (("f32", *REST), ("threads",))):
                for user in users:
                    if level == levels[0] and not self._compile(tree, user, dtypes, changed,
                                                                touched):
                        return self._done(mutant, {"verdict": "broken"}, start)
                    if not touched.get(user, set()) & set(dtypes):
                        continue
                    found = self._check(tree, changed, user, dtypes, kinds, level)
                    if found["verdict"] == "killed":
                        return self._done(mutant, found, start)
        return self._done(mutant, found, start)

    def _done(self, mutant, found, start):
        given = {k: v for k, v in asdict(mutant).items() if k not in ("start", "end")}
        return {**given, **found, "seconds": round(time.perf_counter() - start, 1)}

    def _compile(self, tree, file, dtypes, changed, touched):
        for dtype in self.build.dtypes(file):
            if dtype in dtypes and (file, dtype) not in self._seen:
                self._seen.add((file, dtype))
                out = self.build.compile(tree, file, dtype)
                if out is None:
                    return False
                if not self.build.same(out, file, dtype):
                    changed[file, dtype] = out
                    touched.setdefault(file, set()).add(dtype)
        return True

    def _check(self, tree, changed, file, dtypes, kinds, level):
        library = self.build.link(tree, changed)
        if library is None:
            return {"verdict": "killed", "by": "link", "message": "the library cannot be linked"}
        names = [n for n in sorted({d for s in specs().values() for d in s.dtypes})
                 if ("f32" if n == "float32" else REST[0]) in dtypes]
        asked = self.ops(file), kinds, names, level
        failures = self._ask(library, *asked, stop=True).failures
        # Where the kernels as they are fail too, only a run of all cases can tell.
        if failures and self._known(failures[0], names, level):
            failures = [f for f in self._ask(library, *asked).failures
                        if not self._known(f, names, level)]
        if failures:
            first = failures[0]
            return {"verdict": "killed", "by": first.case[:120], "level": level,
                    "how": first.verdict.value, "message": first.message[:300]}
        return {"verdict": "survived"}

    def _ask(self, library, ops, kinds, names, level, stop=False):
        candidate = Candidate("library", str(library))
        return check(candidate, ops=ops, kinds=kinds, dtypes=names, level=level,
                     stop_at_first=stop, timeout=SECONDS)

    def _known(self, failure, names, level):
        """Whether the unmodified kernels fail this case too."""
        if failure.op not in specs():
            return False
        kinds = (failure.kind,) if failure.kind in KINDS else KINDS
        key = failure.op, kinds, tuple(names), level
        if key not in self.honest:
            report = self._ask(self.whole, [failure.op], kinds, names, level)
            self.honest[key] = {f.case for f in report.failures}
        return failure.case in self.honest[key]


_trials = None  # of this process of the pool


def begin(folder):
    global _trials
    end_with_parent()
    _trials = Trials(folder)


def one(mutant, text, levels):
    try:
        return _trials.run(mutant, text, levels)
    except Exception as error:  # one that breaks the kit itself is looked at by a person
        return {"key": mutant.key, "file": mutant.file, "line": mutant.line, "kind": mutant.kind,
                "before": mutant.before, "after": mutant.after, "verdict": "error",
                "message": f"{type(error).__name__}: {error}", "seconds": 0.0}
