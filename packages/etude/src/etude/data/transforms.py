"""Transforms of images: scaling, and the random changes that make few images do for many.

Legend: B batch, C channels, H height, W width. A transform is called as ``t(x, rng)`` with one
image (C, H, W) or a batch (B, C, H, W), and returns a new array; it never writes into ``x``. What
is random is drawn from ``rng``, a numpy Generator, for each image anew. Give a transform to a
DataLoader as ``transform=``: it hands in an rng that follows from its seed, the epoch and the
batch. All of it runs on the host, in NumPy. Transforms of sequences are in ``sequences.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.errors import DTypeError, ShapeError
from etude.core.given import integer
from etude.core.shapes import FLOATS, float32, pair

Array = np.ndarray[Any, Any]
if TYPE_CHECKING:  # naming numpy.random imports it, which takes longer than all of etude.data
    Rng = np.random.Generator


class Compose:
    """One transform after another: ``Compose(RandomCrop(32, padding=4), Normalize(0.5, 0.2))``."""

    def __init__(self, *transforms: Callable[..., Any]) -> None:
        self.transforms = transforms

    def __call__(self, x: Any, rng: Rng | None = None) -> Any:
        for transform in self.transforms:
            x = transform(x, rng)
        return x

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"


def needs_rng(transform: Any, rng: Rng | None) -> Rng:
    """``rng``; ValueError without one."""
    if rng is None:
        raise ValueError(f"{type(transform).__name__} draws random numbers: call it with a numpy "
                         f"Generator, as t(x, np.random.default_rng(seed))")
    return rng


def _share(transform: Any, name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{type(transform).__name__}: {name} is from 0 to 1, got {p!r}")


class _ImageTransform:
    """Checks an image or a batch, and gives it to ``_batch`` as (B, C, H, W)."""

    integers = False  # takes images of bytes too

    def __call__(self, x: Array, rng: Rng | None = None) -> Array:
        name = type(self).__name__
        if x.ndim not in (3, 4):
            raise ShapeError(f"{name}: needs an image (C, H, W) or a batch (B, C, H, W), got "
                             f"shape {list(x.shape)}")
        if x.dtype not in FLOATS and not (self.integers and x.dtype.kind in "iub"):
            raise DTypeError(f"{name}: needs float32 or float64 images, got {x.dtype}; put "
                             f"ToFloat() before it")
        return self._batch(x, rng) if x.ndim == 4 else self._batch(x[None], rng)[0]

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        raise NotImplementedError


# ---------------------------------------------------------------------------- scaling


@dataclass(frozen=True)
class ToFloat(_ImageTransform):
    """float32(x) / scale: with the default, bytes 0..255 become 0..1."""

    scale: float = 255.0
    integers = True

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        return x.astype(float32) / float32.type(self.scale)


class Normalize(_ImageTransform):
    """(x - mean) / std, with one number for all channels or one for each (C)."""

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, np.float64))
        self.std = np.atleast_1d(np.asarray(std, np.float64))
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape:
            raise ShapeError(f"Normalize: mean and std are numbers, or lists of one number per "
                             f"channel, got shapes {list(self.mean.shape)} and "
                             f"{list(self.std.shape)}")
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: std must be positive, got {self.std.tolist()}")

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        if len(self.mean) not in (1, x.shape[1]):
            raise ShapeError(f"Normalize: mean has {len(self.mean)} channels, the images have "
                             f"{x.shape[1]}")
        mean = self.mean.astype(x.dtype)[:, None, None]
        std = self.std.astype(x.dtype)[:, None, None]
        return (x - mean) / std  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Normalize({self.mean.tolist()}, {self.std.tolist()})"


# ---------------------------------------------------------------------------- random changes


@dataclass(frozen=True)
class RandomHorizontalFlip(_ImageTransform):
    """Mirror left and right, each image with probability ``p``."""

    p: float = 0.5
    integers = True

    def __post_init__(self) -> None:
        _share(self, "p", self.p)

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        flip = needs_rng(self, rng).random(len(x)) < self.p
        return np.where(flip[:, None, None, None], x[..., ::-1], x)


@dataclass(frozen=True)
class RandomCrop(_ImageTransform):
    """A window of ``size`` (pixels, or (height, width)) at a random place, after ``padding``
    pixels of ``fill`` were added on every side. ShapeError if the window does not fit.
    """

    size: int | tuple[int, int]
    padding: int = 0
    fill: float = 0.0
    integers = True

    def __post_init__(self) -> None:
        pair("RandomCrop", "size", self.size, 1)
        integer("RandomCrop: padding", self.padding, 0)

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        draw = needs_rng(self, rng)
        p = self.padding
        h, w = pair("RandomCrop", "size", self.size, 1)
        x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=self.fill)
        B, _, H, W = x.shape
        if h > H or w > W:
            raise ShapeError(f"RandomCrop: a window of {h} x {w} does not fit into images of "
                             f"{H} x {W} (with padding {p})")
        top = draw.integers(0, H - h + 1, B)
        left = draw.integers(0, W - w + 1, B)
        windows = np.lib.stride_tricks.sliding_window_view(x, (h, w), axis=(2, 3))
        # (B, C, H-h+1, W-w+1, h, w), a view: picking one window of each image copies only that.
        return windows[np.arange(B), :, top, left]


@dataclass(frozen=True)
class RandomRotation(_ImageTransform):
    """Turn about the centre by an angle drawn evenly from -degrees..degrees, bilinearly; what
    comes from outside the image is ``fill``.
    """

    degrees: float
    fill: float = 0.0

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        B, _, H, W = x.shape
        angle = np.radians(needs_rng(self, rng).uniform(-self.degrees, self.degrees, B))
        cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
        down, right = np.mgrid[:H, :W] - np.array([(H - 1) / 2, (W - 1) / 2])[:, None, None]
        # Where each pixel of the result comes from, (B, H, W), in an image with a border of
        # ``fill``, one pixel wide, so that outside needs no case of its own.
        row = np.clip(cos * down + sin * right + (H + 1) / 2, 0, H + 1)
        column = np.clip(cos * right - sin * down + (W + 1) / 2, 0, W + 1)
        top = np.minimum(row.astype(np.int64), H)
        left = np.minimum(column.astype(np.int64), W)
        y = (row - top)[..., None].astype(x.dtype)  # from 0, at the pixel above, to 1 below
        z = (column - left)[..., None].astype(x.dtype)  # from 0, at the left, to 1 at the right
        framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=self.fill)
        pixels = framed.transpose(0, 2, 3, 1)  # (B, H+2, W+2, C): one index picks all channels
        n = np.arange(B)[:, None, None]
        above = pixels[n, top, left] * (1 - z) + pixels[n, top, left + 1] * z
        below = pixels[n, top + 1, left] * (1 - z) + pixels[n, top + 1, left + 1] * z
        turned = above * (1 - y) + below * y
        return np.ascontiguousarray(turned.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class RandomErasing(_ImageTransform):
    """Cover a rectangle with ``fill``, in each image with probability ``p``. The rectangle takes a
    share of the image between ``area[0]`` and ``area[1]``; its sides have a ratio of 0.3 to 1/0.3.

    Source: Zhong et al. 2017, Random Erasing Data Augmentation, algorithm 1 (here a rectangle
    that is too long is cut at the image's size, not drawn again).
    """

    p: float = 0.5
    area: tuple[float, float] = (0.02, 0.2)
    fill: float = 0.0
    integers = True

    def __post_init__(self) -> None:
        _share(self, "p", self.p)
        if not 0 <= self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"RandomErasing: area is (least, largest), from 0 to 1, got "
                             f"{self.area!r}")

    def _batch(self, x: Array, rng: Rng | None) -> Array:
        draw = needs_rng(self, rng)
        B, _, H, W = x.shape
        erase = draw.random(B) < self.p
        pixels = draw.uniform(*self.area, B) * (H * W)
        ratio = np.exp(draw.uniform(math.log(0.3), -math.log(0.3), B))
        h = np.clip(np.rint(np.sqrt(pixels * ratio)), 1, H)
        w = np.clip(np.rint(np.sqrt(pixels / ratio)), 1, W)
        top = np.floor(draw.random(B) * (H - h + 1))
        left = np.floor(draw.random(B) * (W - w + 1))
        rows = _within(top, h, H) & erase[:, None]  # (B, H)
        covered = rows[:, :, None] & _within(left, w, W)[:, None, :]  # (B, H, W)
        return np.where(covered[:, None], x.dtype.type(self.fill), x)


def _within(start: Array, length: Array, n: int) -> Array:
    """bool (B, n): start[b] <= i < start[b] + length[b]."""
    i = np.arange(n)
    return (i >= start[:, None]) & (i < (start + length)[:, None])
