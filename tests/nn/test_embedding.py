"""Embedding: the row that only fills up, and a weight from elsewhere."""

import numpy as np
import pytest

import etude
from etude import nn


@pytest.mark.parametrize("row", [1, -4])
def test_the_row_that_fills_up_starts_at_zero_and_gets_no_gradient(row):
    etude.manual_seed(0)
    layer = nn.Embedding(5, 3, padding_idx=row)
    assert layer.padding_idx == 1
    weight = layer.weight.detach().numpy()
    assert not weight[1].any()
    assert weight[[0, 2, 3, 4]].all()
    x = etude.tensor([[1, 0], [1, 2]])
    y = layer(x)
    assert np.array_equal(y.detach(), weight[x.numpy()])
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[1] * 3, [0] * 3, [1] * 3, [0] * 3, [0] * 3]
    assert repr(layer) == "Embedding(5, 3, padding_idx=1)"


def test_a_weight_from_elsewhere_is_frozen_unless_it_is_to_be_trained():
    rows = etude.tensor(np.arange(6.0).reshape(3, 2))
    frozen = nn.Embedding.from_pretrained(rows)
    assert frozen(etude.tensor([2, 0])).tolist() == [[4, 5], [0, 1]]
    assert not frozen.weight.requires_grad
    assert list(frozen.state_dict()) == ["weight"]
    trained = nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=-1)
    trained(etude.tensor([2, 0])).sum().backward()
    assert trained.weight.grad.tolist() == [[1, 1], [0, 0], [0, 0]]
    with pytest.raises(ValueError, match=r"the weight must be \(V, D\), got \[2\]"):
        nn.Embedding.from_pretrained(etude.zeros(2))


@pytest.mark.parametrize("row", [3, -4, 1.0, True])
def test_a_row_that_is_not_there_is_refused(row):
    with pytest.raises(IndexError, match="padding_idx must be one of the rows 0 to 2, or counted"):
        nn.Embedding(3, 2, padding_idx=row)
