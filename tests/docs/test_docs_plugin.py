"""The page "Check your kernel", followed line by line by somebody who knows nothing else."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "howto" / "check-your-kernel.md"
NEEDED = "NOT RUN: needs the package {}"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


following = load(HERE / "following.py")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder after the whole page, and (step, output) of each command."""
    for module, package in (("hatchling", "hatchling"), ("pip", "pip"), ("click", "etude[cli]")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(NEEDED.format(package))
    folder = tmp_path_factory.mktemp("reader")
    done = []
    for step in following.steps(PAGE):
        if step.path:
            following.write(step, folder)
        else:
            done.append((step, following.run(step.command, folder)))
    return folder, done


def outputs(followed, part):
    found = [out for step, out in followed[1] if part in step.command]
    assert found, f"the page has no command with {part!r}"
    return found


def test_every_command_prints_what_the_page_shows(followed):
    for step, output in followed[1]:
        absent = following.missing(step, output)
        assert not absent, f"$ {step.command}\nthe page shows:\n{absent}\nit printed:\n{output}"
        assert "Traceback" not in output


def test_wrong_kernels_fail_and_right_ones_pass(followed):
    wrong, right = outputs(followed, "--source softmax.c")
    assert "exit status 1" in wrong
    assert "exit status 0" in right
    first, *_, last = outputs(followed, "--module softmax.py")
    assert "exit status 1" in first
    assert "exit status 0" in last


def test_the_plugin_of_the_page_is_discovered_checked_and_reported(followed):
    listed, = outputs(followed, "etude backends")
    assert "mine" in listed
    assert "broken" not in listed
    folder, _ = followed
    following.run("etude check mine --level smoke --op softmax --op mul --json report.json", folder)
    report = json.loads((folder / "report.json").read_text())
    assert report["passed"]
    assert report["counts"]["PASS"] > 50
    assert {r["op"] for r in report["records"] if r["verdict"] == "PASS"} == {"softmax", "mul"}
    assert {r["kind"] for r in report["records"] if r["verdict"] == "WAIVED"} == {"special"}
    assert any("float32" in r["message"] for r in report["records"]
               if r["verdict"] == "UNSUPPORTED" and r["op"] == "mul")


def test_the_waiver_is_what_makes_it_pass(followed):
    before, after = outputs(followed, "etude check mine")
    assert "exit status 1" in before
    assert "exit status 0" in after


def test_the_divergence_on_the_page_is_found_and_reproduced(followed):
    found, = outputs(followed, "python train.py")
    assert "adamw_step is wrong" in found
    again, = outputs(followed, "repro.py")
    assert "exit status 1" in again
