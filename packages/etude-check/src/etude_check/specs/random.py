"""rand, randn and dropout: the very bits of the stream. Reference: etude/ops/random.py."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Exact
from etude_check.cases.draw import LINES
from etude_check.cases.plans import (
    COTANGENTS,
    LAYOUTS,
    LONG,
    SPECIALS,
    TAILS,
    WHOLE,
    crossed,
    layouts,
    shapes,
)
from etude_check.cases.spec import Refusal, call, spec

#: seed and call number: both count, over all their 64 bits
KEYS = ([3, 5], [5, 3], [0, 0], [0, 1], [1, 0], [-1, 2], [2**31, 2**32 + 7], [2**63 - 1, -(2**63)])
BASE = [[7, 9], [3, 5, 4]]


def _plans(kind, more=None):
    def made(sizes, keys=KEYS[:1], **attrs):
        return crossed([{"shape": s} for s in sizes], key=keys, **{**(more or {}), **attrs})

    first = {k: v[:1] for k, v in (more or {}).items()}
    found = {
        "empty": lambda: made([[0], [3, 0]], **first), "0d": lambda: made([[], [1]], **first),
        "tail": lambda: made([[n] for n in (*TAILS, *WHOLE)] + BASE, **first)
        + made([[3, 128], [128, 128]], **first) + made([[9]], KEYS, **first)
        + made([[65]], KEYS[1:3]) + made([[4100]], KEYS[:3], **first),
        "layout": lambda: crossed(made(BASE[:1] if more else [[9]]), layout=LAYOUTS) + (
            crossed(made([[37, 41]], **first), layout=LAYOUTS)
            + crossed(made([[n] for n in LONG], **first), layout=LINES)
            + crossed(made(BASE[1:], **first), layout=("middle",)) if more else []),
        "repeat": lambda: crossed(made(BASE[:1], KEYS[:2], **first), round=(0, 1)),
        "large": lambda: made([[70001], [1031, 1021]] + [[2**21 + 5]] * (not more), **first)
        + crossed(made([[520, 24]], **first), layout=("rows",)),
        "threads": lambda: made([[1031, 1021], [70001]], **first),
    }
    if more:
        found["special"] = lambda: crossed(made(BASE[:1]), special=tuple(SPECIALS))
        found["cotangent"] = lambda: crossed(made(BASE), cotangent=COTANGENTS)
    return found.get(kind, list)()


def _drawn(d, shape, key):
    return call(d.given(np.array(key, np.int64)), shape=tuple(shape), dtype=d.dtype)


def _dropout(d, shape, key, p):
    x = d.grad(shape) if "cotangent" in d.plan else d.floats(shape)
    return call(x, d.given(np.array(key, np.int64)), p=p)


_int64 = st.integers(-(2**63), 2**63 - 1)
_key = st.tuples(_int64, _int64).map(list)


def _random(**more):
    return st.fixed_dictionaries({"shape": shapes(), "key": _key, "layout": layouts, **more})


def _kept(given, outputs):
    """The share that dropout keeps, over enough elements: within 6 standard deviations."""
    x, p = given.arrays[0], given.attrs["p"]
    n = max(x.size, 1)
    dropped = np.where((outputs[0] == 0) & (x != 0), 1.0, 0.0).sum() / n
    enough = n >= 1000 and np.count_nonzero(x) == n
    return np.array(dropped - p if enough else 0.0), np.array(6 * (p * (1 - p) / n) ** 0.5)


def _refused(op):
    return (Refusal("a key of three", lambda: call(np.zeros(3, np.int64), shape=(2,),
                                                   dtype=np.dtype("float32")), "ShapeError",
                    f"{op}.*key"),
            Refusal("a key of floats", lambda: call(np.zeros(2), shape=(2,),
                                                    dtype=np.dtype("float32")), "DTypeError",
                    f"{op}.*key"),
            Refusal("whole numbers to draw", lambda: call(np.zeros(2, np.int64), shape=(2,),
                                                          dtype=np.dtype("int64")), "DTypeError",
                    op),
            Refusal("a negative size", lambda: call(np.zeros(2, np.int64), shape=(-2,),
                                                    dtype=np.dtype("float32")), "ShapeError", op))


spec("rand", plans=_plans, make=_drawn, model=Exact(), random=_random(), refusals=_refused("rand"))
spec("randn", plans=_plans, make=_drawn, model=Exact(), random=_random(),
     refusals=_refused("randn"))
spec("dropout", plans=lambda kind: _plans(kind, {"p": (0.3, 0.5, 0.9, 0.0)}), make=_dropout,
     model=Exact(), random=_random(p=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.99])),
     invariants={"share kept": _kept},
     refusals=(Refusal("p = 1", lambda: call(np.ones(3), np.zeros(2, np.int64), p=1.0),
                       "ValueError", "dropout.*p"),
               Refusal("a negative p", lambda: call(np.ones(3), np.zeros(2, np.int64), p=-0.1),
                       "ValueError", "dropout.*p"),
               Refusal("a key of three", lambda: call(np.ones(3), np.zeros(3, np.int64), p=0.5),
                       "ShapeError", "dropout.*key")))
