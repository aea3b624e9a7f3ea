"""Late days: counted from the collector's time, free ones first, in whole points."""

from datetime import timedelta

import pytest

from etude_course.errors import CourseError
from etude_course.grade.late import Lateness, Policy, lateness, moment, written

DUE = moment("2026-11-28T23:59:00+01:00")
NONE = timedelta()


@pytest.mark.parametrize(("submitted", "days"), [
    ("2026-11-28T22:58:59Z", 0), ("2026-11-28T22:59:00Z", 0), ("2026-11-28T22:59:01Z", 1),
    ("2026-11-29T22:59:00Z", 1), ("2026-11-29T22:59:01Z", 2), ("2026-12-05T22:59:00Z", 7)])
def test_a_day_that_has_begun_counts(submitted, days):
    assert lateness(Policy(DUE), submitted, NONE, 20).days == days


def test_a_penalty_is_rounded_down_to_whole_points():
    one_day = "2026-11-29T00:00:00Z"
    assert lateness(Policy(DUE, percent=10), one_day, NONE, 19) == Lateness(1, 0, 1)
    assert lateness(Policy(DUE, percent=10), one_day, NONE, 9) == Lateness(1, 0, 0)


def test_free_days_are_used_first_and_only_once():
    three = "2026-12-01T00:00:00Z"
    assert lateness(Policy(DUE, free_days=2), three, NONE, 20) == Lateness(3, 2, 2)
    assert lateness(Policy(DUE, free_days=2), three, NONE, 20, used=1) == Lateness(3, 1, 4)
    assert lateness(Policy(DUE, free_days=2), three, NONE, 20, used=9) == Lateness(3, 0, 6)


def test_an_extension_moves_the_date_and_grace_forgives_minutes():
    late = "2026-11-30T23:03:00Z"
    assert lateness(Policy(DUE), late, timedelta(days=2), 20).days == 1
    assert lateness(Policy(DUE, grace=timedelta(minutes=5)), late, timedelta(days=2), 20).days == 0


def test_a_penalty_takes_no_more_than_there_is():
    assert lateness(Policy(DUE, percent=50), "2027-01-01T00:00:00Z", NONE, 20).penalty == 20


def test_nothing_is_late_without_a_date_or_a_time():
    assert lateness(Policy(), "2030-01-01T00:00:00Z", NONE, 20) == Lateness()
    assert lateness(Policy(DUE), "", NONE, 20) == Lateness()


def test_a_time_says_its_zone():
    assert written(moment("2026-11-28T23:59:00+01:00")) == "2026-11-28T22:59:00Z"
    assert written(moment("20261128T225900Z")) == "2026-11-28T22:59:00Z"
    with pytest.raises(CourseError, match="in which time zone: write 2026-11-28T23:59Z for UTC"):
        moment("2026-11-28T23:59")
    with pytest.raises(CourseError, match="write 2026-11-28T23:59Z for UTC, or 2026-11-28T23:59"):
        moment("2026-11-28")
    with pytest.raises(CourseError, match="'tomorrow' is no time"):
        moment("tomorrow")
