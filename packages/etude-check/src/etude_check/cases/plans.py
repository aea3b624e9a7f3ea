"""Stock plans: which shapes the kinds of cases ask of elementwise ops, rows and reductions.

A spec hands one of these, or a function of its own, to ``spec(plans=...)``. It is given a kind of
case and returns its plans. The number of a case is its place in that list: from the first release
on plans are only added, and only at the end. Sizes lie around the widths of vectors and unrolled
loops, because that is where kernels go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from etude_check.cases.draw import LAYOUTS, LINES, PAIRED, SPECIALS
from etude_check.cases.spec import Plan

#: around 4, 8, 16, 32, 64 lanes and unrolls of them
TAILS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 257, 1000, 1023,
         1025)
#: sizes that every block divides, so that nothing is left for a tail
WHOLE = (128, 256, 1024)
#: lengths of lines that do not lie dense: some vectors with a tail, and blocks without
LONG = (131, 1024)
COTANGENTS = ("zero", "one-hot", "strided", "random", "small", "large", "far")


def crossed(base: Iterable[Plan], **keys: Sequence[Any]) -> list[Plan]:
    """Every plan with every combination of the keys."""
    found = list(base)
    for key, values in keys.items():
        found = [{**plan, key: value} for plan in found for value in values]
    return found


def common(kind: str, tail: Sequence[Plan], base: Sequence[Plan], lines: Sequence[Plan] = ()
           ) -> list[Plan] | None:
    """What most specs answer for the kinds that only bend an ordinary call.

    "layout": the ``base`` plans in every layout, first for all arrays, then for each of the first
    three alone; then ``lines``, calls of arrays with one axis, where these are not dense.
    "special": with NaN, infinities and the like. "repeat": drawn three times. "tail": the plans of
    ``tail``. None for a kind that needs shapes of its own.
    """
    if kind == "layout":
        every = crossed(base, layout=LAYOUTS)
        # Of a long line of equal numbers the sum is rounded the same way too many times over.
        return every + crossed(base[:1], layout=LAYOUTS, which=(0, 1, 2)) + crossed(
            lines, layout=LINES[:2]) + crossed(lines[:1], layout=LINES[2:])
    if kind == "special":
        return crossed(base, special=tuple(SPECIALS))
    if kind == "repeat":
        return crossed(base[:1], round=(0, 1, 2))
    if kind == "tail":
        return list(tail)
    return None


def elementwise(arity: int = 1, *, special: bool = True, **attrs: Sequence[Any]
                ) -> Callable[[str], list[Plan]]:
    """Plans {"shapes": [...]} for an op of ``arity`` arrays that broadcast. Small calls are asked
    for with every combination of the attributes, larger ones with the first.
    """
    same: Callable[[list[int]], Plan] = lambda shape: {"shapes": [shape] * arity}  # noqa: E731
    base = crossed([same([7, 9]), same([3, 5, 4])], **attrs)

    def plans(kind: str) -> list[Plan]:
        if kind == "special" and not special:
            return []
        first = {k: v[:1] for k, v in attrs.items()}
        five = [same([2, 3, 2, 3, 5]), {**same([2, 3, 2, 3, 5]), "layout": "transposed"}]
        whole = [same(s) for s in (*[[n] for n in WHOLE], [4, 32], [3, 128], [128, 3], [128, 128])]
        found = common(kind, crossed([*[same([n]) for n in TAILS], *five, *whole], **first),
                       crossed([same([33])], **attrs) if kind == "special" else base,
                       crossed([same([n]) for n in LONG], **first))
        if kind == "layout" and arity > 1:
            return [*(found or ()), *crossed(_pairs(same), **first)]
        if found is not None:
            return found
        if kind == "empty":
            return crossed([same([0]), same([3, 0])], **first)
        if kind == "0d":
            return crossed([same([])], **attrs)
        if kind == "broadcast" and arity > 1:
            pairs: list[tuple[list[int], list[int]]] = [
                ([5, 7], [7]), ([7], [5, 7]), ([5, 1], [1, 7]), ([2, 3, 4], [3, 1]), ([4, 1], [4]),
                ([], [6]), ([6], []), ([1], [1, 9]), ([2, 1, 33], [3, 1]), ([0, 3], [3]),
                ([17, 16], [17, 1]), ([3, 4, 1, 5], [4, 6, 1]), ([2, 3, 1, 2, 5], [2, 1, 4, 2, 1]),
                ([3, 128], [128]), ([128, 5], [128, 1]), ([4, 1, 128], [8, 1])]
            return crossed([{"shapes": [a, b, *[b] * (arity - 2)]} for a, b in pairs], **first)
        if kind == "large":
            more = [{"shapes": [[301, 1], *[[1, 299]] * (arity - 1)]},
                    {"shapes": [[257, 1031], *[[1031]] * (arity - 1)]}] * (arity > 1)
            others = {k: v[1:] for k, v in attrs.items()} or {"round": ()}
            return crossed([same([70001]), same([1031, 1021])], **first) + crossed(
                [same([70001])], **others) + crossed(
                [*more, {**same([257, 301]), "layout": "transposed"},
                 *crossed([same([520, 24])], layout=("rows", "sliced")),
                 *crossed([same([4099])] * special, special=("nan", "inf"))], **first)
        if kind == "threads":
            return crossed([same([1031, 1021])], **first)
        return []

    return plans


def _pairs(same: Callable[[list[int]], Plan]) -> list[Plan]:
    """Two operands of which one alone is no dense line; two in the same memory; two upturned."""
    return crossed([same([LONG[0]])], layout=LINES[:2], which=(0, 1)) + crossed(
        [same([LONG[0]])], together=("window", "itself")) + crossed(
        [same([9, 9])], together=("window", "turned", "packed")) + crossed(
        [same([7, 9])], layout=PAIRED)


def rows(*, exact: bool = False, cotangent: bool = False, alias: bool = False,
         **attrs: Sequence[Any]) -> Callable[[str], list[Plan]]:
    """Plans {"shape": [...], "dim": d} for an op along one axis that keeps the shape."""
    base: list[Plan] = crossed([{"shape": [5, 9], "dim": 1}, {"shape": [6, 4, 3], "dim": -2},
                                {"shape": [9, 5], "dim": 0}], **attrs)
    tail = [{"shape": [3, n], "dim": -1} for n in TAILS] + [
        {"shape": [n, 3], "dim": 0} for n in (1, 7, 8, 9, 17, 64, 65, 129)] + [
        {"shape": [2, n, 5], "dim": 1} for n in (1, 7, 8, 9, 33)] + [
        {"shape": [n, 4], "dim": 1} for n in (1, 2, 7, 8, 9, 65)] + [
        {"shape": [2, 300, 3], "dim": 1}, {"shape": [3, 7, 17], "dim": 1},
        {"shape": [2, 3, 2, 4, 3], "dim": 2}] + [{"shape": [3, n], "dim": 1} for n in WHOLE] + [
        {"shape": [n], "dim": 0} for n in WHOLE] + [
        {"shape": s, "dim": d} for s, d in (([128, 3], 0), ([2, 128, 5], 1), ([128, 128], 1))]
    first = {k: v[:1] for k, v in attrs.items()}
    lines: list[Plan] = crossed([{"shape": [n], "dim": 0} for n in LONG], **first)

    def plans(kind: str) -> list[Plan]:
        found = common(kind, crossed(tail, **first), base, lines)
        if kind == "layout":  # the middle axis again, where it is not the one that is gone along
            return [*(found or ()), *crossed(
                [{"shape": [6, 4, 3], "dim": d, "layout": "middle"} for d in (0, 2)], **first)]
        if found is not None:
            return found
        sized: dict[str, list[Plan]] = {
            "empty": [{"shape": [0, 5], "dim": 1}, {"shape": [3, 0, 4], "dim": 0}],
            "0d": [{"shape": [1], "dim": 0}, {"shape": [1, 1], "dim": -1}],
            "large": [{"shape": [37, 30011], "dim": 1}, {"shape": [4099, 257], "dim": 1},
                      {"shape": [2053, 129], "dim": 0}, {"shape": [70001, 3], "dim": 1},
                      {"shape": [3, 70001], "dim": 1}, {"shape": [3, 70001], "dim": 0},
                      {"shape": [512, 128], "dim": 1}, {"shape": [520, 24], "dim": 1,
                                                       "layout": "rows"}],
            "threads": [{"shape": [4099, 257], "dim": 1}, {"shape": [2053, 129], "dim": 0}],
        }
        if kind in sized:
            return crossed(sized[kind], **first)
        if kind == "exact" and exact:
            return crossed(base, values=("exact",))
        if kind == "cotangent" and cotangent:
            return crossed(base, cotangent=COTANGENTS)
        if kind == "alias" and alias:
            return [*base, {**base[0], "shape": [5, 65]}]
        return []

    return plans


def reductions(*, exact: bool = False, empty: bool = True, **attrs: Sequence[Any]
               ) -> Callable[[str], list[Plan]]:
    """Plans {"shape": [...], "dim": None | int | [ints], "keepdim": bool}. ``empty``: the op has a
    value over an axis of size 0.
    """
    def plan(shape: Sequence[int], dim: Any, keepdim: bool = False) -> Plan:
        return {"shape": list(shape), "dim": dim, "keepdim": keepdim}

    base = crossed([plan((5, 9), 1), plan((6, 4, 3), (0, 2)), plan((9, 5), 0, True),
                    plan((4, 7, 2), None), plan((3, 4, 5), -2), plan((2, 3, 4, 5), (1, -1), True)],
                   **attrs)
    tail = [plan((3, n), -1) for n in TAILS] + [plan((n,), None) for n in TAILS] + [
        plan((n, 3), 0) for n in (1, 7, 8, 9, 17, 64, 65, 129)] + [
        plan((2, n, 5), 1, True) for n in (1, 7, 8, 9, 33)] + [
        plan((n, 65), 0) for n in (2, 3, 9)] + [
        plan((2, 300, 3), 1), plan((2, 3, 4, 3, 2), (1, 3)), plan((4, 5, 6), (-1, -2)),
        plan((4, 4, 4), (-1, -2)), plan((5, 5, 5), (0, -1)), plan((5, 5, 5), (-1, 0))] + [
        plan((3, n), 1) for n in WHOLE] + [plan((n,), None) for n in WHOLE] + [
        plan((128, 3), 0), plan((2, 128, 5), 1), plan((128, 128), 0), plan((128, 128), None),
        plan((4, 32), None)]
    first = {k: v[:1] for k, v in attrs.items()}
    lines = crossed([plan((n,), None) for n in LONG] + [plan(LONG[:1], 0)], **first)

    def plans(kind: str) -> list[Plan]:
        found = common(kind, crossed(tail, **first), base, lines)
        if kind == "layout":
            return [*(found or ()), *crossed(
                [{**plan((6, 4, 3), d), "layout": "middle"} for d in (0, 1, 2, None)], **first)]
        if found is not None:
            return found
        sized = {
            "empty": [plan((0, 5), 1), plan((3, 0, 4), 0, True)] + (
                [plan((3, 0), 1), plan((0,), None), plan((0, 2), 0, True)] if empty else []),
            "0d": [plan((), None), plan((1,), 0), plan((1, 1), (0, 1), True)],
            "large": [plan((37, 30011), 1), plan((3, 140001), 1), plan((1031, 1021), None),
                      plan((2053, 129), 0),
                      plan((64, 33, 129), (0, 2)), plan((70001, 3), 1), plan((3, 70001), 0),
                      plan((512, 128), 1), {**plan((520, 24), 1), "layout": "rows"}],
            "threads": [plan((1031, 1021), None), plan((4099, 257), 1), plan((2053, 129), 0)],
        }
        if kind in sized:
            return crossed(sized[kind], **first)
        if kind == "exact" and exact:
            return crossed([*base, plan((3, 1000), 1), plan((1000, 3), 0), plan((31, 33), None)],
                           values=("exact",))
        return []

    return plans


def also(plans: Callable[[str], Iterable[Plan]], **more: Sequence[Plan]
         ) -> Callable[[str], list[Plan]]:
    """``plans``, with more of them added behind for the kinds that ``more`` names."""
    return lambda kind: [*plans(kind), *more.get(kind, ())]


def at(shape: Sequence[int], *where: str, arity: int = 1, **attrs: Any) -> list[Plan]:
    """Plans {"shapes": ..., "at": ...} that ask ``make`` for values of a kind: "kink", "bits"."""
    return [{"shapes": [list(shape)] * arity, "at": kind, **attrs} for kind in where]


def equal(arity: int, **attrs: Any) -> Callable[[str], list[Plan]]:
    """Like ``elementwise``, for arrays that all have one shape and of which the first is a
    cotangent, as the backward ops of maps take them.
    """
    plans = elementwise(arity, **attrs)

    def with_cotangents(kind: str) -> list[Plan]:
        if kind == "cotangent":
            return crossed([{"shapes": [[7, 9]] * arity}, {"shapes": [[65]] * arity}], **attrs,
                           cotangent=COTANGENTS)
        return [] if kind == "broadcast" else [
            p for p in plans(kind) if len({tuple(s) for s in p["shapes"]}) == 1]

    return with_cotangents


# ------------------------------------------------------------------ property-based plans

sides = st.integers(1, 9) | st.sampled_from([0, 16, 17, 33, 65])


def shapes(least: int = 0, most: int = 4, side: Any = sides) -> Any:
    """Shapes as lists, of few elements."""
    return st.lists(side, min_size=least, max_size=most).filter(_small)


def _small(shape: Sequence[int]) -> bool:
    size = 1
    for n in shape:
        size *= n
    return size <= 20000


layouts = st.sampled_from([None, *LAYOUTS])


@st.composite
def broadcasting(draw: Any, /, arity: int, **attrs: Any) -> Plan:
    """{"shapes": ...} that broadcast: some sizes are 1, and some leading axes are left away."""
    full = draw(shapes(0, 4))
    found = []
    for _ in range(arity):
        skip = draw(st.integers(0, len(full)))
        found.append([1 if draw(st.booleans()) else n for n in full[skip:]])
    return {"shapes": found, "layout": draw(layouts),
            **{k: draw(v) for k, v in attrs.items()}}


@st.composite
def along_axis(draw: Any, /, **attrs: Any) -> Plan:
    """{"shape": ..., "dim": ...} with no empty axis at ``dim``."""
    shape = draw(shapes(1, 4))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    shape[dim] = max(shape[dim], 1)
    return {"shape": shape, "dim": dim, "layout": draw(layouts),
            **{k: draw(v) for k, v in attrs.items()}}


@st.composite
def over_axes(draw: Any, /, empty: bool = True, **attrs: Any) -> Plan:
    """{"shape": ..., "dim": None | int | list, "keepdim": ...} of a reduction."""
    shape = draw(shapes(0, 4, sides if empty else sides.filter(bool)))
    axes = st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1) if shape else None
    dim = draw(st.none() | axes) if axes is not None else None
    if dim and len(dim) == 1 and draw(st.booleans()):
        dim = dim[0] - (len(shape) if draw(st.booleans()) else 0)
    return {"shape": shape, "dim": dim, "keepdim": draw(st.booleans()), "layout": draw(layouts),
            **{k: draw(v) for k, v in attrs.items()}}


@st.composite
def alike(draw: Any, /, arity: int, **attrs: Any) -> Plan:
    """{"shapes": ...}: one shape for all arrays."""
    return {"shapes": [draw(shapes())] * arity, "layout": draw(layouts),
            **{k: draw(v) for k, v in attrs.items()}}
