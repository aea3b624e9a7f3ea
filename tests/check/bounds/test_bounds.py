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
