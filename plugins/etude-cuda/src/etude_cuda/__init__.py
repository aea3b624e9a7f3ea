"""CUDA for Etude: kernels for a card, and the lab, which runs CUDA programs without one.

Importing this package opens no library, and no driver.
"""

from etude.backends.plugins import hookimpl


@hookimpl
def etude_commands():
    """``etude lab``."""
    from etude_cuda.lab.commands import lab

    return [lab]
