"""What a platform is given: the same bytes each time, nothing missing, and it grades."""

import json
import os
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner

from etude_course.author.bundle import bundle
from etude_course.author.make import leaks
from etude_course.commands import course
from etude_course.errors import CourseError
from etude_course.source.source import Source

WHEELS = ("etude-0.1.0-py3-none-any.whl", "etude_check-0.1.0-py3-none-any.whl",
          "etude_course-0.1.0-py3-none-any.whl", "numpy-2.4.0-cp311-cp311-linux_x86_64.whl")
DONE = """
def double(x):
    return x + x


def double_all(xs):
    raise NotImplementedError
"""


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in WHEELS:
        (folder / name).write_bytes(b"a wheel")
    return folder


def test_it_has_the_programs_the_wheels_and_what_to_install(small, wheels, tmp_path):
    path = bundle(small, "gradescope", wheels, tmp_path / "made", "s")
    assert path.name == "t1-gradescope.zip"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert names >= {"setup.sh", "run_autograder", "requirements.txt", "secret",
                         "assignment/checks.py", *(f"wheels/{w}" for w in WHEELS)}
        for name in ("setup.sh", "run_autograder"):
            assert archive.getinfo(name).external_attr >> 16 & 0o111
        assert archive.read("requirements.txt").decode().split() == [
            "etude[cli,native]==0.1.0", "etude_check==0.1.0", "etude_course==0.1.0"]


def test_kernels_that_use_threads_are_not_graded_without_them(written, wheels, tmp_path):
    toml = (written() / "assignment.toml").read_text()
    check = '  [[question.check]]\n  id = "t"\n  points = 1\n  op = "neg"\n  kinds = ["threads"]\n'
    source = Source.read(written(toml=toml.replace("\n[[mutant]]", f"\n{check}\n[[mutant]]", 1)))
    with pytest.raises(CourseError, match=r"no wheel of etude_cpu\. .* plugins/etude-cpu"):
        bundle(source, "gradescope", wheels, tmp_path, "s")
    (wheels / "etude_cpu-0.1.0-cp311-abi3-linux_x86_64.whl").write_bytes(b"a wheel")
    assert bundle(source, "gradescope", wheels, tmp_path, "s").exists()


def test_making_it_twice_gives_the_same_bytes(small, wheels, tmp_path):
    one = bundle(small, "gradescope", wheels, tmp_path / "one", "s")
    for path in (*wheels.iterdir(), *small.folder.rglob("*")):
        os.utime(path, (1, 1))
    assert bundle(small, "gradescope", wheels, tmp_path / "two", "s").read_bytes() == \
        one.read_bytes()


def test_the_solution_is_in_the_folder_of_the_source_alone(small, wheels, tmp_path):
    with zipfile.ZipFile(bundle(small, "gradescope", wheels, tmp_path, "s")) as archive:
        for name in archive.namelist():
            found = leaks(small, archive.read(name).decode(errors="replace"))
            assert not found or name.startswith("assignment/"), name


@pytest.mark.parametrize("name", ["setup.sh", "run_autograder"])
def test_its_programs_are_valid_shell(small, wheels, tmp_path, name):
    with zipfile.ZipFile(bundle(small, "gradescope", wheels, tmp_path, "s")) as archive:
        text = archive.read(name)
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_a_clear_error(small, wheels, tmp_path):
    with pytest.raises(CourseError, match="the secret is empty"):
        bundle(small, "gradescope", wheels, tmp_path, " ")
    with pytest.raises(CourseError, match="name of a course"):
        bundle(small, "gradescope", wheels, tmp_path, "s", course='"; rm -rf /')
    (wheels / "etude-0.2.0-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(CourseError, match="etude in two versions"):
        bundle(small, "gradescope", wheels, tmp_path, "s")
    with pytest.raises(CourseError, match=r"no wheel of etude, etude_check, etude_course.*pip w"):
        bundle(small, "gradescope", tmp_path / "nowhere", tmp_path, "s")
    done = CliRunner().invoke(course, ["build", str(small.folder), "--for", "gradescope"])
    assert done.exit_code == 2
    assert "--secret is missing" in done.output


# ------------------------------------------------------------------ on the platform


@pytest.fixture
def platform(small, wheels, tmp_path):
    """``platform("gradescope")``: the folder of a platform, with the bundle unpacked."""
    def unpack(name):
        path = bundle(small, name, wheels, tmp_path, "s")
        here = tmp_path / name
        with zipfile.ZipFile(path) as archive:
            archive.extractall(here / "source")
        (here / "submission").mkdir()
        (here / "submission/small.py").write_text(DONE)
        return here

    return unpack


def graded(here, program, **more):
    """What the program of a bundle writes, run as the platform would, in this Python."""
    env = {**os.environ, "PYTHON": sys.executable, **more}
    text = (here / "source" / program).read_text()
    # The course is installed here already, so setup.sh has not filled "site".
    text = text.replace('PYTHONPATH="$here/site"', f"PYTHONPATH={os.pathsep.join(sys.path)}")
    (here / "source" / program).write_text(text)
    return subprocess.run(["bash", str(here / "source" / program)], env=env, text=True,
                          capture_output=True, check=False, timeout=300)


def test_gradescope_gets_its_results_with_the_time_it_knows(platform):
    here = platform("gradescope")
    (here / "results").mkdir()
    (here / "submission_metadata.json").write_text(json.dumps(
        {"created_at": "2026-11-28T12:00:00.000000-05:00", "users": [{"email": "a@b.edu"}]}))
    done = graded(here, "run_autograder")
    assert done.returncode == 0, done.stderr
    results = json.loads((here / "results/results.json").read_text())
    assert results["score"] == 3
    assert [t["score"] for t in results["tests"]] == [3, 0]


def test_gradescope_runs_a_copy_one_folder_up(platform):
    here = platform("gradescope")
    (here / "results").mkdir()
    (here / "source/run_autograder").rename(here / "run_autograder")
    done = graded(here, "../run_autograder")
    assert done.returncode == 0, done.stderr
    assert json.loads((here / "results/results.json").read_text())["score"] == 3


def test_metadata_that_cannot_be_read_is_a_clear_error(platform):
    here = platform("gradescope")
    (here / "submission_metadata.json").write_text("{")
    done = graded(here, "run_autograder")
    assert done.returncode == 2
    assert "submission_metadata.json cannot be read" in done.stderr


def test_prairielearn_gets_its_results(platform):
    here = platform("prairielearn")
    (here / "submission").rename(here / "student")
    done = graded(here, "run.sh", GRADE=str(here))
    assert done.returncode == 0, done.stderr
    assert json.loads((here / "results/results.json").read_text())["score"] == 3 / 5


def test_classroom_50_without_its_variables_is_an_error_and_no_pass(platform):
    here = platform("classroom50")
    done = graded(here, "run.sh", GITHUB_WORKSPACE=str(here / "submission"))
    assert done.returncode == 2
    assert "Classroom 50 sets" in done.stderr
    assert not (here / "submission/result.json").exists()


def test_a_program_without_a_python_that_is_new_enough_says_so(platform):
    here = platform("gradescope")
    done = subprocess.run(["/bin/bash", str(here / "source/run_autograder")], text=True,
                          env={"PATH": "/usr/bin-nowhere"}, capture_output=True, check=False)
    assert done.returncode != 0
    assert not (here / "results").exists()
