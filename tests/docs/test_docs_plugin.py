"""The pages "Check your kernel" and "Write a backend plugin", followed line by line by somebody who
knows nothing else.
"""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import following

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "check-your-kernel.md"
NEEDED = "NOT RUN: needs the package {}"


def follow(page, folder, *more):
    """Do what a page says, where that is possible; returns (step, output) of each command."""
    needed = (("hatchling", "hatchling"), ("pip", "pip"), ("click", "etude[cli]"), *more)
    for module, package in needed:
        if importlib.util.find_spec(module) is None:
            pytest.skip(NEEDED.format(package))
    return following.follow(page, folder)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder after the whole page, and (step, output) of each command."""
    folder = tmp_path_factory.mktemp("reader")
    return folder, follow(PAGE, folder)


def outputs(followed, part):
    found = [out for step, out in followed[1] if part in step.command]
    assert found, f"the page has no command with {part!r}"
    return found


def test_every_command_prints_what_the_page_shows(followed):
    following.expect_what_is_shown(PAGE, followed[1])


def test_the_plugin_page_leads_to_a_plugin_that_passes(tmp_path):
    page = PAGE.with_name("plugin.md")
    for file in (PAGE.parent / "scipy-plugin").iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    done = follow(page, tmp_path, ("scipy", "scipy"))
    assert len(done) > 2
    following.expect_what_is_shown(page, done)
    assert "broken" not in "".join(output for _, output in done)


def test_a_page_is_renewed_with_the_numbers_of_a_run(tmp_path):
    page = tmp_path / "page.md"
    text = "```console\n$ echo '3 of 10 in 0.5 s'; echo done\n{} of 10 in {} s\n...\n```\n"
    page.write_text(text.format(2, 0.25))
    step, = following.steps(page)
    assert following.missing(step, "2 of 10 in 0.75 s\ndone") == []
    assert following.missing(step, "3 of 10 in 0.25 s\ndone") == ["2 of 10 in # s"]
    following.renew(page, tmp_path)
    assert page.read_text() == text.format(3, 0.5)
    with pytest.raises(ValueError, match="never printed: 2 of 10"):
        following.renewed(step, "nothing")


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
