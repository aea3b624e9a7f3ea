"""Activations with a parameter. Reference: etude/ops/activation.py.

A parameter is a float64 number, which a float32 kernel may round before it computes: the bounds
allow an ulp or two for it.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Bounds, Elementary, Ensemble, Exact
from etude_check.cases.plans import also, at, broadcasting, crossed, elementwise
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.map import MAP, drawer, plans_of, zeros_kept

ZERO = (0.0, -0.0, 1e-45, -1e-45, 5e-324, -5e-324, 1.0, -1.0, np.inf, -np.inf)
FAR = ((-104, 90), (-745, 710))  # from where e^x is 0 to where it overflows

spec("leaky_relu", plans=plans_of({"negative_slope": (0.01, 0.2, 0.0, -0.5, 1.5)}, "kink", "wide"),
     make=drawer(kinks=ZERO, wide=(-100, 100)), model=Elementary(2),
     random=broadcasting(1, negative_slope=st.floats(-1, 2, width=32)))
spec("elu", plans=plans_of({"alpha": (1.0, 0.7, 2.5)}, "kink", "wide", "range"),
     model=Elementary(4), make=drawer(kinks=ZERO, wide=(-60, 5), ranges=FAR),
     random=broadcasting(1, alpha=st.floats(0.125, 3, width=32)))


@dataclass(frozen=True)
class Silu(Elementary):
    """Where e^x is a subnormal number, the formula multiplies its rounding error by x."""

    def bound(self, q, i):
        x = np.abs(np.asarray(q.arrays[0], np.float64))
        return Bounds(*(b + 2 * q.tiny * np.where(x < 800, x, 0) for b in super().bound(q, i)))


spec("silu", plans=MAP, model=Silu(5), random=broadcasting(1),
     make=drawer(kinks=(*ZERO[:6], -1.278, 17.0, -17.0, 88.73, -88.73, -110.0, 710.0, np.inf),
                 wide=(-40, 7), ranges=FAR))

@dataclass(frozen=True)
class Softplus(Ensemble):
    """The bound of the formula, which has no threshold. Where a rounding of beta, of beta x or of
    the threshold may carry beta x over it, the formula and x are both right.
    """

    def bound(self, q, i):
        everywhere = replace(q, attrs={**q.attrs, "threshold": np.inf})
        bounds = super().bound(everywhere, i)
        attrs = {**q.op.attrs, **q.attrs}
        beta, threshold = attrs["beta"], attrs["threshold"]
        if np.frexp(beta)[0] == 0.5 and np.float32(threshold) == threshold:  # beta is 2^k
            return bounds
        x = q.arrays[0].astype(np.float64)
        near = np.abs(x * beta - threshold) <= 4 * q.u * np.abs(threshold) + q.tiny
        step = np.where(near, np.abs(everywhere.oracle[i] - x), 0)
        return Bounds(*(b + step for b in bounds))


#: Thresholds at which the formula and x are far apart.
LOW = (0.5, 5.0, 0.0, -2.0)


def _softplus(d, shapes, at=None, beta=1.0, **threshold):
    """With "threshold", beta x is at it, or one number beside it, or some way off."""
    if at == "threshold":
        edge = threshold.get("threshold", 20.0) / beta
        points = (edge, edge, edge - 0.5, edge + 0.5, edge * 0.999, edge * 1.001, edge * beta, 0.0)
        return call(d.among(points, shapes[0]), beta=beta, **threshold)
    return SOFTPLUS(d, shapes, at, beta=beta, **threshold)


SOFTPLUS = drawer(kinks=(0.0, -0.0, 1e-10, 17.0, -17.0, 20.0, 20.5, 88.73, -88.73, -103.9, 710.0,
                         np.inf, -np.inf), wide=(-40, 7), ranges=((-104, 200), (-745, 900)))
BETAS = {"beta": (1.0, 2.0, 0.7)}
spec("softplus", make=_softplus, model=Softplus(),
     plans=also(plans_of(BETAS, "kink", "wide", "range"), special=[
         *crossed(at([257], "threshold"), **BETAS),
         *crossed([*at([257], "threshold", "wide"), *at([7], "threshold")], **BETAS,
                  threshold=LOW)], tail=crossed(at([33], "threshold"), threshold=LOW)),
     random=broadcasting(1, beta=st.floats(0.125, 3, width=32),
                         threshold=st.sampled_from([20.0, *LOW])))


# ------------------------------------------------------------------ clamp

BOUNDS = ([-0.5, 0.3], [0, None], [None, 0.3], [1.0, -1.0], [-1, 1], [2.0, None],
          [-(2**53) - 1, 2**53 + 1])


def _whole(n):
    return None if n is None else int(n)


def _around_0(min, max):
    """Whether 0 is within the bounds, so that clamp leaves it as it is."""
    return (min is None or min <= 0) and (max is None or max >= 0)


def _clamp(d, shapes, between, at=None):
    """Bounds are whole where x is: an int64 array has no element of 0.3."""
    low, high = between if d.dtype.kind == "f" else map(_whole, between)
    ends = [n for n in (low, high) if n is not None]
    if at:
        x = d.among((*ends, 0.0, -0.0, np.inf, -np.inf, np.nan), shapes[0],
                    (*ends, 2**53 + 1, -(2**62), 1, -1))
    else:
        x = d.floats(shapes[0])
    return call(x, min=low, max=high)


spec("clamp", plans=also(elementwise(1, between=BOUNDS), special=crossed(
         [*at([257], "kink"), *at([7], "kink")], between=BOUNDS) + at(
             [257], "kink", between=[None, 0])),
     make=_clamp, model=Exact(), random=broadcasting(1, between=st.sampled_from(BOUNDS)),
     refusals=(Refusal("neither min nor max", lambda: call(np.ones(3)), "ValueError", "min"),),
     invariants={"a zero within the bounds keeps its sign": lambda given, outputs: zeros_kept(
         given, outputs) if _around_0(**given.attrs) else (0, 0)})
