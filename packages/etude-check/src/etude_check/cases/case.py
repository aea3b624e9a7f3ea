"""Cases: numbered plans of the specs, which of them a level runs, and their one-line names.

``softmax/tail/17@0`` is case 17 of the kind "tail" of softmax, drawn with seed 0. Numbers count
through the plans of the first dtype, then through those of the next. A property-based case has its
plan, as JSON, in place of a number, so that it too can be run again from its name alone. The level
chooses among the same cases: "smoke" takes a few of each kind, spread evenly over the plans; "full"
takes all; "soak" takes all, with more seeds and more random plans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from etude import TABLE
from etude.core.table import Op
from etude_check.bounds.question import Question
from etude_check.cases import conventions
from etude_check.cases.draw import Draw, together
from etude_check.cases.spec import RESERVED, Call, OpSpec, Plan

LEVELS = ("smoke", "full", "soak")
SOAK_SEEDS = 5
RANDOM = {"smoke": 4, "full": 25, "soak": 200}  # examples of hypothesis per dtype

BACKWARDS = ("reversed", "upturned")

#: How many cases of a kind "smoke" takes per dtype; 3 where nothing is said.
SMOKE = {"tail": 6, "layout": 6, "special": 5, "convention": 5, "broadcast": 4, "large": 1,
         "empty": 2, "0d": 1, "exact": 4, "threads": 1, "alias": 2, "cotangent": 4}


@dataclass(frozen=True)
class Case:
    """One case of a spec. ``number`` is None for a random plan."""

    spec: OpSpec
    kind: str
    plan: Plan
    dtype: str
    seed: int
    number: int | None = None

    @property
    def id(self) -> str:
        if self.number is not None:
            return f"{self.spec.op}/{self.kind}/{self.number}@{self.seed}"
        plan = json.dumps({"dtype": self.dtype, **self.plan}, separators=(",", ":"))
        return f"{self.spec.op}/{self.kind}/{plan}@{self.seed}"

    @property
    def op(self) -> Op:
        return TABLE[self.spec.op]

    @cached_property
    def call(self) -> Call:
        """The call, drawn: the same one every time."""
        if self.kind == "convention":
            return self._declared[0]
        plan = {k: v for k, v in self.plan.items() if k not in RESERVED}
        draw = Draw(self.spec.op, self.plan, self.dtype, self.seed)
        with np.errstate(all="ignore"):
            made = self.spec.make(draw, **plan)
        how = self.plan.get("together")
        return made if how is None else Call(together(made.arrays, how), made.attrs)

    @property
    def declared(self) -> list[np.ndarray[Any, Any]] | None:
        """What the op's record says must come out, for a case of the kind "convention"."""
        return self._declared[1] if self.kind == "convention" else None

    @cached_property
    def _declared(self) -> tuple[Call, list[np.ndarray[Any, Any]]]:
        return conventions.asked(self.op, self.plan, self.dtype)

    @cached_property
    def question(self) -> Question:
        """The call as columns see it, with prepared attributes."""
        return Question(self.op, self.call.arrays, prepared(self.op, self.call.attrs), self.seed)

    @property
    def size(self) -> int:
        return sum(a.size for a in self.call.arrays if isinstance(a, np.ndarray))

    @property
    def asked(self) -> str:
        """The call in words: ``softmax(x: float32[3, 5] strides (4, 12), dim=-1)``."""
        if self.kind == "convention":
            return conventions.in_words(self.op, self.plan, self.dtype)
        names = list(self.op.arrays)
        if self.op.variadic:
            names = [f"{names[0]}[{i}]" for i in range(len(self.call.arrays))]
        words = [f"{n}: {in_words(a)}" for n, a in zip(names, self.call.arrays)]
        words += [f"{k}={v}" for k, v in self.call.attrs.items()]
        bent = ", ".join(f"{k} {self.plan[k]}" for k in RESERVED if k in self.plan)
        return f"{self.spec.op}({', '.join(words)})" + (f"; {bent}" if bent else "")


@dataclass(frozen=True)
class Following(Case):
    """A case whose call is not drawn: it follows from what came of another one."""

    given: Call = field(default_factory=lambda: Call(()))

    @cached_property
    def call(self) -> Call:
        return self.given


def in_words(a: Any) -> str:
    if not isinstance(a, np.ndarray):
        return repr(a)
    dense = a.flags.c_contiguous or a.size == 0
    strides = "" if dense else f" strides {[s // a.itemsize for s in a.strides]}"
    return f"{a.dtype.name}{list(a.shape)}{strides}"


def prepared(op: Op, attrs: dict[str, Any]) -> dict[str, Any]:
    attrs = {k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()}
    return attrs if op.prepare is None else op.prepare(dict(attrs))


def cases(spec: OpSpec, kind: str, level: str, seed: int = 0,
          dtypes: Sequence[str] | None = None) -> Iterator[Case]:
    """The numbered cases of one kind at one level, in order."""
    plans = plans_of(spec, kind)
    for d, dtype in enumerate(spec.dtypes):
        if dtypes is not None and dtype not in dtypes:
            continue
        for i in _chosen(plans, kind, level):
            if kind != "convention" or conventions.has(TABLE[spec.op], plans[i], dtype):
                yield Case(spec, kind, plans[i], dtype, seed, d * len(plans) + i)


def plans_of(spec: OpSpec, kind: str) -> list[dict[str, Any]]:
    """The plans of one kind. "threads" gets some of other kinds too: a kernel must also divide
    arrays that are empty, or smaller than the number of threads.
    """
    if kind == "convention":
        return conventions.plans(TABLE[spec.op])
    plans = list(spec.plans(kind))
    if kind == "threads" and plans:
        plans += [*spec.plans("empty"), *list(spec.plans("tail"))[:2]]
    return plans


def _chosen(plans: Sequence[Plan], kind: str, level: str) -> list[int]:
    """Places of the plans that a level runs: all, or a few spread evenly, and always the first in
    which every operand lies backwards: no other shows that a kernel ignores the sign of a step.
    """
    n, few = len(plans), SMOKE.get(kind, 3)
    if level != "smoke" or n <= few:
        return list(range(n))
    chosen = {round(i * (n - 1) / max(few - 1, 1)) for i in range(few)}
    if kind == "layout":
        whole = [None if "which" in plan else plan.get("layout") for plan in plans]
        chosen.update([whole.index(layout) for layout in BACKWARDS if layout in whole])
    return sorted(chosen)
