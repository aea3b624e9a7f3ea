"""index_select, embedding, one_hot, topk. Reference: etude/ops/index.py."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Accumulate, Exact
from etude_check.cases.plans import (
    COTANGENTS,
    LONG,
    SPECIALS,
    TAILS,
    along_axis,
    common,
    crossed,
    layouts,
)
from etude_check.cases.spec import Adjoint, Refusal, call, spec

OUTSIDE = np.array([0, 3]), np.array([-1, 0])


def _outside(op, make):
    """Refusals for an axis of size 3: an index that is one too large, and a negative one."""
    return (Refusal("an index too large", lambda: make(OUTSIDE[0]), "IndexError", f"{op}.*3"),
            Refusal("a negative index", lambda: make(OUTSIDE[1]), "IndexError", f"{op}.*-1"),
            Refusal("an index of floats", lambda: make(np.zeros(2)), "DTypeError", f"{op}.*index"))


# ------------------------------------------------------------------ index_select


def _select_plans(kind):
    def plan(x, n, dim):
        return {"x": x, "n": n, "dim": dim}

    base = [plan([5, 7], 9, 0), plan([5, 7], 4, 1), plan([3, 5, 4], 6, -2), plan([6, 6], 6, 1)]
    tail = [plan([9, n], 5, 0) for n in TAILS[:16]] + [plan([3, 9], n, 1) for n in TAILS[:16]] + [
        plan([9], 17, 0), plan([2, 3, 4, 5], 7, 2), plan([5, 5, 5], 5, 1), plan([128], 128, 0),
        plan([128, 3], 256, 0), plan([3, 128], 128, 1), plan([5, 128], 4, 0)]
    own = {"empty": [plan([0, 3], 0, 0), plan([4, 0], 3, 0), plan([4, 3], 0, 1)],
           "0d": [plan([1], 1, 0)], "duplicate-index": crossed(base, duplicates=(True,)),
           "large": [plan([70001, 2], 129, 0), plan([1031, 257], 2049, 0),
                     plan([513, 1021], 1500, 1)],
           "threads": [plan([1031, 257], 4097, 0)]}
    if kind == "special":
        return crossed(base, special=tuple(SPECIALS))
    return [*(common(kind, tail, base, [plan([n], 150, 0) for n in LONG]) or ()),
            *own.get(kind, ())]


@st.composite
def _random_select(draw):
    x = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    return {"x": x, "n": draw(st.integers(0, 17)), "dim": draw(st.integers(-len(x), len(x) - 1)),
            "layout": draw(layouts), "duplicates": draw(st.booleans())}


spec("index_select", plans=_select_plans, model=Exact(), random=_random_select(),
     make=lambda d, x, n, dim: call(d.floats(x), d.index(x[dim], [n]), dim=dim),
     refusals=(*_outside("index_select", lambda i: call(np.ones((3, 2)), i, dim=0)),
               Refusal("an index of two dimensions", lambda: call(
                   np.ones((3, 2)), np.zeros((1, 1), np.int64), dim=0), "ShapeError",
                   "index_select.*index")))

# ------------------------------------------------------------------ embedding and its backward


def _plan(index, rows, width, **more):
    return {"index": index, "rows": rows, "width": width, **more}


TABLES = [_plan([5], 7, 9), _plan([2, 6], 9, 4), _plan([6], 6, 6)]


def _table_plans(backward):
    def plans(kind):
        tail = [_plan([9], 5, n) for n in TAILS] + [_plan([n], 9, 3) for n in TAILS[:16]] + [
            _plan([], 5, 9), _plan([2, 3, 4], 17, 5), _plan([128], 128, 128), _plan([256], 3, 128),
            _plan([9], 256, 5), _plan([520, 2], 9, 3), _plan([2, 3, 4], 17, 5, layout="middle")]
        repeats = [*TABLES, _plan([257], 33, 5), _plan([1000], 3, 17)]
        # the padded row first, last and between, named often or never
        padded = [_plan([257], 33, 5, padding=0), _plan([257], 33, 5, padding=32),
                  _plan([2, 6], 9, 4, padding=3), _plan([9], 5, 33, padding=4),
                  _plan([1000], 3, 17, padding=1), _plan([5], 1505, 33, padding=700),
                  _plan([7], 1, 3, padding=0), _plan([6], 6, 6, padding=0)]
        tail += padded
        own = {"empty": [_plan([0], 4, 3), _plan([2, 0], 1, 5), _plan([3], 4, 0)],
               "0d": [_plan([], 1, 1), _plan([1], 1, 1)],
               "duplicate-index": crossed(repeats, duplicates=(True,)) + [_plan([300], 1, 9)]
               + crossed(padded, duplicates=(True,)),
               "large": [_plan([4001], 1031, 257), _plan([16, 512], 31, 129),
                         # few words of a large vocabulary
                         _plan([5], 1505, 33), _plan([65], 70001, 3), _plan([9001], 31, 5),
                         _plan([9001], 31, 5, padding=30)],
               "threads": [_plan([4001], 1031, 257), _plan([16, 512], 31, 129), _plan([3], 5, 9),
                           _plan([4001], 1031, 257, padding=1030)],
               "adjoint": crossed(TABLES, values=("exact",))}
        if backward:
            own["exact"] = crossed([*repeats, *tail[5:12]], values=("exact",)) + crossed(
                repeats, values=("exact",), duplicates=(True,))
            own["cotangent"] = crossed(TABLES, cotangent=COTANGENTS) + crossed(
                padded[:3], cotangent=COTANGENTS)
        if kind == "special":
            names = tuple(s for s in SPECIALS if not (backward and s == "huge"))
            return crossed(TABLES, special=names) + crossed([padded[0], padded[2]],
                                                                special=names)
        return [*(common(kind, tail, TABLES, [_plan([n], 7, 9) for n in LONG]) or ()),
                *own.get(kind, ())]
    return plans


@st.composite
def _random_table(draw):
    side = st.sampled_from([1, 2, 3, 7, 8, 9, 17, 33])
    index, rows = draw(st.lists(st.integers(0, 9), max_size=3)), draw(side)
    padding = draw(st.none() | st.integers(0, rows - 1))
    return _plan(index, rows, draw(side), layout=draw(layouts), duplicates=draw(st.booleans()),
                 **({} if padding is None else {"padding": padding}))


def _padded(padding):
    return {} if padding is None else {"padding_idx": padding}


def _no_row(op, make):
    """Refusals of a row that a table of three has not."""
    return tuple(Refusal(f"a padding_idx {where}", lambda i=i: make(np.array([0, 2]), i),
                         "IndexError", f"{op}.*padding_idx={i}")
                 for where, i in (("behind the table", 3), ("before it", -1)))


spec("embedding", plans=_table_plans(False), model=Exact(), random=_random_table(),
     make=lambda d, index, rows, width, padding=None: call(
         d.index(rows, index), d.floats([rows, width]), **_padded(padding)),
     adjoint=(Adjoint(1, "embedding_backward", lambda given, c: call(
         c, given.arrays[0], num_embeddings=len(given.arrays[1]))),),
     refusals=(*_outside("embedding", lambda i: call(i, np.ones((3, 2)))),
               *_no_row("embedding", lambda i, row: call(i, np.ones((3, 2)), padding_idx=row))))
spec("embedding_backward", plans=_table_plans(True), model=Accumulate(), random=_random_table(),
     make=lambda d, index, rows, width, padding=None: call(
         d.grad([*index, width]), d.index(rows, index), num_embeddings=rows, **_padded(padding)),
     adjoint=(Adjoint(0, "embedding", lambda given, c: call(given.arrays[1], c)),),
     refusals=(*_outside("embedding_backward", lambda i: call(np.ones((2, 4)), i,
                                                              num_embeddings=3)),
               *_no_row("embedding_backward", lambda i, row: call(
                   np.ones((2, 4)), i, num_embeddings=3, padding_idx=row))))

# ------------------------------------------------------------------ one_hot


def _one_hot_plans(kind):
    def plan(index, classes):
        return {"index": index, "classes": classes}

    base = [plan([7], 5), plan([3, 4], 9), plan([5], 5)]
    tail = [plan([9], n) for n in TAILS] + [plan([n], 3) for n in TAILS] + [
        plan([2, 3, 4], 7), plan([128], 128), plan([256], 3), plan([520, 2], 5),
        {**plan([2, 3, 4], 7), "layout": "middle"}]
    own = {"empty": [plan([0], 3), plan([2, 0], 4)], "0d": [plan([], 4), plan([], 1)],
           "duplicate-index": crossed(base, duplicates=(True,)),
           "large": [plan([4097], 257), plan([33], 40001)],
           "threads": [plan([4097], 257)]}
    if kind == "special":
        return []
    return [*(common(kind, tail, base, [plan([n], 5) for n in LONG]) or ()), *own.get(kind, ())]


def _rows_sum_to_one(given, outputs):
    total = outputs[0].sum(-1) - 1
    return total, np.zeros(total.shape)


spec("one_hot", plans=_one_hot_plans, model=Exact(), dtypes=("int64",),
     make=lambda d, index, classes: call(d.index(classes, index), num_classes=classes),
     random=st.fixed_dictionaries({"index": st.lists(st.integers(0, 9), max_size=3),
                                   "classes": st.integers(1, 33), "layout": layouts}),
     invariants={"rows sum to one": _rows_sum_to_one},
     refusals=(*_outside("one_hot", lambda i: call(i, num_classes=3)),
               Refusal("fewer than no classes", lambda: call(
                   np.zeros(0, np.int64), num_classes=-1), "ShapeError", "one_hot.*num_classes")))

# ------------------------------------------------------------------ topk


def _topk_plans(kind):
    def plan(shape, k, dim=-1, at=""):
        return {"shape": shape, "k": k, "dim": dim, "at": at}

    def least(plans):
        return crossed(plans, largest=(False,))

    base = [plan([5, 9], 3), plan([9, 5], 4, 0), plan([3, 7, 4], 2, 1), plan([6, 6], 6, 0)]
    ties = crossed([plan([7, 33], 5), plan([33, 7], 9, 0), plan([4, 9], 9)],
                   at=("ties", "same", "limits", "below"))
    tail = [plan([3, n], min(n, 5)) for n in TAILS] + [plan([3, n], n) for n in TAILS[:14]] + [
        plan([3, n], 1) for n in TAILS[:14]] + [plan([n, 3], 1, 0) for n in (1, 7, 8, 9, 65)] + [
        plan([128], 9), plan([3, 128], 128), plan([128, 3], 5, 0), plan([128, 256], 7)]
    own = {"empty": [plan([0, 3], 2), plan([3, 4], 0), plan([0], 0), plan([3, 0], 0),
                     *least([plan([3, 4], 0), plan([3, 0], 0)])],
           "0d": [plan([1], 1), plan([1, 1], 1, 0), *least([plan([1], 1)])],
           "tail": ties + least([*base, *ties, *tail[::4]]),
           "large": [plan([1031, 257], 10), plan([9, 30011], 100), plan([513, 129], 5, 0),
                     plan([2, 70001], 9), plan([3, 1000], 300), plan([1000, 3], 700, 0),
                     plan([3, 1031], 40, at="ties"),
                     *least([plan([1031, 257], 10), plan([3, 1000], 300)])],
           "threads": [plan([1031, 257], 10)]}
    if kind == "special":
        every = [*base, plan([7, 33], 9)]
        long = [plan([3, 129], 9), plan([2, 2053], 5), plan([1031, 3], 7, 0)]
        found = crossed(every, special=tuple(SPECIALS)) + crossed(long, special=("nan", "inf"))
        ends = crossed([plan([7, 33], 5), plan([33, 7], 9, 0)], at=("ends", "hidden"))
        return [*found, *least([*found, plan([4, 9], 9, at="limits")]), *ends, *least(ends)]
    return [*(common(kind, tail, base, [plan([n], 9) for n in LONG]) or ()), *own.get(kind, ())]


def _topk(d, shape, k, dim, at="", **largest):
    if at == "ties":
        x = d.among((-1.0, 0.0, 1.0, 2.0), shape, (-1, 0, 1, 2), near=False)
    elif at == "same":
        x = d.among((-3.0,), shape, (-3,), near=False)
    elif at == "limits":
        x = d.among((0.0, -0.0, 1.0, 3e38, -3e38, np.inf, -np.inf), shape)
    elif at == "ends":  # of int64, whose lowest has no negative
        x = d.among((-3e38, 3e38, 0.0, 1.0), shape, (-(2**63), 2**63 - 1, -(2**63) + 1, 0, 1, -1))
    elif at == "hidden":  # every other row masked out, which leaves nothing above -inf
        x = np.moveaxis(np.array(d.floats(shape)), dim, -1)
        x[::2] = -np.inf if d.dtype.kind == "f" else False if d.dtype.kind == "b" else -(2**63)
        x = d.given(np.moveaxis(x, -1, dim))
    else:
        x = d.floats(shape, -9, -1) if at == "below" else d.floats(shape)
    return call(x, k=k, dim=dim, **largest)


spec("topk", plans=_topk_plans, make=_topk, model=Exact(),
     random=along_axis(k=st.just(1), at=st.sampled_from(["", "ties", "limits", "below"]),
                       largest=st.booleans()),
     refusals=(Refusal("more than there are", lambda: call(np.ones((2, 3)), k=4), "ShapeError",
                       "topk.*k=4"),
               Refusal("fewer than none", lambda: call(np.ones((2, 3)), k=-1), "ShapeError",
                       "topk.*k=-1"),
               Refusal("an axis that is not there", lambda: call(np.ones(3), k=1, dim=1),
                       "AxisError", "topk")))
