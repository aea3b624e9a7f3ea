"""What cases are drawn from: layouts keep the values, specials are all there."""

import numpy as np
import pytest

from etude_check.candidate import Candidate
from etude_check.cases import find
from etude_check.draw import LAYOUTS, Draw, lay
from etude_check.property import random_cases
from etude_check.runner import Runner, Screening, Settings
from etude_check.spec import specs


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "stride0"])
def test_a_layout_keeps_values_and_moves_them(layout):
    a = np.arange(120.0).reshape(2, 3, 4, 5)
    laid = lay(a, layout)
    assert np.array_equal(laid, a)
    assert layout == "offset" or laid.strides != a.strides
    for small in (np.zeros(()), np.zeros(3), np.zeros((2, 3)), np.zeros((0, 2)), np.zeros((2, 0))):
        assert np.array_equal(lay(small, layout), small)


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
