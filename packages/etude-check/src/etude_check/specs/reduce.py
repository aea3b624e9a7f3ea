"""Reductions. Reference: etude/ops/reduce.py.

Sums draw from -1 .. 3, so that no result is a difference of large numbers. Extremes draw values
that tie, and rows that are all below 0 or infinite, which show a maximum that starts at 0.
"""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Accumulate, Ensemble, Exact, updating
from etude_check.cases.plans import COTANGENTS, also, crossed, over_axes, reductions
from etude_check.cases.spec import Refusal, call, spec


def plan(shape, dim, keepdim=False, **more):
    return {"shape": list(shape), "dim": dim, "keepdim": keepdim, **more}


#: squares and cubes, in which a wrong axis gives the right shape
SQUARE = [plan((7, 7), 0), plan((7, 7), 1), plan((5, 5, 5), 1), plan((5, 5, 5), (0, 1)),
          plan((5, 5, 5), (0, 2), True), plan((1, 9), 0), plan((9, 1), 1, True),
          plan((2, 2, 33), 0)]


def only(plans, keep):
    """Those of ``plans`` for which ``keep`` is true."""
    return lambda kind: [p for p in plans(kind) if keep(p)]


def no_overflow(p):
    """False where 3e38 and -3e38 are added: the order decides what overflows, so nothing is
    right.
    """
    return p.get("special") != "huge"


def axes_of(shape, dim):
    return tuple(range(len(shape))) if dim is None else tuple(
        k % len(shape) for k in ((dim,) if isinstance(dim, int) else dim))


def _refused(op, empty=False):
    """Axes that are not there, or twice; and what has no value over an empty axis."""
    x = np.ones((2, 3))
    found = [Refusal("an axis that is not there", lambda: call(x, dim=2), "AxisError", op),
             Refusal("an axis twice", lambda: call(x, dim=(0, -2)), "AxisError", op),
             Refusal("a bool for an axis", lambda: call(x, dim=True), "AxisError", op)]
    if empty:
        found += [Refusal("an empty axis", lambda: call(np.ones((0, 2)), dim=0), "ShapeError", op),
                  Refusal("no elements", lambda: call(np.ones((0, 2))), "ShapeError", op)]
    return tuple(found)


# ------------------------------------------------------------------ sums


def _sum(d, shape, dim, keepdim=False, at=None):
    if at == "cancel":  # results much smaller than what was added up
        x = d.floats(shape, -1, 1)
    elif at == "limits":
        x = d.among((0.0, -0.0, 1e-40, 1e30, -1e30, 1e-310), shape,
                    (2**53 + 1, -(2**53), 1, -1, 2**31, 3))
    else:
        x = d.floats(shape, -1, 3)
    return call(x, dim=dim, keepdim=keepdim)


SUMS = [plan((3, 33), 1, at="cancel"), plan((257, 3), 0, at="cancel"), plan((5, 9), 1, at="limits"),
        plan((65, 4), 0, at="limits"), plan((129,), None, at="limits"),
        plan((3, 5, 4), (0, 2), at="limits"), plan((3, 2053), 1, at="limits")]

spec("sum", plans=only(also(reductions(exact=True), tail=SQUARE, special=SUMS), no_overflow),
     make=_sum,
     model=Accumulate(), random=over_axes(), refusals=_refused("sum"))


def _terms(arrays, attrs):
    shape = arrays[0].shape
    return np.prod([shape[k] for k in axes_of(shape, attrs["dim"])], dtype=np.float64)


#: 2^k elements: a division by their number rounds nothing, and integers stay exact
POWERS = [plan((3, 8), 1, values="exact"), plan((64, 3), 0, True, values="exact"),
          plan((4, 5, 8), (0, 2), values="exact"), plan((32, 32), None, values="exact"),
          plan((3, 1024), -1, values="exact")]

spec("mean", plans=only(also(reductions(empty=False), tail=SQUARE, special=SUMS, exact=POWERS),
                        no_overflow), make=_sum,
     model=Accumulate(terms=_terms), random=over_axes(empty=False), refusals=_refused("mean", True))


# ------------------------------------------------------------------ extremes and their places

LOWEST = {"float32": -np.inf, "float64": -np.inf, "int64": -(2**63), "bool": False}
HIGHEST = {"float32": np.inf, "float64": np.inf, "int64": 2**63 - 1, "bool": True}


def _extreme(d, shape, dim, keepdim=False, at=None):
    if at in ("below", "above"):  # all on one side of 0
        x = 1 + np.abs(d.floats(shape).astype(np.float64))
        x = d.given(x.astype(d.dtype) if at == "above" or d.dtype.kind == "b" else
                    -x.astype(d.dtype))
    elif at == "ties":
        x = d.among((-1.0, 0.0, -0.0, 2.0), shape, (-5, 0, 7), near=False)
    elif at == "limits":  # int64 one apart beyond 2^53; floats one ulp apart
        x = d.among((-np.inf, -3e38, -1.0, 1.0, 3e38, np.inf), shape,
                    (2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)))
    elif at == "near":
        x = d.among((1.0,), shape, (2**53, 2**53 + 1))
    elif at == "lowest":  # where a maximum that starts at the lowest number finds no place
        x = d.given(np.full(shape, LOWEST[d.dtype.name], d.dtype))
    elif at == "highest":  # and a minimum that starts at the highest
        x = d.given(np.full(shape, HIGHEST[d.dtype.name], d.dtype))
    elif at in ("rising", "falling"):  # the extreme stands last, or first
        x = np.sort(d.floats(shape), axis=None)
        x = d.given((x if at == "rising" else x[::-1]).reshape(shape))
    else:
        x = d.floats(shape)
    return call(x, dim=dim, keepdim=keepdim)


SHAPES = [plan((5, 9), 1), plan((9, 5), 0, True), plan((33,), None), plan((3, 65), 1),
          plan((65, 3), 0), plan((4, 7, 2), 1)]
SIDES = crossed(SHAPES, at=("below", "above", "ties", "limits", "lowest")) + crossed(
    SHAPES[1:], special=("nan", "inf")) + crossed(SHAPES, at=("near",)) + crossed(
    [plan((4, 7, 3), (0, 2)), plan((3, 2053), 1), plan((2053, 3), 0)],
    at=("below", "ties", "limits", "near")) + crossed(
        [plan((3, 2053), 1), plan((2053, 3), 0)], special=("nan",))


TOPS = crossed(SHAPES, at=("highest",)) + crossed(
    [*SHAPES, plan((3, 1024), 1), plan((4096,), 0), plan((64, 128), None), plan((128, 32), 0)],
    at=("rising", "falling"))


def _one_axis(p):
    """argmax takes one axis, or all of them."""
    return not isinstance(p["dim"], (list, tuple))


for _op, _side in (("amax", "below"), ("amin", "above")):
    spec(_op, plans=also(reductions(empty=False), tail=SQUARE, special=[*SIDES, *TOPS]),
         make=_extreme, model=Exact(), refusals=_refused(_op, True),
         random=over_axes(empty=False, at=st.sampled_from([None, _side, "ties"])))
for _op in ("argmax", "argmin"):
    spec(_op, plans=only(also(reductions(empty=False), tail=SQUARE, special=[*SIDES, *TOPS]),
                         _one_axis),
         make=_extreme, model=Exact(),
         random=over_axes(empty=False, at=st.sampled_from([None, "ties"])).filter(_one_axis),
         refusals=(*(r for r in _refused(_op, True) if "twice" not in r.why), Refusal(
             "two axes", lambda: call(np.ones((2, 3)), dim=(0, 1)), "AxisError", "dim")))

# ------------------------------------------------------------------ products


def _factors(d, shape, dim, at):
    """Factors so near 1 that no product of a million of them overflows, nor any part of it."""
    n = max(int(np.prod([shape[k] for k in axes_of(shape, dim)])), 1)
    sign = d.rng.choice([-1, 1], shape)
    if d.dtype.kind == "i":
        x = np.where(d.rng.random(shape) < min(8 / n, 1), d.rng.integers(2, 5, shape), 1) * sign
        if at == "big":  # products of 2^55 and more, odd
            x = np.ones(shape, np.int64)
            x.flat[:: max(n // 3, 1)] = 300007
    else:
        x = sign * (1 + d.floats(shape, -0.9, 0.9).astype(np.float64) / n**0.5)
    if at in ("zeros", "spoilt"):  # none, one or several of a product
        x = np.where(d.rng.random(shape) < 1 / n, 0, x)
    if at == "spoilt" and d.dtype.kind == "f":  # and infinities beside them
        x = np.where(d.rng.random(shape) < 1 / n, d.rng.choice([np.inf, -np.inf, np.nan], shape), x)
    return d.given(np.asarray(x, d.dtype))


def _prod(d, shape, dim, keepdim=False, at=None):
    return call(_factors(d, shape, dim, at), dim=dim, keepdim=keepdim)


def _prod_backward(d, shape, dim, keepdim=False, at=None):
    dims = axes_of(shape, dim)
    left = [1 if k in dims else n for k, n in enumerate(shape) if keepdim or k not in dims]
    grad = d.grad(left)
    return call(grad, _factors(d, shape, dim, at), dim=dim, keepdim=keepdim)


def _ordinary(p):
    """False with factors of 1e-40 or 3e38: their order decides what is lost on the way."""
    return p.get("special") not in ("huge", "subnormal", "far")


ZEROS = crossed([*SHAPES, plan((3, 5), None), plan((2, 3), (0, 1), True), plan((3, 300), 1)],
                at=("zeros",)) + [plan((3, 9), 1, at="big"), plan((33,), None, at="big")] + crossed(
    [plan((17, 9), 1), plan((9, 17), 0)], at=("spoilt",))
BACK = crossed([plan((5, 9), 1), plan((6, 4, 3), (0, 2)), plan((9, 5), 0, True)],
               cotangent=COTANGENTS)
products = over_axes(at=st.sampled_from([None, "zeros"]))
spec("prod", plans=only(also(reductions(), tail=SQUARE, special=ZEROS), _ordinary), make=_prod,
     model=Ensemble(), random=products, refusals=_refused("prod"))
spec("prod_backward", plans=only(also(reductions(), tail=SQUARE, special=ZEROS, cotangent=BACK),
                                 _ordinary),
     make=_prod_backward, model=Ensemble(factor=8.0), random=products)

# ------------------------------------------------------------------ var, logsumexp


def heavy(shape):
    """A float32 sum over a million terms, one after another, loses the terms that are smaller than
    half an ulp of it. Cases as large as that draw terms that are all of one size.
    """
    return np.prod(shape) > 1e5


def _var(d, shape, dim, keepdim=False, correction=1, at=None):
    x = d.floats(shape, -2, 2)
    if heavy(shape):
        x = d.given(np.where(x < 0, x - d.dtype.type(1), x + d.dtype.type(1)))
    if at == "far":  # a mean of 3000 or 1e8: squares minus the square of the mean cancel
        x = d.given(x + d.dtype.type(3000 if d.dtype == np.float32 else 1e8))
    elif at == "equal":  # rows of one number: 0, or as good as
        x = d.given(np.full(shape, d.rng.uniform(-2, 2)).astype(d.dtype))
    elif at == "vast":
        x = d.given(x * d.dtype.type(d.vast))
    elif at == "small":  # an eps added to the sum would show
        x = d.given(x * d.dtype.type(1e-6))
    return call(x, dim=dim, keepdim=keepdim, correction=correction)


def _count(p):
    return int(np.prod([p["shape"][k] for k in axes_of(p["shape"], p["dim"])]))


def _has_variance(p):
    return _count(p) > p.get("correction", 1) and p.get("special") not in ("huge", "far")


FAR = crossed([*SHAPES, plan((3, 1025), 1), plan((1025, 3), 0), plan((4, 7, 3), (0, 2)),
               plan((65, 129), None)], at=("far", "equal", "small", "vast"))


def _other_formulas(q, i):
    """What a variance may be off because its mean is, and what Welford's formula errs besides.

    A mean that is off by D adds D^2 to the variance, with D = u (min(n, 8 sqrt n) + 1) mean|x|. If
    all numbers are equal, that is all there is of it; but then their sum is rounded the same way
    many times over, and D = u (n + 1) |x|.
    """
    given, attrs = q.arrays[0], {**q.op.attrs, **q.attrs}
    x, keepdim = np.abs(given.astype(np.float64)), attrs["keepdim"]
    dims = axes_of(x.shape, attrs["dim"])
    n = np.prod([x.shape[k] for k in dims], dtype=np.float64)
    equal = given.max(dims, keepdims=keepdim) == given.min(dims, keepdims=keepdim)
    off = q.u * (np.where(equal, n, min(n, 8 * n**0.5)) + 1) * x.mean(dims, keepdims=keepdim)
    share = n / max(n - attrs["correction"], 1)
    return off**2 + share * updating(q, dims, keepdim)


LONG = [plan((65, 129), None, correction=0), plan((3, 2053), 1, correction=0),
        plan((2053, 3), 0, correction=2)]
spec("var", plans=only(also(reductions(empty=False, correction=(1, 0, 2)), tail=[*SQUARE, *LONG],
                            special=FAR), _has_variance), make=_var,
     model=Ensemble(more=_other_formulas),
     random=over_axes(empty=False, correction=st.sampled_from([0, 1, 2])).filter(_has_variance),
     refusals=(*_refused("var"), Refusal("one element of which correction takes one", lambda: call(
         np.ones((3, 1)), dim=1), "ShapeError", "correction"), Refusal(
             "an empty axis", lambda: call(np.ones((0, 2)), dim=0, correction=-1), "ShapeError",
             "var")),
     invariants={"not below 0": lambda given, y: (np.minimum(np.nan_to_num(y[0]), 0), 0)})


def _logsumexp(d, shape, dim, keepdim=False, at=None):
    x = d.floats(shape, -1, 1) if heavy(shape) else d.floats(shape, -8, 8)
    if at in ("high", "low"):  # where e^x overflows, or becomes 0
        x = d.given(x + d.dtype.type({"high": 1, "low": -1}[at] * (
            400 if d.dtype == np.float32 else 3000)))
    elif at == "lowest":
        x = d.given(np.where(d.rng.random(shape) < 0.8, -np.inf, x).astype(d.dtype))
    elif at == "masked":  # the first half of each axis is -inf
        x = np.array(x)
        x[tuple(slice(n // 2) for n in shape)] = -np.inf
        x = d.given(x)
    elif at == "wide":  # one element outweighs the others
        x = d.floats(shape, -300, 300)
    return call(x, dim=dim, keepdim=keepdim)


spec("logsumexp", plans=also(reductions(empty=False), tail=SQUARE, special=crossed(
         [*SHAPES, plan((2, 1), 1), plan((6, 2), 1), plan((4, 7, 3), (0, 2)), plan((3, 1025), 1),
          plan((2053,), None)], at=("high", "low", "lowest", "wide", "masked"))),
     make=_logsumexp, model=Ensemble(), random=over_axes(empty=False),
     refusals=_refused("logsumexp", True))
