"""The arena's arrays in the memory of a device, and back again: for candidates on another device.

The checker looks at the arena alone. So whatever a call is given is copied to the device before it
and back after it, with the gaps of strided arrays, the overlaps, and the place in a cache line that
the checker chose. No page of a device can be made unreadable from here; instead each array lies
between two stretches of a known pattern, and a change of those is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.core.columns import Table
from etude_check.worker.arena import CANARY, Arena, tile

Array = np.ndarray[Any, Any]
Where = list[Any]  # as ``Place.to_json`` writes it
LINE = 64  # bytes, within which an array lies on the device as it lies in the arena
STRAY = "writes outside of the arrays that it was given, on the device"


@dataclass
class _Region:
    """Arrays that overlap, or one alone: their bytes in the arena, and a copy on the device."""

    begin: int
    end: int
    dtype: np.dtype[Any]
    copy: Any = None  # flat, with the pattern on both sides

    @property
    def before(self) -> int:
        """Bytes of pattern before it."""
        return CANARY + self.begin % LINE // self.dtype.itemsize * self.dtype.itemsize

    def around(self, extent: Array) -> Array:
        """An extent between its patterns."""
        return np.concatenate([np.frombuffer(tile(self.before), self.dtype), extent,
                               np.frombuffer(tile(CANARY), self.dtype)])


class Remote:
    """What one call is given, on the device of ``column``."""

    def __init__(self, column: Any, arena: Arena, places: list[Where]) -> None:
        self.column = column
        self.arena = arena
        self.regions: list[_Region] = []
        for where in sorted(places, key=lambda w: w[4]):
            begin, end = where[4:]
            last = self.regions[-1] if self.regions else None
            if last is not None and begin < last.end:
                last.end = max(last.end, end)
            elif begin < end:
                self.regions.append(_Region(begin, end, np.dtype(where[1])))
        for region in self.regions:
            region.copy = column.upload(region.around(self._extent(region)))

    def array(self, where: Where) -> Any:
        """The device's array of a place."""
        view = self.arena.view(where)
        region = next((r for r in self.regions if r.begin <= where[4] < r.end), None)
        if region is None:  # it has no elements
            return self.column.upload(view)
        at = region.before + where[0] - region.begin
        return region.copy.view(view.shape, tuple([s // view.itemsize for s in view.strides]),
                                at // view.itemsize)

    def bring_back(self) -> list[str]:
        """Put everything into the arena as it is now. Returns sentences about what is wrong."""
        found = []
        for region in self.regions:
            now = self.column.download(region.copy)
            extent = self._extent(region)
            first = region.before // region.dtype.itemsize
            extent[...] = now[first : first + extent.size]
            if now.tobytes() != region.around(extent).tobytes():
                found.append(STRAY)
        return found[:1]

    def _extent(self, region: _Region) -> Array:
        return self.arena.extent([0, region.dtype.str, [], [], region.begin, region.end])


def on_host(column: Any, array: Any) -> Array:
    """A copy of a result in the host's memory."""
    if not array.is_contiguous():
        array = Table(array.device, (column,))["contiguous"](array)
    copy: Array = column.download(array)
    return copy
