"""Running totals. Reference: etude/ops/scan.py."""

import numpy as np

from etude_check.bounds.models import Accumulate
from etude_check.cases.plans import along_axis, also, rows
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.reduce import no_overflow, only

#: a square and a cube, in which a wrong axis gives the right shape; one long row
MORE = [{"shape": [7, 7], "dim": 0}, {"shape": [5, 5, 5], "dim": 1}, {"shape": [4097], "dim": 0},
        {"shape": [1, 1025], "dim": 0}]
INTS = (2**53 + 1, -(2**53), 1, -1, 2**50, 3)


def _make(d, shape, dim, at=None):
    """Mostly positive, so that the total is no difference of large numbers."""
    x = d.among((1e30, 1.0, -1e30, 1e-40), shape, INTS) if at else d.floats(shape, -1, 3)
    return call(x, dim=dim)


def _last_is_sum(given, outputs):
    """The last running total must be the sum: |y_n - sum x| <= n u sum|x|, with some room."""
    x, y, dim = np.asarray(given.arrays[0]), outputs[0], given.attrs["dim"]
    if not y.size or y.dtype.kind != "f":
        return np.zeros(()), np.zeros(())
    wide = x.astype(np.float64)
    fine = np.isfinite(wide).all(dim) & (np.abs(wide).sum(dim) < np.finfo(y.dtype).max)
    off = y.take(-1, dim).astype(np.float64) - wide.sum(dim)
    room = 2 * x.shape[dim] * np.finfo(y.dtype).eps * np.abs(wide).sum(dim)
    return np.where(fine, off, 0), np.where(fine, room, 0) + np.finfo(y.dtype).smallest_subnormal


spec("cumsum", plans=only(also(rows(exact=True), tail=MORE, exact=[
         {"shape": [3, 500], "dim": 1, "values": "exact"},
         {"shape": [500, 3], "dim": 0, "values": "exact"}],
         special=[{"shape": [3, 33], "dim": 1, "special": s} for s in ("nan", "inf")] + [
             {"shape": [5, 9], "dim": 1, "at": "wide-integers"},
             {"shape": [9, 5], "dim": 0, "at": "wide-integers"},
             {"shape": [3, 300, 2], "dim": 1, "at": "wide-integers"},
             {"shape": [2, 2053], "dim": 1, "at": "wide-integers"}]),
                   no_overflow),
     make=_make, model=Accumulate(independent=False), random=along_axis(),
     invariants={"the last is the sum": _last_is_sum},
     refusals=(Refusal("a single number", lambda: call(np.array(1.0), dim=0), "AxisError",
                       "cumsum"),
               Refusal("an axis that is not there", lambda: call(np.ones((2, 3)), dim=2),
                       "AxisError", "cumsum"),
               Refusal("no dim", lambda: call(np.ones(3)), "TypeError", "dim")))
