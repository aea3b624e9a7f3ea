"""Optimiser steps. Reference: etude/ops/step.py.

Every setting of ``hyper`` differs from every other, so that their order counts; eps is large beside
the root in some plans and negligible in others; the first step starts from moments of 0.
"""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Ensemble
from etude_check.cases.draw import LINES, TOGETHER
from etude_check.cases.plans import LAYOUTS, LONG, TAILS, WHOLE, crossed, layouts, shapes
from etude_check.cases.spec import Refusal, call, spec

BASE = [[7, 9], [3, 5, 4]]
SGD = ([0.1, 0.9, 0.01], [0.1, 0.0, 0.0], [0.3, 0.7, 0.0], [0.2, 0.0, 0.5], [0.01, 0.99, 0.0],
       [0.001, 0.9, 0.0001], [1.0, 0.5, 0.1], [0.0, 0.9, 0.1])
ADAM = ([0.1, 0.8, 0.95, 1e-8, 0.3, 0.2, 0.05],  # the first step
        [0.03, 0.9, 0.999, 0.5, 0.2, 0.651, 0.01], [0.2, 0.7, 0.9, 1e-3, 0.0, 1.0, 1.0],
        [0.05, 0.5, 0.9, 1e-8, 0.6, 0.75, 0.19],
        [0.01, 0.9, 0.999, 1e-12, 0.0, 0.1, 0.001],
        [0.001, 0.9, 0.999, 1e-8, 0.01, 0.1, 0.001], [1.0, 0.9, 0.99, 1e-8, 0.1, 0.5, 0.5],
        [0.2, 0.7, 0.9, 1e-3, 0.4, 1.0, 1.0], [0.0, 0.8, 0.95, 1e-8, 0.3, 0.2, 0.05])
RMSPROP = ([0.1, 0.9, 1e-8, 0.3, 0.8], [0.05, 0.99, 0.5, 0.2, 0.0], [0.2, 0.7, 1e-3, 0.0, 0.9],
           [0.001, 0.99, 1e-8, 0.0, 0.0], [1.0, 0.9, 0.1, 0.1, 0.5], [0.0, 0.9, 1e-8, 0.3, 0.8])


def _plans(hypers, **attrs):
    def plans(kind):
        def made(sizes, hyper=hypers[:1], **more):
            return crossed([{"shape": s} for s in sizes], hyper=hyper, **{**attrs, **more})

        found = {
            "empty": lambda: made([[0], [3, 0]]), "0d": lambda: made([[], [1]]),
            "tail": lambda: made([[n] for n in (*TAILS, *WHOLE)] + [[3, 128], [128, 128]])
            + made(BASE, hypers)
            + made([[33]], hypers, at=("first", "tiny", "small", "big", "vast")),
            "layout": lambda: crossed(made(BASE), layout=LAYOUTS) + crossed(
                made(BASE[:1]), layout=LAYOUTS, which=(0, 1, 2)) + crossed(
                    made([[19, 33]]), layout=("transposed", "sliced"), which=(0, 1, 2)) + crossed(
                        made([[n] for n in LONG]), layout=LINES) + crossed(
                            made([LONG[:1]]), layout=LINES[:2], which=(0, 1, 2)) + crossed(
                                made([[9, 9]]), together=TOGETHER[:3]),
            "special": lambda: crossed(made([[33]], hypers[:2]), special=(
                "nan", "zero", "subnormal", "signalling", "inf"))
            + made([[33]], hypers[:2], at=("top",)),
            "alias": lambda: made([*BASE, [65], [1025]], hypers[:2]),
            "repeat": lambda: crossed(made(BASE[:1]), round=(0, 1, 2)),
            "large": lambda: made([[70001], [513, 1021]]) + crossed(
                made([[520, 24]]), layout=("rows",)), "threads": lambda: made([[513, 1021]]),
        }
        return found.get(kind, list)()
    return plans


def _make(*roles):
    """``roles`` says of each array after p and g whether it is a mean square, and so never
    negative.
    """
    def make(d, shape, hyper, at="", **attrs):
        top = float(np.finfo(d.dtype).max) ** 0.5  # where g^2 overflows, and a share of it not
        scale = {"tiny": 1e-8, "small": 1e-4, "big": 1e3, "vast": d.vast, "top": top}.get(at, 1.0)
        p, g = d.floats(shape), d.floats(shape, -2 * scale, 2 * scale)
        moments = []
        for positive in roles:
            if at == "first":
                moments.append(d.given(np.zeros(shape, d.dtype)))
            elif positive:  # a special here would be the square of none
                least = (0.001 if at == "top" else 0.01) * scale**2
                moments.append(d.plain(shape, least, 400 * least))
            else:
                moments.append(d.floats(shape, -scale, scale))
        return call(p, g, *moments, np.array(hyper, np.float64), **attrs)
    return make


def _random(hypers, **attrs):
    return st.fixed_dictionaries({"shape": shapes(), "hyper": st.sampled_from(hypers),
                                  "at": st.sampled_from(["", "first", "small", "big"]),
                                  "layout": layouts, **attrs})


def _refused(op, moments, settings):
    one, short = np.ones(3), np.ones(2)
    return (Refusal("a gradient of another shape", lambda: call(
                one, short, *[one] * moments, np.ones(settings)), "ShapeError", op),
            Refusal("a setting too few", lambda: call(
                one, one, *[one] * moments, np.ones(settings - 1)), "ShapeError", f"{op}.*hyper"),
            Refusal("settings in float32", lambda: call(
                one, one, *[one] * moments, np.ones(settings, np.float32)), "DTypeError",
                f"{op}.*hyper"),
            Refusal("two dtypes", lambda: call(
                one, one.astype(np.float32), *[one] * moments, np.ones(settings)), "DTypeError",
                op))


_BOTH = st.booleans()
spec("sgd_step", plans=_plans(SGD, nesterov=(False, True)), make=_make(False), model=Ensemble(),
     random=_random(SGD, nesterov=_BOTH), refusals=_refused("sgd_step", 1, 3))
for _op in ("adamw_step", "adam_step"):
    spec(_op, plans=_plans(ADAM), make=_make(False, True), model=Ensemble(), random=_random(ADAM),
         refusals=_refused(_op, 2, 7))
spec("rmsprop_step", plans=_plans(RMSPROP), make=_make(True, False), model=Ensemble(),
     random=_random(RMSPROP), refusals=_refused("rmsprop_step", 2, 5))
