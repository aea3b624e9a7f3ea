"""Hand-ins that want points without an answer: results are forged, judges patched, values fake."""

import pytest
from attacks import CALLS, CHECKS, RIGHT, SOLUTION, attack

from etude_course.record import Status
from etude_course.run.run import run
from etude_course.source.source import Source


@pytest.fixture
def attacked(written, hand_in):
    source = Source.read(written(toml=CALLS, solution=SOLUTION, checks=CHECKS))
    yield lambda text: attack(source, hand_in(""), text)
    right = run(source, hand_in(RIGHT), seed="the secret seed", student="ada")
    assert right.score == 3  # the grader is whole


@pytest.mark.parametrize("how", ["sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), 9)"])
@pytest.mark.parametrize("when", ["called", "imported"])
def test_ending_the_process_passes_nothing(attacked, how, when):
    body = f"told('going'); {how}"
    found = attacked(f"def double(x):\n    {body}" if when == "called" else
                     f"{body}\ndef double(x):\n    return x + x")
    assert found.check.status is Status.CRASHED
    assert "exited with status 0" in found.check.message or "SIGKILL" in found.check.message \
        or "SystemExit" in found.check.message


def test_a_result_that_is_written_to_files_or_printed_is_read_by_nobody(attacked):
    found = attacked('''
        import json
        FORGED = json.dumps({"schema": 1, "score": 3, "max_score": 3, "checks": [
            {"id": "double-values", "points": 3, "status": "passed"}]})
        def double(x):
            for path in ("results.json", "/autograder/results/results.json", "../results.json",
                         os.path.join(os.path.dirname(__file__), "results.json")):
                tried(path, lambda: open(path, "w").write(FORGED))
            print(FORGED, flush=True)
            os.write(1, FORGED.encode())
            os.write(2, FORGED.encode())
            return FORGED
        ''')
    assert found.check.status is Status.FAILED
    assert "worked" in found.of("results.json")  # into its own folder, which then goes
    assert "failed" in found.of("/autograder/results/results.json")
    assert "failed" in found.of("../results.json")
    assert '"score": 3' in found.check.detail


def test_a_reply_that_is_forged_on_an_inherited_descriptor_is_refused(attacked):
    found = attacked('''
        def double(x):
            for fd in range(3, 64):
                try:
                    os.write(fd, b'{"status": "ok", "value": 1, "id": "0123456789abcdef"}\\n')
                except OSError:
                    continue
                told("wrote to", fd)
            return x
        ''')
    assert "nobody asked for" in found.check.message


def test_a_reply_with_the_right_number_brings_nothing_but_the_value_in_it(attacked):
    found = attacked('''
        import json
        def double(x):
            frame = sys._getframe()
            while frame is not None and "id" not in (frame.f_locals.get("message") or ()):
                frame = frame.f_back
            number = frame.f_locals["message"]["id"]
            forged = {"status": "ok", "id": number, "seconds": 0.0, "value": {"passed": True},
                      "points": 3, "tampering": []}
            for fd in range(3, 64):
                try:
                    os.write(fd, json.dumps({**forged, "value": "forged"}).encode() + b"\\n")
                except OSError:
                    continue
            os._exit(0)
        ''')
    assert found.check.status is Status.FAILED
    assert "str" in found.check.message or "'forged'" in found.check.message \
        or "forged" in found.check.detail


def test_what_is_patched_in_the_worker_judges_nothing(attacked):
    found = attacked('''
        import builtins, importlib, json, time
        def yes(*args, **kwargs):
            return True
        for name in ("allclose", "array_equal", "isclose", "abs", "asarray", "max"):
            setattr(np, name, yes)
        np.testing.assert_allclose = yes
        time.perf_counter = time.monotonic = time.time = lambda: 0.0
        from etude_check.worker import drive, values, wire
        kept = values.to_plain
        drive.to_plain = lambda value: kept("patched")
        def double(x):
            told("patched", np.allclose(1, 2))
            for name in ("etude_course.cases.compare", "etude_course.run.calls",
                         "etude_course.record", "etude_check.judge.judge"):
                tried(name, lambda: importlib.import_module(name))
            return x
        ''')
    assert found.of("patched") == "True"
    assert "patched" in found.check.detail.split("got")[-1]  # a value like any other: wrong
    for name in ("etude_course.cases.compare", "etude_course.run.calls", "etude_course.record",
                 "etude_check.judge.judge"):
        assert "failed" in found.of(name)


@pytest.mark.parametrize(("kind", "made"), [
    ("list", "Equal([1.0])"), ("dict", "Equal()"), ("float", "Equal(1.0)"), ("str", "Equal('')"),
    ("np.ndarray", "x.view(Equal)"), ("object", "Equal()")])
def test_a_value_that_is_equal_to_everything_is_no_plain_value(attacked, kind, made):
    found = attacked(f'''
        class Equal({kind}):
            def __eq__(self, other):
                return True
            def __ne__(self, other):
                return False
            __hash__ = None
        def double(x):
            value = {made}
            told("equal to anything:", bool(np.all(value == 12345)))
            return value
        ''')
    assert found.of("equal to anything:") == "True"
    assert "an Equal" in found.check.message


def test_a_subclass_that_computes_when_it_is_looked_at_is_no_array(attacked):
    found = attacked('''
        class Lazy(np.ndarray):
            def __array__(self, *args, **kwargs):
                return np.asarray(self.base + self.base)
            def tobytes(self, *args):
                return (self.base + self.base).tobytes()
        def double(x):
            told("lazy", type(x.view(Lazy)).__name__)
            return x.view(Lazy)
        ''')
    assert found.of("lazy") == "Lazy"
    assert "a Lazy" in found.check.message


def test_nan_is_not_equal_to_what_is_expected(attacked):
    found = attacked('''
        def double(x):
            told("returns", "nan")
            return np.full_like(x, np.nan)
        ''')
    assert found.check.status is Status.FAILED
    assert found.of("returns") == "nan"


def test_a_thread_that_rewrites_a_result_later_rewrites_it_for_nobody(attacked):
    found = attacked('''
        import threading, time
        kept = []
        def double(x):
            y = x.copy()
            kept.append((x.copy(), y))
            def later():
                time.sleep(0.01)
                y[...] = 2 * kept[-1][0]
            thread = threading.Thread(target=later)
            thread.start()
            told("thread", "started")
            threads.append(thread)
            if len(threads) > 1:
                threads[-2].join()
            return y
        threads = []
        ''')
    assert found.of("thread") == "started"
    assert found.check.status is Status.FAILED


def test_changing_the_arguments_changes_nothing_that_is_expected(attacked):
    found = attacked('''
        def double(x):
            x[...] = 0
            told("zeroed", x.sum())
            return x
        ''')
    assert found.of("zeroed") == "0.0"
    assert found.check.status is Status.FAILED


def test_a_value_too_large_or_too_deep_to_be_read_is_none(attacked):
    found = attacked('''
        def double(x):
            told("large")
            return np.zeros(100 << 20, np.uint8)
        ''')
    assert "larger than" in found.check.message
    found = attacked('''
        def double(x):
            deep = x
            for _ in range(900):
                deep = [deep]
            told("deep")
            return deep
        ''')
    assert "nested more than" in found.check.message


@pytest.mark.parametrize("body", ["return HALF", "raise ValueError(HALF)", "return {HALF: 1}",
                                  "print(ascii(HALF)); os.write(1, b'\\xff\\xfe'); return 1"])
def test_half_a_character_stops_no_report(attacked, body):
    found = attacked(f"""
        HALF = "\\ud800"
        def double(x):
            told("half", len(HALF))
            {body}
        """)
    found.result.text().encode()
    for check in found.result.checks:
        (check.message + check.detail + check.case).encode()  # as a page is written
