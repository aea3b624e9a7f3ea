"""Logic against truth tables and Python's all and any."""

import itertools
import math

import numpy as np
import pytest
from op_cases import Case, elementwise, sample
from test_reduce import CHOICES, by_loops

import etude
from etude import DTypeError, ops

TABLE_OF_TWO = (np.array([False, False, True, True]), np.array([False, True, False, True]))


def _two(rng):
    return [sample(*TABLE_OF_TWO), sample(TABLE_OF_TWO[0][:, None], TABLE_OF_TWO[1]),
            sample(np.array([True]), np.array([True])), sample(np.array(True), np.array(False)),
            sample(np.zeros((0, 2), bool), np.array([True, False]))]


def _reductions(rng):
    x = rng.random((2, 3, 2)) < 0.5
    return [sample(x, dim=d, keepdim=k) for d, k in itertools.product(CHOICES, (False, True))] + [
        sample(np.array(True)), sample(np.zeros(3, bool)), sample(np.ones(5, bool)),
        sample(np.zeros((0, 3), bool), dim=0), sample(np.zeros(0, bool))]


def _reduced(fn):
    return lambda x, dim, keepdim: by_loops(fn, x, dim, keepdim).astype(bool)


CASES = {
    "logical_and": Case(_two, lambda x, y: elementwise(lambda a, b: a and b, x, y, dtype=bool)),
    "logical_or": Case(_two, lambda x, y: elementwise(lambda a, b: a or b, x, y, dtype=bool)),
    "logical_not": Case(lambda rng: [sample(a) for a in (*TABLE_OF_TWO, np.ones(9, bool),
                                                         np.zeros((0, 2), bool))],
                        lambda x: elementwise(lambda a: not a, x, dtype=bool)),
    "all": Case(_reductions, _reduced(all)),
    "any": Case(_reductions, _reduced(any)),
}


def test_the_ops_themselves_take_bools():
    with pytest.raises(DTypeError, match="logical_and: x must be bool, got float32"):
        ops.logical_and(np.ones(2, np.float32), np.ones(2, np.float32))
    with pytest.raises(DTypeError, match="all: x must be bool, got int64"):
        ops.all(np.array([1, 0]))


def test_of_numbers_those_hold_that_are_not_zero():
    x, y = etude.tensor([0.0, -0.0, 2.0, math.nan]), etude.tensor([3, 0, 0, 1])
    assert etude.logical_and(x, y).tolist() == [False, False, False, True]
    assert etude.logical_or(x, y).tolist() == [True, False, True, True]
    assert etude.logical_not(x).tolist() == [True, True, False, False]
    assert etude.logical_and(x, 1).tolist() == [False, False, True, True]
    table = etude.tensor([[0, 1], [2, 3]])
    assert table.all(dim=1).tolist() == [False, True]
    assert table.any(0, keepdim=True).tolist() == [[True, True]]
    assert (table.all().item(), table.any().item()) == (False, True)
