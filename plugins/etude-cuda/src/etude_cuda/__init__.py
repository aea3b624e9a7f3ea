"""CUDA for Etude: kernels for a card, and the lab, which runs CUDA programs without one.

Importing this package opens no library, and no driver.
"""

from etude.backends.plugins import BackendInfo, hookimpl


@hookimpl
def etude_backends():
    """Kernels on a card, and the same ones on the CPU, in the lab."""
    from etude_cuda.backend import CUDA, LAB, load_cuda, load_lab

    return [BackendInfo(CUDA, device=CUDA, interface=(2, 0), load=load_cuda),
            BackendInfo(LAB, device=LAB, interface=(2, 0), load=load_lab)]


@hookimpl
def etude_commands():
    """``etude lab``."""
    from etude_cuda.lab.commands import lab

    return [lab]
