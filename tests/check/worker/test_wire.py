"""What crosses to the worker and back: attributes as JSON, arrays in guarded shared memory."""

import json

import numpy as np
import pytest

from etude_check.worker.arena import Arena
from etude_check.worker.wire import decode, encode

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("value", [
    None, True, 3, 2**70, 1.5, float("inf"), "sum", (1, (2, None), [3, ()]), np.dtype("float32"),
    np.int64(3), np.float32(0.1), np.bool_(True), ()])
def test_attributes_arrive_as_they_were(value):
    back = decode(json.loads(json.dumps(encode(value))))
    assert back == value
    assert type(back) is type(value)


def test_nan_arrives_as_nan():
    assert np.isnan(decode(json.loads(json.dumps(encode(float("nan"))))))


def test_an_arena_verifies_every_byte_around_an_array():
    arena = Arena.create(2, 1 << 20)
    for place in ("start", "end"):
        p = arena.put(0, X[:, ::2], place)
        assert arena.stray(p) is None
        low, high = p.canary
        assert high - low == 4096
        for at in (low, high - 1, low + 1234):
            saved = arena.memory[at]
            arena.memory[at] = saved ^ 1
            assert arena.stray(p) == (at - low if place == "start" else high - at)
            arena.memory[at] = saved
    arena.close()
