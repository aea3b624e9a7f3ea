"""The runtime API behaves as on a card, and tells in words what a card only numbers."""

import signal

import pytest

PROGRAM = "host.cu"
SUCCESS = "cudaSuccess"
INVALID = "cudaErrorInvalidValue"


@pytest.fixture
def case(run):
    return lambda *arguments, **more: run(PROGRAM, *arguments, **more)


def test_a_launch_takes_two_to_four_arguments_templates_structs_and_null(case):
    ran = case("launches")
    assert ran.output == "6 6 6 -1 0.5 1 1.5 2 9 7\n"
    assert [e["kernel"] for e in ran.of("launch")] == [
        "fill", "twice<float>", "by_value", "takes_null", "fill", "kernel"]
    assert ran.of("launch")[0]["grid"] == [2, 1, 1]
    assert ran.of("launch")[0]["threads"] == 8


def test_a_bad_configuration_is_refused_and_said_why(case):
    ran = case("refusals")
    wrong = "cudaErrorInvalidConfiguration"
    assert ran.lines == [wrong, wrong, wrong, INVALID, SUCCESS, SUCCESS, INVALID]
    words = [f["words"] for f in ran.found("launch-failed")]
    assert ["1025 threads" in words[0], "no blocks" in words[1], "65536 x 1" in words[2],
            "49153 bytes" in words[3]] == [True] * 4


def test_after_an_ignored_bad_launch_a_copy_succeeds_and_the_end_tells(case):
    ran = case("ignored")
    assert ran.output == "cudaSuccess\n"
    [found] = ran.found("error-ignored")
    assert ran.marks(found) == ["BAD"]
    assert found["detail"]["error"] == "cudaErrorInvalidConfiguration"


def test_an_error_is_kept_until_it_is_got_and_then_forgotten(case):
    ran = case("asked")
    assert ran.lines == ["cudaErrorInvalidConfiguration", "invalid configuration argument",
                         SUCCESS]
    assert "error-ignored" not in ran.kinds


def test_an_error_of_a_call_that_nobody_looks_at_is_told_at_the_end(case):
    [found] = (ran := case("ignored_call")).found("error-ignored")
    assert ran.marks(found) == ["IGNORED"]
    assert "error-ignored" not in case("checked_call").kinds


def test_copies_are_checked_against_the_allocations(case):
    ran = case("copies")
    assert ran.lines == [SUCCESS, SUCCESS, INVALID, INVALID, INVALID, INVALID, INVALID,
                         "cudaErrorInvalidMemcpyDirection", "cudaErrorInvalidMemcpyDirection",
                         SUCCESS]
    for kind, mark in [("copy-direction", "DIRECTION"), ("bytes-for-elements", "ELEMENTS"),
                       ("copy-range", "RANGE"), ("host-pointer", "HOST")]:
        [found] = ran.found(kind)
        assert mark in ran.marks(found)
    assert "4 times too small" in ran.found("bytes-for-elements")[0]["words"]


def test_pitched_memory_takes_copies_row_by_row(case):
    assert case("pitched").lines == [SUCCESS, SUCCESS, "0 1", SUCCESS]


def test_what_cannot_be_freed_is_told_why(case):
    ran = case("frees")
    assert ran.lines == [SUCCESS, SUCCESS, INVALID, INVALID, INVALID, INVALID, SUCCESS, SUCCESS]
    found = {ran.marks(f)[0]: f["words"] for f in ran.found("invalid-free")}
    assert sorted(found) == ["HOSTS", "MIDDLE", "PINNED", "TWICE"]
    assert "freed before" in found["TWICE"]
    assert "cudaFreeHost" in found["PINNED"]


def test_managed_and_pinned_memory_are_told_apart(case):
    assert case("memory").lines == ["2 3 1 0 2.5", SUCCESS, SUCCESS]


def test_variables_of_the_card_are_copied_by_name(case):
    ran = case("symbols")
    assert ran.lines == [SUCCESS, SUCCESS, SUCCESS, "1 2 3 1 15 2", SUCCESS, SUCCESS, "1 16",
                         INVALID, "cudaErrorInvalidSymbol"]
    assert "SYMBOL" in ran.marks(ran.found()[0])


def test_streams_and_events_keep_their_order(case):
    gone = "cudaErrorInvalidResourceHandle"
    assert case("streams").lines == [SUCCESS] * 5 + ["4 1 1", gone, SUCCESS, gone]


@pytest.mark.parametrize(("word", "told", "occupancy"), [
    ("T4", "Tesla T4 (etude lab) 7.5", "4 4 40 1024"),
    ("A100", "NVIDIA A100-SXM4-40GB (etude lab) 8.0", "8 9 216 1024"),
    ("h100", "NVIDIA H100 80GB HBM3 (etude lab) 9.0", "8 13 264 1024"),
])
def test_the_card_is_the_one_that_was_named(case, word, told, occupancy):
    ran = case("card", LAB_CARD=word)
    assert ran.lines == [SUCCESS, SUCCESS, "cudaErrorInvalidDevice", f"1 {told} 1 1",
                         "cudaErrorInvalidDevice", occupancy]


def test_an_unknown_card_is_an_error_that_lists_those_there_are(case):
    ran = case("card", LAB_CARD="GTX")
    assert ran.status == 2
    assert "It knows T4 A100 H100." in ran.errors


def test_more_memory_than_the_card_has_is_not_given(case):
    assert case("too_much").output == "cudaErrorMemoryAllocation\n"


def test_host_threads_may_launch_at_the_same_time(case):
    assert case("threads").output == "0\n"


def test_memory_of_the_card_can_be_out_of_the_hosts_reach(case):
    assert case("touches").output == "1\n"
    ran = case("touches", LAB_NO_TOUCH="1")
    assert ran.status < 0
    assert ran.kinds == ["device-pointer"]
    assert case("launches", LAB_NO_TOUCH="1").output == "6 6 6 -1 0.5 1 1.5 2 9 7\n"


def test_what_is_never_freed_is_told_in_inspect_mode(case):
    ran = case("leaks", mode="inspect")
    [found] = ran.found("leak")
    assert found["object"]["bytes"] == 1024
    assert case("leaks").kinds == []


def test_a_crash_of_the_host_is_told_in_fast_mode_too(case):
    ran = case("crash")
    assert ran.status == -signal.SIGSEGV
    [found] = ran.found("host-crash")
    assert found["words"].startswith("the host touched a null pointer (address 0x8)")
    assert found["places"][0]["stack"]
    assert "lab: host-crash: the host touched" in ran.errors
