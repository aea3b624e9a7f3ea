"""The handwritten digits that come with Etude: 1,797 real images of 8 x 8 pixels, 10 classes.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository, 1998; licence CC BY 4.0, see digits.LICENSE.txt beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

import numpy as np

from etude.core.shapes import float32, int64
from etude.core.tensor import Tensor
from etude.data.dataset import TensorDataset

EVERY = 5  # of the images of one digit, every fifth is for testing


@overload
def digits(split: None = None) -> tuple[TensorDataset, TensorDataset]: ...
@overload
def digits(split: str) -> TensorDataset: ...
def digits(split: str | None = None) -> Any:
    """The digits as a TensorDataset of (image, label); without ``split``, (train, test).

    Images are float32 (1, 8, 8) from 0 (paper) to 1 (ink), labels int64 from 0 to 9. The split
    is fixed and has the same share of every digit: of the images of one digit, in the order of
    the source, the 5th, 10th, 15th ... are in "test" (355), the others in "train" (1,442).
    Neighbours in the source often come from one writer, so both parts know every writer.
    """
    if split is None:
        return digits("train"), digits("test")
    if split not in ("train", "test"):
        raise ValueError(f"digits: split must be 'train' or 'test', got {split!r}")
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        pixels, labels = file["images"], file["labels"]  # uint8 (1797, 8, 8) of 0..16; (1797)
    nth = np.empty(len(labels), int)  # which image of its digit this is, from 0
    for digit in range(10):
        here = labels == digit
        nth[here] = np.arange(here.sum())
    picked = (nth % EVERY == EVERY - 1) == (split == "test")
    images = pixels[picked, None].astype(float32) / float32.type(16)
    return TensorDataset(Tensor(images), Tensor(labels[picked].astype(int64)))
