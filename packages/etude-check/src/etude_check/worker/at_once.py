"""Two threads inside one op at once, as users' threads are: what a kernel keeps in static or global
memory, one call takes from the other. Kernels in C are called without Python's lock, and so is most
of NumPy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

CALLS = (3, 40)  # by each thread: at least, and at most
SECONDS = 0.06  # that the calls of a thread take, if at least and at most allow it
SWITCH = 1e-4  # seconds until Python's lock goes from one thread to the other
NEAR = 1e-3  # of the largest element: results that differ by less are the same one, rounded

SHARED = ("gives another result while a second thread is inside it too: does it keep something in "
          "static or global memory?")


def at_once(calls: Sequence[Callable[[], Any]], alone: Sequence[Any], seconds: float) -> list[str]:
    """Make each call in a thread of its own, several times. Sentences, without a subject, about
    results that are not those of the same call made ``alone``, which took ``seconds``.
    """
    least, most = CALLS
    times = min(max(int(SECONDS / max(seconds, 1e-9)), least), most)
    together = threading.Barrier(len(calls))
    results: list[list[Any]] = [[] for _ in calls]
    raised: list[BaseException] = []

    def work(i: int) -> None:
        try:
            together.wait()
            for _ in range(times):
                results[i].append(calls[i]())
        except BaseException as error:
            raised.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    if raised:
        error = raised[0]
        return [f"raised {type(error).__name__} while a second thread was inside it too: {error}"]
    same = all(_same(r, right) for rs, right in zip(results, alone, strict=True) for r in rs)
    return [] if same else [SHARED]


def _same(result: Any, right: Any) -> bool:
    if isinstance(right, tuple):
        return len(result) == len(right) and all(map(_same, result, right))
    a, b = np.asarray(result), np.asarray(right)
    if a.shape != b.shape or a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    finite = np.isfinite(b)
    with np.errstate(all="ignore"):
        scale = np.abs(b[finite]).max(initial=0)
        return bool(np.array_equal(np.isfinite(a), finite)
                    and (np.abs(a - b)[finite] <= NEAR * scale).all())
