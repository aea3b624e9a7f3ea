"""``etude check`` from the command line: what it refuses, writes, prints, and how it exits."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from xml.etree import ElementTree as ET

import made_reports as made
import pytest
from click.testing import CliRunner

from etude_check import engine
from etude_check.commands import check as command
from etude_check.engine import Interrupted, Progress
from etude_check.report import json as as_json
from etude_check.report.record import Verdict

WRONG = """
    import etude, numpy as np
    @etude.implements("neg")
    def neg(x, out=None):
        return np.positive(x, out=out)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(command.check, [str(a) for a in args])


@pytest.fixture
def found(monkeypatch):
    """Makes the engine return a report, or raise, and tells what it was asked."""
    asked = {}

    def returns(report, *progress):
        def check(candidate, **options):
            asked.update(options, candidate=candidate)
            for p in progress:
                options["progress"](p)
            if isinstance(report, BaseException):
                raise report
            return report

        monkeypatch.setattr(engine, "check", check)
        return asked

    return returns


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(("args", "said"), [
    ([], "Name what to check"),
    (["referense"], "no backend called 'referense'. Did you mean 'reference'?"),
    (["reference", "--module", "f.py"], "got 2 of them"),
    (["--module", "missing.py"], "no file 'missing.py'"),
    (["reference", "--op", "sofmax"], "no op called 'sofmax'. Did you mean 'softmax'?"),
    (["reference", "--op", "tail"], "is a kind of case: --cases tail"),
    (["reference", "--family", "tail"], "is a kind of case: --cases tail"),
    (["reference", "--family", "sofmax"], "no family called 'sofmax'. Did you mean 'softmax'?"),
    (["reference", "--cases", "tial"], "no kind of case called 'tial'. Did you mean 'tail'?"),
    (["reference", "--dtype", "float23"], "no dtype called 'float23'. Did you mean 'float32'?"),
    (["reference", "--case", "softmax/tial/1@0"], "Did you mean 'tail'?"),
    (["reference", "--case", "softmax"], "a case is named like softmax/tail/17@0"),
    (["reference", "--case", "softmax/tail/1@0", "--op", "add"], "names one case"),
    (["reference", "--html", "no/such/folder.html"], "there is no folder"),
    (["reference", "--junit", "."], "is a folder, and a file is wanted"),
    (["reference", "--level", "smokes"], "'smoke', 'full', 'soak'"),
    (["reference", "--seed", "-1"], "-1 is not in the range"),
])
def test_what_cannot_be_carried_out_is_said_and_exits_2(run, args, said):
    done = run(*args)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())
    assert "Traceback" not in done.output


# ------------------------------------------------------------------ how it exits


@pytest.mark.parametrize(("report", "status"), [
    (made.report(made.record()), 0),
    (made.report(made.record(), made.wrong(number=1)), 1),
    (made.report(made.record(verdict=Verdict.UNSUPPORTED)), 3),
    (made.report(), 3),
    (made.report(made.record(), made.record(number=1, verdict=Verdict.WAIVED)), 0),
])
def test_the_exit_status_is_that_of_the_report(run, found, report, status):
    found(report)
    assert run("reference").exit_code == status


def test_what_is_asked_reaches_the_engine(run, found):
    asked = found(made.report(made.record()))
    run("reference", "--op", "softmax", "--op", "add", "--family", "softmax", "--cases", "tail",
        "--dtype", "float64", "--level", "soak", "--seed", 7, "--jobs", 3, "--first")
    assert asked["candidate"].value == "reference"
    assert {k: asked[k] for k in ("ops", "families", "kinds", "dtypes", "level", "seed", "jobs",
                                  "stop_at_first", "case")} == {
        "ops": ("softmax", "add"), "families": ("softmax",), "kinds": ("tail",),
        "dtypes": ("float64",), "level": "soak", "seed": 7, "jobs": 3, "stop_at_first": True,
        "case": None}


def test_every_file_is_written_for_a_run_that_fails_too(run, found, tmp_path):
    report = made.of_every_verdict()
    found(report)
    done = run("reference", "--json", "r.json", "--html", "r.html", "--junit", "r.xml")
    assert done.exit_code == 1
    assert repr(as_json.loads((tmp_path / "r.json").read_text())) == repr(report)
    assert ET.parse(tmp_path / "r.xml").getroot().get("tests") == "16"
    assert "</html>" in (tmp_path / "r.html").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.html", "r.json", "r.xml"]


def test_json_to_stdout_is_json_and_nothing_else(run, found):
    found(made.report(made.record()))
    done = run("reference", "--json", "-")
    assert json.loads(done.stdout)["passed"] is True
    assert "PASSED: 1 case of 1 op." in done.stderr


def test_ctrl_c_shows_and_writes_what_was_done(run, found, tmp_path):
    so_far = made.report(made.record(), made.wrong(number=1), target="reference",
                         notes=["interrupted after 3 of 70 ops"])
    found(Interrupted(so_far))
    done = run("reference", "--json", "r.json")
    assert done.exit_code == 130
    assert "interrupted after 3 of 70 ops" in done.output
    assert "run again  etude check reference --case softmax/tail/1@0" in done.output
    assert len(as_json.loads((tmp_path / "r.json").read_text()).records) == 2


def test_a_run_that_is_ended_writes_what_was_done():
    """SIGTERM is what a CI sends when its time is over."""
    before = signal.getsignal(signal.SIGTERM)
    watch = command._Watch()

    def ended():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            raise Interrupted(made.report(made.record())) from None

    report = watch.guard(ended)
    assert watch.interrupted
    assert report.executed == 1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("ops", [["neg"], ["neg", "exp"]])
def test_ctrl_c_in_a_call_that_hangs_says_which_it_was(tmp_path, ops):
    (tmp_path / "mine.py").write_text(
        "import pathlib, time, etude\n\n@etude.implements('neg', 'exp')\ndef hang(x):\n"
        "    pathlib.Path('begun').touch()\n    time.sleep(99)\n")
    command = [sys.executable, "-m", "etude_check", "--module", "mine.py", "--jobs", "2"]
    for op in ops:
        command += ["--op", op]
    # A process that was started in the background has Ctrl-C ignored for it.
    begin = "import signal, os; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = subprocess.Popen(
        [sys.executable, "-c", f"{begin}; os.execv({sys.executable!r}, {command!r})"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        while run.poll() is None and not (tmp_path / "begun").exists():
            time.sleep(0.05)
        time.sleep(1.5)
        os.killpg(run.pid, signal.SIGINT)
        said, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130
    assert re.search(r"was in (neg|exp)/empty/0@0 for \d+ s", said)
    assert sorted(f.name for f in tmp_path.iterdir() if f.name != "__pycache__") == [
        "begun", "mine.py"]


def test_what_counts_as_hanging_is_asked_for(run, tmp_path):
    path = learners(tmp_path / "mine.py", "__import__('time').sleep(99)")
    done = run("--module", path, "--case", "neg/tail/1@0", "--timeout", "0.3")
    assert "no answer within 0.3 s" in said(done)


def test_a_check_leaves_nothing_in_the_folder_it_runs_in(tmp_path):
    learners(tmp_path / "mine.py", "return -x")
    subprocess.run([sys.executable, "-m", "etude_check", "--module", "mine.py", "--op",
                    "neg", "--level", "smoke", "--cases", "random"], cwd=tmp_path, check=True,
                   stdout=subprocess.DEVNULL)
    assert not (tmp_path / ".hypothesis").exists()


def test_without_a_terminal_progress_is_a_line_now_and_then(run, found, monkeypatch):
    monkeypatch.setattr(command, "EVERY", 0.0)
    found(made.report(made.record()), Progress("softmax", 3, 70, 1, 2000, 2))
    done = run("reference")
    assert "0 s: 3 of 70 ops, 2,000 cases, 1 failed, 2 ops given up" in done.stderr


# ------------------------------------------------------------------ with the engine


def test_a_wrong_column_fails_and_the_line_it_prints_runs_the_case_again(run, tmp_path):
    (tmp_path / "wrong.py").write_text(textwrap.dedent(WRONG))
    done = run("--module", "wrong.py", "--op", "neg", "--level", "smoke", "--cases", "tail",
               "--dtype", "float32", "--jobs", 1)
    assert done.exit_code == 1, done.output
    again = next(line.split() for line in done.output.splitlines() if "run again" in line)
    assert again[2:6] == ["etude", "check", "--module", "wrong.py"]
    once = run(*again[4:])
    assert once.exit_code == 1, once.output
    for text in ("x: float32[", "expected: float64[", "got: float32[", "FAILED: 1 of 1 case"):
        assert text in once.output


def test_a_column_without_the_op_executes_nothing(run, tmp_path):
    (tmp_path / "wrong.py").write_text(textwrap.dedent(WRONG))
    done = run("--module", "wrong.py", "--op", "exp", "--level", "smoke")
    assert done.exit_code == 3
    assert "NOTHING WAS EXECUTED" in done.output


def test_a_column_that_cannot_be_loaded_is_a_failure(run, tmp_path):
    (tmp_path / "broken.py").write_text("import etude  # implements\nraise RuntimeError('boom')\n")
    done = run("--module", "broken.py", "--level", "smoke")
    assert done.exit_code == 1
    assert "cannot be loaded" in done.output
    assert "boom" in done.output


# ------------------------------------------------------------------ a learner's mistakes


def learners(path, body):
    path.write_text("import etude, numpy as np\n\n\n@etude.implements('neg')\n"
                    f"def neg(x):\n    {body}\n")
    return path


def said(result):
    return " ".join(result.output.split())


@pytest.mark.parametrize(("body", "wrong"), [
    ("return np.negative(x).astype(float)", "wrong returned float64["),
    ("np.negative(x)", "wrong returned None: is there a return?"),
    ("return np.reshape(x, (7, 7, 7))", "wrong raised ValueError: cannot reshape"),
    ("raise NotImplementedError",
     "not written yet: every call raised NotImplementedError (mine.py:6 in neg) run again"),
])
def test_the_first_that_is_said_of_a_learners_mistake_is_what_it_is(run, tmp_path, body, wrong):
    path = learners(tmp_path / "mine.py", body)
    done = run("--module", path, "--op", "neg", "--level", "smoke", "--jobs", "1")
    assert wrong in said(done)
    assert "out=" not in done.output


def test_an_exception_is_shown_with_its_line_and_with_the_case_the_whole_traceback(run, tmp_path):
    path = learners(tmp_path / "mine.py", "return helper(x)\n\n\ndef helper(x):\n    "
                    "raise ValueError('no such thing')")
    done = run("--module", path, "--op", "neg", "--level", "smoke", "--jobs", "1")
    assert "raised ValueError: no such thing (mine.py:10 in helper)" in said(done)
    one = run("--module", path, "--case", "neg/tail/1@0")
    assert f'raised: Traceback (most recent call last): File "{path}", line 6, in neg' in said(one)
    assert "raise ValueError('no such thing')" in one.output
    assert "etude_check" not in one.output.partition("raised:")[2].partition("expected")[0]
