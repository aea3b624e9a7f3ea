"""The report on a class: everything is on the page, and with --anonymous nobody is."""

import re
from html.parser import HTMLParser

import made_class as made
import pytest

from etude_course.grade.roster import Roster, Student
from etude_course.record import Override, Status
from etude_course.report import page
from etude_course.report.page import Class, dumps
from etude_course.report.similarity import Pair

CLASS = made.class_of(300)
NAMES = Roster({r.student: Student(r.student, f"Person Number{n}") for n, r in enumerate(CLASS)}
               | {"s900": Student("s900", "Gone Away")}, True)
VOID = {"meta", "br"}


class Tags(HTMLParser):
    """The tags, well nested or not at all."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def words(text):
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_a_page_stands_by_itself():
    text = dumps(Class(CLASS, NAMES))
    tags = Tags(text).seen
    assert not {"script", "link", "img", "iframe"} & {t for t, _ in tags}
    assert "default-src 'none'" in text
    assert "http:" not in text.replace("http-equiv", "")
    assert len(text) < 1_000_000


def test_it_says_how_many_have_how_many_points():
    text = words(dumps(Class(CLASS, NAMES)))
    assert "300 hand-ins" in text
    assert "1 of the roster without one" in text
    mean = sum(r.score for r in CLASS) / 300
    assert f"Mean {mean:.1f}" in text
    bars = re.findall(r'title="(\d+) points: (\d+)"', dumps(Class(CLASS)))
    assert {int(s): int(n) for s, n in bars} == {
        s: sum(r.score == s for r in CLASS) for s in range(15)}


def test_it_says_which_check_blocks_whom():
    text = dumps(Class(CLASS, NAMES))
    blocked = [r for r in CLASS if r.checks[0].points < 3]
    assert f"<summary>blocks {len(blocked)}</summary>" in text
    block = text.split("variance-values", 1)[1].split("</details>", 1)[0]
    for r in blocked:
        assert f"({r.student})" in block


def test_it_counts_named_mistakes():
    text = words(dumps(Class(CLASS, NAMES)))
    count = sum(bool(r.checks[0].mistake) for r in CLASS)
    assert count > 10
    assert f"{count} {made.MISTAKES['variance-values']}" in text


def test_what_a_person_decided_is_what_counts():
    lifted = made.result(checks=[made.check(points=0, status=Status.FAILED)],
                         overrides=[Override("variance-values", 3, "the case was wrong")])
    text = dumps(Class([lifted]))
    assert "100 % have all its points" in words(text)
    assert "given by hand, 3 of 3: the case was wrong" in words(text)


def test_names_are_withheld():
    noted = [made.result("s777", notes=["not looked at: ada_lovelace.txt"])]
    pairs = [Pair("s001", "s002", 0.9)]
    about = Class([*CLASS, *noted], NAMES, alike=pairs, ours=[Pair("s003", "the solution", 0.8)],
                  compared=True, anonymous=True)
    text = dumps(about)
    assert "lovelace" not in text
    for student in NAMES.students.values():
        assert not re.search(rf"\b{student.id}\b", text), student.id
        assert student.name not in text
    assert "hand-in 301" in text
    assert "90 %" in words(text)
    named = dumps(Class([*CLASS, *noted], NAMES, alike=pairs, compared=True))
    assert "Person Number1 (s001)" in named
    assert "ada_lovelace.txt" in named


def test_the_numbers_of_an_anonymous_page_do_not_follow_the_roster():
    text = words(dumps(Class(CLASS, NAMES, anonymous=True)).split("Everyone</h2>")[1])
    points = [int(p) for _, p in re.findall(r"hand-in (\d+) (\d+)", text)]
    assert len(points) == 300
    assert points != [r.score for r in CLASS]
    assert sorted(points) == sorted(r.score for r in CLASS)


def test_what_students_wrote_is_text():
    evil = made.result("s1", notes=["<script>alert(1)</script>"],
                       checks=[made.check(points=0, status=Status.FAILED, mistake="a < b & <b>")])
    text = dumps(Class([evil], Roster({"s1": Student("s1", "<img src=x>")}, True)))
    Tags(text)
    assert "<script" not in text
    assert "<img" not in text
    assert "a &lt; b &amp; &lt;b&gt;" in text


def test_many_points_share_columns():
    checks = [made.check(f"c-{n}", 10, 10) for n in range(10)]
    text = dumps(Class([made.result(checks=checks)]))
    assert "5 to a column" in text
    assert len(re.findall(r'points: \d+"><i>', text)) <= page.BINS


def test_who_is_not_graded_yet_has_not_handed_in_nothing():
    text = words(dumps(Class(CLASS[:-1], NAMES, ungraded=["s299"])))
    assert "1 of the roster without one" in text
    assert "1 students not graded yet" in text


def test_of_many_pairs_the_most_alike_are_shown():
    pairs = [Pair(f"s{n:03}", f"s{n + 1:03}", 0.9) for n in range(299)]
    text = words(dumps(Class(CLASS, NAMES, alike=pairs, compared=True)))
    assert text.count("90 %") == page.PAIRS
    assert "And 199 more, less alike than these." in text


def test_versions_that_differ_are_said():
    other = made.result("s2")
    other.version = 2
    assert "same version of the assignment: 1, 2" in words(dumps(Class([made.result(), other])))


def test_there_is_no_report_on_nobody():
    with pytest.raises(ValueError, match="nobody has been graded"):
        dumps(Class([]))
