"""The pytest plugin: ``pytest --pyargs etude_check --etude-backend mine`` in a plugin's own CI.

Every pytest of an environment with this package loads this file, so it imports nothing but pytest
and does nothing until one of its options is given. The tests are in ``test_conformance.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etude_check.worker.candidate import Candidate

OPTIONS = ("--etude-backend", "--etude-module", "--etude-source")


@dataclass
class Tally:
    """What the session did, for its end: ops that were tried, cases that passed."""

    tried: int = 0
    scored: int = 0


TALLY = pytest.StashKey[Tally]()
CANDIDATE = pytest.StashKey["Candidate | None"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("etude", "conformance of Etude kernels (pytest --pyargs etude_check)")
    group.addoption("--etude-backend", metavar="NAME", help="the installed backend to check")
    group.addoption("--etude-module", metavar="FILE.py",
                    help="check the functions in this file marked with etude.implements")
    group.addoption("--etude-source", metavar="FILE.c",
                    help="compile this file and check the kernels of etude.h in it")
    group.addoption("--etude-level", choices=("smoke", "full", "soak"), default="full",
                    help="how many cases of each op (default: full)")
    group.addoption("--etude-seed", type=int, default=0, help="inputs are drawn from it")


def named(config: pytest.Config) -> Candidate | None:
    """The candidate that the options name, if any. UsageError for one that cannot be."""
    if CANDIDATE not in config.stash:  # a source is compiled once
        config.stash[CANDIDATE] = _named(*(config.getoption(o) for o in OPTIONS))
    return config.stash[CANDIDATE]


def _named(backend: str | None, module: str | None, source: str | None) -> Candidate | None:
    if backend is None and module is None and source is None:
        return None
    from etude_check.commands.check import installed
    from etude_check.errors import CheckError
    from etude_check.worker.candidate import Candidate, prepare

    try:
        candidate = Candidate.parse(backend, module, source)
        installed(candidate)
        return prepare(candidate)
    except CheckError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


@pytest.fixture(scope="session")
def etude_inspector(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Checks ops of the candidate, one after another, in one sandbox."""
    from etude_check.inspector import Inspector

    candidate = named(request.config)
    assert candidate is not None
    inspector = Inspector(candidate, request.config.getoption("--etude-level"),
                          request.config.getoption("--etude-seed"))
    yield inspector
    inspector.close()


@pytest.fixture
def etude_tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash[TALLY]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A session that tried ops and passed in none has failed, however green it looks."""
    tally = session.config.stash.get(TALLY, Tally())
    if tally.tried and not tally.scored and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    tally = terminalreporter.config.stash.get(TALLY, Tally())
    if tally.tried and not tally.scored:
        terminalreporter.write_line(f"etude_check: NOTHING WAS EXECUTED. {tally.tried} ops were "
                                    f"tried, and the candidate answered in none of them.", red=True)
    elif tally.scored:
        terminalreporter.write_line(f"etude_check: {tally.scored:,} cases passed.")
