"""The IDX format of MNIST: a header, then the numbers of one array, row by row.

    bytes 0-1   0
    byte  2     the dtype (``DTYPES``)
    byte  3     the number of dimensions
    then        each dimension's size, 4 bytes, most significant first
    then        the elements, most significant byte first

Source: Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits, the
section on file formats.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from etude.data.packed import read_gzip

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array of an IDX file, plain or gzip, in the machine's byte order; it is read-only.

    The header and the length must agree to the byte. FileNotFoundError if it is not there,
    ValueError if it is no IDX file, a damaged one, or a gzip file that ``read_gzip`` refuses.
    """
    data = read_gzip(Path(path))
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in DTYPES:
        raise ValueError(f"{path}: not an IDX file: it starts with {data[:4].hex(' ') or 'nothing'}"
                         f", where 00 00, a type from 08 to 0e and the number of dimensions belong")
    dtype, ndim = np.dtype(DTYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if len(data) < start:
        raise ValueError(f"{path}: cut short: {len(data)} bytes, within the header of {start}; "
                         f"get the file again")
    shape = tuple(np.frombuffer(data, ">u4", ndim, offset=4).tolist())
    need = start + dtype.itemsize * math.prod(shape)
    if len(data) != need:
        what = "cut short" if len(data) < need else "too long"
        raise ValueError(f"{path}: {what}: {dtype.name}{list(shape)} takes {need:,} bytes with its "
                         f"header, the file has {len(data):,}; get the file again")
    try:
        array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    except ValueError as e:  # more than 64 dimensions; or a size of 0 and the others beyond 2**63
        raise ValueError(f"{path}: {dtype.name}{list(shape)} is no array that NumPy can hold ({e})"
                         f"; get the file again") from None
    return array.astype(dtype.newbyteorder("="), copy=False)
