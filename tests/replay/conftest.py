"""Every test here starts and ends with the process default it found. Files here share twins.py and
watched.py."""

import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import etude

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _same_default(same_default):
    """For every test of the folder."""


@pytest.fixture
def column(backend):
    """The test runs on the reference, and on the native column."""
    with etude.use(backend) if backend == "cpu" else nullcontext():
        yield backend
