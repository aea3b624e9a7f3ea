"""Processes of a check that was killed end with it: the pool's, their candidates, the tracker."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROC = Path("/proc")
pytestmark = pytest.mark.skipif(not (PROC / "self/task").exists(),
                                reason="NOT RUN: only /proc tells the children of a process")


def state(pid):
    """(its state, when it was started), by which a process is known; None if there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def below(pid):
    """All that ``pid`` has started, and what that has started: number -> when it was started."""
    found = {}
    for path in PROC.glob(f"{pid}/task/*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            found |= {child: state(child)} | below(child)
    return found


def until(what, seconds=120):
    """The first result of ``what()`` that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("moment", ["starting", "at work"])
def test_kill_9_of_a_check_ends_all_its_processes(tmp_path, moment):
    """At work these are a tracker of Python's, two workers, and the candidate of each."""
    command = [sys.executable, "-m", "etude", "check", "reference", "--level", "full", "--jobs",
               "2"]
    least = {"starting": 3, "at work": 6}[moment]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as child:
        def busy():
            assert child.poll() is None
            found = below(child.pid)
            return found if len(found) >= least else None

        started = until(busy)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    until(lambda: not [pid for pid, when in started.items() if state(pid) == when])
