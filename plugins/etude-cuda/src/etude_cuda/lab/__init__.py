"""The GPU lab: runs CUDA programs on the CPU, sees every access and says what is wrong.

From Python, ``etude.lab.run("prog.cu")`` gives a Report (``report/record.py``); the command is
``etude lab run``. Nothing is imported before it is used: the source pass must run where neither
NumPy nor the package etude is.
"""

from typing import Any

__all__ = ["Report", "run"]


def __getattr__(name: str) -> Any:
    if name == "run":
        from etude_cuda.lab.notebook import run
        return run
    if name == "Report":
        from etude_cuda.lab.report.record import Report
        return Report
    raise AttributeError(f"etude.lab has no {name!r}; it has {', '.join(__all__)}")
