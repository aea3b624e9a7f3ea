"""softmax, log_softmax and their backward ops. Reference: etude/ops/softmax.py."""

import numpy as np

from etude import TABLE
from etude_check.bounds.models import Ensemble, Softmax
from etude_check.cases.draw import Draw
from etude_check.cases.plans import along_axis, also, crossed, rows
from etude_check.cases.spec import call, spec
from etude_check.specs.reduce import no_overflow, only

NOTHING = [{"shape": s, "dim": d} for s, d in (
    ([3, 0], 1), ([0], 0), ([2, 0, 3], 1), ([0, 4], 0), ([0, 0], -1))]


def _x(d: Draw, shape, dim, shift=0, at=None):
    """With "masked", the first half of every row is -inf, and in the first row all but the last.
    With "hidden", every other row is -inf from end to end. With "far", in float64, all rows lie
    where float32 has ended.
    """
    if at == "far":
        level = -1e200 if d.dtype == np.float64 else -1e30
        return call(d.floats(shape, level, level / 2), dim=dim)
    if at == "hidden":
        x = np.moveaxis(np.array(d.plain(shape, -8, 8)), dim, -1)
        x[::2] = -np.inf
        return call(d.given(np.moveaxis(x, -1, dim)), dim=dim)
    if at == "wide":
        return call(d.floats(shape, -100, 100), dim=dim)
    if at == "masked":
        x = np.array(d.plain(shape, -8, 8))
        x[:, : shape[1] // 2] = -np.inf
        x[0, :-1] = -np.inf
        return call(d.given(x), dim=dim)
    return call(d.floats(shape, -8 + shift, 8 + shift), dim=dim)


def _shifted(kind):
    """Adds rows far from 0. Their exponentials all become 0, or all infinite, unless the row's own
    maximum is subtracted first.
    """
    far = [{"shape": s, "dim": d, "shift": k} for k in (-1000, 1000)
           for s, d in (([5, 9], 1), ([33, 3], 0))]
    long = crossed([{"shape": [3, n], "dim": 1} for n in (65, 1025, 4097)], shift=(-1000, 1000))
    long += crossed([{"shape": [3, n], "dim": 1} for n in (33, 65, 1025)], special=("nan", "inf"))
    long += crossed([{"shape": [3, n], "dim": 1} for n in (9, 65, 1025)], at=("wide", "masked"))
    far += [{"shape": s, "dim": d, "at": at} for at in ("far", "hidden") for s, d in (
        ([4, 9], 1), ([33, 4], 0), ([5, 128], 1), ([1, 7], 1), ([3, 1025], 1), ([2, 5, 3], 1))]
    more = {"special": far, "tail": long, "empty": NOTHING}
    return rows(alias=True)(kind) + more.get(kind, [])


def _backward(forward):
    """``make`` of (grad, y). With "zeros", a third of y are probabilities of 0."""
    def make(d: Draw, shape, dim, at=None):
        x = d.rng.uniform(-3, 3, shape).astype(d.dtype)
        if at == "zeros":
            x[d.rng.random(shape) < 0.3] = -np.inf
        return call(d.grad(shape), d.given(TABLE[forward](x, dim=dim)), dim=dim)
    return make


def _rows_sum_to_one(given, outputs):
    """A row adds up to 1, but for the rounding of its n probabilities, unless there are none."""
    y, dim = outputs[0].astype(np.float64), given.attrs["dim"]
    x = np.asarray(given.arrays[0], np.float64)
    n = y.shape[dim]
    fine = np.isfinite(x).all(dim) & (n > 0)
    u = float(np.finfo(outputs[0].dtype).eps)
    return np.where(fine, y.sum(dim) - 1, 0), np.full(fine.shape, u * (40 + n))


spec("softmax", plans=_shifted, make=_x, model=Softmax(), random=along_axis(),
     invariants={"rows sum to one": _rows_sum_to_one})
spec("log_softmax", plans=_shifted, make=_x, model=Ensemble(), random=along_axis())
_back = only(also(rows(cotangent=True), empty=NOTHING, layout=crossed(
    [{"shape": [9, 9], "dim": 1}], together=("window", "turned", "packed")), special=crossed(
    [{"shape": [9, 7], "dim": 1}, {"shape": [7, 9], "dim": 0}], at=("zeros",),
    special=("inf", "nan", "zero"))), no_overflow)
spec("softmax_backward", plans=_back, make=_backward("softmax"), model=Ensemble(),
     random=along_axis())
spec("log_softmax_backward", plans=_back, make=_backward("log_softmax"),
     model=Ensemble(), random=along_axis())
