"""When counters become findings, and when they do not."""

import made_runs as made


def kinds(*events):
    return [t.kind for t in made.report(*events).findings]


def test_a_column_walk_is_uncoalesced_and_says_stride_and_sectors():
    told = made.told(made.access(17, per=32, ideal=4, step=128))
    assert told.kind == "uncoalesced"
    assert (told.severity, told.line) == ("advice", 17)
    assert "32.0 sectors a request, 4.0 would do" in told.headline
    assert "128 bytes apart" in told.what
    assert "88% of the traffic" in told.what


def test_a_coalesced_load_a_broadcast_and_two_half_rows_are_no_finding():
    assert kinds(made.access(6), made.access(8, per=1, ideal=1, step=0),
                 made.access(10, per=2, ideal=1)) == []


def test_few_requests_say_nothing():
    assert kinds(made.access(17, per=32, ideal=4, requests=3)) == []
    assert kinds(made.access(19, space="shared", per=0, ideal=0, conflicts=31, requests=3)) == []


def test_loads_and_stores_of_one_line_are_told_apart_and_template_copies_together():
    found = made.report(made.access(17, per=32), made.access(17, per=32, requests=4),
                        made.access(17, per=32, op="store")).findings
    assert [t.kind for t in found] == ["uncoalesced"] * 2
    assert "384 in 12 requests" in found[0].what


def test_two_way_conflicts_are_a_finding_and_fewer_are_not():
    told = made.told(made.access(19, space="shared", per=0, ideal=0, conflicts=31))
    assert told.kind == "bank-conflict"
    assert "takes 32.0 passes instead of 1" in told.headline
    half = {**made.access(19, space="shared", per=0, ideal=0), "conflicts": 7}
    assert kinds(half) == []


def test_atomics_on_one_word_are_said_to_go_one_after_the_other():
    told = made.told(made.access(19, space="shared", op="atomic", per=0, ideal=0, conflicts=3))
    assert "an atomic takes 4.0 passes" in told.headline
    assert "one after the other" in told.what


def test_shared_memory_has_no_sectors():
    assert kinds(made.access(19, space="shared", per=32, ideal=1)) == []


def test_odd_and_even_threads_diverge():
    told = made.told(made.block(6, 8, 256), made.block(8, 8, 128, 8))
    assert (told.kind, told.line) == ("branch-divergence", 8)
    assert "16.0 of 32 lanes" in told.headline


def test_one_thread_that_writes_the_result_is_no_divergence():
    assert kinds(made.block(6, 80, 2560), made.block(11, 4, 4, 4)) == []


def test_a_last_warp_that_is_not_full_is_no_divergence():
    assert kinds(made.block(6, 8, 100, 0)) == []


def test_a_reduction_with_its_threads_together_is_no_divergence_and_one_without_is():
    # 256 threads, k = 128 .. 1: warps that take part, and lanes of them.
    together = made.block(8, 12, 255, 5)
    scattered = made.block(8, 47, 255, 47)
    rest = made.block(7, 64, 2048)
    assert kinds(together, rest) == []
    assert kinds(scattered, rest) == ["branch-divergence"]


def test_the_last_warp_of_a_tree_that_cannot_be_helped_is_no_divergence():
    assert kinds({**made.block(12, 6, 63, 5), "scattered": 0}) == []
    assert kinds({**made.block(12, 6, 63, 5), "scattered": 5}) == ["branch-divergence"]


def test_an_access_in_a_function_counts_for_the_line_that_called_it():
    report = made.report(made.access(6, per=32, pc="0x1", stack=[made.at(17)]))
    assert report.findings[0].line == 17
    assert report.counters[0].line == 17
