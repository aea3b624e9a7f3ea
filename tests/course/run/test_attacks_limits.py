"""Hand-ins that want to take the grader down, or to reach out of their worker."""

import os
import socket
from pathlib import Path

import pytest
from attacks import CALLS, CHECKS, RIGHT, SOLUTION, attack, needs_namespaces

from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.walls import Walls
from etude_course.record import Status
from etude_course.run.run import run
from etude_course.source.source import Source


@pytest.fixture
def attacked(written, hand_in):
    source = Source.read(written(toml=CALLS, solution=SOLUTION, checks=CHECKS))
    yield lambda text: attack(source, hand_in(""), text)
    right = run(source, hand_in(RIGHT), seed="the secret seed", student="ada")
    assert right.score == 3


def running(mark):
    """Processes of this machine whose command line has ``mark`` in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_an_endless_loop_costs_its_check_and_no_more(attacked):
    found = attacked('''
        def double(x):
            told("looping")
            while True:
                pass
        ''')
    assert found.check.status is Status.TIMEOUT
    assert found.check.executed == 2  # then it is given up


@pytest.mark.skipif(not Path("/proc").exists(), reason="NOT RUN: needs /proc to look for processes")
def test_a_sleeping_child_in_a_session_of_its_own_ends_with_the_call(attacked):
    mark = f"etude-sleeper-{os.getpid()}"
    found = attacked(f'''
        import subprocess
        def double(x):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(999)",
                                      "{mark}"], start_new_session=True)
            told("sleeper", child.poll())
            return x
        ''')
    assert found.of("sleeper") == "None"
    assert running(mark) == []


def test_a_fork_bomb_is_small(attacked):
    needs_namespaces()
    found = attacked('''
        import time
        def double(x):
            forked = 0
            try:
                while forked < 200:  # bounded here too, should the wall be missing
                    if not os.fork():
                        os.setsid()
                        time.sleep(999)
                    forked += 1
            except OSError as error:
                told("stopped after", forked, type(error).__name__)
            return x
        ''')
    count, error = found.of("stopped after").split()
    assert int(count) < 40
    assert error == "BlockingIOError"


@pytest.mark.parametrize("what", ["np.ones(10 << 30, np.uint8)", "bytearray(10 << 30)",
                                  "mmap.mmap(-1, 10 << 30)"])
def test_ten_gigabytes_are_not_given(attacked, what):
    found = attacked(f'''
        import mmap
        def double(x):
            tried("10 GB", lambda: len({what}))
            return x
        ''')
    assert found.of("10 GB").startswith(("failed: MemoryError", "failed: _ArrayMemoryError",
                                         "failed: OSError"))


def test_a_full_disk_is_its_own(attacked):
    needs_namespaces()
    found = attacked('''
        def double(x):
            written = 0
            try:
                for i in range(64):
                    with open(f"file{i}", "wb") as file:
                        for _ in range(8):
                            written += file.write(b"x" * (1 << 20))
            except OSError as error:
                told("full after", written >> 20, error.strerror)
            return x
        ''')
    megabytes, _, why = found.of("full after").partition(" ")
    assert int(megabytes) <= 64
    assert why == "No space left on device"


def test_a_flood_of_output_ends_its_call(attacked):
    found = attacked('''
        def double(x):
            told("flooding")
            while True:
                os.write(1, b"x" * (1 << 20))
        ''')
    assert "printed more than 8 MiB" in found.check.message or "File too large" in \
        found.check.message
    assert len(found.check.detail) < 20_000


def test_writing_outside_of_its_folder_is_refused(attacked, tmp_path):
    found = attacked(f'''
        def double(x):
            here = os.path.dirname(__file__)
            for path in ("/etc/forged", "/tmp/forged", "/dev/shm/forged", "/usr/forged",
                         here + "/forged", {str(tmp_path / "forged")!r},
                         {str(Path.home() / "forged")!r}):
                tried(path, lambda: open(path, "w").write("x"))
            tried("rename", lambda: os.rename(__file__, here + "/other.py"))
            tried("mode", lambda: os.chmod(np.__file__, 0o777))
            tried("link", lambda: os.symlink("/etc/passwd", "passwd") or open("passwd").read())
            tried("own", lambda: open("mine", "w").write("x"))
            return x
        ''')
    assert found.of("own") == "worked: 1"
    others = [s for s in found.said if not s.startswith("own")]
    assert len(others) == 10
    assert [s for s in others if "worked" in s] == []
    assert not (tmp_path / "forged").exists()


def test_nobody_is_reached_over_a_network(attacked, tmp_path):
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        for s in (tcp, udp, unix):
            s.settimeout(0.05)
        found = attacked(f'''
            import socket
            def double(x):
                tried("tcp", lambda: socket.create_connection({tcp.getsockname()!r}, 1))
                tried("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
                    b"x", {udp.getsockname()!r}))
                tried("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
                tried("unix", lambda: socket.socket(socket.AF_UNIX).connect(
                    {str(tmp_path / "s")!r}))
                tried("name", lambda: socket.getaddrinfo("example.org", 80))
                return x
            ''')
        for what in ("tcp", "udp", "raw", "unix", "name"):
            assert found.of(what).startswith("failed"), found.of(what)
        for receive in (tcp.accept, unix.accept, lambda: udp.recv(9)):
            with pytest.raises(TimeoutError):
                receive()


def test_privileges_and_the_system_stay_out_of_reach(attacked):
    needs_namespaces()
    found = attacked('''
        import ctypes, resource
        def double(x):
            libc = ctypes.CDLL(None, use_errno=True)
            told("root:", os.getuid() == 0)
            tried("setuid", lambda: os.setuid(0))
            tried("nice", lambda: os.nice(-5))
            tried("limits", lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
            told("unshare:", libc.unshare(0x10000000))
            told("mount:", libc.mount(b"none", b"/private", b"tmpfs", 0, None))
            told("reads the disk:", os.path.exists("/dev/vda") or os.path.exists("/dev/sda"))
            return x
        ''')
    for what in ("setuid", "nice", "limits"):
        assert found.of(what).startswith("failed"), found.of(what)
    assert (found.of("root:"), found.of("unshare:"), found.of("mount:")) == ("False", "-1", "-1")
    assert found.of("reads the disk:") == "False"


def test_open_files_are_counted(attacked):
    found = attacked('''
        def double(x):
            kept = []
            try:
                while len(kept) < 2000:
                    kept.append(open("/dev/null"))
            except OSError as error:
                told("open:", len(kept), error.strerror)
            return x
        ''')
    assert int(found.of("open:").split()[0]) < 128


@pytest.mark.parametrize("name", ["numpy", "json", "base64", "etude_check"])
def test_a_module_of_the_graders_name_in_the_folder_is_not_the_graders(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("print('attack: mine', flush=True)\nndarray = list\n"
                                         "def dumps(*a, **k): return '{}'\n")
    (tmp_path / "answer.py").write_text(
        f"import {name}\ndef double(x):\n    return {name}.__file__, str(type(x))\n")
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py"))), walls=Walls()) as box:
        found = box.drive("double", [1.5])
    assert found.status == "ok"
    assert str(tmp_path) not in found.value[0]


def test_a_hand_in_is_taken_without_what_lies_beside_it(written, hand_in):
    source = Source.read(written(toml=CALLS, solution=SOLUTION, checks=CHECKS))
    folder = hand_in(RIGHT, numpy_py="raise SystemExit(0)\n", checks_py="raise SystemExit(0)\n",
                     conftest_py="raise SystemExit(0)\n", sitecustomize_py="raise SystemExit(0)\n")
    assert len(list(folder.iterdir())) == 5
    assert run(source, folder, seed="the secret seed", student="ada").score == 3
