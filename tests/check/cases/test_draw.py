"""What cases are drawn from: layouts keep the values, specials are all there."""

import numpy as np
import pytest

from etude_check.cases.case import cases
from etude_check.cases.draw import COPIED, LAYOUTS, PAIRED, TOGETHER, Draw, lay, together
from etude_check.judge.names import find
from etude_check.judge.property import random_cases
from etude_check.judge.runner import Runner, Screening, Settings
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate


@pytest.mark.parametrize("layout", sorted({*LAYOUTS, *COPIED, *PAIRED} - {"stride0", "middle",
                                                                      "expanded"}))
def test_a_layout_keeps_values_and_moves_them(layout):
    a = np.arange(120.0).reshape(2, 3, 4, 5)
    laid = lay(a, layout)
    assert np.array_equal(laid, a)
    assert layout == "offset" or laid.strides != a.strides
    for small in (np.zeros(()), np.zeros(3), np.zeros((2, 3)), np.zeros((0, 2)), np.zeros((2, 0))):
        assert np.array_equal(lay(small, layout), small)


@pytest.mark.parametrize("op", ["matmul", "linear", "add", "eq", "pow"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smoke_always_asks_with_every_operand_backwards(op, dtype):
    asked = [c.call.arrays for c in cases(specs()[op], "layout", "smoke", dtypes=[dtype])]
    steps = [min(a.strides[0] for a in arrays[:2]) for arrays in asked]
    both = [arrays for arrays in asked if all(a.strides[0] < 0 for a in arrays[:2])]
    assert min(steps) < 0
    assert any(a.strides[-1] < 0 for arrays in both for a in arrays)
    if op not in ("matmul", "linear"):  # C takes an operand whose rows are dense as it lies
        assert any(a.strides[-1] > 0 for arrays in both for a in arrays)


def test_an_expanded_array_repeats_all_axes_but_the_longest():
    a = np.arange(24.0).reshape(2, 4, 3)
    assert np.array_equal(lay(a, "expanded"), np.broadcast_to(a[:1, :, :1], a.shape))
    assert lay(a, "expanded").strides == (0, 8, 0)


def test_a_middle_axis_repeats_its_first_slice():
    a = np.arange(60.0).reshape(3, 4, 5)
    assert np.array_equal(lay(a, "middle"), np.broadcast_to(a[:, :1], a.shape))
    assert lay(a, "middle").strides == (40, 0, 8)
    assert lay(np.zeros((2, 3, 4, 5)), "middle").strides[1] == 0


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


def test_signalling_nans_stay_so_until_the_candidate_sees_them():
    for dtype, word, quiet in (("float32", np.uint32, 1 << 22), ("float64", np.uint64, 1 << 51)):
        plan = {"shapes": [[33], [33]], "special": "signalling"}
        case = next(c for c in cases(specs()["add"], "special", "full", dtypes=[dtype])
                    if c.plan == plan)
        for a in case.call.arrays:
            nans = a[np.isnan(a)].view(word)
            assert nans.size
            assert not (nans & word(quiet)).any()


def test_far_is_where_float32_ends():
    wide = np.abs(Draw("sum", {"special": "far"}, "float64", 0).floats([99]))
    assert wide.max() > 1e199
    assert wide.min() < 1e-199
    narrow = np.abs(Draw("sum", {"special": "far"}, "float32", 0).floats([99]))
    assert np.isfinite(narrow).all()
    assert narrow.min() > 0
    grad = Draw("relu_backward", {"cotangent": "far"}, "float64", 0).grad([99])
    assert np.median(np.abs(grad)) > 1e198


@pytest.mark.parametrize(("special", "zeros", "spoilt"), [("0 by inf", 0, 1), ("inf by 0", 1, 0)])
def test_zeros_stand_against_infinities(special, zeros, spoilt):
    draw = Draw("matmul", {"special": special}, "float32", 0)
    arrays = [draw.floats([20, 20]), draw.floats([20, 20])]
    assert 20 < (arrays[zeros] == 0).sum() < 200
    assert np.isfinite(arrays[zeros]).all()
    assert 2 < (~np.isfinite(arrays[spoilt])).sum() < 80
    plain = Draw("conv2d", {"special": special}, "float32", 0)
    plain.floats([3])
    assert np.isfinite(plain.plain([500])).all()


@pytest.mark.parametrize("how", TOGETHER)
def test_two_operands_share_their_memory_and_keep_the_values_of_the_second(how):
    rng = np.random.default_rng(0)
    a, b, other = rng.random((4, 4)), rng.random((4, 4)), rng.random(3)
    x, y, left = together([a, b, other], how)
    assert left is other
    assert np.may_share_memory(x, y)
    assert np.array_equal(y, b)
    expected = {"window": np.roll(b.ravel(), 1).reshape(4, 4), "turned": b.T, "packed": a,
                "itself": b}[how]
    assert np.array_equal(x.ravel()[1:], expected.ravel()[1:])
    with pytest.raises(ValueError, match="no two arrays"):
        together([a, other, None], how)


def test_random_plans_are_those_of_the_op_and_the_dtype():
    """The same hundred shapes for everybody would leave the others untried."""
    runner = Runner(Settings(Candidate.parse("reference")))
    try:
        drawn = {op: [r for dtype in ("float32", "float64")
                      for r in random_cases(runner, specs()[op], "full", 0, dtype,
                                            Screening(specs()[op]))] for op in ("exp", "neg")}
    finally:
        runner.close()
    plans = {(op, r.dtype): set() for op in drawn for r in drawn[op]}
    for op, records in drawn.items():
        for r in records:
            plans[op, r.dtype].add(str(find(r.case).plan))
    assert len(drawn["exp"]) > 30
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
