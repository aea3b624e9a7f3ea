"""Sectors, bank conflicts and branches are what one counts by hand.

A sector is 32 bytes; a warp of 32 loads of 4 bytes that lie side by side needs 4 of them. Shared
memory has 32 banks of 4 bytes. Published figures of a profiler on a card agree: 32 sectors a
request for a column walk, 4 for a coalesced load, 31 extra conflicts for a tile read by columns, 0
padded.
"""

import pytest


def only(accesses):
    assert len(accesses) == 1, accesses
    return accesses[0]


@pytest.mark.parametrize(("stride", "sectors"), [(1, 4), (2, 8), (8, 32), (32, 32)])
def test_a_stride_spreads_a_request_over_more_sectors(watch, stride, sectors):
    load = only(watch("counted.cu", "strided", stride).at("STRIDED", "load"))
    assert (load.requests, load.lanes, load.bytes) == (1, 32, 128)
    assert (load.sectors, load.ideal, load.conflicts) == (sectors, 4, 0)
    assert load.example == tuple(4 * stride * lane for lane in range(32))


@pytest.mark.parametrize(("case", "mark", "sectors", "ideal"), [
    ("offset", "OFFSET", 5, 4),       # begins in the middle of a sector
    ("vectors", "VECTORS", 16, 16),   # 32 times 16 bytes
    ("doubles", "DOUBLES", 8, 8),
    ("bytes", "BYTES", 1, 1),
    ("one_for_all", "ONE", 1, 1),     # one word for all lanes
])
def test_sectors_of_one_request(watch, case, mark, sectors, ideal):
    load = only(watch("counted.cu", case).at(mark, "load"))
    assert (load.requests, load.lanes) == (1, 32)
    assert (load.sectors, load.ideal) == (sectors, ideal)


def test_a_walk_along_rows_of_a_column_major_thread_order_takes_a_sector_for_each_lane(watch):
    load = only(watch("counted.cu", "column_walk").at("COLUMN WALK"))
    assert (load.requests, load.sectors, load.ideal) == (32, 32 * 32, 32 * 4)


def test_lanes_that_run_far_ahead_still_make_one_request_each_turn(watch):
    load = only(watch("counted.cu", "row_walk").at("ROW WALK"))
    assert (load.requests, load.lanes) == (300, 300 * 32)
    assert (load.sectors, load.ideal) == (300 * 4, 300 * 4)


def test_a_struct_is_loaded_word_by_word(watch):
    load = only(watch("counted.cu", "structs").at("STRUCTS", "load"))
    assert (load.requests, load.size) == (3, 4)
    assert (load.sectors, load.ideal) == (3 * 12, 3 * 4)  # 384 bytes, each sector three times


def test_a_struct_of_doubles_is_stored_by_words_of_eight_bytes(watch):
    store = only(watch("counted.cu", "shared_structs").at("SHARED STRUCTS", "store"))
    assert (store.requests, store.size, store.conflicts) == (3, 8, 0)


def test_a_tile_read_by_columns_conflicts_31_times_and_padding_removes_it(watch):
    load = only(watch("counted.cu", "tile").at("TILE COLUMNS", "load"))
    assert (load.space, load.requests, load.conflicts) == ("shared", 32, 32 * 31)
    store = only(watch("counted.cu", "tile").at("TILE ROWS", "store"))
    assert (store.requests, store.conflicts) == (32, 0)
    assert only(watch("counted.cu", "padded_tile").at("TILE COLUMNS", "load")).conflicts == 0


@pytest.mark.parametrize(("stride", "conflicts"), [(1, 0), (2, 1), (3, 0), (8, 7), (32, 31)])
def test_words_of_one_bank_are_served_one_after_another(watch, stride, conflicts):
    load = only(watch("counted.cu", "shared_strided", stride).at("SHARED STRIDED", "load"))
    assert (load.requests, load.conflicts) == (1, conflicts)


@pytest.mark.parametrize(("stride", "conflicts"), [(1, 0), (2, 2 * 1), (16, 2 * 15)])
def test_eight_bytes_are_served_by_half_warps(watch, stride, conflicts):
    load = only(watch("counted.cu", "shared_doubles", stride).at("SHARED DOUBLES", "load"))
    assert (load.requests, load.conflicts) == (1, conflicts)


def test_sixteen_bytes_are_served_by_quarter_warps_without_conflict(watch):
    assert only(watch("counted.cu", "shared_vectors").at("SHARED VECTORS", "store")).conflicts == 0


def test_a_word_that_all_lanes_read_is_broadcast(watch):
    assert only(watch("counted.cu", "shared_one").at("SHARED ONE", "load")).conflicts == 0


def test_half_a_warp_is_counted_as_such(watch):
    seen = watch("counted.cu", "half_warp")
    load = only(seen.at("HALF", "load"))
    assert (load.requests, load.lanes, load.sectors, load.ideal) == (1, 16, 4, 2)
    assert load.example[1] is None
    assert seen.splits == {(1, 16, 1)}


def test_a_block_that_ends_within_a_warp_has_fewer_lanes_and_no_split(watch):
    seen = watch("counted.cu", "small_block")
    load = only(seen.at("SMALL", "load"))
    assert (load.requests, load.lanes, load.sectors, load.ideal) == (1, 20, 3, 3)
    assert not seen.splits


def test_atomics_on_one_cell_of_memory_touch_one_sector(watch):
    add = only(watch("counted.cu", "add_one_cell").at("ADD ONE CELL", "atomic"))
    assert (add.requests, add.lanes, add.sectors) == (1, 32, 1)


def test_atomics_on_one_word_of_shared_memory_go_one_by_one(watch):
    add = only(watch("counted.cu", "add_shared").at("ADD SHARED", "atomic"))
    assert (add.requests, add.conflicts) == (1, 3)  # four lanes to a word


def test_constant_memory_serves_one_address_at_a_time(watch):
    load = only(watch("counted.cu", "constants").at("CONSTANTS", "load"))
    assert (load.space, load.requests, load.conflicts) == ("constant", 1, 3)


def test_loads_of_a_function_are_counted_for_each_call(watch):
    seen = watch("counted.cu", "through_calls")
    loads = [a for a in seen.log.accesses if "return x[i]" in seen.line_of(a.pc)]
    assert sorted(a.sectors for a in loads) == [4, 32]


def test_lanes_that_leave_a_loop_earlier_are_missing_from_later_requests(watch):
    seen = watch("counted.cu", "uneven")
    load = only(seen.at("UNEVEN", "load"))
    assert (load.requests, load.lanes) == (32, 32 * 33 // 2)
    assert (32, 32 * 33 // 2, 31) in seen.splits
