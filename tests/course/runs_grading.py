"""Runs `etude course grade` in a process of its own, kills it, and looks at what it left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from etude_course.grade import journal

ETUDE = [sys.executable, "-P", "-m", "etude"]


def command(handins, assignment, into, *options):
    return [*ETUDE, "course", "grade", str(handins), "--assignment", str(assignment), "--into",
            str(into), *options]


def start(arguments):
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            start_new_session=True)


def finish(arguments):
    """(status, what it said)."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode, done.stdout


def graded(into):
    """The (who, submission, assignment) of every line of the journal that says graded."""
    try:
        return [(e["who"], e["submission"], e["digest"]) for e in journal.read(Path(into))
                if e["event"] == "graded"]
    except journal.CourseError:  # it has not begun
        return []


def kill_after(arguments, into, count):
    """Start grading, and kill it with SIGKILL once ``count`` hand-ins are in the journal: the pids
    of the processes it had started.
    """
    process = start(arguments)
    while len(graded(into)) < count:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    below = descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return below


def descendants(pid):
    """The processes below one, by the parents that the system knows."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found, grown = {pid}, True
    while grown:
        new = {p for p, parent in parents.items() if parent in found} - found
        found |= new
        grown = bool(new)
    return found - {pid}


def still_there(pids, seconds=20):
    """Those that live on; they have a moment to end."""
    limit = time.monotonic() + seconds
    while pids and time.monotonic() < limit:
        pids = {p for p in pids if alive(p)}
        time.sleep(0.1)
    return pids


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def twice(into):
    """What was graded more than once."""
    return [key for key, n in Counter(graded(into)).items() if n > 1]


def scores(into):
    return {r["student"]: r["score"] for r in results(into)}


def results(into):
    return [json.loads(p.read_text()) for p in sorted(Path(into, "results").glob("*.json"))]


def lost(result):
    """The ids of the checks that earned less than they could and wait for nobody."""
    return {c["id"] for c in result["checks"]
            if c["points"] < c["max_points"] and c["status"] != "waiting"}


def processor_seconds(pid):
    """How long a process has computed."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
