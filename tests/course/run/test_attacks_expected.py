"""Hand-ins that look for what is expected: in memory, in other processes, on disk, in the kit."""

import os
from pathlib import Path

import pytest
from attacks import CALLS, CHECKS, RIGHT, SOLUTION, attack, needs_namespaces

from etude_course.run.run import run
from etude_course.source.source import Source


@pytest.fixture
def attacked(written, hand_in):
    source = Source.read(written(toml=CALLS, solution=SOLUTION, checks=CHECKS))
    yield lambda text: attack(source, hand_in(""), text)
    right = run(source, hand_in(RIGHT), seed="the secret seed", student="ada")
    assert right.score == 3


def test_no_object_of_the_worker_is_what_is_expected(attacked):
    found = attacked('''
        import gc
        def double(x):
            want = x + x  # what it hopes to find; it is not returned
            arrays = [o for o in gc.get_objects() if isinstance(o, np.ndarray)]
            for o in gc.get_objects():
                if isinstance(o, (list, tuple)):
                    arrays += [a for a in o if isinstance(a, np.ndarray)]
                elif isinstance(o, dict):
                    arrays += [a for a in o.values() if isinstance(a, np.ndarray)]
            same = [a for a in arrays if a is not want and a.shape == want.shape
                    and np.array_equal(a, want)]
            own = [a for a in arrays if a.shape == x.shape and np.array_equal(a, x)]
            told("arrays like x:", len(own) > 0)
            told("arrays as expected:", len(same))
            names = [str(type(o).__module__) for o in gc.get_objects()]
            told("of the course:", sum(n.startswith("etude_course") for n in names))
            return same[0] if same else x
        ''')
    assert found.of("arrays like x:") == "True"  # it can find arrays
    assert found.of("arrays as expected:") == "0"
    assert found.of("of the course:") == "0"


def test_no_frame_on_the_stack_knows_what_is_expected(attacked):
    found = attacked('''
        def double(x):
            want, frame, names = x + x, sys._getframe().f_back, []
            seen = []
            while frame is not None:
                names.append(frame.f_code.co_name)
                seen += [v for v in frame.f_locals.values()]
                frame = frame.f_back
            told("frames:", len(names), names[:3])
            told("variables:", len(seen) > 10)
            told("expected in them:", any(isinstance(v, dict) and "expected" in v for v in seen))
            told("equal:", sum(isinstance(v, np.ndarray) and v is not want
                               and np.array_equal(v, want) for v in seen))
            return x
        ''')
    assert int(found.of("frames:").split()[0]) >= 3
    assert "drive" in found.of("frames:")
    assert found.of("variables:") == "True"
    assert found.of("expected in them:") == "False"
    assert found.of("equal:") == "0"


def test_other_processes_are_not_there(attacked):
    needs_namespaces()
    found = attacked(f'''
        import ctypes
        def double(x):
            pids = [p for p in os.listdir("/proc") if p.isdigit()]
            told("processes:", len(pids), "self among them:", str(os.getpid()) in pids)
            tried("checker", lambda: os.kill({os.getpid()}, 0))
            tried("its memory", lambda: open("/proc/{os.getpid()}/mem", "rb").read(1))
            tried("keeper", lambda: open("/proc/1/mem", "rb").read(1))
            tried("its surroundings", lambda: open("/proc/1/environ").read())
            tried("kill all", lambda: os.kill(1, 9))
            libc = ctypes.CDLL(None, use_errno=True)
            told("ptrace:", libc.ptrace(16, 1, 0, 0), os.strerror(ctypes.get_errno()))
            return x
        ''')
    assert found.of("processes:").startswith("2 self among them: True")
    for what in ("checker", "its memory", "keeper", "its surroundings"):
        assert found.of(what).startswith("failed"), found.of(what)
    assert found.of("ptrace:").startswith("-1")


def test_the_memory_that_is_shared_holds_nothing_that_is_expected(attacked):
    found = attacked('''
        def double(x):
            want, shared = (x + x).tobytes(), 0
            for fd in range(3, 64):
                try:
                    size = os.fstat(fd).st_size
                    told("found in", fd, any(want in os.pread(fd, 1 << 20, at) for at in
                                             range(0, min(size, 128 << 20), 1 << 20)))
                    shared += size > 1 << 20
                except OSError:
                    continue
            told("descriptors of memory:", shared)
            tried("shm", lambda: os.listdir("/dev/shm"))
            tried("sysv", lambda: len(open("/proc/sysvipc/shm").readlines()) - 1)
            for fd in range(3, 64):
                try:
                    os.ftruncate(fd, 0)
                    told("truncated", fd)
                except OSError:
                    continue
            return x
        ''')
    assert int(found.of("descriptors of memory:")) >= 1
    assert not any(s.startswith("found in") and s.endswith("True") for s in found.said)
    assert not any(s.startswith("truncated") for s in found.said)
    needs_namespaces()
    assert found.of("shm").startswith("failed")
    assert found.of("sysv") == "worked: 0"


def test_the_sources_the_seed_and_the_results_are_not_on_its_disk(attacked, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    paths = {"solution": tmp_path / "t1-small/solution/small.py", "seed": Path(__file__),
             "checks": tmp_path / "t1-small/checks.py", "results": tmp_path / "results.json",
             "handed in": tmp_path / "handed-in/small.py", "home": Path.home() / ".bashrc",
             "cache": tmp_path.parent / "course-cache"}
    for what in ("solution", "checks", "results"):
        assert paths[what].exists()
    lines = "\n".join(f"            tried({what!r}, lambda: open({str(path)!r}).read())"
                      for what, path in paths.items())
    found = attacked(f'''
        def double(x):
            tried("own", lambda: len(open(__file__).read()) > 0)
{lines}
            tried("folder", lambda: os.listdir({str(tmp_path)!r}))
            tried("beside", lambda: os.listdir(os.path.dirname(__file__)))
            return x
        ''')
    assert found.of("own") == "worked: True"
    for what in (*paths, "folder"):
        assert found.of(what).startswith("failed"), found.of(what)
    assert found.of("beside") == "worked: ['small.py']"


def test_hidden_checks_and_kits_cannot_be_read(attacked):
    import etude_course
    import etude_course.source.source  # the way there is right

    course = Path(etude_course.__file__).parent
    found = attacked(f'''
        import importlib
        def double(x):
            for name in ("etude_course", "etude_course.source.source", "etude_course.kit.kit",
                         "etude_check.cases.case", "etude_check.specs.softmax"):
                tried(name, lambda: importlib.import_module(name))
            sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "_Absent"]
            tried("without the hook", lambda: importlib.import_module("etude_course.kit.kit"))
            tried("its files", lambda: open({str(course / "kit/kit.py")!r}).read())
            tried("its folder", lambda: os.listdir({str(course)!r})[0])
            return x
        ''')
    for what in ("etude_course", "etude_course.source.source", "etude_course.kit.kit",
                 "etude_check.cases.case", "etude_check.specs.softmax", "without the hook",
                 "its files", "its folder"):
        assert found.of(what).startswith("failed"), found.of(what)


def test_secrets_of_the_environment_are_not_told(attacked, monkeypatch):
    monkeypatch.setenv("COURSE_PASSWORD", "hunter2")
    found = attacked('''
        def double(x):
            told("home", os.environ["HOME"])
            told("password", "COURSE_PASSWORD" in os.environ)
            tried("at first", lambda: "hunter2" in open("/proc/self/environ").read())
            tried("of the keeper", lambda: "hunter2" in open("/proc/1/environ").read())
            return x
        ''')
    assert found.of("home") != str(Path.home())
    assert found.of("password") == "False"
    assert found.of("at first") in ("worked: False",) or "failed" in found.of("at first")
    assert found.of("of the keeper") in ("worked: False",) or "failed" in found.of("of the keeper")
