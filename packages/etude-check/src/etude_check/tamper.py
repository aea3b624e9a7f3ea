"""Notices what a candidate replaced in its own process: comparisons, clocks, the op table.

A hint to whoever reads the report, and no defence: the verdict never depends on the worker's
honesty. Noted before the candidate is loaded, compared after that and now and then.
"""

from __future__ import annotations

import builtins
import gc
import json
import signal
import sys
import time
from types import ModuleType
from typing import Any

import numpy as np
import numpy.linalg
import numpy.testing

import etude.columns
import etude.table

WATCHED: tuple[ModuleType, ...] = (np.testing, np, np.linalg, time, gc, builtins, json,
                                   etude.columns, etude.table)

#: What Etude itself imports to find an installed backend: this kit is a plugin too.
OURS = ("etude_check.commands", "etude_check.zoo")


def identities() -> dict[str, Any]:
    """What is watched, by the name people know it under."""
    found = {f"{m.__name__}.{name}": value for m in WATCHED for name, value in vars(m).items()
             if callable(value)}
    for name, op in etude.table.TABLE.items():
        found[f"the reference of {name}"] = op.reference
        found[f"the shape rule of {name}"] = op.shape
    for s in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
        found[f"the handler of {s.name}"] = signal.getsignal(s)
    for name, module in list(sys.modules.items()):
        if (name.startswith("etude_check") or name == "__main__") and module is not None:
            found.update({f"{name}.{n}": v for n, v in vars(module).items()
                          if getattr(v, "__module__", None) == name})
            for kind in [v for v in vars(module).values() if isinstance(v, type)
                         and v.__module__ == name]:
                found.update({f"{name}.{kind.__name__}.{n}": v for n, v in vars(kind).items()
                              if callable(v)})
    return found


class Watch:
    """The state of the process when it was made. ``look`` says what has changed since."""

    def __init__(self) -> None:
        self.before = identities()
        self.modules = {n for n in sys.modules if n.startswith("etude_check")}
        self.hooks = sys.gettrace(), sys.getprofile()

    def look(self) -> list[str]:
        """Sentences: "replaces numpy.testing.assert_allclose"."""
        now = identities()
        missing = object()
        found = [f"replaces {name}" for name, value in self.before.items()
                 if now.get(name, missing) is not value]
        found += [f"imports {name}" for name in sorted(sys.modules)
                  if name.startswith("etude_check") and name not in self.modules
                  and not name.startswith(OURS)]
        if (sys.gettrace(), sys.getprofile()) != self.hooks:
            found.append("installs a trace or profile function")
        return found[:20]
