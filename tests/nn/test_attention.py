"""Attention: what a mask lets through, what causality means, heads that do not mix."""

import math

import layer_oracles as by_hand
import numpy as np
import pytest
from layer_cases import values

import etude
from etude import nn

N, L, E, HEADS = 2, 5, 4, 2


def layer(**settings):
    etude.manual_seed(0)
    return nn.MultiheadAttention(E, HEADS, dtype="float64", **settings)


def tokens(length=L, seed=0):
    return np.random.default_rng(seed).standard_normal((N, length, E))


def run(model, x, **settings):
    return model(etude.tensor(x), **settings).detach().numpy()


def test_a_bool_mask_says_who_takes_part():
    model, x = layer(), tokens()
    mask = np.random.default_rng(1).random((N, HEADS, L, L)) < 0.6
    mask[..., 0] = True
    expected = by_hand.attention(HEADS, lambda *at: 0.0 if mask[at] else -math.inf)
    np.testing.assert_allclose(run(model, x, attn_mask=etude.tensor(mask)),
                               expected(values(model), x), rtol=1e-12)


def test_a_float_mask_is_added_to_the_scores_and_broadcasts():
    model, x = layer(), tokens()
    mask = np.random.default_rng(1).standard_normal((L, L))
    expected = by_hand.attention(HEADS, lambda n, h, q, k: mask[q, k])
    np.testing.assert_allclose(run(model, x, attn_mask=etude.tensor(mask)),
                               expected(values(model), x), rtol=1e-12)


def test_causal_is_the_lower_triangle_as_a_mask():
    model, x = layer(), tokens()
    below = etude.tensor(np.tri(L, dtype=bool))
    np.testing.assert_allclose(run(model, x, is_causal=True), run(model, x, attn_mask=below),
                               rtol=1e-13)


@pytest.mark.parametrize("at", range(L))
def test_changing_a_later_token_changes_no_earlier_output(at):
    model, x = nn.TransformerBlock(E, HEADS, dtype="float64"), tokens()
    before = run(model, x)
    x[:, at, 0] += 1
    after = run(model, x)
    assert np.array_equal(before[:, :at], after[:, :at])
    assert (before[:, at:] != after[:, at:]).any(-1).all()


def test_a_block_that_is_not_causal_looks_both_ways():
    model, x = nn.TransformerBlock(E, HEADS, is_causal=False, dtype="float64"), tokens()
    before = run(model, x)
    x[:, -1, 0] += 1
    assert (before != run(model, x)).any(-1).all()


def test_a_key_that_is_masked_out_does_not_matter():
    model, x = layer(), tokens()
    mask = np.ones((L, L), bool)
    mask[:, 2] = False
    key = tokens(seed=1)
    before = run(model, x, key=etude.tensor(key), attn_mask=etude.tensor(mask))
    key[:, 2] = 99
    assert np.array_equal(before, run(model, x, key=etude.tensor(key),
                                      attn_mask=etude.tensor(mask)))


def test_a_query_that_may_see_nothing_gets_the_bias_alone():
    model, x = layer(), tokens()
    y = run(model, x, attn_mask=etude.tensor(np.zeros((L, L), bool)))
    np.testing.assert_allclose(y, np.broadcast_to(model.out_proj.bias.detach(), y.shape))


def test_without_a_mask_the_order_of_tokens_does_not_matter():
    model, x = layer(), tokens()
    order = [3, 1, 4, 0, 2]
    np.testing.assert_allclose(run(model, x)[:, order], run(model, x[:, order]), rtol=1e-12)


def test_keys_may_be_of_another_length_and_are_the_values_too_unless_given():
    model, x, key = layer(), tokens(2), etude.tensor(tokens(seed=1))
    y = run(model, x, key=key)
    assert y.shape == (N, 2, E)
    assert np.array_equal(y, run(model, x, key=key, value=key))
    np.testing.assert_allclose(y, by_hand.attention(HEADS)(values(model), x, key.numpy()),
                               rtol=1e-12)
    same = etude.tensor(x)
    np.testing.assert_allclose(run(model, x, key=same), run(model, x), rtol=1e-12)


def test_gradients_reach_query_key_and_value_through_a_mask():
    model = nn.MultiheadAttention(2, 1, dtype="float64")
    rng = np.random.default_rng(0)
    q, k, v = (etude.tensor(rng.standard_normal((1, n, 2)), requires_grad=True) for n in (2, 3, 3))
    mask = etude.tensor([[True, False, True], [True, True, False]])
    assert etude.gradcheck(lambda q, k, v: model(q, k, v, attn_mask=mask), [q, k, v])


def test_without_bias_there_is_none():
    assert list(values(layer(bias=False))) == ["in_proj.weight", "out_proj.weight"]
    model = nn.MultiheadAttention(E, HEADS, bias=False, dtype="float64")
    x = tokens()
    assert run(model, x, key=etude.tensor(x)).shape == x.shape


def test_dropout_acts_in_training_alone():
    model, x = layer(dropout=0.5), tokens()
    plain = run(model.eval(), x)
    y = run(model.train(), x)
    kept = y != 0
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(y[kept], 2 * plain[kept], rtol=1e-12)
    block = nn.TransformerBlock(E, HEADS, dropout=0.5, dtype="float64")
    assert not np.array_equal(run(block, x), run(block, x))
    assert np.array_equal(run(block.eval(), x), run(block, x))


def test_empty_batches_and_no_queries_are_fine():
    model = layer()
    assert run(model, np.zeros((0, L, E))).shape == (0, L, E)
    assert run(model, np.zeros((N, 0, E)), key=etude.tensor(tokens())).shape == (N, 0, E)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.MultiheadAttention(4, 3), "num_heads=3 must divide embed_dim=4"),
    (lambda: nn.MultiheadAttention(4, 0), "num_heads must be an integer >= 1, got 0"),
    (lambda: layer()(etude.zeros(3, E, dtype="float64")),
     r"MultiheadAttention: query, key and value must be \(N, L, E\), got a query \[3, 4\]"),
    (lambda: layer()(etude.zeros(1, 0, E, dtype="float64")), "there is nothing to attend to"),
        (lambda: layer()(etude.zeros(1, 3, 5, dtype="float64")),
         r"weight must be \(N, K\) with K = 5 from x"),
    (lambda: layer()(etude.zeros(1, 3, E, dtype="float64"), attn_mask=etude.ones(2, 2) > 0),
     r"attn_mask bool\[2, 2\] does not broadcast to the scores \[1, 2, 3, 3\]"),
    (lambda: layer()(etude.zeros(1, 3, E, dtype="float64"), attn_mask=etude.ones(3, 3) > 0,
                     is_causal=True), "give attn_mask or is_causal=True, not both"),
])
def test_what_cannot_attend_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()
