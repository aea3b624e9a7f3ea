"""What a call leaves behind in its process, or in results it gave away, is named and put back."""

import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from etude_check.engine import conduct
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.state import Kept

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
HEAD = """
import ctypes, os, random, signal, sys, threading, time, warnings
import numpy as np
import etude
ROOM = np.empty(64, np.float32)
TOWARDS_ZERO = 0xc00 if os.uname().machine == "x86_64" else 0xc00000

def flush_to_zero():
    library, words = ctypes.CDLL(None), (ctypes.c_uint32 * 64)()
    library.fegetenv(words)
    place, bits = (7, 0x8040) if os.uname().machine == "x86_64" else (0, 1 << 24)
    words[place] |= bits
    library.fesetenv(words)

def wait():  # until the test says go on
    while not os.path.exists(__file__ + ".now"):
        time.sleep(0.01)

def done():
    open(__file__ + ".done", "w").close()
"""


@pytest.fixture
def box(tmp_path):
    boxes = []

    def make(body, loading=""):
        path = tmp_path / "column.py"
        path.write_text(HEAD + textwrap.dedent(loading) + "\n@etude.implements('relu')\n"
                        "def relu(x, out=None):\n"
                        "    y = np.maximum(x, 0) if out is None else np.maximum(x, 0, out=out)\n"
                        + textwrap.indent(body, "    ") + "\n    return y\n")
        boxes.append(Sandbox(prepare(Candidate.parse(module=path))))
        return boxes[-1]

    yield make
    for one in boxes:
        one.close()


def relu(box, mode="return", x=X):
    return box.run("relu", [x], {}, [(x.shape, x.dtype)], mode=mode)


def happens(box):
    """Lets go on what the column does later, and waits until it is done."""
    Path(box.candidate.value + ".now").touch()
    while not Path(box.candidate.value + ".done").exists():
        time.sleep(0.01)


AT_ONCE = {
    "rounding": ("ctypes.CDLL(None).fesetround(TOWARDS_ZERO)",
                 "leaves the rounding mode changed: now towards zero"),
    "subnormal": ("flush_to_zero()",
                  "leaves the treatment of subnormal numbers changed: now read as zero"),
    "seterr": ("np.seterr(over='raise')", "leaves np.seterr changed: over is raise"),
    "folder": ("os.chdir('/')", "leaves the working folder changed: now /"),
    "recursion": ("sys.setrecursionlimit(5000)", "leaves the recursion limit changed"),
    "handler": ("signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
                "leaves the handler of a signal changed"),
    "warnings": ("warnings.simplefilter('ignore')", "leaves the filters of warnings changed"),
    "gc": ("import gc; gc.disable()", "leaves the garbage collector's switch changed"),
    "stdout": ("sys.stdout = sys.stderr", "leaves a hook or a stream of sys changed"),
    "grad": ("etude.no_grad().__enter__()", "leaves Etude's backends or gradient mode changed"),
}


@pytest.mark.parametrize("what", AT_ONCE)
def test_state_that_a_call_leaves_changed_is_named_at_every_call(box, what):
    body, said = AT_ONCE[what]
    made = box(body)
    for _ in range(2):  # it was put back after the first
        outcome = relu(made)
        assert outcome.status == "ok"
        assert [f[: len(said)] for f in outcome.faults] == [said]
    assert np.array_equal(outcome.outputs[0], np.maximum(X, 0))


@pytest.mark.parametrize(("body", "said"), [
    ("os.environ['OMP_NUM_THREADS'] = '9'",
     "leaves the environment changed: OMP_NUM_THREADS is 9"),
    ("np.random.seed(3)", "leaves the state of the global random generators changed"),
    ("np.set_printoptions(precision=2)", "leaves np.set_printoptions changed: precision is 2"),
])
def test_what_takes_longer_to_look_at_is_seen_at_the_end(box, body, said):
    made = box(body)
    assert relu(made).faults == []
    assert made.finish() == [said]
    assert made.finish() == []


def test_state_that_is_put_back_by_the_kernel_is_no_fault(box):
    made = box("with np.errstate(all='raise'), warnings.catch_warnings(), etude.no_grad():\n"
               "    warnings.simplefilter('ignore')\n    here = os.getcwd()\n    os.chdir('/')\n"
               "    os.chdir(here)")
    assert relu(made).faults == []
    assert made.finish() == []


def test_loading_may_set_the_environment_and_not_the_arithmetic(box):
    fine = box("pass", loading="os.environ['OMP_NUM_THREADS'] = '1'\nwarnings.simplefilter('once')")
    assert fine.describe().tampering == []
    assert relu(fine).faults == []
    assert fine.finish() == []
    rough = box("pass", loading="ctypes.CDLL(None).fesetround(TOWARDS_ZERO)")
    assert rough.describe().tampering == [
        "leaves the rounding mode changed: now towards zero"]


def test_a_result_that_the_next_call_overwrites_is_found(box):
    made = box("if out is None: ROOM[:y.size] = y.ravel(); y = ROOM[:y.size].reshape(y.shape)")
    assert relu(made).faults == []
    assert relu(made, x=-X).faults == ["changes the result of an earlier call of relu, which its "
                                       "caller still holds"]


def test_a_result_that_has_changed_is_told_once():
    kept, y = Kept(), X.copy()
    assert kept.keep("relu", (y,)) == []
    y[0] = 9
    assert len(kept.look()) == 1
    assert kept.look() == []


def test_a_result_that_changes_later_is_found_at_the_end(box):
    made = box("def later(): wait(); y.fill(7); done()\nthreading.Thread(target=later).start()")
    assert relu(made).faults == []
    happens(made)
    assert made.finish() == ["changes the result of an earlier call of relu, which its caller "
                             "still holds"]


@pytest.mark.parametrize(("body", "said"), [
    ("class Later(np.ndarray): pass\nif out is None: y = y.view(Later)",
     "returned a Later, a subclass of ndarray; a result is a plain ndarray"),
    ("class Array:\n    shape, dtype = y.shape, y.dtype\n"
     "    def __array__(self, *a, **k): return np.maximum(x, 0)\nif out is None: y = Array()",
     "returned Array, asked was float32[3, 4]"),
])
def test_what_computes_when_it_is_looked_at_is_no_result(box, body, said):
    assert relu(box(body)).faults == [said]


def test_a_thread_that_ends_after_the_call_is_told_and_is_no_failure(box):
    made = box("if not hasattr(np, 'begun'): np.begun = threading.Thread(target=wait)\n"
               "if np.begun.ident is None: np.begun.start()")
    assert relu(made).faults == []
    Path(made.candidate.value + ".now").touch()
    for _ in range(1000):  # until the thread has ended
        assert relu(made).faults == []
        if made.describe().tampering:
            break
        time.sleep(0.01)
    assert made.describe().tampering == [
        "relu: a thread that it started was still running after it had returned"]
    assert conduct(made.describe().tampering) == []


@pytest.mark.parametrize("body", [
    "t = threading.Thread(target=time.sleep, args=(0.001,)); t.start(); t.join()",
    "if not hasattr(np, 'pool'):\n    from concurrent.futures import ThreadPoolExecutor\n"
    "    np.pool = ThreadPoolExecutor(2)\nlist(np.pool.map(abs, range(9)))",
    "from concurrent.futures import ThreadPoolExecutor\n"
    "list(ThreadPoolExecutor(2).map(abs, range(9)))",
], ids=["joined", "a pool that stays", "a pool that goes"])
def test_threads_that_have_done_their_work_are_no_fault(box, body):
    made = box(body)
    for _ in range(3):
        assert relu(made).faults == []
        time.sleep(0.02)
    assert made.describe().tampering == []


def test_an_op_gets_another_worker_when_it_is_finished(box):
    made = box("os.environ.setdefault('MARK', '1')\nif len(os.environ['MARK']) > 1: y *= 2\n"
               "os.environ['MARK'] += '1'")
    relu(made)
    assert made.finish()
    assert np.array_equal(relu(made).outputs[0], np.maximum(X, 0))
