"""The frame itself: exact numbers are rounded as IEEE 754 has it, and what is wrong is found."""

import math
from fractions import Fraction

import numpy as np
import pytest
from exact import Definition, load, number, rounded, wrapped
from judge import hold, off
from mpmath import mp, mpf

F32, F64 = np.dtype("float32"), np.dtype("float64")


def test_rounding_is_that_of_the_processor():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**64, 3000, np.uint64).view(np.float64)
    x = x[np.isfinite(x)]
    near = rng.integers(0, 2**32, 3000, np.uint32).view(np.float32)
    near = near[np.isfinite(near)].astype(np.float64)
    x = np.concatenate([x, near * (1 + 2.0**-25)])  # near the ties of float32
    with np.errstate(over="ignore", under="ignore"):
        want = x.astype(np.float32)
    assert [rounded(number(v), F32) for v in x] == want.tolist()
    assert [rounded(number(v), F64) for v in x] == x.tolist()


@pytest.mark.parametrize(("x", "dtype", "y"), [
    (Fraction(2**24 + 1), F32, 2.0**24), (Fraction(2**24 + 3), F32, 2.0**24 + 4),
    (Fraction(1, 2**150), F32, 0.0), (Fraction(3, 2**150), F32, 2.0**-148),
    (Fraction(-1, 2**1076), F64, -0.0), (Fraction(2**128 - 2**103), F32, math.inf),
    (Fraction(2**128 - 2**103 - 1), F32, (2 - 2.0**-23) * 2.0**127),
    (mpf("-1e400"), F64, -math.inf), (mp.exp(-(10**30)), F64, 0.0),
    (mp.exp(10**30), F32, math.inf)])
def test_ties_go_to_even_and_the_ends_of_the_range_are_kept(x, dtype, y):
    assert rounded(x, dtype) == y
    assert math.copysign(1, rounded(x, dtype)) == math.copysign(1, y)


def test_whole_numbers_wrap():
    assert [wrapped(n) for n in (2**63, -(2**63) - 1, 5)] == [-(2**63), 2**63 - 1, 5]


@pytest.mark.parametrize(("y", "exact", "allowed", "right"), [
    (1.0, Fraction(1), None, True), (1.0, Fraction(1) + Fraction(1, 2**60), None, True),
    (math.nextafter(1.0, 2), Fraction(1), None, False), (math.nan, math.nan, None, True),
    (math.nan, Fraction(1), 1e9, False), (1.0, math.nan, 1e9, False),
    (math.inf, Fraction(1), 1e9, False), (math.inf, math.inf, 0.1, True),
    (1e300, math.inf, 1e9, False), (-math.inf, math.inf, 1e9, False),
    (1.5, Fraction(1), 0.5, True), (1.6, Fraction(1), 0.5, False),
    (1.0, Fraction(2), math.nan, False),
    (-0.0, Fraction(0), None, True), (-0.0, 0.0, None, False), (-0.0, -0.0, None, True),
    (0.0, Fraction(-1, 10**400), None, False), (0.0, Fraction(-1, 10**400), 1e-300, True)])
def test_a_result_is_right_or_wrong(y, exact, allowed, right):
    assert (off(y, exact, allowed, F64) <= 1) == right


@pytest.mark.parametrize(("op", "other"), [
    ("exp", "expm1"), ("sin", "tanh"), ("floor", "round"), ("lt", "le"), ("maximum", "add"),
    ("rand", "randn"), ("mse_loss", "l1_loss"), ("adam_step", "adamw_step")])
def test_another_definition_is_told_apart(op, other):
    mixed = Definition(load()[other].values, load()[op].calls)
    for dtype in ("float32", "float64"):
        found = hold(op, mixed, dtype, most=1)
        assert found.wrong
        assert found.wrong[0].startswith(f"{op}, own ")
