"""Lets the files of this folder share idx_files.py; what a test of data needs and does not find is
listed as NOT RUN at the end, with the reason (``tests/conftest.py``).
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

FASHION = Path("/usr/share/datasets/fashion-mnist")
PREFIX = "NOT RUN: "


@pytest.fixture
def pillow():
    return _module("PIL", "pillow")


@pytest.fixture
def pooch():
    return _module("pooch", "pooch")


@pytest.fixture
def fashion_folder():
    if not FASHION.is_dir():
        pytest.skip(f"{PREFIX}needs the Debian package dataset-fashion-mnist")
    return FASHION


def _module(name, package):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{PREFIX}needs the package {package}")
    return importlib.import_module(name)
