"""What a family's test file says about each of its ops, and the one place that knows tolerance.

A test file ``test_<family>.py`` has a dictionary ``CASES``: op name -> ``Case``. The sweep in
``test_table.py`` finds it by import and holds every op of the table to it: values against the
oracle, gradients against differences, layouts, dtypes, ``out=``, cost. What is special about a
family (limits, kinks, errors) stands in its own file as plain tests.
"""

import importlib.util
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """One call: arrays (float64 where they are float), attributes.

    ``smooth``: no kink within reach of a difference, so that gradients can be checked here.
    """

    arrays: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True

    def to(self, dtype, op):
        """The same call, its float arrays rounded to ``dtype`` unless ``op`` fixes theirs."""
        fixed = [not op.variadic and name in op.fixed for name in op.arrays]
        arrays = (a.astype(dtype) if _is_float(a) and not any(fixed[i:i + 1]) else a
                  for i, a in enumerate(self.arrays))
        return Sample(tuple(arrays), self.attrs, self.smooth)

    @property
    def floats(self):
        """Positions of the arrays that can have a gradient."""
        return [i for i, a in enumerate(self.arrays) if _is_float(a)]


def sample(*arrays, smooth=True, **attrs):
    return Sample(tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in arrays), attrs,
                  smooth)


@dataclass(frozen=True)
class Case:
    """How one op is tested.

    ``samples(rng)`` returns calls, two of them alike but for size (so that cost can be seen to
    grow). ``oracle(*arrays, **attrs)`` gives all outputs from another source than NumPy's
    vector functions: a formula in exact or higher arithmetic, plain loops, SciPy. ``ulps`` is
    the allowed error in units of the last place of ``scale(*arrays, **attrs)``, by default of
    the result itself. ``analytic``: the reference takes complex numbers, so its derivative is
    checked by complex step, exact to rounding.
    """

    samples: Callable[[np.random.Generator], list[Sample]]
    oracle: Callable[..., Any]
    ulps: float = 4
    scale: Callable[..., Any] | None = None
    analytic: bool = False


def _is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def cases_of(family):
    """CASES of ``test_<family>.py``; None if there is no such file or it has none."""
    path = HERE / f"test_{family}.py"
    if not path.is_file():
        return None
    name = f"etude_cases_{family}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return getattr(sys.modules[name], "CASES", None)


# ------------------------------------------------------------------------------- comparing


def near(got, want, ulps=4, scale=None, where=""):
    """AssertionError unless every element of ``got`` is within ``ulps`` of ``want``.

    Integers and bools must be equal. NaN agrees with NaN only, an infinity only with itself.
    One unit is the spacing of got's dtype at ``scale``, elementwise; below the normal numbers it
    is the smallest step.
    """
    got = np.asarray(got)
    want = np.asarray(want)
    assert got.shape == want.shape, f"{where}: shape {got.shape}, expected {want.shape}"
    if got.dtype.kind != "f":
        assert np.array_equal(got, want), f"{where}: {got} is not {want}"
        return
    info = np.finfo(got.dtype)
    wide, want = got.astype(np.float64), want.astype(np.float64)
    size = np.abs(want) if scale is None else np.maximum(np.abs(want), scale)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.where(np.isfinite(size), size, 0)
        bound = ulps * (float(info.eps) * size + float(info.smallest_subnormal))
        fine = np.abs(wide - want) <= bound
        fine |= np.isnan(wide) & np.isnan(want)
        fine |= wide == want
        overflow = ~np.isfinite(want.astype(got.dtype)) & (np.abs(want) > float(info.max))
        fine |= overflow & (wide == np.sign(want) * np.inf)
    if not fine.all():
        at = tuple(int(i) for i in np.argwhere(~fine)[0])
        raise AssertionError(f"{where}: at {list(at)} got {wide[at]!r}, expected {want[at]!r} "
                             f"(allowed error {np.broadcast_to(bound, wide.shape)[at]:.3g}; "
                             f"{int((~fine).sum())} of {fine.size} elements are wrong)")


def tuple_of(result):
    return result if isinstance(result, tuple) else (result,)


# ------------------------------------------------------------------------------- differences

SIXTH = ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))  # weights of f(x + kh) - f(x - kh), over h


def differences(fn, arrays, which, step=2e-3):
    """d fn(arrays) / d arrays[which] for a scalar ``fn``: central differences of sixth order.

    Written apart from etude.gradcheck, which uses the fourth order, so that each checks the other.
    """
    base = arrays[which].astype(np.float64)
    slope = np.zeros(base.shape)
    for at in np.ndindex(base.shape):
        h = step * max(1.0, abs(base[at]))
        for k, weight in SIXTH:
            ends = []
            for sign in (1, -1):
                moved = base.copy()
                moved[at] = base[at] + sign * k * h
                ends.append(fn(*arrays[:which], moved, *arrays[which + 1:]))
            slope[at] += weight * (ends[0] - ends[1]) / h
    return slope


def complex_step(fn, arrays, which, step=1e-40):
    """d fn / d arrays[which] for an analytic scalar ``fn``: Im fn(x + ih) / h, no cancellation.

    All floats are made complex, since some ops give back the dtype of their first array.
    """
    slope = np.zeros(arrays[which].shape)
    given = [a.astype(complex) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
             for a in arrays]
    for at in np.ndindex(slope.shape):
        moved = given[which].copy()
        moved[at] += step * 1j
        slope[at] = fn(*given[:which], moved, *given[which + 1:]).imag / step
    return slope


# ------------------------------------------------------------------------------- making inputs


def apart(rng, shape, gap=0.05, low=-2.0):
    """Distinct numbers in random order, ``gap`` apart and away from 0: nothing ties or kinks."""
    n = int(np.prod(shape, dtype=int))
    values = low + gap * (np.arange(n) + 0.37)
    return rng.permutation(values).reshape(shape)


def away(rng, shape, least=0.1, most=2.0):
    """Numbers of either sign, ``least`` to ``most`` away from 0."""
    return rng.uniform(least, most, shape) * rng.choice([-1.0, 1.0], shape)


SHAPES = [(), (1,), (7,), (2, 3), (3, 1, 2), (0,), (2, 0, 3)]


def elementwise(fn, *arrays, dtype=np.float64):
    """``fn`` of Python numbers on every element, after broadcasting by hand."""
    arrays = [np.asarray(a) for a in arrays]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    out = np.empty(shape, dtype)
    for at in np.ndindex(shape):
        spots = [tuple(0 if n == 1 else i for i, n in zip(at[len(at) - a.ndim:], a.shape,
                                                          strict=True)) for a in arrays]
        out[at] = fn(*(a[s].item() for a, s in zip(arrays, spots, strict=True)))
    return out


def layouts(a):
    """``a`` with the same values in other places: backwards, transposed, spread out."""
    if not isinstance(a, np.ndarray) or a.ndim == 0:
        return
    back = (slice(None, None, -1),) * a.ndim
    yield "backwards", np.ascontiguousarray(a[back])[back]
    yield "transposed", np.ascontiguousarray(a.T).T
    room = np.full([2 * n + 3 for n in a.shape], 77, a.dtype)
    spread = room[tuple(slice(2, 2 + 2 * n, 2) for n in a.shape)]
    spread[...] = a
    yield "spread", spread


def subsets(items):
    """Every non-empty subset."""
    for k in range(1, len(items) + 1):
        yield from itertools.combinations(items, k)
