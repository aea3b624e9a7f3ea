"""One mistake on trial: the program with it is built, run and watched in the lab.

A mistake is *found* when the lab says something that it does not say of the program as it is,
*wrong* when the program itself notices that its results are wrong, or does not come to its end,
and *broken* when it does not compile. Else it has *survived*.
"""

import shutil
import time
from dataclasses import asdict
from pathlib import Path

from etude_cuda.zoo.score import watch

SECONDS = 40.0  # the slowest of the programs needs two


class Trials:
    """Programs of one folder, and what the lab says of them as they are."""

    def __init__(self, programs, folder):
        self.programs, self.folder = Path(programs), Path(folder)
        self._known = {}

    def known(self, file):
        """What the lab finds in a program without a mistake; it must end well."""
        if file not in self._known:
            seen = watch(self.programs / file, seconds=SECONDS)
            if seen.trouble or seen.status:
                raise RuntimeError(f"{file} as it is: {seen.trouble or seen.output}")
            self._known[file] = {(f.kind, f.scope, f.lines) for f in seen.found}
        return self._known[file]

    prepare = known

    def run(self, change, text):
        """What became of one mistake, as a dictionary."""
        start = time.perf_counter()
        place = self.folder / change.key
        place.mkdir(parents=True, exist_ok=True)
        for header in self.programs.glob("*.cuh"):
            shutil.copy(header, place)
        (place / change.file).write_text(change.apply(text))
        seen = watch(place / change.file, seconds=SECONDS)
        shutil.rmtree(place)
        told = {k: v for k, v in asdict(change).items() if k not in ("start", "end", "new")}
        return told | self.judge(change.file, seen) | {
            "seconds": round(time.perf_counter() - start, 1)}

    def judge(self, file, seen):
        """The verdict on what was seen, and by what it is known."""
        new = [f for f in seen.found if (f.kind, f.scope, f.lines) not in self.known(file)]
        if "does not compile" in seen.trouble:
            return {"verdict": "broken", "by": seen.trouble[-300:]}
        if new:
            return {"verdict": "found", "by": new[0].kind, "says": str(new[0])}
        if seen.trouble or seen.status:
            return {"verdict": "wrong", "by": seen.trouble or "the program's own check"}
        return {"verdict": "survived", "by": ""}
