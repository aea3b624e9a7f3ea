"""Logic against truth tables and Python's all and any."""

import itertools

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


def test_numbers_are_not_taken_for_truth_values():
    with pytest.raises(DTypeError, match="logical_and: x must be bool, got float32"):
        etude.logical_and(etude.ones(2), etude.ones(2))
    with pytest.raises(DTypeError, match="all: x must be bool, got int64"):
        ops.all(np.array([1, 0]))
