"""The opaque device, in force for one test, in strict mode."""

import sys
from pathlib import Path

import pytest

import etude

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def traffic():
    """Puts the device in force; its value counts the transfers between device and host."""
    from opaque_backend import opaque_backend

    backend, counts = opaque_backend()
    with etude.use(backend, strict=True):
        yield counts
