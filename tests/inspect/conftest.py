"""Every test here starts and ends with the process default it found."""

import pytest


@pytest.fixture(autouse=True)
def _same_default(same_default):
    """For every test of the folder."""
