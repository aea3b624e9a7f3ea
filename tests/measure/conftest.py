"""A cache folder with peaks of a machine that nobody measured: they are known by their numbers."""

import pytest

from etude.measure import Peak, Peaks
from etude.measure.roof import keep, this_machine

DATE = "2026-11-28T09:00:00+00:00"


@pytest.fixture
def known(tmp_path, monkeypatch):
    """100 GFLOP/s in float32, 50 in float64 and 10 GB/s, for any number of threads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Peaks(this_machine(), DATE, (Peak(1, 100e9, 50e9, 10e9, "NumPy", "etude-cpu"),))
    keep(found)
    return found
