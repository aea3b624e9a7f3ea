"""Streams, copies that do not wait, and how much memory there is: what etude_cuda adds by name.

    with etude_cuda.Stream("cuda"):         what is called here runs beside the common stream
        y = model(x)
    copy = etude_cuda.to_host(y, wait=False)
    ...                                     other work, meanwhile
    copy.numpy()                            waits for this copy alone

Calls return before the device has done their work. Whoever reads values waits: ``.item()``,
``.numpy()``, ``.to("cpu")``, ``print``. A timing waits by ``synchronize``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from etude.core.errors import DeviceError
from etude.core.tensor import Tensor
from etude_cuda.arrays import opened
from etude_cuda.backend import LIBRARIES, device


class Memory(NamedTuple):
    """What arrays hold on a device: how many buffers, bytes, and the most bytes there ever were."""

    buffers: int
    bytes: int
    most: int


class Stream:
    """A queue of work of its own. Inside its block, calls of this thread go there.

    Entered, it waits for what the thread has asked for before; left, what the thread asks for
    next waits for it. So results may be used anywhere, inside and outside. It may be entered again.
    """

    def __init__(self, on: str = "cuda") -> None:
        self.device = device(_known(on))
        self._stream = self.device.make_stream()
        self._before: list[int] = []

    def __enter__(self) -> Stream:
        before = self.device.stream()
        self.device.join(self._stream, before)
        self._before.append(before)
        self.device.use_stream(self._stream)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        before = self._before.pop()
        self.device.use_stream(before)
        self.device.join(before, self._stream)

    def synchronize(self) -> None:
        """Wait until the device has done what this stream was given."""
        self.device.wait(self._stream)

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self.device.end_stream(self._stream)

    def __repr__(self) -> str:
        return f"<Stream of {self.device.name!r}>"


class HostCopy:
    """A copy on its way to the host."""

    def __init__(self, x: Any, on: Any) -> None:
        self._device = on
        self._array = x  # its memory stays until the copy is made
        self._stream = on.make_stream()
        on.join(self._stream, on.stream())
        self._block = on.fetch(x, self._stream)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values; waits until they have arrived."""
        if self._array is not None:
            self._device.wait(self._stream)
            x, self._array = self._array, None
            self._values = self._device.take(self._block, x)
            self._device.end_stream(self._stream)
        return self._values

    def __del__(self) -> None:
        if getattr(self, "_array", None) is not None and hasattr(self, "_block"):
            self.numpy()


def to_host(x: Tensor, wait: bool = True) -> Any:
    """The values of a tensor in the host's memory, as a NumPy array. With ``wait=False`` at once a
    ``HostCopy``, whose ``numpy()`` waits for them.
    """
    if x.device not in LIBRARIES:
        raise DeviceError(f"to_host: a tensor on {', '.join(map(repr, LIBRARIES))}, got one on "
                          f"{x.device!r}")
    on = device(x.device)
    array = x.array if x.array.is_contiguous() else on.contiguous(x.array)
    opened(array, on, "to_host")  # which waits for a stream that still writes there
    return on.download(array) if wait else HostCopy(array, on)


def synchronize(on: str = "cuda") -> None:
    """Wait until a device has done all that this thread has asked of it."""
    device(_known(on)).wait()


def memory(on: str = "cuda") -> Memory:
    """What arrays hold on a device now, and held at most."""
    known = device(_known(on))
    return Memory(known.buffers, known.bytes, known.most_bytes)


def _known(name: str) -> str:
    if name not in LIBRARIES:
        raise DeviceError(f"etude-cuda has the devices {', '.join(map(repr, LIBRARIES))}, not "
                          f"{name!r}")
    return name
