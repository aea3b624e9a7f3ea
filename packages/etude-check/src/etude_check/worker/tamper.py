"""Notices what a candidate replaced in its own process, and where it looks for answers.

This is a hint to whoever reads the report, and no defence: the verdict never depends on the
worker's honesty. Before the candidate is loaded, ``Watch`` notes everything that a cheat would
replace (comparisons, clocks, the op table); afterwards, and now and then, it compares. ``Searches``
hears from Python's audit events where a call looks.
"""

from __future__ import annotations

import builtins
import collections
import gc
import json
import linecache
import logging
import sys
import time
import typing
import warnings
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import numpy.linalg
import numpy.testing

import etude.core.columns
import etude.core.contract
import etude.core.table

WATCHED: tuple[ModuleType, ...] = (np.testing, np, np.linalg, time, gc, builtins, json,
                                   etude.core.columns, etude.core.contract, etude.core.table)

#: Audit events that no arithmetic causes, and what they mean when they come during a call. They
#: prove nothing, since a column that compiles its kernels opens files too: they make a note in the
#: report, and no failure.
DURING = "during a call"
SEARCHES = {**dict.fromkeys(("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
                            f"looks through the objects of the garbage collector {DURING}"),
            "sys._getframe": f"walks up the stack {DURING}",
            **dict.fromkeys(("open", "os.listdir", "os.scandir"),
                            f"looks through files {DURING}")}
ITSELF = {"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>",
          *(m.__file__ for m in (collections, linecache, logging, typing, warnings))}

#: What Etude itself imports to find an installed backend: this kit is a plugin too.
OURS = ("etude_check.commands", "etude_check.zoo")


def identities() -> dict[str, Any]:
    """What is watched, by the name people know it under."""
    found = {f"{m.__name__}.{name}": value for m in WATCHED for name, value in vars(m).items()
             if callable(value)}
    for name, op in etude.core.table.TABLE.items():
        found[f"the reference of {name}"] = op.reference
        found[f"the shape rule of {name}"] = op.shape
    for name, module in list(sys.modules.items()):
        if (name.startswith("etude_check") or name == "__main__") and module is not None:
            found.update({f"{name}.{n}": v for n, v in vars(module).items()
                          if getattr(v, "__module__", None) == name})
            for kind in [v for v in vars(module).values() if isinstance(v, type)
                         and v.__module__ == name]:
                found.update({f"{name}.{kind.__name__}.{n}": v for n, v in vars(kind).items()
                              if callable(v)})
    return found


class Searches:
    """``with searches:`` around a call; ``told()`` gives each kind of search once."""

    def __init__(self) -> None:
        self.inside = False
        self._heard: dict[str, bool] = {}  # sentence -> told already
        sys.addaudithook(self._hear)  # for good: Python takes none back

    def __enter__(self) -> None:
        self.inside = True

    def __exit__(self, *exc: object) -> None:
        self.inside = False

    def _hear(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if self.inside and event in SEARCHES:
            self.inside = False  # looking at the stack is such an event too
            if not _python_itself(sys._getframe(1)):
                self._heard.setdefault(SEARCHES[event], False)
            self.inside = True

    def told(self) -> list[str]:
        new = [sentence for sentence, told in self._heard.items() if not told]
        self._heard.update(dict.fromkeys(new, True))
        return new


def _python_itself(frame: FrameType | None) -> bool:
    """Whether Python itself caused the event: a late import looks for a file and runs it, a warning
    is shown with its line of source, and a named tuple asks where it was made.
    """
    while frame is not None and frame.f_code.co_filename not in ITSELF:
        frame = frame.f_back
    return frame is not None


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
