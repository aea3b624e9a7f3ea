"""Functions of an answer that are no ops: called with plain values, in the worker.

The answer is a Python file, or a column of C kernels, whose ops are its functions. A question that
wants more than one call gives a file of ``drivers``, public functions of ours that are handed the
answer: "drivers:train" calls ``train(answer, *args)``.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
from pathlib import Path
from time import perf_counter
from types import ModuleType, SimpleNamespace
from typing import Any

from etude_check.worker.values import from_plain, to_plain

DRIVERS = "drivers:"


def load_answer(path: Path) -> ModuleType:
    """The module of a Python file, by its own name; its folder comes first where modules are looked
    for, so that an answer of several files can import from itself.
    """
    sys.path.insert(0, str(path.parent))
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def functions_of(column: Any) -> SimpleNamespace:
    """The kernels of a column as functions of an answer."""
    return SimpleNamespace(**column.ops)


class Driver:
    """Calls functions of one loaded answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.drivers: dict[str, ModuleType] = {}

    def drive(self, message: dict[str, Any]) -> dict[str, Any]:
        name, args = message["function"], [from_plain(a) for a in message["args"]]
        if name.startswith(DRIVERS):
            function = getattr(self._drivers(*message["drivers"]), name[len(DRIVERS):])
            args.insert(0, self.answer)
        else:
            function = getattr(self.answer, name, None)
            if not callable(function):
                return {"status": "missing", "message": f"there is no function {name}"}
        start = perf_counter()
        value = function(*args)
        seconds = perf_counter() - start
        try:
            plain = to_plain(value)
        except ValueError as error:
            return {"status": "raised", "exception": "TypeError", "exceptions": ["TypeError"],
                    "message": f"what it returned cannot be judged: {error}"}
        return {"status": "ok", "value": plain, "seconds": seconds}

    def _drivers(self, path: str, text: str) -> ModuleType:
        """The file's text comes with the call, because the worker need not see the file."""
        if path not in self.drivers:
            module = sys.modules["drivers"] = ModuleType("drivers")
            linecache.cache[path] = len(text), None, text.splitlines(True), path  # for tracebacks
            exec(compile(text, path, "exec"), vars(module))
            self.drivers[path] = module
        return self.drivers[path]
