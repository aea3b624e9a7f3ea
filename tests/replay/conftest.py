"""Every test here starts and ends with the process default it found. The tests of this folder share
``twins.py``, ``watched.py`` and ``passes/programs.py``.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import etude

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "passes")]


@pytest.fixture(autouse=True)
def _same_default(same_default):
    """For every test of the folder."""


@pytest.fixture(name="column")
def on_each_column(backend):
    """The test runs on the reference, and on the native column; gives its name."""
    with etude.use(backend) if backend == "cpu" else nullcontext():
        yield backend
