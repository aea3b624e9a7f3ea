"""Views. Reference: etude/ops/view.py. They belong to the array type: no column need have them.

An answer is judged by its values alone; whether it shares memory is no part of it.
"""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Exact
from etude_check.cases.plans import LONG, layouts, shapes
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.copy import BACK, CUTS, EMPTY, LARGE, LINED, MORE, as_index, listed


def _make(d, x, **attrs):
    return call(d.floats(x), **{k: tuple(v) if isinstance(v, list) else v
                                for k, v in attrs.items()})


def view(x, **attrs):
    return {"x": list(x), **attrs}


def _without_layout(plans):
    """Those of ``plans`` whose arrays lie in order: reshape may refuse the others."""
    return lambda kind: [p for p in plans(kind) if p.get("layout") in (None, "offset")]


_reshape = listed(
    [view((4, 6), shape=[3, 8]), view((2, 3, 4), shape=[-1, 2])],
    [view((n,), shape=[1, n]) for n in (1, 7, 8, 9, 256)] + [view((6, 5), shape=[5, 6]), view(
        (3, 4, 5), shape=[60]), view((12,), shape=[2, 1, 3, 2]), view((5,), shape=[5])],
    empty=[view((0, 3), shape=[3, 0]), view((0,), shape=[0, 5])],
    zero=[view((), shape=[1, 1]), view((1, 1), shape=[])])
spec("reshape", plans=_without_layout(_reshape), make=_make, model=Exact(),
     random=shapes(0, 4).map(lambda s: view(s, shape=s[::-1])),
     blind={"input": "the same elements in the same order"},
     refusals=(Refusal("another number of elements", lambda: call(np.ones((2, 3)), shape=(4,)),
                       "ShapeError", "reshape"),
               Refusal("two sizes of -1", lambda: call(np.ones((2, 3)), shape=(-1, -1)),
                       "ShapeError", "reshape")))

spec("permute", plans=listed(
         [view((5, 7), dims=[1, 0]), view((2, 3, 4), dims=[2, 0, 1])],
         [view((5, 5), dims=[1, 0]), view((3, 3, 3), dims=[1, 2, 0]),
          view((2, 3, 4), dims=[0, -1, 1]), view((7,), dims=[0]),
          view((2, 3, 4, 5), dims=[3, 1, 2, 0]), view((128, 3), dims=[1, 0]),
          view((128, 256), dims=[1, 0]), view((520, 24), dims=[1, 0])],
         [view((n,), dims=[0]) for n in LONG],
         empty=[view((0, 3), dims=[1, 0])], zero=[view((), dims=[])]),
     make=_make, model=Exact(),
     random=st.builds(lambda s, r, layout: {**view(s, dims=r.sample(range(len(s)), len(s))),
                                            "layout": layout},
                      shapes(0, 4), st.randoms(use_true_random=False), layouts),
     refusals=(Refusal("an axis twice", lambda: call(np.ones((2, 3)), dims=(0, 0)), "AxisError",
                       "permute"),
               Refusal("an axis too few", lambda: call(np.ones((2, 3)), dims=(0,)), "AxisError",
                       "permute")))

spec("expand", plans=listed(
         [view((1, 7), shape=[5, 7]), view((3, 1, 4), shape=[2, 3, 5, 4])],
         [view((5, 1), shape=[5, 9]), view((7,), shape=[3, 7]), view((1,), shape=[17]),
          view((4, 5), shape=[4, 5]), view((1, 1, 3), shape=[2, 8, 3]),
          view((128,), shape=[3, 128]), view((520, 1), shape=[520, 24])],
         [view((n,), shape=[2, n]) for n in LONG],
         empty=[view((1, 3), shape=[0, 3]), view((0, 1), shape=[0, 4])],
         zero=[view((), shape=[3]), view((), shape=[])]),
     make=_make, model=Exact(),
     random=st.builds(lambda s, k, ones: view([1 if one else n for n, one in zip(s[k:], ones)],
                                              shape=[*s[:k], *s[k:][:len(ones)]]),
                      shapes(0, 4), st.integers(0, 2), st.lists(st.booleans(), min_size=4,
                                                                max_size=4)),
     refusals=(Refusal("a size that is not 1", lambda: call(np.ones((2, 3)), shape=(4, 3)),
                       "ShapeError", "expand"),
               Refusal("fewer axes", lambda: call(np.ones((2, 3)), shape=(3,)), "ShapeError",
                       "expand")))


def _slice(d, shape, index):
    return call(d.floats(shape), index=as_index(index))


spec("slice", plans=listed(CUTS, [*MORE[::2], *BACK], LINED, empty=EMPTY, large=LARGE[1:]),
     make=_slice, model=Exact(),
     refusals=(Refusal("an index outside", lambda: call(np.ones((2, 3)), index=(2,)), "AxisError"),
               Refusal("more indices than axes", lambda: call(np.ones(3), index=(0, 0)),
                       "AxisError")),
     random=shapes(1, 3).map(lambda s: {"shape": s, "index": [[n // 3, None, 2] for n in s]}))
spec("split", plans=listed(
         [view((5, 7), sizes=[2, 5], dim=1), view((6, 4), sizes=[1, 2, 3], dim=0)],
         [view((n,), sizes=[n - 1, 1], dim=0) for n in (2, 8, 9, 33)] + [view(
             (2, 9, 3), sizes=[4, 0, 5], dim=-2), view((5,), sizes=[5], dim=0), view(
                 (4, 4), sizes=[1, 1, 1, 1], dim=1), view((2, 3, 6), sizes=[2, 4], dim=2)] + [
                     view((256,), sizes=[128, 128], dim=0), view((3, 256), sizes=[128, 128], dim=1),
                     view((520, 24), sizes=[260, 260], dim=0)],
         [view((n,), sizes=[n - 1, 1], dim=0) for n in LONG],
         empty=[view((0, 3), sizes=[0], dim=0), view((3, 0), sizes=[1, 2], dim=0)]),
     make=_make, model=Exact(),
     random=st.builds(lambda s, sizes, layout: {**view([sum(sizes), *s], sizes=sizes, dim=0),
                                                "layout": layout},
                      shapes(0, 2), st.lists(st.integers(0, 5), min_size=1, max_size=4), layouts),
     refusals=(Refusal("sizes that do not add up", lambda: call(np.ones(5), sizes=(2, 2)),
                       "ShapeError", "split"),
               Refusal("an axis that is not there", lambda: call(np.ones(5), sizes=(5,), dim=1),
                       "AxisError", "split")))
spec("flip", plans=listed(
         [view((5, 7), dims=[0]), view((2, 3, 4), dims=[0, 2]), view((2, 5, 3), dims=[1])],
         [view((n,), dims=[0]) for n in (1, 2, 7, 8, 9, 33)] + [view((4, 5), dims=[-1]), view(
             (3, 3), dims=[0, 1]), view((3, 4), dims=[])] + [
                 view((128,), dims=[0]), view((128, 3), dims=[0, 1]), view((520, 24), dims=[0])],
         [view((n,), dims=[0]) for n in LONG],
         empty=[view((0, 3), dims=[0, 1])], zero=[view((), dims=[])]),
     make=_make, model=Exact(),
     random=st.builds(lambda s, d, layout: {
         **view(s, dims=[k for k in range(len(s)) if d >> k & 1]), "layout": layout},
                      shapes(0, 4), st.integers(0, 15), layouts),
     refusals=(Refusal("an axis that is not there", lambda: call(np.ones((2, 3)), dims=(2,)),
                       "AxisError", "flip"),
               Refusal("an axis twice", lambda: call(np.ones((2, 3)), dims=(0, -2)), "AxisError",
                       "flip")))
