"""Every test here starts and ends with the process default it found. Files here share leaves.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _same_default(same_default):
    """For every test of the folder."""
