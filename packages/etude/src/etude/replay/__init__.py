"""Capture and replay: a step as a program that is run again in one call.

``program.py`` says what a program is. Read it first, then ``trace.py``, which makes one of a call,
``reference.py``, which defines what running one means, and ``captured.py``, where people come in.
"""

from etude.replay import show  # what a program looks like
from etude.replay.captured import Captured, capture
from etude.replay.executor import Executor, executor_for
from etude.replay.program import Buffer, Call, Program, Value
from etude.replay.reference import Reference

__all__ = ["Buffer", "Call", "Captured", "Executor", "Program", "Reference", "Value", "capture",
           "executor_for", "show"]
