"""Parts of a dataset: some of its samples, and a random split in two."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from etude.core import random
from etude.data.dataset import Dataset, position, positions
from etude.ops.random import words


class Subset:
    """The samples ``indices`` of a dataset, in this order, with its ``classes``, if it has any, and
    all of them. IndexError for one it does not have,
    DTypeError for bools (of a mask take ``np.flatnonzero(mask)``) and floats.
    """

    def __init__(self, dataset: Dataset, indices: Any) -> None:
        self.dataset = dataset
        self.indices = positions("Subset", indices, len(dataset))
        if hasattr(dataset, "batch"):
            self.batch = lambda picked: dataset.batch(self.indices[picked])
        if hasattr(dataset, "classes"):
            self.classes = dataset.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.dataset[int(self.indices[position(self, index)])]


def random_split(dataset: Dataset, validation: Any = 0.1, seed: int = 0
                 ) -> tuple[Subset, Subset]:
    """(train, validation): two Subsets. Each sample is in one of them, by chance; the second has
    the share ``validation`` of all, rounded. One seed gives one split, in every version of NumPy.

    For text use ``text_split``. ValueError if a part would be empty.
    """
    if isinstance(validation, bool) or not isinstance(validation, Real):  # Real: NumPy's too
        raise TypeError(f"random_split takes the share of the second part, such as 0.2, got "
                        f"{type(validation).__name__}; two lengths a and b are the share "
                        f"b / (a + b)")
    n, share = len(dataset), float(validation)
    held = round(n * share) if 0 < share < 1 else 0  # NaN is neither
    if not 0 < held < n:
        raise ValueError(f"random_split: a share of {validation!r} of {n} samples leaves one part "
                         f"empty; it needs a share between 0 and 1, and enough samples")
    key = np.array([random.Generator(seed).seed, 0], np.uint64)  # the seed is checked
    order = np.argsort(words(key, n), kind="stable")  # type: ignore[no-untyped-call]
    return Subset(dataset, np.sort(order[held:])), Subset(dataset, np.sort(order[:held]))
