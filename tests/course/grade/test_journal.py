"""The journal loses nothing that was said, and believes nothing that is damaged."""

import subprocess
import sys

import pytest

from etude_course.errors import CourseError
from etude_course.grade import journal
from etude_course.grade.journal import Journal


def written(folder, count=5):
    with Journal(folder) as made:
        for n in range(count):
            made.add("graded", n=n, text="ü\n")
    return (folder / journal.NAME).read_bytes()


def test_what_was_added_is_read_again(tmp_path):
    written(tmp_path)
    with Journal(tmp_path) as again:
        assert [e["n"] for e in again.events] == list(range(5))
        assert again.cut == 0
        again.add("graded", n=5)
    assert [e["n"] for e in journal.read(tmp_path)] == list(range(6))


def test_wherever_a_line_was_cut_off_the_lines_before_it_stay(tmp_path):
    data = written(tmp_path)
    ends = [i + 1 for i, b in enumerate(data) if b == ord("\n")]
    for cut in range(len(data)):
        (tmp_path / journal.NAME).write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)
        assert len(journal.read(tmp_path)) == whole
        with Journal(tmp_path) as made:
            assert len(made.events) == whole
            assert made.cut == cut - ([0, *ends][whole])
            made.add("graded", n="next")
        assert journal.read(tmp_path)[-1]["n"] == "next"


def test_damage_further_up_stops_everything_and_names_the_line(tmp_path):
    data = written(tmp_path)
    for place in (3, len(data) // 2):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]
        (tmp_path / journal.NAME).write_bytes(damaged)
        with pytest.raises(CourseError, match=r"journal.jsonl, line \d is damaged"):
            Journal(tmp_path)
        assert (tmp_path / journal.NAME).read_bytes() == damaged


def test_a_second_run_is_refused_while_one_is_at_work(tmp_path):
    with Journal(tmp_path) as made:
        made.add("graded", n=1)
        with pytest.raises(CourseError, match="Another run is grading into"):
            Journal(tmp_path)
        assert len(journal.read(tmp_path)) == 1  # a report may look
    with Journal(tmp_path) as again:
        assert len(again.events) == 1


def test_a_lock_goes_with_the_process_that_held_it(tmp_path):
    code = ("import os, sys; from pathlib import Path; from etude_course.grade.journal import "
            "Journal; Journal(Path(sys.argv[1])).add('graded', n=1); os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with Journal(tmp_path) as again:
        assert len(again.events) == 1


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, room):
    before = written(tmp_path)
    with Journal(tmp_path) as made:
        with room(len(before) + 10), pytest.raises(OSError, match="File too large"):
            made.add("graded", text="x" * 1000)
        assert (tmp_path / journal.NAME).read_bytes() == before
        assert len(made.events) == 5
        made.add("graded", n=5)
    assert [e["n"] for e in journal.read(tmp_path)] == list(range(6))


def test_no_grading_is_a_sentence(tmp_path):
    with pytest.raises(CourseError, match=r"There is no grading in '.*nowhere'"):
        journal.read(tmp_path / "nowhere")
