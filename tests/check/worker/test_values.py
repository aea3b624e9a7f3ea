"""Plain values go through the message exactly, and nothing else goes through."""

import json

import numpy as np
import pytest

from etude_check.worker.values import SIZE, from_plain, to_plain

VALUES = [None, True, 3, 1 << 100, -(1 << 60), 0.1, -0.0, float("inf"), "text", [], [1, [2.5]],
          (1, (2,)), {"a": [1], 2: (3,)}, np.float32(0.1), np.int64(7), np.bool_(True),
          np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::-1], np.zeros((0, 3), np.float32),
          np.array(1.5), np.array([True, False]), np.arange(3, dtype=">f8")]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(value):
    back = from_plain(json.loads(json.dumps(to_plain(value))))
    np.testing.assert_equal(back, value)
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype.newbyteorder("=")
        assert back.flags.writeable


def test_nan_comes_back_with_its_bits():
    x = np.array([np.nan, -np.nan], np.float32)
    assert from_plain(to_plain(x)).tobytes() == x.tobytes()
    assert np.isnan(from_plain(to_plain(float("nan"))))


class Lazy(np.ndarray):
    pass


class Number(float):
    pass


@pytest.mark.parametrize("value", [
    np.zeros(3).view(Lazy), Number(1), object(), {1.5: 2}, np.array([None]), np.array(["a"]),
    np.zeros(2, np.complex64), len, {1, 2}, b"bytes", np.array([1], "M8[s]")],
    ids=lambda value: type(value).__name__)
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(ValueError, match="cannot be sent"):
        to_plain([value])


def test_values_have_a_size_and_a_depth():
    with pytest.raises(ValueError, match="larger than 8 MiB"):
        to_plain([np.zeros(SIZE // 2, np.uint8)] * 3)
    with pytest.raises(ValueError, match="larger than 8 MiB"):
        to_plain([0] * SIZE)
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nested"):
        to_plain(deep)


@pytest.mark.parametrize("document", [
    {"a": 1}, {"array": ["O", [1], "AAAAAAAAAAA="]}, {"array": ["<f4", [2], "AAAA"]},
    {"array": ["<f4", [-1], ""]}, {"array": ["<f4", [1 << 40], ""]},
    {"array": ["nonsense", [], ""]}, {"array": ["(1,", [], ""]}, {"number": ["<f4,(2", "AAAA"]},
    {"array": ["<f4", [1], "!!!"]}, {"float": "1; import os"}, {"int": 3}, {"dict": [[1]]},
    {"dict": [[[1], 2]]}, {"tuple": 3}, {"tuple": [], "float": "nan"},
    {"number": ["<f4"]}, "\ud800", {"dict": [["\ud800", 1]]}], ids=repr)
def test_a_forged_document_is_no_value(document):
    with pytest.raises(ValueError, match=r"plain|invalid|surrogates"):
        from_plain(document)
