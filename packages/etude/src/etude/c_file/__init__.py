"""A trained model as one C file: ``write(trained, path)``."""

from __future__ import annotations

from pathlib import Path

from etude.train.trained import Trained


def write(trained: Trained, path: Path) -> str:
    """Write the program; returns how to compile it."""
    raise ValueError(f"a {trained.name} cannot be written as a C file yet")
