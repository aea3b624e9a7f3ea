"""What rows declare of NaN, infinities, zeros, ties, empty axes and masks: the reference does it,
and no row says less than its class demands.
"""

import math

import numpy as np
import pytest
from op_sweep import SHIPPED, every

from etude import TABLE
from etude.core.conventions import numbers_in, wrong

VIEWS = ("view", "create")  # they move no number, and what they move is told by their shapes
RANDOM = ("rand",)  # drawn from a key, whatever that is

#: Every element by itself: no axis can be empty but those of the result.
ELEMENTWISE = ("map", "map_bool", "equal", "binary", "compare", "ternary", "select", "cast", "sgd",
               "adamw")

NO_ZERO = {"softplus": "it is ln 2 at either zero"}
LAYS_OUT = {"contiguous": "it works element by element"}


def numbers(line):
    return [n for a in line.arrays for n in numbers_in(a)]


def takes_floats(op):
    return op.cls not in (*VIEWS, *RANDOM) and any(
        a not in op.fixed for a in op.arrays) and op.cls != "one_hot"


def has_minus_zero(line):
    return any(isinstance(n, float) and n == 0 and math.copysign(1, n) < 0 for n in numbers(line))


def is_empty(array):
    return isinstance(array, np.ndarray) or array == []


# ---------------------------------------------------------------------------- what rows must say


def needs_zero(op):
    return op.cls in ("map", "map_bool", "binary", "compare") and takes_floats(op) and (
        op.name not in NO_ZERO)


@every(when=takes_floats)
def test_every_op_on_floats_says_what_becomes_of_nan_and_infinity(name):
    given = [n for line in TABLE[name].conventions for n in numbers(line)]
    assert any(isinstance(n, float) and math.isnan(n) for n in given), f"{name}: NaN?"
    assert any(isinstance(n, float) and math.isinf(n) for n in given), f"{name}: infinity?"


@every(when=needs_zero)
def test_maps_and_arithmetic_say_what_becomes_of_minus_zero(name):
    assert any(has_minus_zero(line) for line in TABLE[name].conventions)


@every(when=lambda op: op.cls not in (*VIEWS, *ELEMENTWISE) and op.name not in LAYS_OUT)
def test_every_op_with_an_axis_says_what_it_makes_of_none(name):
    op = TABLE[name]
    assert any(is_empty(a) for line in op.conventions for a in line.arrays) or (
        "shape=(0" in "".join(line.text for line in op.conventions)), f"{name} of no elements?"


@pytest.mark.parametrize("name", ["argmax", "argmin", "topk", "max_pool2d", "round", "amax", "amin",
                                  "maximum", "minimum"])
def test_who_chooses_says_what_wins_a_tie(name):
    words = ("first of equals", "either zero", "halves")
    assert any(word in line.remark for line in TABLE[name].conventions for word in words)


@pytest.mark.parametrize("name", ["scaled_dot_product_attention", "attention_backward"])
@pytest.mark.parametrize("hidden", [False, -math.inf])
def test_attention_says_what_a_query_gets_that_sees_no_key(name, hidden):
    at = TABLE[name].arrays.index("attn_mask")
    masks = [line.arrays[at] for line in TABLE[name].conventions if len(line.arrays) > at]
    assert [[hidden, ...]] in masks


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_backward"])
def test_cross_entropy_says_what_it_makes_of_labels_that_do_not_count(name):
    op = TABLE[name]
    target, weight = op.arrays.index("target"), op.arrays.index("weight")
    said = [line.arrays for line in op.conventions]
    assert any(a[target] == [-100, ...] for a in said), "all are ignored"
    weights = [(a[target][0], a[weight]) for a in said if len(a) > weight and a[weight]]
    assert any(w[label] == 0 for label, w in weights), "all weigh nothing"


def test_reasons_to_say_less_are_still_needed():
    assert all(not any(has_minus_zero(line) for line in TABLE[name].conventions)
               for name in NO_ZERO)
    assert LAYS_OUT.keys() <= TABLE.keys()


# ---------------------------------------------------------------------------- and the reference


@every(when=lambda op: op.conventions)
def test_the_reference_does_what_its_row_declares(name):
    op = TABLE[name]
    for line in op.conventions:
        dtypes = line.dtypes(op)
        assert dtypes, f"no dtype of {name} has the numbers of {line.text}"
        for dtype in dtypes:
            for n in (1, 2, 9) if line.dotted else (1,):
                hold(op, line, dtype, n)


def hold(op, line, dtype, n):
    arrays, attrs = line.given(op, dtype, n), dict(line.attrs)
    with np.errstate(all="ignore"):
        if line.error:
            with pytest.raises((LookupError, ValueError, ZeroDivisionError)) as raised:
                op(*arrays, **attrs)
            assert line.error in [c.__name__ for c in type(raised.value).__mro__], line.text
            return
        given = op(*arrays, **attrs)
    outputs = given if isinstance(given, tuple) else (given,)
    wanted = line.wanted([y.shape for y in outputs], n)
    assert 0 < len(line.outputs) <= len(outputs), line.text
    for y, want in zip(outputs, wanted, strict=False):
        assert y.shape == want.shape, f"{line.text} gives {y.shape}"
        assert not wrong(y, want).any(), f"{line.text}, {dtype}, dots for {n}: got {y}"


def test_most_ops_declare_something():
    assert sum(bool(TABLE[name].conventions) for name in SHIPPED) > 105
    assert sum(len(TABLE[name].conventions) for name in SHIPPED) > 250
