"""OpSpec: what the kit knows of an op beyond the op's own record in Etude's table.

The signature, the shape rule, aliasing and cost stand in ``etude.TABLE`` and are not repeated; the
oracle is the reference itself, run in float64 on copies the candidate never sees (tests/ops holds
it against independent sources). A spec adds how calls are drawn, how large an error may be, and
what must hold besides. ``specs/`` has one file per family of ops, found by name; every op has
exactly one spec, and tests fail for an op without. What becomes of NaN, ties, zeros and empty
arrays stands in the op's record too (``conventions.py`` makes cases of it). Nothing here runs a
case: see ``judge/runner.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import TABLE
from etude.core.table import DOMAINS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from etude_check.bounds.models import Model

#: What one case asks, as JSON: sizes and attributes for ``make``, and the keys of RESERVED.
Plan = dict[str, Any]

#: Keys of a plan that ``draw.py`` reads, so that ``make`` does not have to.
RESERVED = ("layout", "which", "special", "values", "duplicates", "cotangent", "round", "together")

#: Kinds of cases in the order they run. ``plans(kind)`` of a spec answers for all of them but
#: "convention", which the op's own record declares, "random", whose plans hypothesis draws from
#: ``OpSpec.random``, and "errors".
KINDS = ("empty", "0d", "tail", "broadcast", "layout", "special", "convention", "exact",
         "duplicate-index", "cotangent", "alias", "repeat", "adjoint", "large", "threads",
         "random", "errors")


@dataclass(frozen=True)
class Call:
    """One call: arrays by position (``None`` and Python numbers too), attributes as users write."""

    arrays: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)


def call(*arrays: Any, **attrs: Any) -> Call:
    return Call(arrays, attrs)


@dataclass(frozen=True)
class Adjoint:
    """<f(x), c> = <x, f*(c)>: ``back(given, c)`` is the call of ``op`` that computes f*(c).

    ``arg`` is the position of the array x that f is linear in; the rest of the call is fixed.
    """

    arg: int
    op: str
    back: Callable[[Call, np.ndarray[Any, Any]], Call]


@dataclass(frozen=True)
class Refusal:
    """A call that must raise. ``make()`` builds it; ``error`` names the exception's class or one
    of its bases; ``match`` is a regular expression that must be found in the message.
    """

    why: str
    make: Callable[[], Call]
    error: str
    match: str = ""


Invariant = Callable[[Call, tuple[Any, ...]], tuple[Any, Any]]


@dataclass(eq=False)
class OpSpec:
    """How one op is checked.

    plans       kind of case -> its plans, in a fixed order: their numbers name the cases
    make        ``make(draw, **plan)`` -> Call; the same plan and seed give the same call
    model       error model of the outputs, one for all or one by output name
    random      hypothesis strategy of plans, for the kind "random"
    dtypes      dtypes of the data; by default those of the op's domain
    adjoint     the ops that transpose this one in one of its arrays
    blind       impostor -> why this op may equal it in every case ("copy" for a copying op)
    invariants  name -> fn(call, outputs) -> (values, bounds), held as |values| <= bounds
    refusals    calls that must raise; those every op shares are added by ``probes.py``
    threads     results are the same bits on any number of threads; of empty arrays too
    mutants     names in the zoo that this spec must kill
    """

    op: str
    plans: Callable[[str], Iterable[Plan]]
    make: Callable[..., Call]
    model: Model | Mapping[str, Model]
    random: SearchStrategy[Plan] | None = None
    dtypes: tuple[str, ...] = ()
    adjoint: tuple[Adjoint, ...] = ()
    blind: Mapping[str, str] = field(default_factory=dict)
    invariants: Mapping[str, Invariant] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    threads: bool = True
    mutants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.op not in TABLE:
            raise ValueError(f"there is no op called {self.op!r}")
        if not self.dtypes:
            self.dtypes = tuple(d.name for d in reversed(DOMAINS[TABLE[self.op].domain])
                                if d.name != "bool") + self._bool()
            self.dtypes = tuple(sorted(self.dtypes, key=ORDER.index))

    def _bool(self) -> tuple[str, ...]:
        return ("bool",) if TABLE[self.op].domain == "any" else ()

    def model_of(self, output: str) -> Model:
        """The error model of one output."""
        if isinstance(self.model, Mapping):
            return self.model.get(output) or self.model["*"]
        return self.model


ORDER = ("float32", "float64", "int64", "bool")
SPECS: dict[str, OpSpec] = {}  # those entered so far; ``etude_check.specs.specs()`` has them all


def spec(op: str, **fields: Any) -> OpSpec:
    """Enter a spec. Raises ValueError for an unknown op or a second spec of one."""
    if op in SPECS:
        raise ValueError(f"op {op!r} has two specs")
    SPECS[op] = entry = OpSpec(op, **fields)
    return entry
