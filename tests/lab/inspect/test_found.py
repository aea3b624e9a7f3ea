"""Each mistake of pairs.cu is found at its lines, and its twin is clean."""

import pytest

STORE_LOAD = {"STORE OWN", "LOAD OTHER"}

#: case: kind, the comments at the lines of its places, and what else the finding says
WRONG = {
    "guard": ("out-of-bounds", {"STORE BEYOND"}, {"offset": 400}),
    "after_free": ("use-after-free", {"TOUCH"}, {}),
    "misaligned": ("misaligned", {"LOAD VECTOR"}, {"alignment": 16}),
    "shared_row": ("out-of-bounds", {"BEYOND ROW"}, {"index": 8}),
    "shared_end": ("out-of-bounds", {"BEYOND SHARED"}, {"offset": 128}),
    "dynamic": ("shared-size", {"DYNAMIC"}, {"dynamic": 32}),
    "local_array": ("out-of-bounds", {"BEYOND LOCAL"}, {"index": 4}),
    "null": ("null-pointer", {"TOUCH"}, {}),
    "host_pointer": ("host-pointer", {"TOUCH"}, {}),
    "unwritten": ("uninitialized", {"LOAD UNWRITTEN"}, {"count": 32}),
    "unwritten_copy": ("uninitialized", {"LOAD UNWRITTEN"}, {"count": 32}),
    "unwritten_managed": ("uninitialized", {"LOAD UNWRITTEN"}, {"count": 32}),
    "shared_unwritten": ("uninitialized", {"SHARED UNWRITTEN"}, {"count": 1}),
    "neighbours": ("race", STORE_LOAD, {"scope": "block", "barrier": "syncthreads"}),
    "tiles": ("race", {"STORE TILE", "LOAD TILE"}, {"scope": "block", "barrier": "syncthreads"}),
    "last_warp": ("race", {"LANE LOADS", "LANE STORES"}, {"scope": "warp", "barrier": "syncwarp"}),
    "volatile_warp": ("race", {"VOLATILE"}, {"scope": "warp", "volatile": True}),
    "shuffled": ("race", {"BEFORE SHUFFLE", "AFTER SHUFFLE"}, {"scope": "warp"}),
    "histogram": ("race", {"ADD PLAINLY"}, {"scope": "grid", "barrier": "atomic"}),
    "blocks_share": ("race", {"EVERY BLOCK"}, {"scope": "grid", "values_equal": False}),
    "flag_all": ("race", {"SAME CELL"}, {"scope": "warp"}),
    "add_then_load": ("race", {"ADD", "LOAD SUM"}, {"scope": "block", "barrier": "syncthreads"}),
    "last_block": ("race", {"STORE PART", "LOAD PART"}, {"scope": "grid", "fence": True}),
    "hand_over": ("race", {"STORE DATA", "LOAD DATA"}, {"scope": "grid", "fence": True}),
    "locked": ("race", {"UNDER LOCK"}, {"scope": "grid", "fence": True}),
    "flag_in_shared": ("race", {"RAISE FLAG", "POLL FLAG"}, {"scope": "block", "volatile": True}),
    "whole_grid": ("race", {"BEFORE GRID", "AFTER GRID"}, {"scope": "grid", "barrier": "grid"}),
    "stale_cell": ("race", {"LOAD TOTAL", "CLEAR TOTAL"}, {"scope": "block"}),
    "single_bytes": ("race", {"STORE BYTE", "ADD TO NEXT BYTE"}, {}),
    "whole_structs": ("race", {"STORE PAIR", "LOAD PAIR"}, {"scope": "block"}),
    "add_in_block": ("race", {"ADD IN BLOCK"}, {"scope": "grid"}),
    "nonblocking_stream": ("race", {"FILL", "USE"}, {"scope": "streams"}),
    "two_streams": ("race", {"FILL", "USE"}, {"scope": "streams"}),
    "copy_and_kernel": ("race", {"COPY IN", "USE"}, {"scope": "streams"}),
    "device_pointer": ("device-pointer", {"HOST LOADS"}, {"offset": 12}),
    "device_memcpy": ("device-pointer", {"HOST COPIES"}, {"offset": 0}),
    "managed": ("unsynchronized-read", {"FILL", "HOST READS MANAGED"}, {"offset": 12}),
    "async_copy": ("unsynchronized-read", {"COPY OUT", "HOST READS BUFFER"}, {"buffer": 128}),
    "async_reuse": ("unsynchronized-read", {"COPY IN 2", "HOST WRITES BUFFER"}, {}),
    "branches_wait": ("barrier-divergence", {"ODD WAITS", "EVEN WAITS"}, {}),
    "spin": ("deadlock", None, {}),
    "gone_lanes": ("shuffle-inactive", {"SHUFFLE"}, {"scope": "warp"}),
    "leak": ("leak", None, {}),
    "freed_twice": ("invalid-free", None, {}),
    "too_many_threads": ("launch-failed", None, {}),
}

#: cases that have no wrong half: what a careless inspector would take for a mistake
HONEST = ["padding", "written_by_library", "default_stream"]

#: flag_all's twin writes one value from all threads, which is a note and no mistake
NOTES = {"flag_all": ["same-value-race"]}


def said(finding):
    """What a finding says, in one dictionary."""
    words = dict(finding.detail, scope=finding.scope, count=finding.count)
    if finding.object:
        words["offset"] = finding.object.offset
    words["volatile"] = any(p.volatile for p in finding.places)
    return words


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_found_at_its_lines(watch, case):
    kind, lines, says = WRONG[case]
    seen = watch("pairs.cu", case, "wrong")
    findings = seen.found(kind)
    assert findings, seen.kinds
    match = [f for f in findings if lines is None or set(seen.lines(f)) == lines]
    assert match, [seen.lines(f) for f in findings]
    assert {name: said(match[0]).get(name) for name in says} == says


@pytest.mark.parametrize("case", [*WRONG, *HONEST])
def test_its_twin_is_clean(watch, case):
    seen = watch("pairs.cu", case, "right")
    assert seen.kinds == NOTES.get(case, [])
    assert seen.status == 0
    assert seen.log.finished


@pytest.mark.parametrize(("case", "error"), [
    ("null", "cudaErrorIllegalAddress"), ("host_pointer", "cudaErrorIllegalAddress"),
    ("misaligned", "cudaErrorMisalignedAddress")])
def test_an_access_that_a_card_refuses_ends_the_launch_with_its_error(watch, case, error):
    seen = watch("pairs.cu", case, "wrong")
    assert (seen.status, seen.output.strip()) == (0, error)


@pytest.mark.parametrize(("case", "first", "second"), [
    ("neighbours", "STORE OWN", "LOAD OTHER"), ("tiles", "LOAD TILE", "STORE TILE"),
    ("shuffled", "BEFORE SHUFFLE", "AFTER SHUFFLE"), ("add_then_load", "ADD", "LOAD SUM"),
    ("whole_structs", "STORE PAIR", "LOAD PAIR")])
def test_a_race_says_which_line_a_thread_comes_to_first(watch, case, first, second):
    seen = watch("pairs.cu", case, "wrong")
    detail = seen.found("race")[0].detail
    lines = [seen.line_of(int(detail[side], 16)) for side in ("first", "second")]
    assert [line.partition("// ")[2] for line in lines] == [first, second]


@pytest.mark.parametrize("case", ["neighbours", "last_block", "hand_over", "tiles", "locked"])
def test_no_order_of_the_threads_hides_a_race_or_makes_one_up(watch, case):
    for seed in range(4):
        assert watch("pairs.cu", case, "wrong", seed=seed).found("race"), seed
        assert not watch("pairs.cu", case, "right", seed=seed).kinds, seed


def test_a_run_with_the_same_seed_finds_the_same(watch):
    def told(seed):
        seen = watch("pairs.cu", "histogram", "wrong", seed=seed)
        return [(f.kind, f.count, f.places) for f in seen.log.findings]

    assert told(5) == told(5)


def test_same_values_by_all_threads_are_told_apart_from_a_race(watch):
    (note,) = watch("pairs.cu", "flag_all", "right").found("same-value-race")
    assert note.detail["values_equal"] is True
    assert note.count == 15


def test_what_was_found_is_written_before_the_host_gives_up(watch):
    seen = watch("pairs.cu", "abort", "wrong")
    assert seen.status == -6
    assert seen.found("out-of-bounds")
    assert seen.log.end["stopped"] == "abort"
