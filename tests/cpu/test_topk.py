"""The k best of a row: few or many, of short and long rows, in any order, with ties and NaN."""

import itertools

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal, rng

LENGTHS = (1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 129, 1000, 5000)


def every_way(ops, x, k, dim=-1):
    hold(ops, "topk", x, k=k, dim=dim)
    hold(ops, "topk", x, k=k, dim=dim, largest=False)


@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize("n", LENGTHS)
def test_any_k_of_any_length(ops, dtype, n):
    x = (1000 * normal(3, n)).astype(dtype)
    for k in {k for k in (0, 1, 2, 8, 16, 17, 40, n // 2, n - 1, n) if k <= n}:
        every_way(ops, x, k)
        every_way(ops, np.ascontiguousarray(x.T), k, dim=0)


@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize("n", [40, 700, 10_000])
def test_of_equal_numbers_the_first_wins(ops, dtype, n):
    x = rng(n).integers(-2, 3, (4, n)).astype(dtype)
    x[1] = 7
    for k in {3, 16, 30, n // 3, n // 2, n}:
        every_way(ops, x, k)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [40, 700, 10_000])
def test_nan_infinities_and_both_zeros(ops, dtype, n):
    x = normal(5, n, dtype=dtype)
    x[0, ::3], x[1, ::2], x[1, 1::5] = np.nan, -0.0, 0.0
    x[2, 1::7], x[2, ::9] = np.inf, -np.inf
    x[3] = np.nan
    x[4] = rng(1).choice(np.array([1e-42, -1e-42, 3e38, -3e38, 0], dtype), n)
    for k in {3, 16, 30, n // 2, n}:
        every_way(ops, x, k)
    got, _ = ops["topk"](np.array([-0.0, 0.0, -1.0], dtype), k=2)
    assert np.signbit(got).tolist() == [True, False]


def test_the_ends_of_int64(ops):
    x = rng(0).choice(np.array([-(2**63), 2**63 - 1, -(2**63) + 1, 0, 1, -1]), (3, 300))
    for k in (1, 16, 100, 300):
        every_way(ops, x, k)


@pytest.mark.parametrize("k", [1, 10, 100, 5000])
def test_rows_in_an_order_that_is_hard(ops, k):
    """Rising, falling, a rising one folded, equal but for the ends, and saw teeth."""
    n = 20_000
    up = np.arange(n, dtype=np.float32)
    folded = np.concatenate([up[::2], up[1::2][::-1]])
    flat = np.where(up == n - 1, 2, np.where(up == 0, 0, 1)).astype(np.float32)
    every_way(ops, np.stack([up, up[::-1], folded, flat, up % 100, up % 3]), k)


def test_a_row_that_defeats_the_choice_of_the_middle(ops):
    """The killer sequence of Musser (1997), against which a median of three parts off two at a
    time; for every rotation of it the answer is right all the same.
    """
    half = 2000
    killer = np.array([*itertools.chain.from_iterable((i + 1, half + i + 1) if i % 2 == 0 else
                       (half + i, i + 1) for i in range(half))], np.float32)
    for turned in (0, 1, half):
        every_way(ops, np.roll(killer, turned), half)


@pytest.mark.parametrize("k", [5, 40])
def test_threads_share_rows_and_columns(ops, threads, k):
    x = normal(40, 900, 30)
    for dim, n in itertools.product((0, 1), (1, 3)):
        threads(n)
        every_way(ops, x, min(k, x.shape[dim]), dim)
