"""Copies. Reference: etude/ops/copy.py. Everything here is exact, bit for bit."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Exact
from etude_check.cases.draw import COPIED, TOGETHER
from etude_check.cases.plans import (
    COTANGENTS,
    LAYOUTS,
    LONG,
    TAILS,
    also,
    at,
    broadcasting,
    common,
    crossed,
    elementwise,
    layouts,
    shapes,
)
from etude_check.cases.spec import Refusal, call, spec


def listed(base, tail, lines=(), **sized):
    """Plans of an op that needs shapes of its own: ``base`` for layouts and specials, ``lines`` for
    layouts of one axis, and for the other kinds what ``sized`` has by keyword ("zero" stands for
    the kind "0d").
    """
    def plans(kind):
        found = common(kind, tail, base, lines)
        return list(sized.get(kind.replace("0d", "zero"), ())) if found is None else found
    return plans


# ------------------------------------------------------------------ contiguous, cast


def _contiguous(d, shapes, at=None):
    return call(d.bits(shapes[0]) if at else d.floats(shapes[0]))


CUBES = crossed([{"shapes": [s]} for s in ([4, 6, 5], [3, 1, 7], [2, 3, 4, 5], [17, 33], [67, 131],
                                           [131, 129], [2, 70, 67], [2, 3, 70, 66])],
                layout=[name for name in LAYOUTS if name != "offset"]) + crossed(
                    [{"shapes": [s]} for s in ([7, 9], [3, 4, 6], [2, 70, 67])], layout=COPIED)
spec("contiguous", plans=also(elementwise(1), layout=CUBES, special=at([257], "bits")),
     make=_contiguous, model=Exact(), random=broadcasting(1),
     blind={"input": "a copy equals what it copies"})

#: what truncation, rounding to even, and a test of the low byte alone get wrong
FLOATS = (0.0, -0.0, 0.5, -0.5, 0.9999, -1.5, 1.5, 2.5, 1 + 2.0**-24, 1 + 3 * 2.0**-24, 2.0**24 + 1,
          2147483647.5, 2147483648.0, -2147483649.0, 4294967296.0, -(2.0**53), 2.0**62, 256.0,
          1e-45, -1e-40, 1e-310, 3.4028236e38, 1e39, -1e300, np.nan, np.inf, -np.inf)
INTS = (0, 1, -1, 2, 256, -256, 2**16, 2**32, 2**24 + 1, 2**24 + 3, 2**53 + 1, 2**53 + 3,
        -(2**53) - 1, 2**63 - 1, -(2**63), 2**31,
        2**60 + 2**36 + 1)  # by way of float64 a tie, which float32 then rounds down
DTYPES = ("float32", "float64", "int64", "bool")


def _cast(d, shapes, to, at=None):
    x = d.among(FLOATS, shapes[0], INTS) if at else d.floats(shapes[0])
    if to == "int64" and d.dtype.kind == "f" and (at or d.plan.get("special")):
        x = np.clip(np.nan_to_num(x, nan=1.0), -9e18, 9e18)  # the rest has no int64 value
    return call(x, dtype=np.dtype(to))


spec("cast", plans=also(elementwise(1, to=DTYPES), special=crossed(
         at([257], "edges") + at([7], "edges") + at([1031], "edges"), to=DTYPES), tail=crossed(
             [{"shapes": [[n]]} for n in TAILS[4:16:2]], to=DTYPES[1:])),
     make=_cast, model=Exact(), blind={"input": "bools are 0 and 1 in every dtype"},
     random=broadcasting(1, to=st.sampled_from(DTYPES)),
     refusals=(Refusal("a dtype that is none of the four", lambda: call(
         np.ones(3), dtype=np.dtype("int32")), "DTypeError", "cast"),
               Refusal("no dtype", lambda: call(np.ones(3)), "TypeError", "dtype")))

# ------------------------------------------------------------------ cat, stack


def _join(d, shapes, dim):
    return call(*(d.floats(s) for s in shapes), dim=dim)


def join(dim, *shapes):
    return {"shapes": list(shapes), "dim": dim}


CAT = [join(0, [3, 4], [2, 4]), join(1, [5, 7], [5, 2], [5, 3]), join(-2, [2, 3, 4], [2, 1, 4])]
spec("cat", plans=listed(
         CAT, [join(0, [n], [3]) for n in TAILS] + [join(1, [3, 5], [3, n]) for n in TAILS[:18]] + [
             join(0, [n, 3], [1, 3]) for n in (7, 8, 9, 33)] + [
             join(0, *[[2, 3]] * 9), join(1, *[[5, k] for k in range(1, 7)]), join(0, [7]),
             join(-1, [2, 3, 4], [2, 3, 5]), join(0, *[[2, 3]] * 20), join(0, [128], [256]),
             join(1, [3, 128], [3, 128]), join(0, [128, 3], [128, 3])],
         [join(0, [n], [37]) for n in LONG] + crossed(
             [join(0, [37], [37])], together=("window", "itself")) + crossed(
             [join(1, [9, 9], [9, 9])], together=TOGETHER),
         empty=[join(0, [0], [0]), join(0, [0, 3], [2, 3], [0, 3]), join(1, [3, 0], [3, 4]),
                join(0, [3, 0], [4, 0]), join(1, [0, 2], [0, 3])],
         large=[join(0, [70001], [30011]), join(1, [1031, 512], [1031, 509])],
         threads=[join(1, [1031, 512], [1031, 509])]),
     make=_join, model=Exact(),
     random=st.builds(lambda rest, dim, sizes, layout: {
         **join(dim % (len(rest) + 1), *[[*rest[:dim % (len(rest) + 1)], n,
                                          *rest[dim % (len(rest) + 1):]] for n in sizes]),
         "layout": layout}, shapes(0, 3), st.integers(0, 3), st.lists(
             st.integers(0, 9), min_size=1, max_size=4), layouts),
     refusals=(Refusal("other sizes that differ", lambda: call(np.ones((2, 3)), np.ones((2, 2))),
                       "ShapeError", "cat"),
               Refusal("other numbers of axes", lambda: call(np.ones(2), np.ones((2, 2))),
                       "ShapeError", "cat"),
               Refusal("two dtypes", lambda: call(np.ones(2), np.ones(2, int)), "DTypeError",
                       "cat"),
               Refusal("an axis that is not there", lambda: call(np.ones((2, 3)), dim=2),
                       "AxisError", "cat"),
               Refusal("a single number", lambda: call(np.array(1.0)), "AxisError", "cat")))

STACK = [join(0, *[[3, 5]] * 2), join(1, *[[7, 3]] * 3), join(-1, *[[4, 2, 3]] * 2)]
spec("stack", plans=listed(
         STACK, [join(0, [n], [n]) for n in TAILS] + [
             join(1, [n], [n], [n]) for n in TAILS[:18]] + [
             join(1, [3, n], [3, n]) for n in (1, 7, 8, 9, 33)] + [
             join(2, [3, n], [3, n]) for n in (1, 7, 8, 9, 33)] + [
             join(0, *[[2, 3]] * 9), join(0, [7]), join(-2, [5, 5], [5, 5]),
             join(1, *[[2, 3]] * 20), join(1, [128], [128]), join(0, [3, 128], [3, 128])],
         [join(0, [n], [n]) for n in LONG] + crossed(
             [join(1, [9, 9], [9, 9])], together=TOGETHER),
         empty=[join(0, [0], [0]), join(1, [3, 0], [3, 0]), join(-1, [0, 2], [0, 2])],
         zero=[join(0, [], []), join(-1, [], [], []), join(0, [])],
         large=[join(1, [70001], [70001]), join(0, [1031, 509], [1031, 509])],
         threads=[join(2, [1031, 509], [1031, 509])]),
     make=_join, model=Exact(),
     random=st.builds(lambda shape, n, dim, layout: {
         **join(dim % (len(shape) + 1), *[shape] * n), "layout": layout}, shapes(0, 3),
         st.integers(1, 4), st.integers(0, 3), layouts),
     refusals=(Refusal("shapes that differ", lambda: call(np.ones(2), np.ones(3)), "ShapeError",
                       "stack"),
               Refusal("an axis that is not there", lambda: call(np.ones(2), np.ones(2), dim=2),
                       "AxisError", "stack")))

# ------------------------------------------------------------------ pad, slice_backward


def _pad(d, shape, padding, value=None):
    if d.dtype.kind != "f" and value is not None and not np.isfinite(value):
        value = -(2**53) - 1
    attrs = {} if value is None else {"value": d.dtype.type(value).item()}
    return call(d.floats(shape), padding=padding, **attrs)


def pad(shape, *padding, **value):
    return {"shape": list(shape), "padding": list(padding), **value}


PAD = [pad((5, 7), 1, 2, 3, 0), pad((4, 6, 3), 0, 1, value=2.0), pad((9,), 2, 0, value=-1.5)]
spec("pad", plans=listed(
         PAD, [pad((n,), 1, 2, value=2.0) for n in TAILS] + [
             pad((3, n), 2, 1) for n in TAILS[:18]] + [
             pad((n, 3), 0, 0, 1, 2, value=3.0) for n in (1, 7, 8, 9, 33)] + [
             pad((2, 3, 4), 1, 0, 0, 2, 3, 1, value=-7.0), pad((2, 3, 4), 0, 0), pad((5, 3)),
             pad((3, 5), 0, 0, 0, 0), pad((3, 5), 0, 9), pad((3, 5), 0, 0, 8, 0, value=1.0),
             pad((3, 5), 1, 0, 0, 2, value=0.1), pad((128,), 0, 128), pad((3, 128), 1, 2),
             pad((128, 4), 0, 0, 128, 0), pad((256,), 3, 0, value=2.0)],
         [pad((n,), 1, 2) for n in LONG],
         empty=[pad((0,), 2, 1, value=2.0), pad((3, 0), 1, 1, value=2.0), pad((0, 3), 0, 0, 1, 1),
                pad((0, 3), 0, 0)],
         large=[pad((2, 3, 4, 5), 1, 2, 3, 0, value=-1.0), pad((3, 5), 1, 2, value=float("-inf")),
                pad((2, 3, 4, 5), 1, 0, 0, 2, 1, 1, 2, 0),
                pad((1031, 1021), 1, 1, 2, 2, value=2.0), pad((70001,), 3, 4)],
         threads=[pad((1031, 1021), 1, 1, 2, 2, value=2.0)]),
     make=_pad, model=Exact(),
     random=st.builds(lambda shape, padding, value, layout: pad(
         shape, *padding[:len(padding[:2 * len(shape)]) // 2 * 2], value=value, layout=layout),
         shapes(1, 3), st.lists(st.integers(0, 4), max_size=6), st.integers(-3, 3), layouts),
     refusals=tuple(Refusal(why, lambda p=p: call(np.ones(3), padding=p), "ShapeError", "pad")
                    for why, p in (("half a pair", (1,)), ("more pairs than axes", (1, 1, 1, 1)),
                                   ("a size below 0", (-1, 0)))))


def as_index(index):
    """The index that a plan stands for: JSON has only lists."""
    return tuple(tuple(e) if isinstance(e, list) else e for e in index)


def _slice_backward(d, shape, index):
    like = np.empty(shape, bool)[tuple(slice(*e) if isinstance(e, list) else e for e in index)]
    return call(d.grad(like.shape), shape=tuple(shape), index=as_index(index))


def cut(shape, *index):
    return {"shape": list(shape), "index": list(index)}


ALL = [None, None, None]
#: steps of 1, 2 and -1, integers that take an axis away, new axes, parts of size 0
CUTS = [cut((7, 9), [1, 6, 1], [0, 9, 2]), cut((5, 4, 3), ALL, 2),
        cut((8, 5), [None, None, -1], ALL)]
MORE = [cut((n,), [1, n, 1]) for n in TAILS[1:]] + [cut((3, n), ALL, [n // 2, None, 1])
                                                   for n in TAILS] + [
    cut((5, 4, 3), -1, ALL, 0), cut((6, 5), None, [4, 1, -2]), cut((6, 5), 3, None, [-3, None, 1]),
    cut((256,), [0, 128, 1]), cut((3, 256), ALL, [128, None, 1]), cut((256, 3), [None, None, 2]),
    cut((17,), [16, None, -3]), cut((9, 33), [8, None, -1], [32, None, -4]), cut((5, 5)),
    cut((3, 3), 2, 2), cut((4, 65), [1, 3, 1], [1, 64, 3]), cut((2, 3, 4, 5), 1, [0, 3, 2], ALL, 4)]
#: counted from the end
BACK = [cut((7, 9), [1, -2, 1], [-8, -1, 2]), cut((9, 7), [-2, -8, -2], [None, -3, None])]
LINED = [cut((n,), [1, n, 1]) for n in LONG]
EMPTY = [cut((5,), [3, 3, 1]), cut((0, 3), ALL), cut((4, 3), [9, None, 1], ALL)]
LARGE = [cut((1031, 1021), [0, None, 1], [3, None, 2]), cut((70001,), [1, None, 3])]

spec("slice_backward", plans=listed(
         CUTS, [*MORE, *BACK], LINED, empty=EMPTY, zero=[cut(()), cut((4,), 2)], large=LARGE,
         threads=LARGE[:1], cotangent=crossed(CUTS, cotangent=COTANGENTS)),
     make=_slice_backward, model=Exact(),
     random=st.builds(lambda shape, ends, step, layout: {**cut(shape, *[
         [min(a, n), None, step] if step > 0 else [max(n - 1 - a, 0), None, step]
         for n, a in zip(shape, ends)]), "layout": layout}, shapes(1, 3), st.lists(
             st.integers(0, 9), min_size=1, max_size=3), st.sampled_from([1, 2, -1, -2]), layouts))
