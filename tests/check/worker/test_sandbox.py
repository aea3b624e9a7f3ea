"""Whatever a candidate does, a call of it ends in one clear outcome, and the next call works."""

import importlib.util
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from etude_check.engine import conduct
from etude_check.errors import CheckError
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
LIKE_X = [(X.shape, X.dtype)]

HEAD = """
import ctypes, os, sys, threading, time
import numpy as np
import etude
STEPS = [0]

@etude.implements("neg")       # always right: the call after the one in question
def neg(x, out=None):
    return np.negative(x, out=out)

@etude.implements("relu")
def relu(x, out=None):
    y = np.maximum(x, 0) if out is None else np.maximum(x, 0, out=out)
"""


@pytest.fixture
def module(tmp_path):
    """Makes a sandbox of a column whose relu runs ``body`` after it has computed y."""
    boxes = []

    def make(body, **options):
        path = tmp_path / "column.py"
        path.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines())
                        + "    return y\n")
        boxes.append(Sandbox(prepare(Candidate.parse(module=path)), **options))
        return boxes[-1]

    yield make
    for box in boxes:
        box.close()


def relu(box, mode="out", x=X, **options):
    return box.run("relu", [x], {}, [(x.shape, x.dtype)], mode=mode, **options)


def happens(box):
    """Lets go on what the column does later, and waits until it is done."""
    Path(box.candidate.value + ".now").touch()
    while not Path(box.candidate.value + ".done").exists():
        time.sleep(0.01)


def assert_next_works(box):
    outcome = box.run("neg", [X], {}, LIKE_X)
    assert (outcome.status, outcome.faults) == ("ok", [])
    assert np.array_equal(outcome.outputs[0], -X)


@pytest.fixture(scope="module", params=["reference", "cpu"])
def honest(request):
    if request.param == "cpu" and importlib.util.find_spec("etude_cpu") is None:
        pytest.skip("NOT RUN: needs the package etude-cpu")
    with Sandbox(Candidate.parse(request.param)) as box:
        yield box


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
    "sliced": lambda x: x[::2, 1::2],
    "broadcast": lambda x: np.broadcast_to(x[:1], (5, 4)),
    "empty": lambda x: x[:0],
    "0d": lambda x: x[1, 2, ...],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["out", "return"])
@pytest.mark.parametrize("place", ["end", "start", "apart"])
@pytest.mark.parametrize("poison", ["nan", "garbage"])
def test_an_honest_column_is_free_of_faults_on_any_layout(honest, layout, mode, place, poison):
    x = LAYOUTS[layout](X)
    outcome = relu(honest, mode, x, place=place, poison=poison)
    assert (outcome.status, outcome.faults, outcome.message) == ("ok", [], "")
    assert np.array_equal(outcome.outputs[0], np.maximum(x, 0))
    assert 0 < outcome.seconds < 5


def test_several_outputs_aliases_and_absent_arrays(honest):
    size = X.shape[:-1]
    outcome = honest.run("layer_norm", [X, None, None], {"normalized_shape": (4,), "eps": 1e-5},
                         [*LIKE_X, (size, X.dtype), (size, X.dtype)], mode="return")
    assert (outcome.status, outcome.faults, len(outcome.outputs)) == ("ok", [], 3)
    outcome = honest.run("softmax", [X], {"dim": -1}, LIKE_X, alias={0: 0})
    assert (outcome.status, outcome.faults) == ("ok", [])
    assert np.allclose(outcome.outputs[0].sum(-1), 1)


def test_the_same_array_twice_is_the_same_memory(honest):
    outcome = honest.run("mul", [X, X], {}, LIKE_X)
    assert np.array_equal(outcome.outputs[0], X * X)


@pytest.mark.parametrize("place", ["end", "start", "apart"])
@pytest.mark.parametrize("mode", ["out", "return"])
def test_arrays_that_overlap_overlap_in_the_worker_too(tmp_path, mode, place):
    """The column answers with the distance of its operands in memory."""
    path = tmp_path / "column.py"
    path.write_text("""
import numpy as np
import etude

@etude.implements("add")
def add(x, y, out=None):
    out = np.empty(x.shape, x.dtype) if out is None else out
    out[...] = y.ctypes.data - x.ctypes.data
    return out
""")
    buffer = np.arange(30, dtype=np.float32)
    pairs = {4: (buffer[:12], buffer[1:13]), 20: (buffer[::2], buffer[5:20]),
             28: (buffer[2:12], buffer[:10][::-1])}
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        for distance, (x, y) in pairs.items():
            outcome = box.run("add", [x, y], {}, [(x.shape, X.dtype)], place=place)
            assert (outcome.status, outcome.faults) == ("ok", [])
            assert set(outcome.outputs[0].tolist()) == {distance}
        x, y = pairs[4]
        outcome = box.run("add", [x, y], {}, [(x.shape, x.dtype)], mode=mode, place=place)
        assert (outcome.status, outcome.faults) == ("ok", [])


@pytest.mark.parametrize(("body", "place", "faults"), [
    ("x[:1] += 1", "end", ["changes its input x"]),
    ("x[1:2] += 1", "end", ["changes its input x", "changes its input y"]),
    ("ctypes.memset(y.ctypes.data + y.nbytes, 7, 1)", "start",
     ["writes past the end of input y (byte 0 after it)"]),
    ("ctypes.memset(x.ctypes.data - 1, 7, 1)", "end",
     ["writes before the start of input x (byte 1 before it)"]),
])
def test_what_overlaps_is_guarded_and_watched(tmp_path, body, place, faults):
    path = tmp_path / "column.py"
    path.write_text("import ctypes, numpy as np, etude\n@etude.implements('add')\n"
                    f"def add(x, y, out=None):\n    {body}\n    return np.add(x, y, out=out)\n")
    buffer = np.arange(13, dtype=np.float32)
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        outcome = box.run("add", [buffer[:12], buffer[1:]], {}, [((12,), X.dtype)], place=place)
    assert outcome.faults == faults


def test_operands_apart_lie_at_addresses_of_their_own(tmp_path):
    path = tmp_path / "column.py"
    path.write_text("""
import numpy as np
import etude

@etude.implements("add")
def add(x, y, out=None):
    out[...] = [a.ctypes.data % 64 for a in (x, y, out)]
    return out
""")
    x, y = np.ones((2, 3), np.float32)
    found = {}
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        for place in ("end", "start", "apart"):
            outcome = box.run("add", [x, y], {}, [((3,), X.dtype)], place=place)
            assert (outcome.status, outcome.faults) == ("ok", [])
            found[place] = set(outcome.outputs[0].tolist())
    assert found["start"] == {0}
    assert len(found["end"]) == 1
    assert len(found["apart"]) == 3


def test_views_may_be_views():
    with Sandbox(Candidate.parse("reference")) as box:
        outcome = box.run("permute", [X], {"dims": (1, 0)}, [((4, 3), X.dtype)], mode="return")
        assert (outcome.status, outcome.faults) == ("ok", [])
        assert np.array_equal(outcome.outputs[0], X.T)


def test_honest_columns_tamper_with_nothing(honest):
    described = honest.describe()
    assert (described.error, described.tampering) == ("", [])
    assert "softmax" in described.ops


def test_a_refused_call_says_what_a_user_would_read(honest):
    outcome = honest.refuse("softmax", [X], {"dim": 5})
    assert (outcome.status, outcome.exception) == ("raised", "AxisError")
    assert "IndexError" in outcome.exceptions
    assert "dim=5" in outcome.message
    assert honest.refuse("relu", [X.astype(np.float16)], {}).exception == "DTypeError"
    assert honest.refuse("relu", [np.array(["a", "b"])], {}).status == "raised"
    assert honest.refuse("relu", [X], {}).status == "ok"


def test_missing_and_declined_are_not_the_same(module):
    box = module("raise etude.Unsupported('not today')")
    assert box.run("exp", [X], {}, LIKE_X).status == "missing"
    outcome = relu(box)
    assert (outcome.status, outcome.message) == ("unsupported", "not today")


# What a column does in relu, and what is said of it: (body, mode, status, words).
ENDS = {
    "raise": ("raise KeyError('sorry')", "raised", "sorry"),
    "sys.exit": ("sys.exit(0)", "raised", "0"),
    "os._exit": ("os._exit(0)", "crash", "exited with status 0 in the middle of the call"),
    "segfault": ("ctypes.string_at(0)", "crash", "crashed with SIGSEGV"),
    "abort": ("os.abort()", "crash", "crashed with SIGABRT"),
    "hang": ("while True: time.sleep(1)", "timeout", "no answer within 1 s"),
    "orphan": ("if os.fork() == 0: time.sleep(60)\nos._exit(3)", "crash", "exited with status 3"),
    "close": ("os.closerange(3, 100)", "protocol", "connection to the checker was closed"),
    "garbage": ("for fd in range(3, 100):\n    try: os.write(fd, b'hello\\n')\n"
                "    except OSError: pass", "protocol", "no JSON"),
    "flood": ("while True: os.write(int(sys.argv[1]), b'x' * 65536)", "protocol", "more than"),
    "forged": ("os.write(int(sys.argv[1]), b'{\"status\":\"ok\"}\\n')", "protocol",
               "nobody asked for"),
    "memory": ("[np.empty(1 << 28, np.uint8) for _ in range(64)]", "raised", "Unable to allocate"),
    "bomb": ("os.write(int(sys.argv[1]), b'[' * 100000 + b'\\n')", "protocol", "no JSON"),
}


@pytest.mark.parametrize("how", ENDS)
def test_each_way_to_end_is_one_outcome(module, how):
    body, status, words = ENDS[how]
    box = module(body, timeout=1)
    outcome = relu(box)
    assert (outcome.status, words in outcome.message) == (status, True), outcome
    assert outcome.outputs == []
    assert_next_works(box)


# Calls that return, and what they did besides: (body, mode, options, fault).
FAULTS = {
    "past the end": ("ctypes.memset(y.ctypes.data + y.nbytes + 12, 7, 1)", "out",
                     {"place": "start"}, "writes past the end of output y (byte 12 after it)"),
    "before the start": ("ctypes.memset(y.ctypes.data - 4, 7, 1)", "out", {"place": "end"},
                         "writes before the start of output y (byte 4 before it)"),
    "past an input": ("ctypes.memset(x.ctypes.data + x.nbytes, 7, 1)", "out", {"place": "start"},
                      "writes past the end of input x (byte 0 after it)"),
    "changes input": ("x[0, 0] = 5", "out", {}, "changes its input x"),
    "changes input, returning": ("x[0, 0] = 5", "return", {}, "changes its input x"),
    "own buffer": ("y = y.copy()", "out", {}, "did not return the buffers given as out="),
    "view of input": ("y = x[:]", "return", {}, "returned a view of its input"),
    "float64": ("y = y.astype('f8')", "return", {},
                "returned float64[3, 4], asked was float32[3, 4]"),
    "float64 in a buffer": ("y = y.astype('f8')", "out", {},
                            "returned float64[3, 4], asked was float32[3, 4]"),
    "shape": ("y = y[1:]", "return", {},
              "returned float32[2, 4], asked was float32[3, 4]"),
    "tuple": ("y = (y,)", "return", {}, "returned a tuple where one array is wanted"),
    "list": ("y = y.tolist()", "return", {}, "returned list, asked was"),
    "none": ("y = None", "return", {}, "returned None: is there a return?"),
    "none in a buffer": ("y = None", "out", {}, "returned None: is there a return?"),
}


@pytest.mark.parametrize("how", FAULTS)
def test_each_misdeed_is_named(module, how):
    body, mode, options, fault = FAULTS[how]
    box = module(body)
    outcome = relu(box, mode, **options)
    assert outcome.status == "ok", outcome
    assert any(fault in f for f in outcome.faults), outcome
    assert_next_works(box)


def test_the_gaps_of_a_strided_input_are_not_the_columns(module):
    box = module("ctypes.memset(x.ctypes.data + 4, 7, 4)")
    outcome = relu(box, x=X[:, ::2])
    assert outcome.faults == ["writes into the gaps between the elements of input x"]


def test_a_returned_view_shows_as_wrong_values(module):
    outcome = relu(module("y = x[:]"), "return")
    assert not np.array_equal(outcome.outputs[0], X)


def test_what_is_not_written_keeps_its_poison(module):
    box = module("y[-1, -1] = np.uint32(0xffffffff).view('f4')")
    assert np.isnan(relu(box).outputs[0][-1, -1])


@pytest.mark.parametrize("mode", ["out", "return"])
def test_a_bool_that_is_neither_0_nor_1_is_reported(tmp_path, mode):
    path = tmp_path / "f.py"
    path.write_text("import etude, numpy as np\n@etude.implements('isnan')\n"
                    "def isnan(x, out=None):\n"
                    "    y = np.empty(x.shape, bool) if out is None else out\n"
                    "    y.view('u1')[...] = 2\n    return y\n")
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        outcome = box.run("isnan", [X], {}, [(X.shape, bool)], mode=mode)
    assert outcome.faults == ["12 element(s) of bool output y are neither 0 nor 1"]


KERNEL = """
#include <etude.h>
#include <string.h>
int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : 0;
    volatile float beyond = x[%s];
    (void)beyond;
    return ETUDE_OK;
}
"""


@pytest.mark.parametrize(("index", "place"), [("n", "end"), ("-1", "start"), ("n + 9", "end")])
def test_reading_outside_an_array_in_c_is_a_crash_at_the_guard(tmp_path, index, place):
    path = tmp_path / "k.c"
    path.write_text(KERNEL % index)
    with Sandbox(prepare(Candidate.parse(source=path))) as box:
        other = "start" if place == "end" else "end"
        assert relu(box, place=other).status == "ok"
        outcome = relu(box, place=place)
        assert outcome.status == "crash"
        assert outcome.faults == ["reads outside its arrays"], outcome
        assert relu(box, place=other).status == "ok"


def test_writing_into_a_guard_is_told_from_reading_there(tmp_path):
    path = tmp_path / "k.c"
    path.write_text(KERNEL.replace("volatile float beyond = x[%s]", "y[n] = 1; float beyond = 0"))
    with Sandbox(prepare(Candidate.parse(source=path))) as box:
        outcome = relu(box, place="end")
        assert outcome.status == "crash"
        assert outcome.faults == ["writes outside its arrays"], outcome


def test_a_thread_that_writes_after_the_call_is_found_out(module):
    box = module("def later():\n    while not os.path.exists(__file__ + '.now'): time.sleep(0.01)\n"
                 "    out.fill(9)\n    open(__file__ + '.done', 'w').close()\n"
                 "threading.Thread(target=later).start()")
    assert relu(box).faults == []
    happens(box)
    outcome = box.run("neg", [X], {}, LIKE_X)
    assert outcome.faults == ["an earlier call of relu went on writing into its output y after it "
                              "had returned"]
    assert np.array_equal(outcome.outputs[0], -X)
    assert_next_works(box)


def test_megabytes_of_prints_do_no_harm_and_the_end_of_them_is_shown(module):
    box = module("print('x' * 5_000_000)\nprint('last words')\nos._exit(1)")
    outcome = relu(box)
    assert outcome.log.endswith("last words")
    assert len(outcome.log) < 10_000
    assert_next_works(box)


def test_children_that_run_on_are_ended_with_the_sandbox(module, tmp_path):
    note = tmp_path / "pid"
    box = module(f"child = os.fork()\nif child == 0: time.sleep(60)\n"
                 f"open({str(note)!r}, 'w').write(str(child))")
    assert relu(box).status == "ok"
    assert_next_works(box)
    box.close()
    for _ in range(100):
        try:
            os.kill(int(note.read_text()), 0)
        except ProcessLookupError:
            break
        stat = Path(f"/proc/{note.read_text()}/stat")
        if stat.exists() and stat.read_text().split()[2] == "Z":  # dead, and not reaped here
            break
        time.sleep(0.02)
    else:
        pytest.fail("the child lives")


def test_a_copy_made_by_fork_does_not_answer(module):
    box = module("os.fork()")
    for _ in range(5):
        assert relu(box).status == "ok"
        assert_next_works(box)


@pytest.mark.parametrize(("code", "sentence"), [
    ("np.testing.assert_allclose = print", "replaces numpy.testing.assert_allclose"),
    ("time.perf_counter = lambda: 0.0", "replaces time.perf_counter"),
    ("np.allclose = lambda *a, **k: True", "replaces numpy.allclose"),
    ("etude.TABLE['exp'].reference = abs", "replaces the reference of exp"),
    ("etude.core.contract._hold = print", "replaces etude.core.contract._hold"),
    ("import etude_check.worker.arena\netude_check.worker.arena.Arena.view = None",
     "replaces etude_check.worker.arena.Arena.view"),
    ("import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)",
     "leaves the handler of a signal changed"),
    ("import etude_check.report.record", "imports etude_check.report.record"),
])
def test_what_a_candidate_patches_is_reported(tmp_path, code, sentence):
    path = tmp_path / "f.py"
    path.write_text(f"import numpy as np, numpy.testing, time, etude, etude.core.columns\n{code}\n"
                    "@etude.implements('relu')\ndef relu(x):\n    return np.maximum(x, 0)\n")
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        assert sentence in box.describe().tampering


@pytest.mark.parametrize(("body", "sentence"), [
    ("import gc\ngc.get_objects()", "looks through the objects of the garbage collector"),
    ("import sys\nsys._getframe()", "walks up the stack"),
    ("import os\nos.listdir('.')", "looks through files"),
    ("open('/proc/self/maps').close()", "looks through files"),
])
def test_where_a_candidate_looks_is_reported_once_and_no_failure(module, body, sentence):
    box = module(body)
    assert box.describe().tampering == []
    for _ in range(2):
        assert relu(box).status == "ok"
    assert box.tampering == [sentence + " during a call"]
    assert conduct(box.tampering) == []


def test_a_late_import_is_no_search(module):
    box = module("import fractions, sched")
    assert relu(box).status == "ok"
    assert box.tampering == []


def test_a_leak_shows_in_the_memory_of_the_worker(module):
    leaky = module("STEPS.append(np.ones(1000))")
    assert relu(leaky, repeats=1000).rss_growth > 6_000_000


def test_no_leak_no_growth(honest):
    assert relu(honest, repeats=1000).rss_growth < 1_000_000


def test_what_does_not_fit_is_an_error_of_the_request():
    with Sandbox(Candidate.parse("reference"), slots=2, slot=1 << 20) as box:
        with pytest.raises(CheckError, match="does not fit"):
            relu(box, x=np.zeros((1 << 18) + 1, np.float32))
        with pytest.raises(CheckError, match="more than 2 arrays"):
            box.run("add", [X, X.copy()], {}, LIKE_X)
        with pytest.raises(CheckError, match="Python objects"):
            box.refuse("relu", [np.array([None])], {})
        assert_next_works(box)


def test_large_arrays_and_their_memory_come_back():
    with Sandbox(Candidate.parse("reference")) as box:
        x = np.ones(4 << 20, np.float32)
        for place in ("end", "start"):
            assert np.array_equal(relu(box, x=x, place=place).outputs[0], x)
        assert_next_works(box)
        if hasattr(os, "memfd_create"):
            assert os.fstat(box._arena.fd).st_blocks * 512 < 4 << 20


def test_an_interrupt_leaves_no_worker_behind(module):
    box = module("time.sleep(30)")
    box.describe()
    pid = box._process.pid

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            relu(box)
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert_next_works(box)
