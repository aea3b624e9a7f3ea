"""Rows by number: every dtype, every axis, repeats, and indices that do not fit."""

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal, rng


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_index_select_along_any_axis(ops, dtype):
    x = (5 * normal(4, 5, 6)).astype(dtype)
    for dim in (0, 1, 2, -1):
        index = rng(dim + 1).integers(0, x.shape[dim], 17)
        hold(ops, "index_select", x, index, dim=dim)
        hold(ops, "index_select", x.transpose(1, 2, 0), index % 4, dim=dim)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("count", "rows", "cols"), [
    (1, 1, 1), (40, 3, 7), (5000, 65, 128), (20, 30_000, 3), (3000, 2, 1), (9000, 2, 5)])
def test_embedding_and_its_gradient(ops, threads, dtype, count, rows, cols):
    index = rng(count).integers(0, rows, (count, 2))
    hold(ops, "embedding", index, normal(rows, cols, dtype=dtype))
    grad = normal(count, 2, cols, dtype=dtype)
    for n in (1, 3):
        threads(n)
        hold(ops, "embedding_backward", grad, index, num_embeddings=rows, terms=count)


@pytest.mark.parametrize("wrong", [-1, 10, 2**40])
def test_an_index_out_of_range_is_worded_by_the_reference(ops, wrong):
    index, weight = np.zeros((3, 4), np.int64), normal(10, 5)
    index[1, 2] = wrong
    for name, arrays, attrs in (
        ("embedding", (index, weight), {}),
        ("embedding_backward", (normal(3, 4, 5), index), {"num_embeddings": 10}),
        ("index_select", (weight, index[1]), {"dim": 0}),
        ("one_hot", (index,), {"num_classes": 10}),
    ):
        with pytest.raises(IndexError, match=f"{name}: index {wrong} is outside"):
            ops[name](*arrays, **attrs)


def test_one_hot(ops):
    for classes in (1, 3, 17, 1000):
        hold(ops, "one_hot", rng(classes).integers(0, classes, (5, 80)), num_classes=classes)
