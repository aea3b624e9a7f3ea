"""Random numbers and optimiser steps."""

import numpy as np
import pytest
from cpu_cases import FLOATS, SIZES, hold, normal

from etude.core.table import TABLE

KEYS = ([0, 0], [1, 2], [-1, 5], [2**63 - 1, 2**40], [123456789, 7])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["rand", "randn"])
def test_bits_are_the_references_on_any_number_of_threads(ops, threads, dtype, key, name):
    key = np.array(key)
    for n in (*SIZES, 300_001):
        want = TABLE[name](key, shape=(n,), dtype=np.dtype(dtype))
        for count in (1, 2, 3):
            threads(count)
            got = ops[name](key, shape=(n,), dtype=np.dtype(dtype))
            assert got.tobytes() == want.tobytes(), f"{n} numbers, {count} threads"


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_drops_the_same_elements_as_the_reference(ops, threads, dtype):
    key = np.array([11, 3])
    for n in (*SIZES, 300_001):
        x = normal(n, dtype=dtype)
        for p in (0.0, 0.1, 0.5, 0.9):
            want = TABLE["dropout"](x, key, p=p)
            for count in (1, 2, 3):
                threads(count)
                np.testing.assert_array_equal(ops["dropout"](x, key, p=p), want)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_steps(ops, dtype, n):
    p, g, m = (normal(n, dtype=dtype, seed=s) for s in range(3))
    for hyper in ([0.1, 0.9, 0.01], [0.01, 0.0, 0.0]):
        hold(ops, "sgd_step", p, g, m, np.array(hyper))
    for hyper in ([1e-3, 0.9, 0.999, 1e-8, 0.01, 0.1, 0.001], [0.1, 0.8, 0.9, 1e-4, 0.0, 0.9, 0.9]):
        hold(ops, "adamw_step", p, g, m, np.abs(m), np.array(hyper))
        hold(ops, "adam_step", p, g, m, np.abs(m), np.array(hyper))
    for hyper in ([1e-2, 0.99, 1e-8, 0.0, 0.0], [0.1, 0.9, 1e-4, 0.01, 0.9]):
        hold(ops, "rmsprop_step", p, g, np.abs(m), m, np.array(hyper))
