"""ImageFolder: images sorted into folders, one for each class.

    root/cat/1.png, root/cat/2.png, root/dog/1.png  ->  classes ("cat", "dog")

.npy files (uint8 or float32, (H, W) or (C, H, W)) and .pgm, .ppm (binary, 8 bits) are read with
NumPy alone; .png, .jpg and the others, and ``size=``, need Pillow: the extra ``etude[images]``.
Grey images of 16 bits are divided by 65535. Nothing is clipped to 0..1: an image with a number
outside, with NaN, or with integers of an unknown scale (32 bits) is an error. Of a file with
several frames (GIF, TIFF) the first is the image. The header is held against ``MOST_PIXELS``, or
against the length of the file, before memory is taken: a few bytes can speak of gigabytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from etude.core.shapes import float32, pair
from etude.data.dataset import position

Array = np.ndarray[Any, Any]

NUMPY = (".npy",)
NETPBM = (".pgm", ".ppm")
PILLOW = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
KNOWN = NUMPY + NETPBM + PILLOW
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # that Pillow may find, whatever the name
CHANNELS = {"L": 1, "RGB": 3}
MOST_PIXELS = 1 << 25  # 5,792 x 5,792: a sample of 400 MB


class ImageFolder:
    """Sample i is (image, label): float32 (C, H, W) from 0 to 1, and the number of its class.

    ``mode`` is "RGB" (C = 3) or "L", grey (C = 1); with ``size``, (height, width) or one number
    for both, each image is resized to it. Classes are the names of the folders in ``root``, in the
    order of the alphabet, and so are the images within one; names that start with a dot are left
    out. Images are read when they are asked for: give the DataLoader ``workers``.

    Raises FileNotFoundError if there are no folders, no images, or a folder has none;
    ImportError where Pillow is needed and missing; ValueError for an image that cannot be read or
    does not lie from 0 to 1, or another kind of file.
    """

    def __init__(self, root: str | os.PathLike[str], size: int | tuple[int, int] | None = None,
                 mode: str = "RGB") -> None:
        if mode not in CHANNELS:
            raise ValueError(f"ImageFolder: mode is 'RGB' or 'L', got {mode!r}")
        self.root = Path(root)
        self.size = None if size is None else pair("ImageFolder", "size", size, 1)
        self.mode = mode
        if not self.root.is_dir():
            raise FileNotFoundError(f"ImageFolder: no folder {self.root}")
        folders = [d for d in _visible(self.root) if d.is_dir()]
        if not folders:
            raise FileNotFoundError(f"ImageFolder: {self.root} has no folders; it needs one for "
                                    f"each class, with the images of that class")
        self.classes = tuple(d.name for d in folders)
        self.samples: list[tuple[Path, int]] = []
        for label, folder in enumerate(folders):
            paths = [p for p in _visible(folder) if p.is_file()]
            other = next((p for p in paths if p.suffix.lower() not in KNOWN), None)
            if other is not None:
                raise ValueError(f"{other}: not a kind of image that ImageFolder knows; move it "
                                 f"elsewhere. It reads {' '.join(KNOWN)}")
            if not paths:
                raise FileNotFoundError(f"ImageFolder: {folder} has no images")
            self.samples += [(p, label) for p in paths]
        pillow = next((p for p, _ in self.samples if p.suffix.lower() in PILLOW), None)
        if pillow is not None or size is not None:
            _pillow(f"reading {pillow.suffix}" if pillow else "resizing images")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Array, int]:
        path, label = self.samples[position(self, index)]
        suffix = path.suffix.lower()
        if suffix in PILLOW:
            return self._with_pillow(path), label
        image = _read_npy(path) if suffix in NUMPY else _read_netpbm(path)  # (C, H, W)
        _in_range(path, image)
        if len(image) != CHANNELS[self.mode]:
            raise ValueError(f"{path}: {len(image)} channels, but mode={self.mode!r} has "
                             f"{CHANNELS[self.mode]}; convert the file or change the mode")
        if self.size is not None:
            image = self._resize(image)
        return image, label

    def _with_pillow(self, path: Path) -> Array:
        from PIL import Image

        with open(path, "rb") as raw:
            with _readable(path):
                file = Image.open(raw, formats=FORMATS)
            _check_size(path, *file.size)
            with _readable(path):
                deep = file.mode[0] in "IF"  # integers or floats, which convert() would clip
                largest = _largest(file) if deep else 255.0
                image = file.copy() if deep else file.convert(self.mode)
        if deep:
            if largest is None:
                raise ValueError(f"{path}: holds 32-bit or signed integers, and no file says which "
                                 f"of them is white; save it with 8 or 16 bits, or as floats from "
                                 f"0 to 1")
            grey = np.asarray(image).astype(float32)
            if largest != 1:  # floats stay as they are, NaN among them
                grey /= float32.type(largest)
            _in_range(path, grey)
            repeated = np.repeat(grey[None], CHANNELS[self.mode], axis=0)
            return repeated if self.size is None else self._resize(repeated)
        if self.size is not None:
            image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
        pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)  # uint8 (C, H, W)
        scaled: Array = pixels.astype(float32, order="C")
        scaled /= float32.type(255)
        return scaled

    def _resize(self, image: Array) -> Array:
        from PIL import Image

        assert self.size is not None
        width_first = self.size[::-1]
        channels = []
        for channel in image:
            picture = Image.fromarray(channel).resize(width_first, Image.Resampling.BILINEAR)
            channels.append(np.asarray(picture))
        return np.stack(channels)

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}, {len(self)} images, {len(self.classes)} classes)"


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _pillow(purpose: str) -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise ImportError(f"ImageFolder: {purpose} needs Pillow: pip install 'etude[images]'. "
                          f"Without it, .npy, .pgm and .ppm files of one size can be read"
                          ) from None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever Pillow raises in this block is said of ``path``."""
    try:
        yield
    except MemoryError:  # of the machine: the size has been checked
        raise
    except Exception as e:  # of a damaged file: errors of many classes, and warnings made errors
        what = str(e) or type(e).__name__
        raise ValueError(f"{path}: cannot be read as an image: {what}") from None


def _check_size(path: Path, width: int, height: int) -> None:
    """ValueError for an image without pixels, or with more than ``MOST_PIXELS``."""
    if not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"{path}: {width} x {height} pixels, where an image has from 1 to "
                         f"{MOST_PIXELS:,}; make it smaller")


def _largest(file: Any) -> float | None:
    """The number that means white in a Pillow image of integers or floats; None if none does."""
    if file.mode == "F":
        return 1.0
    if file.format == "PNG":  # older Pillows read its 16 bits as mode "I"
        return 65535.0
    if not file.mode.startswith("I;16"):
        return None
    bits = getattr(file, "tag_v2", {}).get(258, (16,))[0]  # BitsPerSample: a TIFF may have 12
    return float(2**bits - 1) if 8 < bits <= 16 else None


def _in_range(path: Path, image: Array) -> None:
    """ValueError unless all of ``image`` lies from 0 to 1; NaN does not."""
    if image.size and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(f"{path}: its numbers go from {image.min()} to {image.max()}, and those "
                         f"of an image from 0 to 1; scale them, and put a number in place of NaN")


def _read_npy(path: Path) -> Array:
    """float32 (C, H, W)."""
    with open(path, "rb") as file:
        shape, dtype = _npy_header(path, file)
        if dtype not in (np.uint8, float32) or len(shape) not in (2, 3):
            raise ValueError(f"{path}: an image is uint8 (0..255) or float32 (0..1), (H, W) or "
                             f"(C, H, W); this is {dtype}{list(shape)}")
        have, need = path.stat().st_size - file.tell(), math.prod(shape) * dtype.itemsize
        if have != need or not need:
            raise ValueError(f"{path}: {dtype}{list(shape)} takes {need:,} bytes after the header, "
                             f"the file has {have:,}, and an image has at least one")
        file.seek(0)
        x: Array = np.load(file, allow_pickle=False)
    if x.ndim == 2:
        x = x[None]
    if x.dtype == np.uint8:
        x = x.astype(float32) / float32.type(255)
    return x


def _npy_header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype that the header of a .npy file states; the file is then at its numbers."""
    from numpy.lib import format as npy

    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        version = npy.read_magic(file)
        if version not in readers:
            raise ValueError(f"version {version} of the format, where plain arrays have 1 or 2")
        shape, _, dtype = readers[version](file)
        if not all(0 <= n < 2**63 for n in shape):
            raise ValueError("its sizes are those of no array")
    except Exception as e:  # the header is Python, and NumPy passes on what the parser raises
        raise ValueError(f"{path}: cannot be read as an array: {e}") from None
    if dtype.hasobject:
        raise ValueError(f"{path}: cannot be read as an array: Object arrays are pickles, which "
                         f"may run any code; save numbers")
    return shape, dtype


def _read_netpbm(path: Path) -> Array:
    """float32 (C, H, W) of a binary PGM (P5) or PPM (P6), at most 255 grey levels."""
    data = path.read_bytes()
    words: list[bytes] = []  # magic, width, height, the largest value
    at = 0
    while len(words) < 4 and at < len(data):
        if data[at : at + 1] == b"#":  # a comment, up to the end of its line
            end = data.find(b"\n", at)
            at = len(data) if end < 0 else end + 1
        elif data[at : at + 1].isspace():
            at += 1
        else:
            end = at
            while end < len(data) and not data[end : end + 1].isspace():
                end += 1
            words.append(data[at:end])
            at = end
    channels = {b"P5": 1, b"P6": 3}.get(words[0] if words else b"")
    if channels is None or len(words) < 4 or not all(
            w.isdigit() and len(w) < 10 for w in words[1:]):
        raise ValueError(f"{path}: not a binary PGM or PPM image (it must start with P5 or P6, "
                         f"the width, the height and the largest value)")
    width, height, largest = (int(w) for w in words[1:])
    _check_size(path, width, height)
    pixels = data[at + 1 :]  # a single space ends the header
    if not 1 <= largest <= 255 or len(pixels) != width * height * channels:
        raise ValueError(f"{path}: {width} x {height} pixels of {channels} x 8 bits take "
                         f"{width * height * channels} bytes, the file has {len(pixels)} (and "
                         f"values up to {largest}, where at most 255 is read)")
    x = np.frombuffer(pixels, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
    return x.astype(float32) / float32.type(largest)
