"""What a worker does without: references that are the answer, and modules that an answer may not
use.

``seal`` gives the function of every sealed op another body, one that refuses. So it does not matter
by which name it is reached: the table, ``etude.functional``, a method of Tensor, a composite, a
variable of some module; the old body is gone from the process. ``forbid`` does the same to
functions, and makes modules that cannot be imported. It is done before the candidate is loaded, and
for good. The files that hold those bodies are out of reach through ``walls.py``.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from etude.core.table import TABLE, Op

RULES = ("shape", "prepare", "cost")  # of an op: what a worker needs to call any column
SEALED = "the reference of this op is not there, because it is the answer"
HOME = "etude.ops."  # where references live, and the functions that they share
Function = Callable[..., Any]


def seal(ops: Iterable[str]) -> None:
    """Take the bodies of these ops' references out of this process, and those of all functions
    that only they call.
    """
    sealed = [TABLE[name] for name in ops]
    needed = {f for op in TABLE.values() for f in _reached(
        [*(getattr(op, rule) for rule in RULES), *(() if op in sealed else _bodies(op))])}
    for op in sealed:
        for function in _reached(_bodies(op)) - needed:
            _refuse(function, SEALED)
        if not isinstance(op.reference, FunctionType):  # a ufunc has no body of its own
            op.reference = _refusal(SEALED, ())


def _bodies(op: Op) -> list[Any]:
    return [op.reference, op.composite_rule, op.rule]


def _reached(functions: Iterable[Any]) -> set[FunctionType]:
    """These functions, and those beside them that they call, also within the functions in them."""
    found: set[FunctionType] = set()
    waiting = [f for f in functions if isinstance(f, FunctionType)]
    while waiting:
        f = waiting.pop()
        if f in found or not f.__module__.startswith(HOME):
            continue
        found.add(f)
        named = [f.__globals__.get(name) for name in _names(f.__code__)]
        cells = [c.cell_contents for c in f.__closure__ or () if c != type(c)()]
        waiting += [g for g in (*named, *cells) if isinstance(g, FunctionType)]
    return found


def _names(code: CodeType) -> set[str]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return {*code.co_names, *(name for c in inner for name in _names(c))}


def forbid(names: Sequence[str]) -> None:
    """Make modules ("torch", "etude.nn") impossible to import, and functions ("numpy.var") refuse.
    Modules that are loaded already keep what they hold of them.
    """
    modules = []
    for name in names:
        owner, _, last = name.rpartition(".")
        module = _imported(owner)
        value = getattr(module, last, None) if module is not None else None
        if callable(value):
            _close(module, last, value, f"{name} may not be used in this question")
        else:
            modules.append(name)
    if modules:
        sys.meta_path.insert(0, _Absent(tuple(modules)))
    tops = {m.partition(".")[0] for m in modules}
    for loaded in [m for m in sys.modules if m.partition(".")[0] in tops and _under(m, modules)]:
        parent, _, last = loaded.rpartition(".")
        vars(sys.modules.get(parent, builtins)).pop(last, None)
        del sys.modules[loaded]


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name) if name else None
    except ImportError:
        return None


def _close(module: Any, name: str, value: Any, said: str) -> None:
    """A function that refuses, by whatever name it is known; what is written in C, by this one."""
    inner = getattr(value, "_implementation", value)  # NumPy's, behind its dispatcher
    if isinstance(inner, FunctionType):
        _refuse(inner, said)
        method = vars(sys.modules["numpy._core._methods"]).get(f"_{name}")  # x.var() comes by here
        if module.__name__ == "numpy" and isinstance(method, FunctionType):
            _refuse(method, said)
    else:
        setattr(module, name, _refusal(said, ()))


def _under(name: str, modules: Iterable[str]) -> bool:
    return any(name == m or name.startswith(f"{m}.") for m in modules)


class _Absent(importlib.abc.MetaPathFinder):
    """Finds nothing where a forbidden module is looked for, and says so."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self.modules = modules

    def find_spec(self, name: str, path: Any = None, target: Any = None
                  ) -> importlib.machinery.ModuleSpec | None:
        if _under(name, self.modules):
            raise ImportError(f"{name} may not be used in this question", name=name)
        return None


def _refuse(function: FunctionType, said: str) -> None:
    function.__code__ = _refusal(said, function.__code__.co_freevars).__code__
    function.__defaults__ = function.__kwdefaults__ = None


@cache
def _refusal(said: str, free: tuple[str, ...]) -> FunctionType:
    """A function that raises, and has the variables of the one whose place it takes."""
    lines = ["def outer():", *(f"    {name} = None" for name in free),
             "    def refused(*arrays, **attrs):", *(f"        {name}" for name in free),
             "        from etude.core.errors import BackendError",
             f"        raise BackendError({said!r})",
             "    return refused"]
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    made: FunctionType = space["outer"]()
    return made
