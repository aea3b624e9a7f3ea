"""`etude course list` and `progress`: the path, and what was done of it."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from etude_course.kit.path import TITLES

ROOT = Path(__file__).parents[3]
DONE = """
def double(x):
    return x + x


def double_all(xs):
    if not xs:
        raise ValueError("nothing")
    return [x + x for x in xs]
"""


def test_the_path_is_that_of_the_documentation():
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", (ROOT / "docs/tutorials.md").read_text(), re.M)
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\).*", r"\1", title) for _, title in rows]
    assert [int(n) for n, _ in rows] == list(range(1, 26))
    assert titles == list(TITLES)


def test_the_list_shows_every_chapter_and_the_assignments(course, installed):
    installed(chapter="04-elementwise-and-reductions")
    status, said = course("list")
    assert status == 0
    for title in TITLES:
        assert title in said
    lines = said.splitlines()
    at = next(i for i, line in enumerate(lines) if "Elementwise ops" in line)
    assert "T1  5 points, not started" in lines[at + 1]


def test_a_check_is_kept_and_seen_from_everywhere(course, installed, tmp_path, monkeypatch):
    installed(chapter="04-elementwise-and-reductions")
    course("start", "T1")
    assert "started, 5 points" in course("list")[1]
    Path("t1/small.py").write_text(DONE.replace("xs]", "xs] * 2"))
    assert course("check", "t1")[0] == 1
    assert "3 of 5 points, in t1" in course("list")[1]
    Path("t1/small.py").write_text(DONE)
    assert course("check", "t1", "--question", "double")[0] == 0
    assert "0 of 1 assignments" not in course("progress")[1]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, said = course("progress")
    assert status == 0
    assert "T1  ========================  5 of 5" in said
    assert "#   4" in said
    assert "1 of 1 assignments done, 5 of 5 points" in said


def test_of_two_folders_the_better_one_counts_and_a_removed_one_is_forgotten(course):
    course("start", "T1", "one")
    course("start", "T1", "two")
    Path("two/small.py").write_text(DONE)
    course("check", "two")
    course("check", "one")
    assert "5 of 5 points, in two" in course("list")[1]
    shutil.rmtree("two")
    assert "0 of 5 points, in one" in course("list")[1]


def test_a_folder_that_moved_is_found_where_it_is_named(course):
    course("start", "T1")
    Path("t1/small.py").write_text(DONE)
    course("check", "t1")
    Path("far/away").mkdir(parents=True)
    Path("t1").rename("far/away/t1")
    assert "0 of 1 assignments done" in course("progress")[1]
    assert "1 of 1 assignments done" in course("progress", "far/away")[1]


def test_a_record_that_cannot_be_read_is_said_and_the_rest_is_shown(course):
    course("start", "T1")
    Path("t1/.etude-course/record.json").write_text("{")
    status, said = course("progress")
    assert status == 0
    assert "record.json cannot be read" in said
    assert course("progress", "nowhere")[0] == 2
    status, said = course("check", "t1", "--question", "double")
    assert status == 1
    assert "'progress' does not know of this check" in " ".join(said.split())


class Tags(HTMLParser):
    """The tags of a page, and whether each is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.addresses = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "circle", "polyline", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(course, installed):
    installed(chapter="04-elementwise-and-reductions", title="Less < more & <b>")
    course("start", "T1")
    Path("t1/small.py").write_text(DONE)
    course("check", "t1")
    status, said = course("progress", "--html", "path.html")
    assert (status, said) == (0, "Wrote path.html\n")
    return Path("path.html").read_text()


def test_the_page_is_whole_and_needs_nothing_else(page):
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert tags.seen.count("circle") == 50
    assert not tags.addresses
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_shows_what_is_done(page):
    assert '<g class="done"><title>4. Elementwise' in page
    assert page.count('class="done"') == 1
    assert "Less &lt; more &amp; &lt;b&gt;: 5 of 5 points" in page
    assert "double values: 3 of 3, passed" in page
