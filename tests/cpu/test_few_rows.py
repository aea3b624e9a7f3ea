"""Products of few rows: B is read where it lies, in rows or in columns (c_src/cpu/few_rows.h)."""

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal

ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13)
COLUMNS = (1, 3, 4, 5, 15, 16, 17, 64, 66, 131)
DEPTHS = (1, 3, 4, 18, 35, 128, 131)


def matrices(m, n, k, columns, dtype):
    """A m x k and B k x n, whose columns are contiguous if ``columns``, else its rows."""
    a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype, seed=1)
    return a, np.ascontiguousarray(b.T).T if columns else b


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [False, True], ids=["B in rows", "B in columns"])
@pytest.mark.parametrize("m", ROWS)
def test_widths_and_depths_that_fill_no_tile_are_right(ops, m, columns, dtype):
    for n in COLUMNS:
        for k in DEPTHS:
            a, b = matrices(m, n, k, columns, dtype)
            hold(ops, "matmul", a, b, terms=k)
            hold(ops, "linear", a, b.T, normal(n, dtype=dtype, seed=2), terms=k)


@pytest.mark.parametrize("columns", [False, True], ids=["B in rows", "B in columns"])
@pytest.mark.parametrize("m", [1, 2, 5, 8])
def test_any_number_of_threads_gives_the_same_bits(ops, threads, m, columns):
    a, b = matrices(m, 1035, 517, columns, "float32")
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(ops["matmul"](a, b).tobytes())
    assert len(set(results)) == 1


def test_an_element_is_the_same_wherever_its_column_stands(ops):
    """Its sums do not depend on how wide the tile is that makes it."""
    for columns in (False, True):
        a, b = matrices(3, 150, 200, columns, "float32")
        whole = ops["matmul"](a, b)
        for first, last in ((0, 100), (17, 150), (70, 103)):
            part = b[:, first:last]
            np.testing.assert_array_equal(ops["matmul"](a, part), whole[:, first:last])


@pytest.mark.parametrize("columns", [False, True], ids=["B in rows", "B in columns"])
def test_rows_that_lie_apart_and_stacks_of_products(ops, columns):
    a, b = matrices(6, 40, 70, columns, "float32")
    hold(ops, "matmul", a[::2], b, terms=70)
    hold(ops, "matmul", np.asfortranarray(a), b, terms=70)
    stack = np.stack([b, 2 * b, 3 * b])
    stack = np.ascontiguousarray(stack.swapaxes(1, 2)).swapaxes(1, 2) if columns else stack
    hold(ops, "matmul", np.stack([a, a + 1, a - 1]), stack, terms=70)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("columns", [False, True], ids=["B in rows", "B in columns"])
def test_what_is_no_number_stays_in_its_row_and_its_column(ops, columns, bad):
    a, b = matrices(4, 37, 150, columns, "float32")
    a, b = np.abs(a) + 1, np.abs(b) + 1
    a[1, 149] = b[3, 36] = bad
    hold(ops, "matmul", a, b.copy(order="F") if columns else b, terms=150)
