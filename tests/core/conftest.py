"""Every test starts and ends with the process default it found. Files here share leaves.py."""

import sys
from pathlib import Path

import pytest

from etude.backend import DEFAULT

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def same_default():
    before = dict(DEFAULT.tables)
    DEFAULT.tables.clear()
    yield
    DEFAULT.tables.clear()
    DEFAULT.tables.update(before)
