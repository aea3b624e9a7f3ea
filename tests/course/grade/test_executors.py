"""The same scores from every executor; and where one is missing, what to install."""

import importlib.util
import shutil
import sys

import made_class
import made_handins
import pytest
import runs_grading as runs

from etude_course.errors import CourseError
from etude_course.grade import executors
from etude_course.source.source import Source

ROOT = ["--allow-run-as-root", "--oversubscribe"]  # of Open MPI; others know neither


def ranks(count):
    """The words in front of a command that is to run on so many ranks."""
    if importlib.util.find_spec("mpi4py") is None or shutil.which("mpiexec") is None:
        pytest.skip("NOT RUN: needs mpi4py and mpiexec")
    _, said = runs.finish(["mpiexec", "--version"])
    return ["mpiexec", *(ROOT if "Open MPI" in said or "OpenRTE" in said else []), "-n",
            str(count)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A few hand-ins, and their scores as the local executor finds them."""
    if not any(importlib.util.find_spec(p) for p in ("mpi4py", "distributed")):
        pytest.skip("NOT RUN: needs mpi4py or distributed")
    top = tmp_path_factory.mktemp("executors")
    source = Source.read(made_class.assignment(top / "t1"))
    made_handins.write(top / "in", made_handins.class_for(source, 20)[2:8])
    (top / "secret").write_text("the same")
    status, said = runs.finish(command(top, "local"))
    assert status == 0, said
    return top


def command(top, name):
    return runs.command(top / "in", top / "t1", top / name, "--secret", str(top / "secret"),
                        "--jobs", "2", "--executor", name)


def same(top, name):
    found = runs.results(top / name)
    assert len(found) == 6
    for ours, theirs in zip(runs.results(top / "local"), found, strict=True):
        assert ours["student"] == theirs["student"]
        assert ours["score"] == theirs["score"]
        assert [c["status"] for c in ours["checks"]] == [c["status"] for c in theirs["checks"]]


def test_two_mpi_ranks_find_the_same_scores(place):
    before = ranks(2)
    python, safely, *rest = command(place, "mpi")
    status, said = runs.finish([*before, python, safely, "-m", "mpi4py.futures", *rest])
    assert status == 0, said
    same(place, "mpi")


def test_two_dask_workers_find_the_same_scores(place):
    pytest.importorskip("distributed", reason="NOT RUN: needs distributed")
    status, said = runs.finish(command(place, "dask"))
    assert status == 0, said
    same(place, "dask")


@pytest.mark.parametrize(("name", "package"), [("mpi", "mpi4py"), ("dask", "distributed")])
def test_a_missing_package_is_named(monkeypatch, name, package):
    for module in (package, f"{package}.futures"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CourseError, match=rf"needs the package {package}: pip install "
                       rf"'etude-course\[{name}\]'"), executors.executor(name, 2):
        raise AssertionError("it began")


def test_mpi_without_ranks_says_how_to_start_it(place):
    pytest.importorskip("mpi4py", reason="NOT RUN: needs mpi4py")
    ranks(1)
    status, said = runs.finish([*command(place, "alone")[:-1], "mpi"])
    assert status == 2
    said = " ".join(said.split())
    assert "mpiexec -n 3 python -P -m mpi4py.futures -m etude course grade" in said


def test_a_dask_scheduler_that_does_not_answer_is_said(place):
    pytest.importorskip("distributed", reason="NOT RUN: needs distributed")
    with pytest.raises(CourseError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9"), \
            executors.executor("dask", 2, "tcp://127.0.0.1:9"):
        raise AssertionError("it began")

