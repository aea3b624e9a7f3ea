"""``etude roofline`` and ``etude profile``: any script, unchanged, also one that fails."""

import json
import sys
import textwrap

import pytest

import etude
from etude.core.state import DEFAULT
from etude.measure import Peak, Peaks
from etude.measure.roof import file_of, keep, this_machine

pytest.importorskip("click", reason="NOT RUN: needs the package click")
from shell import run, words

SCRIPT = """
    import sys
    import etude

    def work(x):
        return (x @ x).exp().sum()

    print("script", __name__, sys.argv[1:], sys.path[0])
    etude.manual_seed(0)
    x = etude.rand(20, 20, requires_grad=True)
    for _ in range(3):
        work(x).backward()
"""


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Peaks that were measured before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keep(Peaks(this_machine(), "2026-11-28T09:00:00+00:00", (Peak(1, 100e9, 50e9, 10e9),)))


@pytest.fixture
def script(known, tmp_path, monkeypatch):
    """``script(text)`` writes it and returns its path; the folder at work is another one."""
    def write(text, name="job.py"):
        path = tmp_path / "jobs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return write


# ------------------------------------------------------------------ profile


def test_a_script_runs_as_the_main_program_with_its_arguments(script):
    path = script(SCRIPT)
    argv, folders = sys.argv[:], sys.path[:]
    text = run("profile", str(path), "--epochs", "3", "-m")
    assert f"script __main__ ['--epochs', '3', '-m'] {path.parent}" in text
    assert "Profile of job.py: " in text
    for word in ("matmul", "backward", "busy", "achieved", "job.py:6"):
        assert word in text
    assert (sys.argv, sys.path) == (argv, folders)
    assert not DEFAULT.tables.taps


def test_the_flame_begins_in_the_script(script, tmp_path):
    run("profile", "--flame", "f.svg", str(script(SCRIPT)))
    text = (tmp_path / "here" / "f.svg").read_text()
    assert "work job.py:6" in text
    assert "Command.invoke" not in text
    assert "test_profile_command" not in text


def test_a_module_runs_by_its_name(script, monkeypatch):
    monkeypatch.chdir(script(SCRIPT, "module_to_profile.py").parent)
    text = run("profile", "-m", "module_to_profile", "a", "--b")
    assert "script __main__ ['a', '--b']" in text
    assert "Profile of -m module_to_profile: " in text


def test_all_files_are_written_where_they_are_asked_for(script, tmp_path):
    pytest.importorskip("matplotlib", reason="NOT RUN: needs the package matplotlib")
    names = {"--html": "p.html", "--trace": "p.json", "--flame": "f.svg", "--roofline": "r.svg"}
    text = run("profile", *[w for pair in names.items() for w in pair], str(script(SCRIPT)))
    for name in names.values():
        assert f"Written: {name}" in text
        assert (tmp_path / "here" / name).stat().st_size > 1000


def test_json_is_all_that_goes_to_stdout(script):
    from click.testing import CliRunner

    from etude.commands import etude as program

    done = CliRunner().invoke(program, ["profile", "--json", str(script(SCRIPT))])
    found = json.loads(done.stdout)
    assert {"matmul", "exp"} <= {op["op"] for op in found["ops"]}
    assert "script __main__" in done.stderr


def test_a_default_backend_that_the_script_sets_is_seen_and_threads_too(script):
    path = script("""
        import threading
        import etude

        @etude.implements("exp")
        def mine(x):
            return x + 1

        etude.set_default_backend(mine)
        thread = threading.Thread(target=lambda: etude.ones(3).exp())
        thread.start()
        thread.join()
        assert etude.ones(3).exp().tolist() == [2.0, 2.0, 2.0]
    """)
    default = dict(DEFAULT.tables)
    try:
        line, = [x for x in run("profile", str(path)).splitlines() if x.startswith("exp ")]
        assert etude.ones(1).exp().tolist() == [2.0], "what it set holds"
    finally:
        DEFAULT.tables.clear()
        DEFAULT.tables.update(default)
    assert line.split()[:5] == ["exp", "forward", "float32", "mine", "2"]


def test_of_a_script_that_raises_the_traceback_is_its_own_and_what_ran_is_told(script):
    path = script(SCRIPT + "    def bad():\n        raise ValueError('no more')\n    bad()\n")
    text = run("profile", "--trace", "t.json", str(path), code=1)
    error = text.partition("Traceback (most recent call last):")[2]
    assert error.splitlines()[1].startswith(f'  File "{path}", line ')
    assert "runpy" not in error
    assert "ValueError: no more" in error
    assert "The script ended with this error; what ran until then:" in text
    assert "matmul" in text
    assert "Written: t.json" in text


def test_a_syntax_error_is_shown_as_python_shows_it(script):
    text = run("profile", str(script("x = = 1\n")), code=1)
    assert "SyntaxError" in text
    assert "x = = 1" in text
    assert "runpy" not in text, "the script has not begun, so there is nothing to trace"


def test_a_module_that_is_not_there_is_one_line():
    text = run("profile", "-m", "no_such_module_here", code=1)
    assert "No module named no_such_module_here" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(("end", "code"), [("sys.exit()", 0), ("sys.exit(3)", 3),
                                           ("sys.exit('enough')", 1),
                                           ("raise KeyboardInterrupt", 130)])
def test_it_ends_with_the_status_of_the_script(script, end, code):
    text = run("profile", str(script(SCRIPT + f"    {end}\n")), code=code)
    assert "Profile of job.py" in text
    assert "Traceback" not in text
    assert ("enough" in text) == ("enough" in end)


def test_a_script_that_is_not_there(script):
    path = script(SCRIPT)
    text = run("profile", str(path.with_name("jib.py")), code=1)
    assert "There is no script" in text
    assert "There are job.py" in words(text)
    assert "which script?" in run("profile", code=2)


def test_a_script_in_which_nothing_of_etude_ran(script):
    text = run("profile", "--html", "p.html", str(script("print('hello')")), code=1)
    assert "hello" in text
    assert "Nothing of Etude ran in job.py: no op was called." in text
    assert "Written" not in text


@pytest.mark.parametrize(("name", "told"), [("lost/p.html", "there is no folder"),
                                            ("p.txt", "should end with .html"),
                                            (".", "is a directory")])
def test_a_file_that_cannot_be_written_is_told_before_the_script_runs(script, name, told):
    text = run("profile", "--html", name, str(script(SCRIPT)), code=2)
    assert told in words(text)
    assert "script __main__" not in text


def test_a_file_that_cannot_be_written_after_all_does_not_keep_the_others(script, tmp_path):
    text = run("profile", "--trace", "gone/t.json", "--flame", "f.svg", str(script(
        "import shutil\nshutil.rmtree('gone')\n" + textwrap.dedent(SCRIPT))), code=2)
    assert "there is no folder" in words(text)
    (tmp_path / "here" / "gone").mkdir()
    text = run("profile", "--trace", "gone/t.json", "--flame", "f.svg", str(script(
        "import shutil\nshutil.rmtree('gone')\n" + textwrap.dedent(SCRIPT))), code=1)
    assert "Error: gone/t.json could not be written: There is no such folder" in words(text)
    assert "Written: f.svg" in text


# ------------------------------------------------------------------ roofline


def test_the_table_and_the_roof_are_shown_and_where_they_are_kept(known):
    text = run("roofline")
    assert "100.0" in text
    assert "FLOP a byte" in text
    assert f"Kept in {file_of(this_machine())}" in text
    assert "Measuring" not in text


def test_the_roof_is_drawn_into_files(known, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="NOT RUN: needs the package matplotlib")
    monkeypatch.chdir(tmp_path)
    text = run("roofline", "--svg", "r.svg", "--png", "r.png", "--html", "r.html")
    assert text.count("Written: ") == 3
    assert (tmp_path / "r.svg").read_text().startswith("<svg")


def test_what_needs_no_matplotlib_is_written_without_it(known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = run("roofline", "--svg", "r.svg", "--html", "r.html", code=1)
    assert "Written: r.html" in text
    assert "r.svg is drawn with matplotlib, which is not installed" in words(text)
    assert not (tmp_path / "r.svg").exists()


def test_json_of_the_roof_is_what_the_file_holds(known):
    assert json.loads(run("roofline", "--json")) == json.loads(
        file_of(this_machine()).read_text())


def test_anew_measures_and_a_busy_machine_is_told(known, monkeypatch):
    monkeypatch.setattr("etude.measure.roof.SECONDS", 0.0)
    monkeypatch.setattr("etude.measure.roof._megabytes", lambda: 1)
    monkeypatch.setattr("etude.measure.roof._BUSY", {})
    probed = (Peak(1, 3e9, 2e9, 1e9, "etude-cpu", "NumPy"), "another process had its cores")
    monkeypatch.setattr("etude.measure.roof._probed", lambda threads: probed)
    text = run("roofline", "--anew")
    assert "Measuring" in text
    assert "etude-cpu" in text
    assert "Too low, because this machine was busy: another process had its cores" in text
    assert "Kept" not in text
    assert "100.0" in run("roofline"), "the old numbers are still there"
