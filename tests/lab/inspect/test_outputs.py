"""What becomes of a kernel's results: found where nobody reads them, or where a part of them comes.

Besides, how a program ends that does not end well, and host threads that use the card at once.
"""

import signal

import pytest

FORGOTTEN = ["forgotten", "left_at_exit", "changed_in_place", "added_up", "found_wrong"]
READ = ["copied", "part_copied", "other_kernel", "written_over", "launched_again", "by_atomics",
        "nothing_given", "managed", "call_failed", "read_by_the_host", "by_product",
        "by_product_of_a_second"]
WHOLE = ["short_and_unread", "short_and_then_written", "first_quarter", "in_parts",
         "of_two_widths"]
RUNS = 20


@pytest.mark.parametrize("case", FORGOTTEN)
def test_a_result_that_nobody_reads_is_told_at_its_launch(watch, case):
    seen = watch("outputs.cu", case)
    (found,) = seen.found("unread-output")
    assert seen.lines(found) == ["LAUNCH"]
    assert found.object.bytes == 512


@pytest.mark.parametrize("case", READ)
def test_a_result_that_somebody_saw_to_is_not(watch, case):
    assert not watch("outputs.cu", case).found("unread-output")


@pytest.mark.parametrize("case", ["short", "short_until_it_differs"])
def test_a_copy_of_bytes_for_elements_is_told_once_the_host_reads_on(watch, case):
    seen = watch("outputs.cu", case)
    (found,) = seen.found("bytes-for-elements")
    assert seen.lines(found) == ["COPY"]
    assert found.detail == {"asked": 128, "have": 512, "element": 4, "rest_is_read": True}


@pytest.mark.parametrize("case", WHOLE)
def test_a_copy_of_a_part_is_no_mistake(watch, case):
    assert watch("outputs.cu", case).kinds == []


@pytest.mark.parametrize(("case", "line", "words"), [
    ("null", "FOLLOWS NULL", "a null pointer"), ("before_any_launch", "READS NULL", "null"),
    ("in_the_library", "ASKS THE LIBRARY", "null"), ("by_zero", "DIVIDES", "by zero"),
    ("too_deep", "RECURSES", "used up its stack")])
def test_a_crash_of_the_host_has_a_line(watch, case, line, words):
    seen = watch("outputs.cu", case)
    assert seen.status in (-signal.SIGSEGV, -signal.SIGFPE)
    (found,) = seen.found("host-crash")
    assert line in seen.lines(found)
    assert words in found.words
    assert seen.log.end["stopped"] == "a crash of the host"


def test_a_leak_says_whether_the_program_ended_early(watch):
    (leak,) = watch("outputs.cu", "leak").found("leak")
    assert leak.detail == {}
    (leak,) = watch("outputs.cu", "leak_and_error").found("leak")
    assert leak.detail == {"ended_early": 3}
    assert "ended early, with status 3" in leak.words


def test_host_threads_with_streams_of_their_own_do_not_race(watch):
    for seed in range(RUNS):
        seen = watch("outputs.cu", "threads", seed=seed)
        assert (seen.kinds, seen.output, seen.status) == ([], "1\n", 0), seed
        assert len(seen.log.launches) == 16
