"""Bounds: what honest rounding gives stays within them, what is cheaper does not."""

import numpy as np
import pytest

from etude import TABLE
from etude_check.bounds.noise import Noise
from etude_check.bounds.question import Question
from etude_check.judge.names import find
from etude_check.specs import specs

U, TINY = 2.0**-24, 2.0**-149


def over_bound(op, arrays, results, **attrs):
    """The largest error over bound of each output."""
    question = Question(TABLE[op], arrays, {**TABLE[op].attrs, **attrs})
    bounds = [specs()[op].model_of(o).bound(question, i) for i, o in enumerate(TABLE[op].outputs)]
    return [float((np.abs(y - r) / b.allowed).max())
            for y, r, b in zip(results, question.oracle, bounds, strict=True)]


def test_noise_is_relative_and_as_large_as_half_a_gap_among_subnormal_numbers():
    noise = Noise(np.random.default_rng(0), U, TINY)
    off = np.abs(noise.relative(np.full(1000, 700 * TINY)) - 700 * TINY)
    assert 0.45 * TINY < off.max() <= 0.501 * TINY
    assert 0.9 * U < np.abs(noise.relative(np.ones(1000)) - 1).max() <= U
    assert not noise.relative(np.zeros(9)).any()


def test_products_too_small_for_the_dtype_may_each_be_lost():
    """2^-150.5 is nearer to 0 than to 2^-149, and 4096 of them are 2^-138.5."""
    x, y = np.full((1, 4096), 2.0**-80, np.float32), np.full((4096, 1), 2.0**-70.5, np.float32)
    assert not (x[0] * y[:, 0]).any()
    assert over_bound("matmul", [x, y], [np.zeros((1, 1), np.float32)])[0] <= 1


@pytest.mark.parametrize("seed", [13, 26, 53])
def test_attention_whose_probabilities_are_subnormal_is_within_its_bounds(seed):
    """Their rounding errors are multiplied by scores and queries."""
    plan = '{"dtype":"float32","lead":[2],"size":[33,40,8,8],"at":"wide"}'
    case = find(f"attention_backward/random/{plan}@{seed}")
    results = case.question.same_dtype
    assert max(over_bound("attention_backward", case.call.arrays, results,
                          **case.question.attrs)) < 0.5


def test_any_order_of_a_sum_is_within_its_bound_and_half_precision_is_not():
    x = np.random.default_rng(1).uniform(-1, 3, (8, 3000)).astype(np.float32)
    forwards, backwards = (np.cumsum(a, 1, dtype=np.float32)[:, -1] for a in (x, x[:, ::-1]))
    found = [over_bound("sum", (x,), (y,), dim=1)[0] for y in (forwards, backwards)]
    assert found[0] < 0.5, found
    assert found[1] < 0.5, found
    assert over_bound("sum", (x[:, :9],), (x[:, :9].astype(np.float16).sum(1),), dim=1)[0] > 10


def test_an_eps_of_none_is_that_of_the_kernel_and_not_of_the_oracle():
    x = np.full((2, 5), 1e-5, np.float32)
    none, given = (Question(TABLE["rms_norm"], (x,), {"normalized_shape": (5,), **eps}).oracle[0]
                   for eps in ({}, {"eps": 2.0**-23}))
    assert np.array_equal(none, given)
    wide = Question(TABLE["rms_norm"], (x.astype(np.float64),), {"normalized_shape": (5,)})
    assert wide.oracle[0].max() > 10 * none.max()


def test_the_side_of_a_threshold_is_open_only_where_beta_is_rounded():
    """x and the formula differ by 0.47 / beta at a threshold of 1/2."""
    for beta, either in ((1.0, False), (2.0, False), (0.7, True)):
        x = np.array([0.5 / beta], np.float32)
        formula = np.log1p(np.exp(x * beta)) / beta
        found = [over_bound("softplus", (x,), (y,), beta=beta, threshold=0.5)[0]
                 for y in (formula, x)]
        assert found[0] < 1 or either, beta
        assert (found[1] < 1) is either, beta


def test_a_negative_divisor_has_bounds_like_any_other():
    x = np.random.default_rng(0).uniform(1, 2, (1, 1, 8, 8)).astype(np.float32)
    attrs = {"kernel_size": (3, 3), "stride": (3, 3), "divisor_override": -7}
    y = TABLE["avg_pool2d"].reference(x, **attrs)
    assert over_bound("avg_pool2d", (x,), (y,), **attrs)[0] < 1
    assert over_bound("avg_pool2d", (x,), (-y,), **attrs)[0] > 1e5


def test_a_floor_is_exact_until_its_quotient_is_rounded():
    x, y = np.float32([1, -7, 1e7, 3e38]), np.float32([0.1, 2, 3, 7])
    question = Question(TABLE["floor_divide"], (x, y), {})
    allowed = specs()["floor_divide"].model_of("z").bound(question, 0).allowed
    assert np.array_equal(question.oracle[0][:3], [9, -4, 3333333])
    assert not allowed[:3].any()
    assert 0 < allowed[3] < 1e-6 * question.oracle[0][3]
    assert np.abs(question.same_dtype[0] - question.oracle[0])[3] <= allowed[3]
