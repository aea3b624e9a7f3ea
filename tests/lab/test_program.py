"""Programs of the lab run in a process of their own, and leave nothing running."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from etude_cuda.lab.program import Settings, run_program


@pytest.fixture
def script(tmp_path):
    """An executable with these lines of shell."""
    def write(text):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path
    return write


def run(path, *arguments, **settings):
    return run_program(path, arguments, path.parent / "events", Settings(**settings), keep=True)


def is_running(pid):
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid):
    for _ in range(100):
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def test_the_status_and_the_arguments_are_the_programs_own(script):
    ran = run(script('echo "$# $1"; exit 7'), "a b", "c")
    assert (ran.status, ran.stopped, ran.output, ran.crash) == (7, "", "2 a b\n", "")


def test_the_lab_is_told_what_was_asked(script):
    text = 'echo "$LAB_SEED $LAB_CARD $LAB_ONLY"; echo x > "$LAB_EVENTS"'
    ran = run(script(text), seed=3, card="T4", only="1:1,1,1:32,1,1")
    assert ran.output == "3 T4 1:1,1,1:32,1,1\n"
    assert (script("").parent / "events").read_text() == "x\n"


def test_a_crash_is_named(script):
    assert "SIGSEGV" in run(script("kill -SEGV $$")).crash
    assert "division by zero" in run(script("kill -FPE $$")).crash


def test_at_the_limit_the_program_is_asked_to_end_and_may_write(script):
    ran = run(script("trap 'echo found; exit 3' TERM\necho begin\nwhile :; do sleep 0.05; done"),
              timeout=1)
    assert (ran.stopped, ran.output) == ("time limit", "begin\nfound\n")


def test_a_program_that_does_not_listen_is_killed_with_what_it_started(script, monkeypatch):
    monkeypatch.setattr("etude_cuda.lab.program.GRACE", 0.3)
    ran = run(script("trap '' TERM\nsleep 600 & echo $!\nwhile :; do sleep 0.05; done"), timeout=1)
    assert ran.stopped == "time limit"
    assert ran.status == -signal.SIGKILL
    assert gone(int(ran.output))


def test_ctrl_c_ends_the_program_and_keeps_what_was_found(script, tmp_path):
    begun = tmp_path / "begun"
    path = script(f"trap 'echo found; exit 3' INT\ntouch {begun}\nwhile :; do sleep 0.05; done")

    def press():
        while not begun.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        presser = threading.Thread(target=press)
        presser.start()
        ran = run(path)
        presser.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ran.stopped, ran.output) == ("interrupted", "found\n")


def test_the_program_ends_when_its_parent_is_killed(script, tmp_path):
    path = script(f"echo $$ > {tmp_path}/pid\nwhile :; do sleep 0.05; done")
    code = (f"from pathlib import Path\nfrom etude_cuda.lab.program import *\n"
            f"run_program(Path({str(path)!r}), [], Path('e'), Settings())")
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert gone(int(pid.read_text()))
