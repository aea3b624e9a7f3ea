"""The small assignment as students have it installed, and the commands in a folder of their own."""

import json
from dataclasses import replace

import pytest


@pytest.fixture
def kit(small):
    """Its kit, with visible cases that the answer is held to."""
    from etude_course.run.pack import kit_of

    return kit_of(small)


@pytest.fixture
def installed(kit, tmp_path, monkeypatch):
    """``installed()`` installs the kit, ``installed(starter=..., version=...)`` another one."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.setattr("etude_course.kit.kit.folder", lambda: folder)

    def install(starter=None, drivers="", **changed):
        from etude_course.source.assignment import of_document

        document = json.loads(json.dumps(kit.assignment.document)) | changed
        starters = kit.starters if starter is None else {"small.py": starter}
        other = replace(kit, assignment=of_document(document, "t1"), starters=starters,
                        drivers=drivers)
        (folder / "t1.json").write_text(other.text)
        return other

    install()
    return install


@pytest.fixture
def course(tmp_path, monkeypatch, installed):
    """``course("start", "T1")``: exit status and output, run in an empty folder."""
    from click.testing import CliRunner

    from etude_course.commands import course as group

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words, **more):
        done = CliRunner().invoke(group, list(map(str, words)), **more)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return run
