"""The smallest launch that still shows a race: the program is run again with less of one launch.

A race between thread 513 and thread 7 of block 12 is hard to think about; the same race between
threads 0 and 1 of one block is not. The runtime takes another grid and block for one launch from
the environment (LAB_ONLY), the rest of the program stays as it is. Extents are tried from 1 upwards
in powers of two, the grid first. Only a run that shows a race of the same kernel at the same lines
counts, so whatever else goes wrong in a smaller launch does not confuse it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from etude_cuda.lab.case import dims
from etude_cuda.lab.events import Launch, Three
from etude_cuda.lab.findings import Told

if TYPE_CHECKING:
    from etude_cuda.lab.report.record import Report

KINDS = ("race",)
RACES = 3  # that are made smaller; the rest of a report's races are left as they are
RUNS = 40  # for one race
SECONDS = 30.0  # for all of them

#: Runs the program once more with LAB_ONLY set so; None if that run gave no report.
Again = Callable[[str], "Report | None"]


def shrink(report: Report, again: Again, seconds: float = SECONDS) -> None:
    """Enter into the report's first races the smallest launches that show them."""
    until = time.monotonic() + seconds
    for told in [t for t in report.findings if t.kind in KINDS][:RACES]:
        launch = report.log.launched(told.launch)
        if launch is not None:
            told.shrunk = _smallest(told, launch, again, until)


def only(launch: int, grid: Three, block: Three) -> str:
    """The value of LAB_ONLY: "2:1,1,1:32,1,1"."""
    return f"{launch}:{','.join(map(str, grid))}:{','.join(map(str, block))}"


def _smallest(told: Told, launch: Launch, again: Again, until: float) -> str:
    """Make one extent after the other as small as it can be; the words for what is left."""
    extents = [*launch.grid, *launch.block]
    shown: Told | None = None
    runs = 0
    for axis in (2, 1, 0, 5, 4, 3):
        for extent in _powers(extents[axis]):
            if runs >= RUNS or time.monotonic() > until:
                break
            tried = [*extents[:axis], extent, *extents[axis + 1:]]
            runs += 1
            found = _found(told, launch.launch, tried, again)
            if found:
                extents, shown = tried, found
                break
    if shown is None:
        return ""
    grid, block = _three(extents[:3]), _three(extents[3:])
    who = " and ".join(f"{s.who} {s.does}" for s in shown.sites[:2])
    return (f"{launch.kernel}<<<{dims(grid)}, {dims(block)}>>> is the smallest launch found to "
            f"show it (of <<<{dims(launch.grid)}, {dims(launch.block)}>>>): {who}.")


def _found(told: Told, launch: int, extents: list[int], again: Again) -> Told | None:
    """The race in a run with these extents; None if it is not there, or was run otherwise."""
    grid, block = _three(extents[:3]), _three(extents[3:])
    report = again(only(launch, grid, block))
    ran = report.log.launched(launch) if report else None
    if ran is None or (ran.grid, ran.block) != (grid, block):
        return None
    return _same(told, report)


def _powers(extent: int) -> list[int]:
    """1, 2, 4 ... below the extent."""
    return [2 ** k for k in range(extent.bit_length()) if 2 ** k < extent]


def _same(told: Told, report: Report | None) -> Told | None:
    """The finding of another run that is this one: its kind, kernel and lines."""
    if report is None:
        return None
    return next((t for t in report.findings if (t.kind, t.kernel) == (told.kind, told.kernel)
                 and set(t.lines) == set(told.lines)), None)


def _three(x: list[int]) -> Three:
    return x[0], x[1], x[2]
