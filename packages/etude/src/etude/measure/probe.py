"""How many operations and bytes a second, with one number of threads: ``roof.py`` runs this file
in a process of its own, since libraries read their number of threads when they are loaded.

    python -m etude.measure.probe THREADS SECONDS MEGABYTES     prints a line of JSON

Each number is the best of as many repeats as ``SECONDS`` allow: a peak. NumPy's matrix product is
not the fastest on every machine, so the C kernels, where they are installed, have a try as well.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from etude.core.errors import BackendError
from etude.measure.machine import Span, now

ENOUGH = 0.05  # seconds: a product that takes as long is large enough
LARGEST = 4096


def best(work: Callable[[], Any], seconds: float) -> float:
    """The shortest time of a call. The first is not counted: it may allocate and start threads."""
    work()
    shortest, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - start)
        if time.perf_counter() > end:
            return shortest


def products() -> dict[str, Callable[..., Any]]:
    """Who has a matrix product here: NumPy, and the backend "cpu" where it is installed."""
    found: dict[str, Callable[..., Any]] = {"NumPy": np.matmul}
    try:
        from etude.backends.resolve import resolve

        found["etude-cpu"] = resolve("cpu")[0].ops["matmul"]
    except (ImportError, BackendError, KeyError):
        pass
    return found


def fastest(dtype: str, seconds: float) -> tuple[float, str]:
    """(FLOP/s of the fastest matrix product there is, whose it is)."""
    found = {name: flops(dtype, seconds, matmul) for name, matmul in products().items()}
    name = max(found, key=lambda name: found[name])
    return found[name], name


def flops(dtype: str, seconds: float, matmul: Callable[..., Any] = np.matmul) -> float:
    """FLOP/s of a matrix product: 2 n^3 of them, n so large that a product takes a while."""
    n = 256
    while True:
        a = np.full((n, n), 0.5, dtype)
        product = partial(matmul, a, a.copy(), out=np.empty_like(a))
        spent = best(product, 0.0)
        if spent >= ENOUGH or n >= LARGEST:
            return 2.0 * n**3 / min(spent, best(product, seconds))
        n *= 2


def bandwidth(threads: int, megabytes: int, seconds: float) -> float:
    """Bytes a second of a copy: each byte is read and written, and counted twice. What a cache
    reads before it is written over is not counted, as in STREAM (McCalpin 1995).
    """
    source = np.ones(megabytes << 17)  # float64
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))
    with ThreadPoolExecutor(threads) as pool:  # copyto lets other threads of Python run
        spent = best(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)), seconds)
    return 2.0 * source.nbytes / spent


def main(threads: int, seconds: float, megabytes: int) -> None:
    start = now()
    single, double = fastest("float32", seconds), fastest("float64", seconds)
    found = {"threads": threads, "float32": single[0], "float64": double[0],
             "bandwidth": bandwidth(threads, megabytes, seconds),
             "float32_by": single[1], "float64_by": double[1]}
    print(json.dumps({"peak": found, "busy": Span.between(start, now()).busy}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
