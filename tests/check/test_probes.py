"""Probes can fail: the one of threads is shown a column that it alone finds wrong."""

import pytest

COLUMN = """
import os
import numpy as np
import etude

@etude.implements("relu")
def relu(x):
    more = np.float32(2e-7 if os.environ["ETUDE_NUM_THREADS"] != "1" else 0)
    return np.maximum(x, 0) * (1 + more)
"""


@pytest.fixture
def column(tmp_path):
    pytest.importorskip("etude_check")
    from etude_check.candidate import Candidate

    path = tmp_path / "column.py"
    path.write_text(COLUMN)
    return Candidate("module", str(path))


def test_bits_that_depend_on_the_threads_fail(column):
    from etude_check.engine import check

    report = check(column, ops=["relu"], dtypes=["float32"], families=["threads"], level="smoke")
    assert [r.verdict for r in report.records] == ["FAIL (certain)"]
    assert "threads give other bits than 1" in report.failures[0].message
