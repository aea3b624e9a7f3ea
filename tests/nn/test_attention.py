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
    return nn.MultiheadAttention(E, HEADS, batch_first=True, dtype="float64", **settings)


def tokens(length=L, seed=0):
    return np.random.default_rng(seed).standard_normal((N, length, E))


def run(model, x, **settings):
    """The output for self-attention over x, or with the key among the settings."""
    y = model(etude.tensor(x), **settings)
    return (y[0] if isinstance(y, tuple) else y).detach().numpy()


def some(*shape, share=0.4, seed=1):
    """A bool mask that leaves out a share of the keys, but never the first one."""
    mask = np.random.default_rng(seed).random(shape) < share
    mask[..., 0] = False
    return mask


def test_a_bool_mask_says_who_is_left_out():
    model, x, mask = layer(), tokens(), some(N, HEADS, L, L)
    expected = by_hand.attention(HEADS, lambda *at: -math.inf if mask[at] else 0.0)
    given = etude.tensor(mask.reshape(N * HEADS, L, L))
    np.testing.assert_allclose(run(model, x, attn_mask=given), expected(values(model), x),
                               rtol=1e-12)


def test_a_float_mask_is_added_to_the_scores_of_all_heads():
    model, x = layer(), tokens()
    mask = np.random.default_rng(1).standard_normal((L, L))
    expected = by_hand.attention(HEADS, lambda n, h, q, k: mask[q, k])
    np.testing.assert_allclose(run(model, x, attn_mask=etude.tensor(mask)),
                               expected(values(model), x), rtol=1e-12)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_key_padding_mask_keeps_all_queries_of_a_sequence_from_some_keys(kind):
    model, x, padding = layer(), tokens(), some(N, L)
    seen = np.where(padding, -math.inf, 0.0 if kind == "bool" else 0.3)
    expected = by_hand.attention(HEADS, lambda n, h, q, k: seen[n, k])(values(model), x)
    given = etude.tensor(padding if kind == "bool" else seen)
    np.testing.assert_allclose(run(model, x, key_padding_mask=given), expected, rtol=1e-12)


@pytest.mark.parametrize("attn", ["bool", "float"])
@pytest.mark.parametrize("padding", ["bool", "float"])
@pytest.mark.parametrize("is_causal", [False, True])
def test_masks_add_up(attn, padding, is_causal):
    model, x = layer(), tokens()
    one, two = some(L, L), some(N, L, seed=2)
    rng = np.random.default_rng(3)
    given = [np.where(m, -math.inf, rng.standard_normal(m.shape)) if kind == "float" else m
             for m, kind in ((one, attn), (two, padding))]
    first, second = (np.where(m, -math.inf, 0.0) if m.dtype == bool else m for m in given)

    def seen(n, h, q, k):
        return -math.inf if is_causal and k > q else first[q, k] + second[n, k]

    y = run(model, x, attn_mask=etude.tensor(given[0]), key_padding_mask=etude.tensor(given[1]),
            is_causal=is_causal)
    np.testing.assert_allclose(y, by_hand.attention(HEADS, seen)(values(model), x), rtol=1e-12)


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_weights_say_who_looked_at_whom(is_causal):
    model, x, padding = layer(), tokens(), some(N, L)

    def seen(n, h, q, k):
        return -math.inf if padding[n, k] or (is_causal and k > q) else 0.0

    expected = by_hand.attention_weights(HEADS, values(model), x, x, seen)
    settings = {"key_padding_mask": etude.tensor(padding), "is_causal": is_causal}
    same = etude.tensor(x)
    y, mean = model(same, same, same, **settings)
    _, each = model(same, same, same, average_attn_weights=False, **settings)
    z, none = model(same, same, same, need_weights=False, **settings)
    np.testing.assert_allclose(each.detach(), expected, rtol=1e-12)
    np.testing.assert_allclose(mean.detach(), expected.mean(1), rtol=1e-12)
    np.testing.assert_allclose(y.detach(), z.detach(), rtol=1e-12)
    assert none is None


def test_sequences_lie_in_the_second_axis_unless_batch_first():
    first, x, padding = layer(), tokens(), some(N, L)
    second = nn.MultiheadAttention(E, HEADS, dtype="float64")
    second.load_state_dict(first.state_dict())
    mask = etude.tensor(padding)
    y, w = first(etude.tensor(x), key_padding_mask=mask)
    z, v = second(etude.tensor(x.swapaxes(0, 1)), key_padding_mask=mask)
    np.testing.assert_allclose(z.detach(), y.detach().numpy().swapaxes(0, 1), rtol=1e-12)
    np.testing.assert_allclose(v.detach(), w.detach(), rtol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_alone_has_no_axis_for_sequences(batch_first):
    model, x, padding = layer(), tokens(), some(L)
    model.batch_first = batch_first
    y, w = model(etude.tensor(x[0]), key_padding_mask=etude.tensor(padding))
    z, v = model(etude.tensor(np.expand_dims(x[0], 0 if batch_first else 1)),
                 key_padding_mask=etude.tensor(padding[None]))
    np.testing.assert_allclose(y.detach(), z.detach().numpy().reshape(L, E), rtol=1e-12)
    np.testing.assert_allclose(w.detach(), v.detach()[0], rtol=1e-12)


def test_keys_and_values_may_have_other_sizes():
    model = layer(kdim=3, vdim=2)
    assert {k: v.shape for k, v in values(model).items()} == {
        "q_proj_weight": (E, E), "k_proj_weight": (E, 3), "v_proj_weight": (E, 2),
        "in_proj_bias": (3 * E,), "out_proj.weight": (E, E), "out_proj.bias": (E,)}
    x, rng = tokens(2), np.random.default_rng(1)
    k, v = rng.standard_normal((N, L, 3)), rng.standard_normal((N, L, 2))
    found, _ = model(*map(etude.tensor, (x, k, v)))
    plain, w = layer(), values(model)
    plain.load_state_dict({"in_proj_weight": np.concatenate([w["q_proj_weight"], np.eye(E),
                                                             np.eye(E)]),
                           **{name: w[name] for name in ("out_proj.weight", "out_proj.bias")},
                           "in_proj_bias": w["in_proj_bias"]})
    other, _ = plain(*map(etude.tensor, (x, k @ w["k_proj_weight"].T, v @ w["v_proj_weight"].T)))
    np.testing.assert_allclose(found.detach(), other.detach(), rtol=1e-12)


def test_a_trained_key_and_one_of_zeros_are_seen_whatever_the_masks_say():
    model, x = layer(add_bias_kv=True, add_zero_attn=True), tokens()
    nothing = etude.tensor(np.ones((N, L), bool))
    y, w = model(etude.tensor(x), key_padding_mask=nothing, average_attn_weights=False)
    assert w.shape == (N, HEADS, L, L + 2)
    assert not w.detach().numpy()[..., :L].any()
    q = x @ values(model)["in_proj_weight"][:E].T
    size = E // HEADS
    scores = (q * values(model)["bias_k"][0]).reshape(N, L, HEADS, size).sum(-1) / np.sqrt(size)
    share = 1 / (1 + np.exp(-scores))  # softmax of the score and of 0
    np.testing.assert_allclose(w.detach().numpy()[..., L], share.transpose(0, 2, 1), rtol=1e-12)
    mixed = share.repeat(size, -1) * values(model)["bias_v"][0]
    np.testing.assert_allclose(y.detach(), mixed @ values(model)["out_proj.weight"].T, rtol=1e-11)


def test_projections_start_as_in_pytorch():
    etude.manual_seed(0)
    for name, w in values(nn.MultiheadAttention(60, 3, add_bias_kv=True)).items():
        bound = {"in_proj_weight": np.sqrt(6 / 240), "out_proj.weight": 1 / np.sqrt(60)}.get(name)
        if bound:
            assert 0.97 * bound < np.abs(w).max() <= bound, name
        else:
            assert w.any() == (name in ("bias_k", "bias_v")), name


@pytest.mark.parametrize("mask", ["key_padding_mask", "attn_mask"])
def test_a_block_takes_masks_too(mask):
    model, x = nn.TransformerBlock(E, HEADS, dtype="float64"), tokens()
    given = some(*((N, L) if mask == "key_padding_mask" else (L, L)))

    def seen(n, h, q, k):
        out = given[n, k] if mask == "key_padding_mask" else given[q, k]
        return -math.inf if k > q or out else 0.0

    np.testing.assert_allclose(run(model, x, **{mask: etude.tensor(given)}),
                               by_hand.transformer_block(HEADS, seen)(values(model), x),
                               rtol=1e-12)


def test_causal_is_the_lower_triangle_as_a_mask():
    model, x = layer(), tokens()
    ahead = etude.tensor(~np.tri(L, dtype=bool))
    np.testing.assert_allclose(run(model, x, is_causal=True), run(model, x, attn_mask=ahead),
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
    mask = np.zeros((L, L), bool)
    mask[:, 2] = True
    key = tokens(seed=1)
    before = run(model, x, key=etude.tensor(key), attn_mask=etude.tensor(mask))
    key[:, 2] = 99
    assert np.array_equal(before, run(model, x, key=etude.tensor(key),
                                      attn_mask=etude.tensor(mask)))


def test_a_query_that_may_see_nothing_gets_the_bias_alone():
    model, x = layer(), tokens()
    nothing = etude.tensor(np.ones((L, L), bool))
    with etude.no_grad():
        nn.init.ones_(model.out_proj.bias)
    assert np.array_equal(run(model, x, attn_mask=nothing), np.ones((N, L, E)))
    _, weights = model(etude.tensor(x), attn_mask=nothing)
    assert not weights.detach().numpy().any()


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
    model = nn.MultiheadAttention(2, 1, batch_first=True, dtype="float64")
    rng = np.random.default_rng(0)
    q, k, v = (etude.tensor(rng.standard_normal((1, n, 2)), requires_grad=True) for n in (2, 3, 3))
    mask = etude.tensor([[False, True, False], [False, False, True]])
    for which in (0, 1):  # the output, the weights
        assert etude.gradcheck(lambda *x, i=which: model(*x, attn_mask=mask)[i], [q, k, v])


def test_without_bias_there_is_none():
    assert list(values(layer(bias=False))) == ["in_proj_weight", "out_proj.weight"]
    x = tokens()
    assert run(layer(bias=False), x, key=etude.tensor(x)).shape == x.shape


def test_dropout_acts_in_training_alone():
    model, x = layer(dropout=0.5), etude.tensor(tokens())
    plain, weights = model.eval()(x)
    assert np.array_equal(model(x)[0].detach(), plain.detach())
    model.train()
    for need_weights in (True, False):
        assert not np.array_equal(run(model, x.numpy(), need_weights=need_weights), plain.detach())
    _, some_weights = model(x, average_attn_weights=False)
    _, weights = model.eval()(x, average_attn_weights=False)
    kept = some_weights.detach().numpy() != 0
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(some_weights.detach().numpy()[kept],
                               2 * weights.detach().numpy()[kept], rtol=1e-12)


def test_the_dropout_of_a_block_acts_in_training_alone():
    x = tokens()
    block = nn.TransformerBlock(E, HEADS, dropout=0.5, dtype="float64")
    assert not np.array_equal(run(block, x), run(block, x))
    assert np.array_equal(run(block.eval(), x), run(block, x))


def test_empty_batches_and_no_queries_are_fine():
    model = layer()
    assert run(model, np.zeros((0, L, E))).shape == (0, L, E)
    assert run(model, np.zeros((N, 0, E)), key=etude.tensor(tokens())).shape == (N, 0, E)


def zeros(*shape):
    return etude.zeros(*shape, dtype="float64")


def test_a_mask_of_integers_is_refused():
    with pytest.raises(TypeError, match=r"attn_mask is bool \(true is left out\) or float"):
        layer()(zeros(1, 3, E), attn_mask=etude.ones(3, 3, dtype="int64"))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.MultiheadAttention(4, 3), "num_heads=3 must divide embed_dim=4"),
    (lambda: nn.MultiheadAttention(4, 0), "num_heads must be an integer >= 1, got 0"),
    (lambda: layer(kdim=0), "kdim must be an integer >= 1, got 0"),
    (lambda: layer(dropout=1.0), "the share of weights dropped, 0 <= dropout < 1, got 1.0"),
    (lambda: layer()(zeros(E)),
     r"query, key and value must be \(N, L, E\), or all three without N, got \[4\], \[4\] and"),
    (lambda: nn.MultiheadAttention(E, HEADS)(zeros(3, E), zeros(1, 3, E)),
     r"must be \(L, N, E\), or all three without N, got \[3, 4\], \[1, 3, 4\] and \[1, 3, 4\]"),
    (lambda: layer()(zeros(1, 0, E)), "there is nothing to attend to"),
    (lambda: layer()(zeros(1, 3, 5)), "got a query .* size is 5 and not"),
    (lambda: layer()(zeros(1, 3, E), attn_mask=etude.ones(2, 2) > 0),
     r"attn_mask must be \[3, 3\] or \[2, 3, 3\] here, got bool\[2, 2\]"),
    (lambda: layer()(zeros(1, 3, E), key_padding_mask=etude.ones(3, 1) > 0),
     r"key_padding_mask must be \[1, 3\] here, got bool\[3, 1\]"),
])
def test_what_cannot_attend_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_queries_keys_values_and_their_gradients_are_copied_once():
    model, x = layer(), etude.tensor(tokens(), requires_grad=True)
    with etude.profile() as p:
        y, _ = model(x, need_weights=False, is_causal=True)
        y.sum().backward()
    copies = {(r.op, r.phase): r.calls for r in p.rows() if r.op in ("contiguous", "cat", "stack")}
    assert copies["contiguous", "forward"] == 4  # q, k, v, and y as tokens
    assert copies["cat", "backward"] == 1  # the gradients of q, k and v
    assert copies.get(("contiguous", "backward"), 0) <= 1  # that of y
