"""The conformance kit: holds kernels against Etude's reference, so that no wrong kernel passes.

    etude_check.check("softmax.py")                       what `etude check` does
    etude_check.first_divergence(fn, "reference", "cpu")  the first wrong op of a whole program

The kit has floors. A file imports from its own floor and from those below it, never from above;
tests/core/test_structure.py reads the order here. From the ground up:

    errors.py             the one error the kit raises itself
    report/               what a check found, and that in the forms people and programs read
    zoo/                  wrong kernels the kit must catch, and honest ones it must let pass
    worker/               the candidate's process, and the memory it shares with the checker
    bounds/               how far an honest kernel may be from the float64 oracle
    cases/                what a case is: how its call is planned and drawn
    specs/                what is asked of each op: one file per family of ops
    judge/                the cases of one op: drawn, answered by the worker, judged
    watch.py              a CUDA source's cases once more, while tools look on
    engine.py             check(): which ops, in how many processes, into one Report
    inspector.py          the same op by op, for test runners
    score.py              the zoo through the engine: the mutation score
    divergence/           two runs of a program beside each other, and the script kept of a wrong op
    diagnose.py           first_divergence(): the first op of a program that is wrong
    commands/             `etude check` and `etude zoo`
    pytest_plugin.py      `pytest --pyargs etude_check --etude-backend mine`
    test_conformance.py   the tests that this collects, one for each op
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etude_check.diagnose import first_divergence
    from etude_check.engine import check

__all__ = ["check", "first_divergence"]

_HOMES = {"check": "engine", "first_divergence": "diagnose"}


def __getattr__(name: str) -> Any:  # a worker, which starts for every op, needs neither
    if name in _HOMES:
        return getattr(import_module(f"etude_check.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'etude_check' has no attribute {name!r}")
