"""The pytest plugin as an author of a backend uses it: in a pytest of its own, on a column of
theirs.
"""

import subprocess
import sys
import textwrap
from importlib.metadata import entry_points

import pytest

#: Installed, the plugin is found by its entry point; from a checkout on PYTHONPATH it is named.
LOADED = () if entry_points(group="pytest11", name="etude_check") else (
    "-p", "etude_check.pytest_plugin")
COLUMNS = {
    "right": """
        import etude, numpy as np
        @etude.implements("neg")
        def neg(x, out=None):
            return np.negative(x, out=out)
    """,
    "wrong": """
        import etude, numpy as np
        @etude.implements("neg")
        def neg(x, out=None):
            return np.positive(x, out=out)
    """,
}


@pytest.fixture
def run(tmp_path):
    for name, text in COLUMNS.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    def run(*args, warnings="error"):
        command = [sys.executable, "-m", "pytest", *LOADED, "-W", warnings, "-p",
                   "no:cacheprovider", "-rs", *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300,
                              check=False)

    return run


def smoke(column, *more):
    return ("--pyargs", "etude_check", "--etude-module", f"{column}.py", "--etude-level", "smoke",
            "-k", "test_op and neg", *more)


def test_a_right_op_passes_and_the_cases_are_counted(run):
    done = run(*smoke("right"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "cases passed" in done.stdout


def test_a_wrong_op_fails_with_what_was_asked_and_how_to_run_it_again(run):
    done = run(*smoke("wrong"))
    assert done.returncode == 1
    for text in ("test_op[neg]", "asked", "expected", "etude check --module wrong.py --case neg/"):
        assert text in done.stdout, done.stdout + done.stderr


def test_an_op_the_column_lacks_is_skipped_and_a_session_of_those_fails(run):
    done = run("--pyargs", "etude_check", "--etude-module", "right.py", "-k", "softmax")
    assert "not implemented" in done.stdout, done.stdout + done.stderr
    assert "NOTHING WAS EXECUTED" in done.stdout
    assert done.returncode == 1


def test_without_a_candidate_the_suite_says_what_to_give(run):
    done = run("--pyargs", "etude_check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 skipped" in done.stdout
    assert "--etude-backend" in done.stdout


@pytest.mark.parametrize(("option", "value", "said"), [
    ("--etude-backend", "reference_", "Did you mean 'reference'?"),
    ("--etude-module", "missing.py", "there is no file"),
])
def test_a_candidate_that_cannot_be_is_a_usage_error(run, option, value, said):
    done = run("--pyargs", "etude_check", option, value)
    assert done.returncode not in (0, 1), done.stdout
    assert said in " ".join((done.stdout + done.stderr).split())


def test_a_column_that_cannot_be_loaded_fails(run, tmp_path):
    (tmp_path / "broken.py").write_text("import etude\n# implements\nraise RuntimeError('boom')\n")
    done = run("--pyargs", "etude_check", "--etude-module", "broken.py", "-k", "neg")
    assert done.returncode == 1
    assert "boom" in done.stdout


def test_the_plugin_leaves_other_test_suites_alone(run, tmp_path):
    (tmp_path / "test_other.py").write_text(textwrap.dedent("""
        import sys
        def test_nothing_heavy_is_loaded():
            heavy = {"numpy", "etude", "click", "hypothesis", "etude_check.cases.spec"}
            assert not heavy & set(sys.modules)
    """))
    # hypothesis has a plugin of its own, which imports it.
    done = run("-p", "no:hypothesispytest", "test_other.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "etude_check" not in done.stdout
