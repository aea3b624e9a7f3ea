"""What a call is given on another device is what the checker drew, and all of it comes back."""

import sys
from pathlib import Path

import numpy as np
import pytest

from etude_check.worker.arena import Arena
from etude_check.worker.remote import STRAY, Remote, on_host
from etude_check.worker.state import Kept

sys.path.insert(0, str(Path(__file__).parents[2] / "opaque"))

X = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.fixture
def arena():
    made = Arena.create(4, 1 << 16)
    yield made
    made.close()


@pytest.fixture
def column():
    from opaque_backend import opaque_backend

    return opaque_backend()[0]


def memory(array):
    """The bytes behind an array of the opaque device: what a kernel would write to."""
    import opaque_backend

    return opaque_backend._memory[array.buffer.handle]


@pytest.mark.parametrize("x", [X, X.T, X[::2, ::-3], X[1:2, 3], np.float32(5.0).reshape(()),
                               X[:0], np.broadcast_to(X[:, :1], (4, 6))])
def test_an_array_keeps_its_values_and_strides_on_the_way(x, arena, column):
    place = arena.put(0, x, "apart").to_json()
    there = Remote(column, arena, [place]).array(place)
    assert there.shape == x.shape
    if x.size:
        assert there.strides == tuple(s // x.itemsize for s in x.strides)
    assert np.array_equal(on_host(column, column.ops["contiguous"](there)), x)


@pytest.mark.parametrize("side", ["apart", "start", "end"])
def test_an_array_lies_in_its_cache_line_as_the_checker_chose(side, arena, column):
    place = arena.put(1, X, side).to_json()
    there = Remote(column, arena, [place]).array(place)
    from opaque_backend import PAD

    assert (there.offset - PAD) * 4 % 64 == place[0] % 64


def test_what_overlaps_for_the_checker_overlaps_there(arena, column):
    base = np.arange(10, dtype=np.float32)
    places = [p.to_json() for p in arena.put_together(0, [base[:6], base[4:]], "start")]
    first, second = map(Remote(column, arena, places).array, places)
    assert first.buffer is second.buffer
    assert second.offset - first.offset == 4


def test_what_a_call_wrote_comes_back_and_nothing_else_is_changed(arena, column):
    source = arena.put(0, X[::2, ::2], "start")
    result = arena.reserve(1, (2, 3), np.dtype(np.float32), "end", "nan")
    there = Remote(column, arena, [source.to_json(), result.to_json()])
    x, y = there.array(source.to_json()), there.array(result.to_json())
    column.ops["neg"](x, out=y)
    assert there.bring_back() == []
    assert np.array_equal(arena.array(result), -X[::2, ::2])
    assert arena.changed(source) == (False, False)


@pytest.mark.parametrize("beyond", [-1, 24])
def test_a_write_outside_of_an_array_is_told(beyond, arena, column):
    place = arena.put(0, X, "start").to_json()
    there = Remote(column, arena, [place])
    x = there.array(place)
    at = 4 * (x.offset + beyond)
    memory(x)[at : at + 4] = b"\0\0\0\0"
    assert there.bring_back() == [STRAY]


def test_a_result_that_changes_later_is_told_on_a_device_too(column):
    kept = Kept(lambda array: on_host(column, array))
    y = column.ops["neg"](column.upload(X))
    assert kept.keep("neg", (y,)) == []
    assert kept.look() == []
    memory(y)[-1] ^= 1
    assert "changes the result of an earlier call of neg" in kept.look()[0]
