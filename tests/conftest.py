"""What a test needs and does not find is listed as NOT RUN at the end, with the reason.

Here too: what the folders of the framework share, a process default that is put back and a column
that notes its calls.
"""

import importlib
import importlib.util
import os
import resource
import signal
from contextlib import contextmanager

import hypothesis
import numpy as np
import pytest

import etude
from etude import Unsupported, ops
from etude.core.state import DEFAULT

# A busy machine is no reason to fail: no test here is about time.
hypothesis.settings.register_profile("any speed", deadline=None)
hypothesis.settings.load_profile("any speed")

PREFIX = "NOT RUN: "


def needed(name, package):
    """The module ``name``, or the test is listed as NOT RUN."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{PREFIX}needs the package {package}")
    return importlib.import_module(name)


@pytest.fixture
def safetensors():
    return needed("safetensors", "safetensors")


@pytest.fixture
def room():
    """``with room(1000):`` no file grows beyond so many bytes. The system refuses as for a full
    disk: from the write, and without a name.
    """
    @contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def torch():
    return needed("torch", "torch")


@pytest.fixture
def jax():
    return needed("jax", "jax")


@pytest.fixture
def optuna():
    return needed("optuna", "optuna")


@pytest.fixture
def matplotlib():
    return needed("matplotlib", "matplotlib")


@pytest.fixture
def click():
    return needed("click", "click")


@pytest.fixture(params=["reference", "cpu"])
def backend(request):
    """The name of a backend whose arrays are in the host's memory."""
    if request.param == "cpu":
        needed("etude_cpu", "etude-cpu")
    return request.param


@pytest.fixture
def soak():
    """Whether the long form of a test is wanted: ETUDE_SOAK=1."""
    return os.environ.get("ETUDE_SOAK", "") not in ("", "0")


@pytest.fixture
def interruptible():
    """Ctrl-C acts as in a shell: a background job of a script is started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def same_default():
    """No process default is set during the test, and the one there was is set again after it."""
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


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if PREFIX in reason:
            terminalreporter.write_line(f"NOT RUN  {report.nodeid}: {reason.split(PREFIX)[1]}")
