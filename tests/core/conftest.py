"""Every test starts and ends with the process default it found."""

import pytest

from etude.backend import DEFAULT


@pytest.fixture(autouse=True)
def same_default():
    before = dict(DEFAULT.tables)
    DEFAULT.tables.clear()
    yield
    DEFAULT.tables.clear()
    DEFAULT.tables.update(before)
