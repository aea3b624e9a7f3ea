"""The tests here need the device "gpu-lab", which g++ builds when etude-cuda is installed."""

import os
import subprocess
import sys

import pytest

import etude
from etude.backends.plugins import registry
from etude.core.errors import BackendError

pytest.importorskip("etude_cuda", reason="NOT RUN: etude-cuda is not installed")


@pytest.fixture(scope="session")
def lab_column():
    try:
        return registry().load("gpu-lab")
    except BackendError as error:
        pytest.skip(f"NOT RUN: {error}")


@pytest.fixture
def lab(lab_column):
    """The device, in force in strict mode for one test."""
    from etude_cuda.backend import device

    with etude.use("gpu-lab", strict=True):
        yield device("gpu-lab")


@pytest.fixture
def fresh():
    """Runs a text in a process of its own, with these variables set in its environment."""
    def run(text, **environment):
        return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True,
                              env={**os.environ, **environment}, timeout=120)

    return run
