"""Forms of attention, one_hot and embedding, against NumPy and the ops themselves."""

import math

import numpy as np
import pytest

import etude
from etude import ShapeError, gradcheck
from etude import functional as F
from etude.core.dispatch import OPS
from etude.core.random import PART, Generator, Part
from etude.functional.layers import dropped


def draw(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def attention(q, k, v, mask=0.0):
    scores = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1]) + mask
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


Q, K, V = draw(2, 3, 4, 5), draw(2, 3, 6, 5, seed=1), draw(2, 3, 6, 2, seed=2)


def test_parameters_stand_where_pytorch_has_them():
    found = F.scaled_dot_product_attention(Q, K, V, None, 0.0, True, 0.5)
    wanted = OPS["scaled_dot_product_attention"](Q, K, V, is_causal=True, scale=0.5)
    assert np.array_equal(found.detach().numpy(), wanted.detach().numpy())


def test_batch_axes_broadcast():
    found = F.scaled_dot_product_attention(Q, K[:1, :1], V[0, 0])
    wanted = attention(Q.detach().numpy(), K[:1, :1].detach().numpy(), V[0, 0].detach().numpy())
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-14)
    with pytest.raises(ShapeError, match="the batch axes of query, key and value do not broadcast"):
        F.scaled_dot_product_attention(Q, draw(2, 2, 6, 5), V)


@pytest.mark.parametrize("shape", [(4, 6), (3, 1, 6), (2, 1, 4, 1)])
def test_a_float_mask_has_a_gradient(shape):
    mask = draw(*shape, seed=3)
    found = F.scaled_dot_product_attention(Q, K, V, mask)
    wanted = attention(*(t.detach().numpy() for t in (Q, K, V, mask)))
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-14)
    gradcheck(lambda m: (F.scaled_dot_product_attention(Q.detach(), K.detach(), V.detach(), m)
                         ** 2).sum(), [mask])


def test_where_a_mask_hides_all_its_gradient_is_zero():
    mask = etude.full((4, 6), -math.inf, dtype=etude.float64, requires_grad=True)
    F.scaled_dot_product_attention(Q, K, V, mask).sum().backward()
    assert not mask.grad.numpy().any()


def test_heads_of_keys_may_serve_several_of_queries():
    few_k, few_v = draw(2, 1, 6, 5, seed=1), draw(2, 1, 6, 2, seed=2)
    found = F.scaled_dot_product_attention(Q, few_k, few_v, enable_gqa=True)
    wanted = F.scaled_dot_product_attention(Q, few_k, few_v)
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-13)
    with pytest.raises(ShapeError, match="enable_gqa=True needs heads, axis -3, that divide"):
        F.scaled_dot_product_attention(Q, draw(2, 2, 6, 5), draw(2, 2, 6, 2), enable_gqa=True)


def test_dropped_weights_keep_the_mean():
    etude.manual_seed(0)
    q, k, v = etude.zeros(1, 1, 2), etude.zeros(1, 4000, 2), etude.ones(1, 4000, 1)
    found = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).item()
    assert found == pytest.approx(1, abs=0.06)
    assert found != 1


def test_one_hot_counts_the_classes_itself():
    assert F.one_hot(etude.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(input=etude.tensor(1), num_classes=2).tolist() == [0, 1]
    with pytest.raises(ShapeError, match="one_hot: no class is given, so give num_classes"):
        F.one_hot(etude.zeros(0, dtype=etude.int64))


def test_what_embedding_has_not_is_refused_by_name():
    table = etude.ones(3, 2)
    for setting in ({"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}):
        with pytest.raises(TypeError, match=f"embedding: {next(iter(setting))}=.* is not in Etude"):
            F.embedding(etude.tensor([0]), table, **setting)
    assert F.embedding(etude.tensor([0]), table, sparse=False).shape == (1, 2)


@pytest.mark.parametrize(("shape", "axis"), [((5, 3), 0), ((5, 2, 3), 0), ((4, 5, 3), 1)])
@pytest.mark.parametrize("p", [0.3, 0.0])
def test_a_part_of_a_batch_has_the_dropout_of_the_whole(shape, axis, p):
    x = etude.tensor(np.random.default_rng(0).normal(size=shape))
    whole = dropped(x, p, Generator(7), axis)
    assert whole.tolist() == OPS["dropout"](x, etude.tensor([7, 0]), p=p).tolist()
    for first, end in ((0, 2), (2, 5), (1, 4), (3, 3)):
        place = (slice(None),) * axis + (slice(first, end),)
        mine = x.detach()[place].clone().requires_grad_()
        token = PART.set(Part(first, end - first, 5))
        try:
            y = dropped(mine, p, Generator(7), axis)
        finally:
            PART.reset(token)
        assert y.tolist() == whole[place].tolist()
        y.sum().backward()
        assert np.allclose((mine.grad * mine.detach()).numpy(), y.detach().numpy(), rtol=1e-15)


def test_dropout_in_a_part_wants_a_row_for_each_sample_and_other_noise_is_refused():
    token = PART.set(Part(0, 2, 4))
    try:
        with pytest.raises(etude.ShapeError, match=r"of 2 samples: x has the shape \[3, 4\]"):
            F.dropout(etude.zeros(3, 4), 0.5)
        for draw in (etude.rand, etude.randn):
            with pytest.raises(RuntimeError, match="each would draw the same numbers"):
                draw(2)
    finally:
        PART.reset(token)
