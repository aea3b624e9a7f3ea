"""An answer that loops for ever does not outlive the grader that is killed beside it."""

import os
import signal
import time
from pathlib import Path

import made_class
import pytest
import runs_grading as runs

if not Path("/proc/self/stat").exists():
    pytest.skip("NOT RUN: needs /proc", allow_module_level=True)


def test_a_looping_answer_ends_when_the_grader_is_killed(tmp_path):
    toml = made_class.TOML.replace("call = 0.5", "call = 300").replace("total = 6.0", "total = 300")
    made_class.assignment(tmp_path / "t1", toml)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s1.py").write_text(
        "def variance(x):\n    while True:\n        pass\n")
    process = runs.start(runs.command(tmp_path / "in", tmp_path / "t1", tmp_path / "out"))
    busy = set()
    while not busy:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.3)
        busy = {p for p in runs.descendants(process.pid) if runs.processor_seconds(p) > 3}
    below = runs.descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(below) >= 3
    assert runs.still_there(below) == set()
