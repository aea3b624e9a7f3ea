"""The bug zoo: wrong kernels the kit must kill, and honest ones it must let live.

A mutant is a kernel that is right except for one mistake, which its sentence explains; an honest
variant computes the same thing another way; a cheat is a column that tries to pass without
computing. They are entered by the decorators below in the files beside this one, found by name,
and by the comment at the head of each C file in ``native/``. Nothing here judges them, and nothing
here needs the rest of the kit: ``score.py`` sets the engine on them that checks everybody else.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etude.core.columns import Column

HERE = Path(__file__).parent
PUBLISHED = HERE / "score.json"
TOOLS = ("likely",)  # a module beside us that holds no animals
WHERE = ("index", "memory", "parallel", "numerics", "backward", "cheat")

#: The mistakes a zoo must have, entry by entry; animals say with ``covers=`` which they are.
ENTRIES = (
    "tail skipped", "only powers of two", "k below unroll", "n = 0 writes", "stride ignored",
    "negative stride", "offset ignored", "m and n swapped", "negative axis", "keepdims ignored",
    "broadcast side",
    "reads past the end", "writes into padding", "last unwritten", "adds to output",
    "writes input", "returns a view", "cache by pointer", "first result", "leaks",
    "non-atomic reduction", "thread count", "shared scratch", "shared between calls",
    "no max-subtraction", "max from 0", "one-pass variance", "eps outside", "ddof", "half sums",
    "naive log1p", "naive expm1", "naive sigmoid", "tanh overflow", "drops NaN", "NaN order",
    "argmax ties",
    "kink", "all-ones cotangent", "broadcast not reduced", "duplicate lost", "asymmetric padding",
    "rounding mode left", "flush to zero left", "errstate left", "warnings left",
    "environment left", "folder left", "handler left", "generator seeded",
    "work space returned", "late writer", "lazy result", "random error", "first-call error",
    "steps in place", "hidden state between ops",
    "returns zeros", "returns input", "implements nothing", "patches comparator", "patches clock",
    "patches the kit", "searches gc", "searches the stack", "searches the disk", "exits 0",
)


@dataclass(frozen=True)
class Animal:
    """One entry of the zoo.

    ``kills`` is the spec and the kind of case that must catch a mutant ("softmax/special"; "" for a
    cheat that is caught on the way). ``fn`` is the kernel, or with ``whole`` makes {op: kernel};
    a native one has its C file in ``path``. A ``safe`` mutant is a plain function of its arrays,
    and may be run in the checker to explain somebody else's wrong answer.
    """

    name: str
    kind: str  # mutant, honest or cheat
    ops: tuple[str, ...]
    mistake: str
    kills: str = ""
    where: str = ""
    covers: str = ""
    report: str = ""  # of a cheat: words that its report must contain
    fn: Callable[..., Any] | None = None
    path: Path | None = None
    safe: bool = False
    whole: bool = False

    @property
    def source(self) -> str:
        """The code, to be read."""
        if self.path is not None:
            return self.path.read_text()
        assert self.fn is not None
        return inspect.getsource(self.fn)


_ANIMALS: dict[str, Animal] = {}


def _enter(animal: Animal) -> None:
    if animal.name in _ANIMALS:
        raise ValueError(f"two animals are called {animal.name!r}")
    if animal.where and animal.where not in WHERE:
        raise ValueError(f"{animal.name}: where is one of {', '.join(WHERE)}")
    if animal.covers and animal.covers not in ENTRIES:
        raise ValueError(f"{animal.name} covers {animal.covers!r}, which ENTRIES does not list")
    _ANIMALS[animal.name] = animal


def mutant(op: str, *more: str, kills: str, mistake: str, where: str, covers: str = "",
           name: str = "", safe: bool = True) -> Callable[..., Any]:
    """Decorator: this function is a wrong kernel of ``op``, called as a column's is. One of
    several ops, wrong only together, makes {op: kernel}.
    """
    def mark(fn: Callable[..., Any]) -> Callable[..., Any]:
        _enter(Animal(name or fn.__name__, "mutant", (op, *more), mistake,
                      kills if "/" in kills else f"{op}/{kills}", where, covers, fn=fn,
                      safe=safe and not more and "out" not in inspect.signature(fn).parameters,
                      whole=bool(more)))
        return fn

    return mark


def honest(*ops: str, name: str = "", why: str = "") -> Callable[..., Any]:
    """Decorator: this function makes {op: kernel}, right ones, for at least these ops."""
    def mark(fn: Callable[..., Any]) -> Callable[..., Any]:
        _enter(Animal(name or fn.__name__, "honest", ops, why or inspect.getdoc(fn) or "", fn=fn,
                      whole=True))
        return fn

    return mark


def cheat(*ops: str, mistake: str, report: str, covers: str = "") -> Callable[..., Any]:
    """Decorator: this function makes {op: kernel} of a column that cheats; ``report`` are words
    the report must contain.
    """
    def mark(fn: Callable[..., Any]) -> Callable[..., Any]:
        _enter(Animal(fn.__name__, "cheat", ops, mistake, where="cheat", covers=covers,
                      report=report, fn=fn, whole=True))
        return fn

    return mark


def animals() -> Mapping[str, Animal]:
    """Every animal by name: the files here are imported on the first call."""
    for module in sorted(m.name for m in pkgutil.iter_modules([str(HERE)])):
        if module not in TOOLS:
            importlib.import_module(f"{__name__}.{module}")
    for path in sorted((HERE / "native").glob("*.c")):
        if path.stem not in _ANIMALS:
            _enter(_native(path))
    return _ANIMALS


def _native(path: Path) -> Animal:
    """The animal in a C file: "key: value" lines of its first comment."""
    head = path.read_text().partition("*/")[0]
    given = {k: " ".join(v.split()) for k, v in
             re.findall(r"^\s*(?:/\*)?\s*([a-z]+): (.+?)(?=\n\s*[a-z]+: |\Z)", head, re.S | re.M)}
    return Animal(path.stem, "mutant", tuple(given["op"].split()), given["mistake"],
                  given["kills"], given["where"], given.get("covers", ""), path=path)


def load(name: str) -> Column:
    """An animal written in Python as a column; called in the worker. One in C is compiled and
    opened as any source is (``worker/candidate.py``). KeyError for a name that no animal has.
    """
    from etude.core.columns import Column
    from etude.core.contract import with_out

    animal = animals()[name]
    assert animal.fn is not None
    made = animal.fn() if animal.whole else dict.fromkeys(animal.ops, animal.fn)
    return Column(f"zoo:{name}", "cpu", {op: with_out(fn) for op, fn in made.items()}, isa="zoo")


def published() -> str:
    """The mutation score that every report carries: of the run whose JSON lies beside this file,
    ``etude zoo run --level full --seed 0 --seed 1 ... --json score.json``.
    """
    score = json.loads(PUBLISHED.read_text())
    return f"{score['sentence']}, on {score['date']}"


def reference(op: str) -> Callable[..., Any]:
    """The reference of an op: what a mutant that spoils one thing leaves as it is."""
    from etude import TABLE

    found: Callable[..., Any] = TABLE[op].reference
    return found
