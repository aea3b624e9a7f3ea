"""Every test starts and ends with the process default it found. Files here share leaves.py, and a
column that notes its calls.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import etude
from etude import Unsupported, ops
from etude.core.state import DEFAULT

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def same_default():
    before = dict(DEFAULT.tables)
    DEFAULT.tables.clear()
    yield
    DEFAULT.tables.clear()
    DEFAULT.tables.update(before)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def column(calls):
    """A column with softmax, which notes its calls and declines float64."""
    @etude.implements("softmax")
    def mine(x, *, dim=-1):
        if x.dtype == np.float64:
            raise Unsupported("float64")
        calls.append(x.shape)
        return ops.softmax(x, dim=dim)

    return mine
