"""read_idx: every dtype of the format, and not a byte too few or too many."""

import gzip
import math
import struct
import tracemalloc

import numpy as np
import pytest
from idx_files import CODES, idx

from etude.data.idx import read_idx


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("pack", [False, True], ids=["plain", "gzip"])
def test_what_was_written_is_read(code, pack, tmp_path):
    x = np.arange(-12, 12).reshape(2, 3, 4).astype(code)
    data = idx(x)
    (tmp_path / "x").write_bytes(gzip.compress(data) if pack else data)
    y = read_idx(tmp_path / "x")
    np.testing.assert_array_equal(y, x)
    assert y.dtype == x.dtype
    assert y.dtype.isnative


def test_an_array_without_elements_and_one_without_axes(tmp_path):
    for x in (np.zeros((0, 28, 28), np.uint8), np.uint8(7)):
        (tmp_path / "x").write_bytes(idx(x))
        np.testing.assert_array_equal(read_idx(tmp_path / "x"), x)


def test_the_labels_of_a_known_file(tmp_path):
    (tmp_path / "x").write_bytes(bytes.fromhex("00000801 00000003 050004"))
    assert read_idx(tmp_path / "x").tolist() == [5, 0, 4]


@pytest.mark.parametrize(("data", "message"), [
    (b"", "not an IDX file: it starts with nothing, where 00 00"),
    (b"<html>", "not an IDX file: it starts with 3c 68 74 6d, where 00 00, a type from 08 to 0e"),
    (b"\0\0\x07\x01\0\0\0\0", "not an IDX file: it starts with 00 00 07 01"),
    (b"\0\0\x08\x03\0\0\0\1", "cut short: 8 bytes, within the header of 16"),
    (idx(np.zeros((2, 3), np.int16))[:-1], r"cut short: int16\[2, 3\] takes 24 bytes with its "
                                           r"header, the file has 23; get the file again"),
    (idx(np.zeros(5, np.uint8)) + b"\0", r"too long: uint8\[5\] takes 13 bytes .* has 14"),
    (b"\0\0\x08\x03" + b"\xff" * 12, r"cut short: uint8\[4294967295, .* has 16"),
])
def test_a_damaged_file_is_refused(data, message, tmp_path):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match=f"x: {message}"):
        read_idx(tmp_path / "x")


def test_damaged_gzip_is_refused_wherever_it_was_cut_or_changed(tmp_path):
    packed = gzip.compress(idx(np.arange(5000, dtype=np.int32)))
    path = tmp_path / "x.gz"
    for n in (3, 10, 11, 50, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:n])
        with pytest.raises(ValueError, match=r"x\.gz: a damaged gzip file, perhaps half"):
            read_idx(path)
    for at in range(20, len(packed), 997):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :])
        with pytest.raises(ValueError, match=r"x\.gz: "):
            read_idx(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


@pytest.mark.parametrize("sizes", [[1] * 65, [1] * 255, [0, 2**32 - 1, 2**32 - 1]])
def test_an_array_that_numpy_cannot_hold_is_refused(sizes, tmp_path):
    header = bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
    (tmp_path / "x").write_bytes(header + bytes(math.prod(sizes)))
    with pytest.raises(ValueError, match=r"x: uint8\[[0-9, ]+\] is no array that NumPy can hold"):
        read_idx(tmp_path / "x")


def test_gzip_that_unpacks_to_gigabytes_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "x.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(bytes([0, 0, 8, 1]) + struct.pack(">I", 200 << 20))
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"x\.gz: a gzip file that unpacks to more than 100"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_a_small_gzip_file_may_shrink_as_much_as_it_likes(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(np.zeros(10**7, np.uint8))))
    assert read_idx(tmp_path / "x.gz").shape == (10**7,)
