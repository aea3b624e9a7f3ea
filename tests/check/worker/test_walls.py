"""The walls around a worker: what it sees and may take; and what is said where one is missing.
What hand-ins try against them is in tests/course/run/test_attacks_*.py.
"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import etude.ops
from etude_check.errors import CheckError
from etude_check.worker import linux
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.walls import Walls, libraries

ANSWER = """
import os
import numpy as np

def where():
    return os.getcwd(), os.listdir("."), os.environ["HOME"]

def read(path):
    return open(path).read()

def listed(path):
    return sorted(os.listdir(path))

def crash(number):
    os.kill(os.getpid(), number)

def sizes(n):
    return len(bytearray(n))

def leave():
    if not os.fork():
        os.setsid()
        import time
        time.sleep(999)
    return os.getpid()
"""

linux_only = pytest.mark.skipif(not linux.known(), reason="NOT RUN: needs Linux")


@pytest.fixture
def box(tmp_path):
    (tmp_path / "answer.py").write_text(ANSWER)
    hidden = os.path.realpath(Path(etude.ops.__path__[0]) / "map.py")
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py"))), timeout=10,
                 walls=Walls(memory=1 << 28, hidden=(hidden,))) as made:
        yield made


def needs_namespaces():
    why = [m for m in Walls().missing() if m.startswith("it can see other")]
    if why:
        pytest.skip(f"NOT RUN: {why[0]}")


def test_an_answer_works_in_an_empty_folder_of_its_own(box):
    at, there, home = box.drive("where", []).value
    assert there == []
    assert at == home
    assert at != os.getcwd()


@linux_only
def test_it_reads_itself_and_python_and_nothing_else(box, tmp_path):
    (tmp_path.parent / "secret").write_text("42")
    assert box.drive("read", [str(tmp_path / "answer.py")]).value == ANSWER
    assert box.drive("read", [np.__file__]).status == "ok"
    for path in (tmp_path.parent / "secret", __file__, "/etc/passwd",
                 Path(etude.ops.__path__[0]) / "map.py"):
        assert os.path.exists(path)
        assert box.drive("read", [str(path)]).status == "raised", path
    assert box.drive("read", [str(Path(etude.ops.__path__[0]) / "softmax.py")]).status == "ok"


@linux_only
def test_the_memory_of_a_call_is_limited_and_the_next_call_goes_on(box):
    assert box.drive("sizes", [1 << 20]).value == 1 << 20
    found = box.drive("sizes", [1 << 30])
    assert (found.status, found.exception) == ("raised", "MemoryError")
    assert box.drive("sizes", [1 << 20]).status == "ok"


@pytest.mark.parametrize(("number", "name"), [(6, "SIGABRT"), (11, "SIGSEGV"), (9, "SIGKILL"),
                                              (15, "SIGTERM")])
def test_a_signal_that_ends_a_worker_is_named_as_without_walls(box, number, name):
    found = box.drive("crash", [number])
    assert found.status == "crash"
    assert name in found.message


@linux_only
def test_what_a_worker_has_started_ends_with_it(box):
    needs_namespaces()
    assert box.drive("leave", []).status == "ok"
    processes = [p for p in os.listdir("/proc") if p.isdigit()]
    box.close()
    time.sleep(0.2)
    left = {p for p in os.listdir("/proc") if p.isdigit()} & set(processes)
    gone = set(processes) - left
    assert len(gone) >= 3  # the keeper, the worker and its child


@linux_only
def test_all_of_it_ends_when_the_checker_is_killed(tmp_path):
    mark = f"etude-left-{os.getpid()}"
    (tmp_path / "answer.py").write_text(textwrap.dedent(f"""
        import subprocess, sys
        def hang():
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(999)", "{mark}"],
                             start_new_session=True)
            while True:
                pass
        """))
    (tmp_path / "checker.py").write_text(textwrap.dedent(f"""
        from etude_check.worker.candidate import Candidate, prepare
        from etude_check.worker.sandbox import Sandbox
        from etude_check.worker.walls import Walls
        answer = prepare(Candidate("answer", {str(tmp_path / "answer.py")!r}))
        Sandbox(answer, walls=Walls()).drive("hang", [], timeout=600)
        """))
    checker = subprocess.Popen([sys.executable, str(tmp_path / "checker.py")])
    until(lambda: running(mark))
    checker.kill()
    checker.wait()
    until(lambda: not running(mark))


def running(mark):
    """Processes of this machine whose command line has ``mark`` in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_links_and_devices_beside_an_answer_are_not_followed(tmp_path):
    needs_namespaces()
    (tmp_path / "answer.py").write_text(ANSWER)
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/data.txt").write_text("1 2 3")
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py"))), walls=Walls()) as box:
        assert box.drive("listed", [str(tmp_path)]).value == ["answer.py", "more"]
        assert box.drive("read", [str(tmp_path / "more/data.txt")]).value == "1 2 3"


def test_a_folder_that_is_too_large_to_copy_is_refused(tmp_path):
    (tmp_path / "answer.py").write_text(ANSWER)
    with open(tmp_path / "data", "wb") as file:
        file.truncate(17 << 20)
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py"))), walls=Walls()) as box, \
            pytest.raises(CheckError, match="holds more than 16 MiB"):
        box.drive("where", [])


def test_walls_travel_as_plain_data():
    walls = Walls(memory=5, hidden=("/a", "/b"), sealed=("exp",), forbidden=("json",))
    assert Walls.from_json(json.loads(json.dumps(walls.to_json()))) == walls


def test_what_is_missing_is_said_in_sentences():
    missing = Walls().missing()
    assert all(len(m) > 20 and "\n" not in m for m in missing)
    if os.geteuid() != 0:
        assert any("same user" in m for m in missing)


def test_libraries_are_those_of_this_python():
    found = libraries()
    assert any(np.__file__.startswith(f) for f in found)
    assert any(os.__file__.startswith(f) for f in found)
    assert not any(tempfile.gettempdir().startswith(f) for f in found)
    assert not any(a != b and a.startswith(b + "/") for a in found for b in found)


# ------------------------------------------------------------------ without namespaces


def alone(task, *, shown):
    """What ``task()`` returns in a process with the walls that need no namespaces, and what those
    say is missing.
    """
    read, write = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        pid = os.fork()
        if not pid:
            try:
                missing = Walls().build(False, shown, folder)
                answer = json.dumps([task(), missing])
            except BaseException as error:
                answer = json.dumps([f"{type(error).__name__}: {error}", None])
            os.write(write, answer.encode())
            os._exit(0)
        os.close(write)
        with open(read) as file:
            text = file.read()
        os.waitpid(pid, 0)
    return json.loads(text)


def reached(path):
    try:
        with open(path) as file:
            return f"read {len(file.read())}"
    except OSError as error:
        return error.strerror


@linux_only
def test_without_namespaces_files_are_closed_by_landlock_and_the_rest_is_said(tmp_path):
    if not linux.landlock_version():
        pytest.skip("NOT RUN: needs Landlock")
    (tmp_path / "answer.py").write_text("1")
    secret = tmp_path.parent / "secret"
    secret.write_text("42")

    def task():
        import socket
        try:
            socket.socket()
            network = "a socket"
        except OSError as error:
            network = error.strerror
        return [reached(tmp_path / "answer.py"), reached("/etc/passwd"), reached(secret),
                reached(np.__file__)[:4], network]

    found, missing = alone(task, shown=[str(tmp_path)])
    assert found == ["read 1", "Permission denied", "Permission denied", "read",
                     "Permission denied"]
    assert any(m.startswith("it can see other processes") for m in missing)
    assert any("no limit for all files together" in m for m in missing)


@linux_only
@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: needs root")
def test_root_becomes_somebody_who_owns_nothing_or_says_why_not(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "answer.py").write_text("1")
    user, missing = alone(os.getuid, shown=[str(folder)])
    assert user == 0
    assert any(m.startswith("it runs as the same user as the checker: nobody else may read")
               for m in missing)
    user, missing = alone(os.getuid, shown=[])
    assert user >= 1_700_000_000
    assert not any("same user" in m for m in missing)
