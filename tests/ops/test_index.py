"""Rows by number, one-hot and topk against plain loops and sorted lists."""

import math

import numpy as np
import pytest
from op_cases import Case, apart, sample

import etude
from etude import ShapeError, ops
from etude import functional as F


def _index_select(x, index, *, dim):
    d = dim % x.ndim
    y = np.empty((*x.shape[:d], len(index), *x.shape[d + 1:]), x.dtype)
    for at in np.ndindex(y.shape):
        y[at] = x[(*at[:d], int(index[at[d]]), *at[d + 1:])]
    return y


def _embedding(index, weight, *, padding_idx):
    y = np.empty((*index.shape, weight.shape[1]))
    for at in np.ndindex(y.shape):
        y[at] = weight[int(index[at[:-1]]), at[-1]]
    return y


def _embedding_backward(grad, index, *, num_embeddings, padding_idx):
    dweight = np.zeros((num_embeddings, grad.shape[-1]))
    for at in np.ndindex(grad.shape):
        if index[at[:-1]] != padding_idx:
            dweight[int(index[at[:-1]]), at[-1]] += grad[at]
    return dweight


def _one_hot(index, *, num_classes):
    y = np.zeros((*index.shape, num_classes), int)
    for at in np.ndindex(index.shape):
        y[(*at, int(index[at]))] = 1
    return y


def _topk(x, *, k, dim, largest):
    """Every line along ``dim``, sorted by value and then by place."""
    moved = np.moveaxis(x, dim, -1)
    y = np.empty((*moved.shape[:-1], k), x.dtype)
    index = np.empty(y.shape, int)
    for at in np.ndindex(moved.shape[:-1]):
        order = {True: lambda p: (not math.isnan(p[1]), -p[1], p[0]),
                 False: lambda p: (math.isnan(p[1]), p[1], p[0])}[largest]
        line = sorted(enumerate(moved[at].tolist()), key=order)[:k]
        index[at] = [i for i, _ in line]
        y[at] = [v for _, v in line]
    return np.moveaxis(y, -1, dim), np.moveaxis(index, -1, dim)


INDICES = [np.array([2, 0, 2]), np.array([1, 1, 1, 1]), np.array([2, 0, 2, 0, 1, 1]),
           np.array([], int)]

CASES = {
    "index_select": Case(
        lambda rng: [sample(rng.uniform(-1, 1, s), i, dim=d) for i in INDICES
                     for s, d in (((3,), 0), ((3, 2), 0), ((2, 3), 1), ((2, 3, 2), -2))],
        _index_select, ulps=0, analytic=True),
    "embedding": Case(
        lambda rng: [sample(i, rng.uniform(-1, 1, (3, 2))) for i in (
            *INDICES, np.array(1), np.array([[0, 2], [2, 2]]))], _embedding, ulps=0,
        analytic=True),
    "embedding_backward": Case(
        lambda rng: [sample(rng.uniform(-1, 1, (*i.shape, 2)), i, num_embeddings=4, padding_idx=p)
                     for i in (*INDICES, np.array(1), np.array([[0, 2], [2, 2]]))
                     for p in (None, 0, 2)],
        _embedding_backward, ulps=8, scale=lambda grad, index, **_: np.array(4.0)),
    "one_hot": Case(
        lambda rng: [sample(i, num_classes=n) for n in (3, 5)
                     for i in (*INDICES, np.array(1), np.array([[0, 2], [2, 2]]))], _one_hot),
    "topk": Case(
        lambda rng: [sample(apart(rng, s), k=k, dim=d) for s, d in (
            ((5,), 0), ((9,), -1), ((2, 4), 1), ((4, 2), 0), ((2, 4, 2), 1)) for k in (1, 2, 4)] + [
            sample(apart(rng, (3, 4)), k=2, largest=False), sample(np.array([2, 7, 2]), k=2,
                                                                   largest=False),
            sample(np.array([1.0, math.nan, 3.0, 1.0]), k=4, largest=False, smooth=False),
            sample(np.array([1.0, 3.0, math.nan, 3.0]), k=3, smooth=False),
            sample(np.array([2, 7, 7, 1]), k=2), sample(np.zeros((0, 3)), k=2),
            sample(np.ones(3), k=0, smooth=False)], _topk, ulps=0),
}


def test_a_number_outside_the_rows_is_named():
    table = etude.ones(3, 2)
    for call in (lambda i: F.embedding(i, table), lambda i: F.index_select(table, 0, i)):
        for wrong in (3, -1):
            with pytest.raises(IndexError, match=rf"index {wrong} is outside .*which has size 3 "
                                                 r"\(allowed: 0 to 2\)"):
                call(etude.tensor([0, wrong]))
    with pytest.raises(IndexError, match="one_hot: index 5 is outside the classes"):
        F.one_hot(etude.tensor([5]), 5)


def test_topk_asked_for_more_than_there_is():
    with pytest.raises(ShapeError, match="topk: k=4 must be an integer from 0 to 3, "):
        F.topk(etude.ones(2, 3), 4)
    for wrong in (-1, 0.5, True):
        with pytest.raises(ShapeError, match=f"topk: k must be an integer >= 0, got {wrong}"):
            F.topk(etude.ones(2, 3), wrong)


def test_no_gradient_flows_into_the_row_of_padding():
    for row, wanted in ((None, [2, 0, 1]), (0, [0, 0, 1]), (-1, [2, 0, 0])):
        table = etude.ones(3, 1, requires_grad=True)
        F.embedding(etude.tensor([0, 2, 0]), table, row).sum().backward()
        assert table.grad.reshape(-1).tolist() == wanted
    for wrong in (3, -4, 0.5):
        with pytest.raises(IndexError, match=r"padding_idx=.* is no row of weight, which has 3 "
                                             r"\(allowed: 0 to 2, or None\)"):
            F.embedding(etude.tensor([0]), etude.ones(3, 1), wrong)


def test_topk_returns_values_with_a_gradient_and_places_without():
    x = etude.tensor([1.0, 5.0, 3.0], requires_grad=True)
    values, places = F.topk(x, 2)
    assert places.tolist() == [1, 2]
    values.sum().backward()
    assert x.grad.tolist() == [0, 1, 1]
    assert not places.requires_grad


def test_a_tensor_of_numbers_indexes_rows():
    x = etude.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    y = x[etude.tensor([[2, 0], [2, 2]])]
    assert y.shape == (2, 2, 2)
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0], [3, 3]]
    assert ops.index_select(np.eye(2), np.array([1]), dim=0).tolist() == [[0, 1]]
    with pytest.raises(TypeError, match=r"got a bool tensor\. .*no shape may depend on values"):
        x[x > 2]
