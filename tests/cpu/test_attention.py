"""Attention: sizes around those of tiles, causal or not, large scores, and what is declined."""

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal, rng

from etude.core.table import TABLE

ATTENTION = "scaled_dot_product_attention"
#: L, S, D, E
SIZES = ((1, 1, 1, 1), (3, 7, 5, 2), (59, 127, 16, 16), (60, 128, 32, 32), (61, 129, 33, 17),
         (200, 300, 8, 40), (130, 64, 300, 9), (63, 127, 8, 8), (65, 129, 31, 33),
         (193, 257, 4, 4), (40, 300, 8, 8), (1, 500, 64, 64), (300, 1, 64, 64), (64, 64, 32, 32))


def arrays(length, keys, size, width, dtype, lead=(2,)):
    return (normal(*lead, length, size, dtype=dtype),
            normal(*lead, keys, size, dtype=dtype, seed=1),
            normal(*lead, keys, width, dtype=dtype, seed=2))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("attrs", [{}, {"is_causal": True}, {"scale": -0.3}])
def test_forward_and_backward_of_every_size(ops, dtype, sizes, attrs):
    query, key, value = arrays(*sizes, dtype)
    hold(ops, ATTENTION, query, key, value, terms=99 * sizes[2], **attrs)
    y, *saved = TABLE[ATTENTION](query, key, value, **attrs)
    grad = normal(*y.shape, dtype=dtype, seed=3)
    given = (grad, query, key, value, None, y, *saved)
    hold(ops, "attention_backward", *given, terms=9999 * max(sizes), **attrs)


def test_any_batch_axes_and_the_layout_of_split_heads(ops):
    query, key, value = arrays(20, 20, 8, 8, "float32", lead=(3, 4))
    hold(ops, ATTENTION, query, key, value)
    hold(ops, ATTENTION, *(a.transpose(0, 2, 1, 3) for a in (query, key, value)), is_causal=True)
    hold(ops, ATTENTION, query[0, 0], key[0, 0], value[0, 0])
    hold(ops, ATTENTION, query[:0], key[:0], value[:0])
    hold(ops, ATTENTION, query[:, :, :0], key, value)


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_scores_do_not_overflow_and_grow_from_block_to_block(ops, dtype):
    query, key, value = arrays(70, 400, 16, 16, dtype)
    key *= np.linspace(1, 300, 400, dtype=dtype)[:, None]
    for attrs in ({}, {"is_causal": True}):
        got, *_ = ops[ATTENTION](query, key, value, **attrs)
        wide = (a.astype(np.float64) for a in (query, key, value))
        want, *_ = TABLE[ATTENTION](*wide, **attrs)
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_scores_of_minus_infinity(ops, dtype):
    query, key, value = arrays(40, 200, 1, 4, dtype)
    query[:] = np.abs(query) + 1
    key[0, :150] = -np.inf
    query[1, 3] = np.nan
    with np.errstate(all="ignore"):
        hold(ops, ATTENTION, query, key, value, terms=999)
        key[0] = -np.inf
        y, top, log_sum = ops[ATTENTION](query, key, value)
    assert (y[0] == 0).all()
    assert (top[0] == 0).all()
    assert (log_sum[0] == -np.inf).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(90, 150), (150,), (90, 1), (3, 1, 1, 150), (3, 2, 90, 150),
                                   (1, 2, 90, 1), (2, 1, 150), (3, 1, 90, 150), ()])
def test_masks_of_every_shape(ops, dtype, shape):
    query, key, value = arrays(90, 150, 8, 16, dtype, lead=(3, 2))
    seen = np.asarray(rng(1).random(shape) < 0.7)
    for mask in (seen, np.asarray(normal(*shape, dtype=dtype)),
                 np.where(seen, 0, -np.inf).astype(dtype)):
        hold(ops, ATTENTION, query, key, value, mask, terms=99)
        y, *saved = TABLE[ATTENTION](query, key, value, mask)
        given = (normal(*y.shape, dtype=dtype, seed=3), query, key, value, mask, y, *saved)
        hold(ops, "attention_backward", *given, terms=99_999)


def test_a_query_that_sees_no_key_gives_0(ops):
    query, key, value = arrays(70, 300, 4, 4, "float32")
    mask = rng(1).random((70, 300)) < 0.5
    mask[3] = False
    mask[5, :200] = False
    y, top, log_sum = ops[ATTENTION](query, key, value, mask)
    assert (y[:, 3] == 0).all()
    assert (log_sum[:, 3] == -np.inf).all()
    hold(ops, ATTENTION, query, key, value, mask, terms=99)
    grads = hold(ops, "attention_backward", y, query, key, value, mask, y, top, log_sum,
                 terms=9999)
    assert (grads[:, 3] == 0).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_query_with_a_score_that_is_no_number_is_nan_and_the_others_are_not(ops, wrong):
    query, key, value = 1 + abs(normal(3, 4)), 1 + abs(normal(140, 4)), normal(140, 5)
    query[1, 2] = wrong
    y, top, log_sum = hold_all(ops, "scaled_dot_product_attention", query, key, value)
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[::2]).all()
    given = hold_all(ops, "attention_backward", normal(3, 5), query, key, value, None, y, top,
                     log_sum)
    assert np.isnan(given[2]).all()


def hold_all(ops, name, *arrays):
    """Every output of the kernel, which agrees with the reference's."""
    with np.errstate(all="ignore"):
        hold(ops, name, *arrays, terms=999)
    return ops[name](*arrays)


@pytest.mark.parametrize("lead", [(2, 1, 4, 1), (1, 3, 1, 5), (3, 1, 5), (2, 3, 4, 5)])
def test_masks_that_are_repeated_over_any_of_the_batch_axes(ops, lead):
    query, key, value = arrays(5, 6, 4, 4, "float32", lead=(2, 3, 4, 5))
    for mask in (rng().random((*lead, 5, 6)) > 0.3, normal(*lead, 1, 6, dtype="float32")):
        saved = TABLE[ATTENTION](query, key, value, mask)
        hold(ops, ATTENTION, query, key, value, mask, terms=99)
        given = (saved[0], query, key, value, mask, *saved)
        hold(ops, "attention_backward", *given, terms=999)
