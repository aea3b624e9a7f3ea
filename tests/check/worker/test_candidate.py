"""Which column is checked: parsing, preparing, and what is said when it cannot be."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from etude import TABLE
from etude_check.errors import CheckError
from etude_check.worker.candidate import Candidate, load_candidate, prepare
from etude_check.worker.process import Process
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.template import environment

RELU = """
#include <etude.h>
int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{ for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : 0; return ETUDE_OK; }
"""


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(("arguments", "kind", "target"), [
    ({"backend": "cpu"}, "backend", "cpu"),
    ({"module": "my f.py"}, "module", "--module 'my f.py'"),
    ({"source": "k.c"}, "source", "--source k.c"),
    ({"backend": "zoo:tail-skipped"}, "zoo", "zoo:tail-skipped"),
    ({"backend": "lib.so"}, "library", "lib.so"),
])
def test_is_parsed_and_named_as_on_the_command_line(arguments, kind, target):
    candidate = Candidate.parse(**arguments)
    assert candidate.kind == kind
    assert candidate.target == target
    assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate


@pytest.mark.parametrize("arguments", [{}, {"backend": "cpu", "module": "f.py"}])
def test_exactly_one_is_named(arguments):
    with pytest.raises(CheckError, match="name what to check"):
        Candidate.parse(**arguments)


def test_a_source_is_compiled_and_remembers_its_name(tmp_path):
    path = write(tmp_path / "k.c", RELU)
    ready = prepare(Candidate.parse(source=path))
    assert ready.kind == "library"
    assert ready.target == f"--source {path}"
    with Sandbox(ready) as box:
        assert list(box.describe().ops) == ["relu"]


COMPILES = """
import sys
from etude_check.worker.candidate import Candidate, prepare
prepare(Candidate.parse(source=sys.argv[1]))
print("compiled", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_check_compiled_is_removed_by_the_next(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    path = write(tmp_path / "k.c", RELU)
    write(temporary / "etude-check-built-of_mine", "")

    def start():
        child = subprocess.Popen([sys.executable, "-c", COMPILES, path], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": temporary})
        assert child.stdout.readline() == b"compiled\n"
        return child

    with start() as alive, start() as dead:
        assert len(list(temporary.glob("*/*.so"))) == 2
        dead.kill()
        dead.wait()
        with start() as third:
            assert len(list(temporary.glob("*/*.so"))) == 2
            third.communicate()
        alive.communicate()
    assert [p.name for p in temporary.iterdir()] == ["etude-check-built-of_mine"]


def test_a_compile_error_is_shown_as_the_compiler_says_it(tmp_path):
    path = write(tmp_path / "k.c", "int etude_relu_f32(void) { return nonsense; }")
    with pytest.raises(CheckError, match=r"k\.c does not compile(.|\n)*nonsense"):
        prepare(Candidate.parse(source=path))


@pytest.mark.parametrize("suffix", [".c", ".cpp"])
@pytest.mark.parametrize(("right", "wrong"), [("int64_t n", "int n"), ("float *x", "double *x"),
                                              (", double b", "")])
def test_a_kernel_that_is_not_of_its_type_is_told_its_prototype(tmp_path, suffix, right, wrong):
    text = RELU.replace("\nint", '\nextern "C" int') if suffix == ".cpp" else RELU
    path = write(tmp_path / f"my kernel{suffix}", text)
    prepare(Candidate.parse(source=path))
    assert right in text
    write(path, text.replace(right, wrong, 1))
    with pytest.raises(CheckError, match=r"line 3: etude_relu_f32 is not of its type") as error:
        prepare(Candidate.parse(source=path))
    assert "const float *x, float *y, int64_t n," in str(error.value)
    assert "\netude_map_fn_f32 etude_relu_f32;\n" in str(error.value)


def test_one_wrong_kernel_among_right_ones_is_the_one_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-Wall -Wextra -Werror -Wno-unused-parameter -Wredundant-decls")
    wrong = RELU.partition("<etude.h>")[2].replace("relu", "exp").replace("int64_t n", "int n")
    path = write(tmp_path / "k.c", RELU + wrong)
    with pytest.raises(CheckError, match=r"etude_exp_f32 is not of its type"):
        prepare(Candidate.parse(source=path))
    write(path, RELU.replace("int etude", "etude_map_fn_f32 etude_relu_f32;\nint etude"))
    prepare(Candidate.parse(source=path))


def test_a_compiler_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CheckError, match="no-such-compiler"):
        prepare(Candidate.parse(source=write(tmp_path / "k.c", RELU)))


@pytest.mark.parametrize(("name", "text", "how", "match"), [
    ("k.cu", "", "source", r"exports no kernel|needs the CUDA plugin|needs? g\+\+"),
    ("k.f90", "", "source", r"takes \.c"),
    ("k.py", "", "source", "checked with --module"),
    ("k.c", "int f(void) { return 0; }", "source", "exports no kernel"),
    ("f.txt", "", "module", "takes a Python file"),
    ("f.py", "def f(:", "module", "not valid Python"),
    ("f.py", "implements = " + "[{" * 5000, "module", r"f\.py is n(ot valid|ested too deeply)"),
    ("f.py", "implements = " + "-" * 100_000 + "1", "module", r"f\.py is nested too deeply"),
    ("f.py", "x = 1", "module", "no function marked"),
    ("f.so", "x", "library", "exports no kernel"),
])
def test_files_that_cannot_be_candidates_are_told_apart(tmp_path, name, text, how, match):
    path = str(write(tmp_path / name, text))
    with pytest.raises(CheckError, match=match):
        prepare(Candidate(how, path))


@pytest.mark.parametrize("kind", ["module", "source", "library"])
def test_a_missing_file_is_named(kind):
    with pytest.raises(CheckError, match=r"no file 'nowhere\.x'"):
        prepare(Candidate(kind, "nowhere.x"))


def test_the_reference_is_a_candidate_with_every_op():
    assert set(load_candidate(Candidate.parse("reference")).backend.ops) == set(TABLE)


def test_waivers_of_a_module_are_passed_on(tmp_path):
    path = write(tmp_path / "f.py", "import etude\nETUDE_WAIVERS = [{'op': 'relu'}]\n"
                 "@etude.implements('relu')\ndef relu(x):\n    return x.clip(0)\n")
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        assert box.describe().waivers == [{"op": "relu"}]


@pytest.mark.parametrize(("text", "match"), [
    ("raise ValueError('no luck')  # implements", "no luck"),
    ("import os; os._exit(0)  # implements", "exited with status 0 while it was loaded"),
    ("import ctypes; ctypes.string_at(0)  # implements", "SIGSEGV while it was loaded"),
    ("import sys; sys.exit(0)  # implements", "SystemExit"),
    ("while True: pass  # implements", "no answer within 2 s while it was loaded"),
    ("# implements nothing", "no function marked"),
])
def test_a_candidate_that_does_not_load_says_how(tmp_path, text, match):
    candidate = prepare(Candidate.parse(module=write(tmp_path / "f.py", text)))
    with Sandbox(candidate, start_timeout=2 if "while True" in text else 60) as box:
        assert match in box.describe().error
        outcome = box.run("relu", [], {}, [])
        assert outcome.status == "crash"
        assert match in outcome.message


def test_an_unknown_backend_is_an_error_of_the_description():
    with Sandbox(Candidate.parse("no-such-backend")) as box:
        assert "no backend 'no-such-backend'" in box.describe().error


def test_what_a_worker_says_just_before_it_ends_is_heard(monkeypatch):
    """It answers between the last look at its socket and the look whether it lives."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("etude_check.worker.process.STEP", 0.01)

    def ends(self, block=False):
        if theirs.fileno() >= 0:
            theirs.sendall(b'{"id": "1", "status": "ok"}\n')
            theirs.close()
        return 0

    monkeypatch.setattr(Process, "_ended", ends)
    process = object.__new__(Process)
    process.socket, process.rest, process.asked, process.most = ours, b"", "1", None
    with ours:
        reply = process._answer(time.monotonic() + 5, 5.0, "while it was loaded", 1000)
    assert reply["status"] == "ok"


def test_a_worker_runs_on_the_instruction_sets_of_its_parent(monkeypatch):
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "AVX2")
    assert environment()["NPY_DISABLE_CPU_FEATURES"] == "AVX2"
    monkeypatch.undo()
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    monkeypatch.setenv("ETUDE_CPU_ISA", "portable")
    with Sandbox(Candidate.parse("cpu")) as box:
        assert box.describe().isa == "portable"


PLUGIN = """
import numpy as np
import etude

def softmax(x, *, dim):
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)

@etude.hookimpl
def etude_backends():
    return [etude.BackendInfo("plain", "cpu", (2, 0), lambda: etude.Column(
        "plain", "cpu", {"softmax": softmax}))]
"""


@pytest.mark.parametrize("mode", ["return", "out"])
def test_an_entry_of_a_plugin_without_out_is_given_it_as_in_use(tmp_path, monkeypatch, mode):
    write(tmp_path / "plain_backend.py", PLUGIN)
    info = tmp_path / "plain-1.0.dist-info"
    info.mkdir()
    write(info / "METADATA", "Metadata-Version: 2.1\nName: plain\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[etude]\nplain = plain_backend\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with Sandbox(prepare(Candidate.parse("plain"))) as box:
        x = np.float32([[1, 2, 3]])
        outcome = box.run("softmax", [x], {"dim": -1}, [(x.shape, x.dtype)], mode=mode)
    assert (outcome.status, outcome.message, outcome.faults) == ("ok", "", [])
    assert outcome.outputs[0].sum() == pytest.approx(1)


@pytest.mark.parametrize("mode", ["return", "out"])
@pytest.mark.parametrize("signature", ["x", "x, out=None"])
def test_a_subclass_of_ndarray_is_seen_whether_or_not_the_entry_takes_out(tmp_path, mode,
                                                                          signature):
    path = write(tmp_path / "lazy.py", f"""
import etude
import numpy as np

class Lazy(np.ndarray):
    pass

@etude.implements("neg")
def neg({signature}):
    return (-x).view(Lazy)
""")
    with Sandbox(prepare(Candidate.parse(module=path))) as box:
        x = np.float32([1, 2, 3])
        outcome = box.run("neg", [x], {}, [(x.shape, x.dtype)], mode=mode)
    assert outcome.faults == ["returned a Lazy, a subclass of ndarray; a result is a plain ndarray"]


@pytest.mark.parametrize(("text", "ops", "said"), [
    ("import numpy as np\n\ndef softmax(x, *, dim=-1):\n    return x\n", (),
     'Put @etude.implements("softmax") above line 3, def softmax, and'),
    ("def mine(x):\n    return x\n", ("exp",),
     'Put @etude.implements("exp") above line 1, def mine'),
    ("@cached\ndef exp(x):\n    return x\n", (), "above line 1, def exp"),
])
def test_a_file_without_a_mark_is_told_where_to_put_it(tmp_path, text, ops, said):
    path = tmp_path / "plain.py"
    path.write_text(text)
    with pytest.raises(CheckError) as refused:
        prepare(Candidate.parse(module=path), ops)
    assert said in str(refused.value)


def test_of_functions_that_may_be_anything_none_is_guessed(tmp_path):
    path = tmp_path / "plain.py"
    path.write_text("def one(x): ...\ndef two(x): ...\n")
    with pytest.raises(CheckError, match=r"so there is nothing to check$"):
        prepare(Candidate.parse(module=path), ("exp",))
