"""Grades one hand-in, in a process of its own: ``python -m etude_course.grade.one``.

The job comes as JSON on stdin, the result goes as JSON to the descriptor that was stdout. Stdin
stays open as long as somebody waits for the result: when it ends (the grader was killed), so does
this process, with the workers that it started. ``grade`` is the other side, and what every executor
calls, on this machine or on another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from etude_course.record import Result

_live: set[subprocess.Popen[bytes]] = set()
_stopping = threading.Event()
SPARE = 60.0  # seconds that starting, compiling and judging may take beside the answer's own


@dataclass(frozen=True)
class Job:
    """A hand-in to be graded, as plain data that can go to another machine."""

    assignment: str  # its folder
    folder: str  # with the files of the hand-in
    student: str
    members: list[str] = field(default_factory=list)
    course: str = ""  # parameters are drawn from it
    seed: str = ""  # hidden cases are drawn from it
    kit: str = ""  # a file; else the kit is made from the assignment
    timed: list[str] = field(default_factory=list)  # these speed checks alone; else all but them
    limit: float = 30.0  # seconds


def grade(job: Job) -> dict[str, Any]:
    """The Result, as JSON, or {"trouble": sentence} when the grader itself failed. Never raises for
    what a hand-in does.
    """
    if _stopping.is_set():
        return {"trouble": "the run was stopped"}
    # -P: a numpy.py among the hand-ins, where somebody started this, is not ours.
    command = [sys.executable, "-P", "-m", "etude_course.grade.one"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=_environment(),
                          start_new_session=True) as process:
        _live.add(process)
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it ended before it read; what it said tells why
                process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
                process.stdin.flush()
            out, err, late = _replies(process, job.limit + SPARE)
        finally:
            _live.discard(process)
            _end(process)
    if late:
        return {"trouble": f"grading took more than {job.limit + SPARE:.0f} s and was stopped"}
    try:
        answer = json.loads(out)
    except ValueError:
        last = err.decode(errors="replace").strip().rpartition("\n")[2]
        return {"trouble": f"the grader ended with status {process.returncode}: {last}"}
    return answer if isinstance(answer, dict) else {"trouble": "the grader made no sense"}


@contextmanager
def at_work() -> Iterator[None]:
    """When the block is left by an exception (Ctrl-C), every hand-in that this process has at work
    is ended, and no other is begun.
    """
    _stopping.clear()
    try:
        yield
    except BaseException:
        _stopping.set()
        for process in list(_live):
            process.terminate()
        raise


def _environment() -> dict[str, str]:
    """So that a child finds this package where this process has it."""
    package = Path(__file__).parents[2]
    if package.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    paths = [os.environ.get("PYTHONPATH", ""), str(package)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}


def _replies(process: subprocess.Popen[bytes], limit: float) -> tuple[bytes, bytes, bool]:
    """What it wrote. Its stdin stays open meanwhile, which ``communicate`` would close."""
    parts: dict[str, bytes] = {}

    def drain(name: str, stream: Any) -> None:
        parts[name] = stream.read()

    readers = [threading.Thread(target=drain, args=pair, daemon=True)
               for pair in (("out", process.stdout), ("err", process.stderr))]
    for reader in readers:
        reader.start()
    late = False
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        late = True
        _end(process)
    for reader in readers:
        reader.join()
    return parts["out"], parts["err"], late


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started, whatever state it is in. First it may tidy up."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# ------------------------------------------------------------------ in the process of its own


def _watch(stop: Any) -> None:
    """Ask this process to end when the grader has gone."""
    while os.read(0, 4096):
        pass
    stop()


def _stopped(number: int, frame: Any) -> None:
    raise KeyboardInterrupt  # so that every `with` on the way ends its workers


def run(job: Job) -> Result:
    """Raises CourseError for an assignment that cannot be read."""
    from etude_course.kit.kit import Kit
    from etude_course.run.run import run as run_checks
    from etude_course.source.source import Source

    source = Source.read(Path(job.assignment))
    return run_checks(source, Path(job.folder), kit=Kit.load(Path(job.kit)) if job.kit else None,
                      student=job.student, members=job.members, course=job.course, seed=job.seed,
                      timed=bool(job.timed), only=job.timed or None)


def main() -> None:
    """Read a job, write a result."""
    from etude_course.errors import CourseError

    line = sys.stdin.buffer.readline()
    answers = os.dup(1)
    os.dup2(2, 1)  # what is printed on the way is no answer
    signal.signal(signal.SIGTERM, _stopped)
    threading.Thread(target=_watch, daemon=True,
                     args=(lambda: os.kill(os.getpid(), signal.SIGTERM),)).start()
    try:
        answer = run(Job(**json.loads(line))).to_json()
    except CourseError as error:
        answer = {"trouble": str(error)}
    except KeyboardInterrupt:
        os._exit(143)
    with os.fdopen(answers, "w") as file:
        json.dump(answer, file, allow_nan=False)


if __name__ == "__main__":
    main()
