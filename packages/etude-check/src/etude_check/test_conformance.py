"""One test for each op of the table, as ``test_op[softmax]``: ``pytest --pyargs etude_check``.

Which candidate is checked is an option of ``pytest_plugin.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from etude_check.pytest_plugin import OPTIONS, Tally, named


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "etude_op" not in metafunc.fixturenames:
        return
    if named(metafunc.config) is None:
        skip = pytest.mark.skip(reason=f"no candidate is named; give {', '.join(OPTIONS[:-1])} or "
                                       f"{OPTIONS[-1]}")
        metafunc.parametrize("etude_op", [pytest.param("none", marks=skip)])
        return
    from etude_check.specs import specs

    metafunc.parametrize("etude_op", sorted(specs()))


def test_op(etude_op: str, etude_inspector: Any, etude_tally: Tally) -> None:
    from etude_check.report.terminal import failure_text

    report = etude_inspector.check(etude_op)
    etude_tally.tried += 1
    etude_tally.scored += report.scored
    if report.failures:
        pytest.fail(failure_text(report), pytrace=False)
    if not report.scored:
        pytest.skip(report.records[0].message if report.records else "no case")
