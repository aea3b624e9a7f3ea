"""A process of a pool ends with the process that started it, however that one ends.

Python's pools end their processes when they are closed. Nobody closes the pool of a process that
was killed, and its workers would wait for work for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import threading

ORPHANED = 82  # exit status of a process whose parent has gone


def end_with_parent() -> None:
    """From now on this process, one that ``multiprocessing`` started, ends when its parent does."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent is for processes that multiprocessing started")

    def watch() -> None:
        parent.join()  # a pipe that only the parent holds open: the system closes it at any end
        os._exit(ORPHANED)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
