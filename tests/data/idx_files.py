"""Small IDX files for tests, written as the format's description says."""

import gzip
import struct

import numpy as np

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    """The bytes of an IDX file."""
    x = np.asarray(array)
    header = struct.pack(">BBBB", 0, 0, CODES[x.dtype.str[1:]], x.ndim)
    numbers = x.astype(x.dtype.newbyteorder(">")).tobytes()
    return header + struct.pack(f">{x.ndim}I", *x.shape) + numbers


def small(n, seed=0):
    """n images (n, 28, 28) and their labels, as bytes."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (n, 28, 28), np.uint8), draw.integers(0, 10, n, np.uint8)


def write_four(folder, train=20, test=8, pack=True):
    """The four files of an MNIST-like set. Returns name -> bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for prefix, n in (("train", train), ("t10k", test)):
        images, labels = small(n, seed=n)
        files[f"{prefix}-images-idx3-ubyte"] = idx(images)
        files[f"{prefix}-labels-idx1-ubyte"] = idx(labels)
    if pack:
        files = {f"{name}.gz": gzip.compress(data) for name, data in files.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files
