"""Work done ahead of its use: threads that prepare a loader's next batches, in order.

Threads, not processes: batches are made by NumPy and by reading files, which let other threads
run, and what they make needs no copying between processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2  # batches that each worker may be ahead


def ahead(make: Callable[[int], T], n: int, workers: int) -> Generator[T]:
    """make(0), make(1), ... make(n - 1), prepared by ``workers`` threads. With 0 workers, each is
    made when it is asked for.

    Each call runs in a copy of the caller's context, so that ``with use(...)`` and ``no_grad``
    hold there too. An exception comes out where its result would have. Closing the iterator, or
    dropping it, ends the threads once the calls that run have returned; the others never start.
    """
    if workers == 0:
        yield from map(make, range(n))
        return
    from concurrent.futures import Future, ThreadPoolExecutor  # here: import etude stays quick

    pool = ThreadPoolExecutor(workers, thread_name_prefix="etude-data")
    try:
        pending: deque[Future[T]] = deque()
        lead = DEPTH * workers  # how many are begun before the first is handed out
        for i in range(n + lead):
            if i < n:
                pending.append(pool.submit(copy_context().run, make, i))
            if i >= lead and pending:
                yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
