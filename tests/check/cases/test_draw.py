"""What cases are drawn from: layouts keep the values, specials are all there."""

import numpy as np
import pytest

from etude_check.cases.case import cases
from etude_check.cases.draw import COPIED, LAYOUTS, Draw, lay
from etude_check.judge.names import find
from etude_check.judge.property import random_cases
from etude_check.judge.runner import Runner, Screening, Settings
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate


@pytest.mark.parametrize("layout", sorted({*LAYOUTS, *COPIED} - {"stride0", "expanded"}))
def test_a_layout_keeps_values_and_moves_them(layout):
    a = np.arange(120.0).reshape(2, 3, 4, 5)
    laid = lay(a, layout)
    assert np.array_equal(laid, a)
    assert layout == "offset" or laid.strides != a.strides
    for small in (np.zeros(()), np.zeros(3), np.zeros((2, 3)), np.zeros((0, 2)), np.zeros((2, 0))):
        assert np.array_equal(lay(small, layout), small)


def test_an_expanded_array_repeats_all_axes_but_the_longest():
    a = np.arange(24.0).reshape(2, 4, 3)
    assert np.array_equal(lay(a, "expanded"), np.broadcast_to(a[:1, :, :1], a.shape))
    assert lay(a, "expanded").strides == (0, 8, 0)


@pytest.mark.parametrize(("kind", "low", "high"), [("small", 1e-10, 6e-8), ("large", 7e4, 1e7)])
def test_cotangents_reach_beyond_half_precision(kind, low, high):
    """The same digits as an ordinary cotangent's, so that every honest bound holds for them."""
    grad = Draw("relu_backward", {"cotangent": kind}, "float32", 0).grad([500])
    assert low < np.median(np.abs(grad)) < high
    factor = {"small": 2.0**30, "large": 2.0**-20}[kind]
    assert np.array_equal((grad * np.float32(factor)) / np.float32(factor), grad)
    whole = Draw("scatter_add", {"cotangent": kind}, "int64", 0).grad([50])
    assert np.abs(whole).max() < 10


def test_channels_last_are_last_in_memory():
    assert lay(np.zeros((2, 3, 4, 5)), "last").strides[1] == 8
    assert lay(np.zeros((2, 3, 4, 5)), "swapped").strides == (480, 40, 120, 8)


def test_special_values_are_of_both_signs_and_of_every_width():
    nan = Draw("relu", {"special": "nan"}, "float32", 0).floats([500])
    assert {bool(s) for s in np.signbit(nan[np.isnan(nan)])} == {True, False}
    bits = Draw("relu", {}, "float32", 0).bits([5000]).view(np.uint32)
    nans = bits[np.isnan(bits.view(np.float32))]
    assert len(set(nans.tolist())) > 5, "payloads of NaN are kept"
    huge = Draw("cat", {"special": "huge"}, "int64", 0).floats([500])
    assert np.abs(huge).max() > 2**60
    assert (np.abs(huge) < 10).any()


def test_random_plans_are_those_of_the_op_and_the_dtype():
    """The same hundred shapes for everybody would leave the others untried."""
    runner = Runner(Settings(Candidate.parse("reference")))
    try:
        drawn = {op: list(random_cases(runner, specs()[op], "full", 0, None,
                                       Screening(specs()[op]))) for op in ("exp", "neg")}
    finally:
        runner.close()
    plans = {(op, r.dtype): set() for op in drawn for r in drawn[op]}
    for op, records in drawn.items():
        for r in records:
            plans[op, r.dtype].add(str(find(r.case).plan))
    assert len(drawn["exp"]) > 40
    assert plans["exp", "float32"] != plans["exp", "float64"]
    assert plans["exp", "float32"] != plans["neg", "float32"]


@pytest.mark.parametrize("op", ["floor_divide", "remainder"])
def test_whole_numbers_are_never_divided_by_zero_and_floats_are(op):
    zeros = {"int64": 0, "float32": 0}
    for dtype in zeros:
        for kind in ("tail", "layout", "broadcast", "special"):
            for case in cases(specs()[op], kind, "full", dtypes=[dtype]):
                zeros[dtype] += int(np.sum(np.equal(case.call.arrays[1], 0)))
    assert zeros["int64"] == 0
    assert zeros["float32"] > 50


def test_a_weighted_class_is_the_label_of_a_row_that_counts():
    """Or the mean would divide by 0 in every case with weights of 0."""
    found = [c for c in cases(specs()["cross_entropy"], "tail", "full", dtypes=["float32"])
             if c.plan.get("weight") in ("one", "zeros")]
    assert len(found) > 30
    for case in found:
        _, target, weight = case.call.arrays
        assert weight[target[target != case.plan["ignore"]]].sum() > 0
