"""Which mistake a wrong answer looks like: that of the mutants which answer the same.

Runs mutants in the checker's process, so only those that are plain functions of their arrays. A
mutant is suspected if its outputs are the candidate's to a few digits, and not right. Several may
be: two mistakes that both give NaN look alike in one case. ``judge/explain.py`` tells them apart by
the cases that passed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from etude import TABLE
from etude.core.table import as_arrays
from etude_check.zoo import animals

LARGEST = 1 << 16  # elements; a hint is not worth minutes


def suspects(op: str, arrays: Sequence[Any], attrs: dict[str, Any], outputs: Sequence[Any]
             ) -> list[str]:
    """The names of the mutants of ``op`` that give ``outputs`` for this call, which are wrong."""
    if op not in TABLE or sum(np.size(a) for a in arrays) > LARGEST:
        return []
    attrs = {**TABLE[op].attrs, **attrs}
    right = answers(TABLE[op].reference, arrays, attrs)
    found = []
    for animal in animals().values():
        if not animal.safe or op not in animal.ops or animal.fn is None:
            continue
        theirs = answers(animal.fn, arrays, attrs)
        if theirs is not None and _same(theirs, outputs) and not (
                right is not None and _same(theirs, right)):
            found.append(animal.name)
    return found


def answers(fn: Any, arrays: Sequence[Any], attrs: dict[str, Any]) -> tuple[Any, ...] | None:
    copies = [a.copy() if isinstance(a, np.ndarray) and 0 not in a.strides else a for a in arrays]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # such as of a mean of nothing
            result = as_arrays(fn(*copies, **attrs))
    except Exception:  # a mutant may break on a call that it was not made for
        return None
    return result if isinstance(result, tuple) else (result,)


def _same(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Equal but for rounding: within 16 units of the last place of the largest number."""
    for a, b in zip(one, two):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return False
        if a.dtype.kind != "f" or b.dtype.kind != "f":
            if not (a == b).all():
                return False
            continue
        close = 16 * float(np.finfo(b.dtype).eps)
        scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        with np.errstate(all="ignore"):
            near = np.allclose(a, b, rtol=close, atol=close * scale, equal_nan=True)
        if not near:
            return False
    return len(one) == len(two)
