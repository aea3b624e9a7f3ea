"""The conformance kit: holds kernels against Etude's reference, so that no wrong kernel passes.

    etude_check.check("softmax.py")                       what `etude check` does
    etude_check.first_divergence(fn, "reference", "cpu")  the first wrong op of a whole program
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
