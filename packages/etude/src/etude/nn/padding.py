"""What stands around an image: ``pad`` with the ``padding_mode`` of the convolutions of conv.py.

With a b c d in a row and 2 more on both sides:

    zeros      0 0 | a b c d | 0 0        replicate  a a | a b c d | d d
    reflect    c b | a b c d | c b        circular   c d | a b c d | a b
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from etude import functional as F
from etude.core.creation import zeros
from etude.core.errors import ShapeError
from etude.core.tensor import tensor

MODES = ("zeros", "reflect", "replicate", "circular")


def pad(name: str, x: Any, dim: int, before: int, after: int, mode: str) -> Any:
    """x with ``before`` and ``after`` more along ``dim``, filled as ``padding_mode`` says."""
    n = x.shape[dim]
    most = {"zeros": math.inf, "reflect": n - 1, "replicate": math.inf, "circular": n}[mode]
    if max(before, after) > most or (mode == "replicate" and n == 0):
        raise ShapeError(f"{name}: padding of {before} and {after} is more than the {most} that "
                         f"padding_mode={mode!r} finds along dimension {dim} of x {list(x.shape)}")
    if mode == "zeros":
        sides = [zeros((*x.shape[:dim], count, *x.shape[dim + 1 :]), dtype=x.dtype,
                       device=x.device) for count in (before, after)]
        return F.cat([sides[0], x, sides[1]], dim)
    at = np.arange(-before, n + after)
    source = {"reflect": (n - 1) - np.abs((n - 1) - np.abs(at)),
              "replicate": at.clip(0, n - 1), "circular": at % n if n else at}[mode]
    return F.index_select(x, dim, tensor(source).to(x.device))
