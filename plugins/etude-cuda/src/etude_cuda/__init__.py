"""CUDA for Etude: kernels for a card, and the lab, which runs CUDA programs without one.

Importing this package opens no library, and no driver. ``streams.py`` says what the names below
do.
"""

from typing import Any

from etude.backends.plugins import BackendInfo, hookimpl


@hookimpl
def etude_backends():
    """Kernels on a card, and the same ones on the CPU, in the lab."""
    from etude_cuda.backend import CUDA, LAB, load_cuda, load_lab

    return [BackendInfo(CUDA, device=CUDA, interface=(2, 3), load=load_cuda),
            BackendInfo(LAB, device=LAB, interface=(2, 3), load=load_lab, emulation=True)]


@hookimpl
def etude_commands():
    """``etude lab``."""
    from etude_cuda.lab.commands import lab

    return [lab]


_NAMES = ("Memory", "HostCopy", "Stream", "memory", "synchronize", "to_host")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        from etude_cuda import streams

        return getattr(streams, name)
    raise AttributeError(f"etude_cuda has no {name!r}; it has {', '.join(_NAMES)}")
