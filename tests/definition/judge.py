"""The reference held against the exact definition, at each place or at a thousand of them.

The bounds are those that hold for columns, evaluated for the call; the error is the distance to
the exact value, and not to the float64 run. Every comparison is ``not (error <= bound)``.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from exact import fraction, real, rounded, sign_of
from inputs import asked, seed
from mpmath import mp

from etude import TABLE
from etude.core.shapes import Spec
from etude_check.bounds.question import Question
from etude_check.cases.case import in_words, prepared
from etude_check.specs import specs

OWN = 1000  # places that are looked at in one output
KITS, KITS_THIN = 200, 40  # in a case of the kit: in the sweep, and when CI asks


@dataclass
class Found:
    """What was found of an op in a dtype. ``worst`` is the largest error over bound."""

    calls: int = 0
    places: int = 0
    worst: float = 0.0
    where: str = ""
    wrong: list[str] = field(default_factory=list)


def hold(op, definition, dtype, whole=False, most=20):
    """Ask everything of one op in one dtype; at most ``most`` wrong results are told."""
    found = Found()
    for name, given in asked(op, definition, dtype, whole):
        found.calls += 1
        few = OWN if name.startswith("own") else KITS if whole else KITS_THIN
        compare(op, definition, name, given, few, found)
        if len(found.wrong) >= most:
            break
    return found


def compare(op, definition, name, given, few, found):
    """One call: its outputs, at ``few`` places each, added to ``found``."""
    row = TABLE[op]
    q = Question(row, given.arrays, prepared(row, given.attrs), seed(name))
    with np.errstate(all="ignore"):
        specified = row.check(q.arrays, q.attrs)
        outputs = q.same_dtype
    attrs = {**row.attrs, **q.meant}
    for i, spec in enumerate([specified] if isinstance(specified, Spec) else specified):
        y = np.asarray(outputs[i])
        if y.shape != spec.shape or y.dtype != spec.dtype:
            found.wrong.append(f"{op}, {name}: {in_words(y)}, but the shape rule says {spec}")
            continue
        places = chosen(y.shape, few, seed(name))
        exact = definition.values(q.arrays, attrs, i, places)
        allowed = (allowance(q, i, y) if definition.scale is None or y.dtype.kind != "f"
                   else scaled(definition.scale, q.arrays, attrs, i, y))
        for place, value in zip(places, exact, strict=True):
            bound = None if allowed is None else float(allowed[place])
            ratio = off(y[place].item(), value, bound, y.dtype)
            if ratio > found.worst:
                found.worst, found.where = ratio, f"{name}, {told(q, i, place, y, value)}"
            if not ratio <= 1:
                found.wrong.append(f"{op}, {name}: {told(q, i, place, y, value)}; error over "
                                   f"bound {ratio:.3g}")
        found.places += len(places)


def chosen(shape, few, number):
    """Places of an array: all, or the first, the last and others drawn."""
    size = math.prod(shape)
    if size <= few:
        return list(np.ndindex(shape))
    rng = np.random.default_rng(number)
    flat = np.unique(np.concatenate([[0, size - 1], rng.integers(0, size, few - 2)]))
    return [tuple(map(int, p)) for p in zip(*np.unravel_index(flat, shape))]


def allowance(q, i, y):
    """The bound of each element; None where the bits must be those of the exact value, rounded."""
    names = q.op.outputs
    name = names[0][1:] if names[0].startswith("*") else names[i]
    model = specs()[q.op.name].model_of(name)
    if model.exact or y.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        return np.broadcast_to(model.bound(q, i).allowed, y.shape)


def scaled(scale, arrays, attrs, i, y):
    """The bound of each element that a definition's own ``scale`` says."""
    info = np.finfo(y.dtype)
    with np.errstate(all="ignore"):
        errors = scale(arrays, attrs, i) * float(info.eps) / 2 + 2 * float(info.smallest_subnormal)
    return np.broadcast_to(errors, y.shape)


def off(y, exact, allowed, dtype):
    """Error over bound of one result: 0 where it is exact, and infinite where no bound helps."""
    if dtype.kind != "f":
        return 0.0 if y == exact else math.inf
    nearest = rounded(exact, dtype)
    if y != y or nearest != nearest:
        return 0.0 if y != y and nearest != nearest else math.inf
    if y == nearest:
        signs = y != 0 or not (isinstance(exact, float) or (allowed is None and exact != 0))
        return 0.0 if signs or sign_of(y) == sign_of(exact) else math.inf
    if allowed is None or (isinstance(exact, float) and not math.isfinite(exact)):
        return math.inf
    if math.isinf(y):  # right only if an error within the bound may cross the end of the range
        edge = real(fraction(float(np.finfo(dtype).max)))
        near = abs(real(exact)) + allowed > edge and (exact > 0) == (y > 0)
        return 1.0 if near else math.inf
    error = abs(real(y) - real(exact))
    return float(error / allowed) if allowed > 0 and error <= 1e300 * mp.mpf(allowed) else math.inf


def told(q, i, place, y, exact):
    """The call and one of its results in words."""
    words = []
    for a in q.arrays:
        if isinstance(a, np.ndarray) and a.shape == y.shape:
            words.append(repr(a[place].item()))
        else:
            words.append(in_words(a))
    words += [f"{k}={v}" for k, v in q.attrs.items()]
    want = mp.nstr(real(exact), 20) if not isinstance(exact, (bool, float)) else repr(exact)
    number = f" output {i}" if len(q.op.outputs) > 1 else ""
    return (f"{q.op.name}({', '.join(words)}){number} at {place} is {y[place].item()!r}, "
            f"exactly {want}")
