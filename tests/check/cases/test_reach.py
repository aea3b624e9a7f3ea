"""How far the cases of each op reach: what every kernel is asked at "full".

Each of these was once left out, and kernels that were wrong there alone passed.
"""

from functools import cache

import numpy as np
import pytest

from etude import TABLE
from etude_check.cases.case import cases
from etude_check.cases.spec import KINDS
from etude_check.specs import specs

HELD = [k for k in KINDS if k not in ("random", "errors", "threads", "adjoint")]

#: Ops without data of their own: what they make, and the key they make it from.
MAKERS = {"full", "rand", "randn"}
ELEMENTWISE = {"map", "map_bool", "binary", "compare", "equal", "select", "ternary", "cast", "loss"}
ALONG = {"reduce", "argreduce", "var", "prod_backward", "rows", "rows_backward", "scan"}
#: Layers of matrices and images, which have no arrays of one axis but their weights.
STRIDED = [op for op in specs() if TABLE[op].cls in ELEMENTWISE | ALONG]
OPS = [op for op in specs() if op not in MAKERS]


def _line(a, forward):
    return a.ndim == 1 and a.size > 100 and (
        a.strides[0] > a.itemsize if forward else a.strides[0] == -a.itemsize)


def _signalling(a):
    word, quiet = {4: (np.uint32, 1 << 22), 8: (np.uint64, 1 << 51)}[a.itemsize]
    bits = np.ascontiguousarray(a).view(word).reshape(a.shape)
    return (np.isnan(a) & (bits & word(quiet) == 0)).any()


def _found(array):
    """What one array of a call is an instance of."""
    a, sizes = array, array.shape
    yield "a whole axis", any(n % 128 == 0 for n in sizes)
    yield "a whole total", a.size % 128 == 0
    yield "512 rows", np.prod(sizes[:-1]) >= 512
    yield "a line with gaps", _line(a, True)
    yield "a line backwards", _line(a, False)
    yield "a middle axis", any(a.strides[d] == 0 and sizes[d] > 1 for d in range(1, a.ndim - 1))
    if a.dtype.kind == "f":
        size = np.abs(a[np.isfinite(a)])
        yield "float64 alone", a.dtype == np.float64 and (size > 1e90).any()
        yield "a signalling NaN", _signalling(a)


def _hidden(mask):
    """What of a mask lets no key be seen."""
    seen = np.atleast_2d(mask if mask.dtype == bool else mask > -np.inf)
    yield "a row masked out", not seen.any(-1).all()
    hidden = ~seen.any((-1, -2))  # beside others that are not
    yield "a sequence masked out", seen.shape[-2] > 1 and hidden.any() and not hidden.all()


@cache
def reach(op):
    """What is among the calls that are held against the oracle: words, and words by array."""
    seen = set()
    for kind in HELD:
        for case in cases(specs()[op], kind, "full"):
            arrays = {i: a for i, a in enumerate(case.call.arrays)
                      if isinstance(a, np.ndarray) and a.size}
            for i, a in arrays.items():
                for what, there in _found(a):
                    if there:
                        seen |= {what, (what, i)}
                if TABLE[op].arrays[min(i, len(TABLE[op].arrays) - 1)] == "attn_mask":
                    seen |= {what for what, there in _hidden(a) if there}
            if case.kind == "special" and any(
                    (a == 0).any() and not np.isfinite(b).all()
                    for i, a in arrays.items() for j, b in arrays.items() if i != j):
                seen.add("zeros beside infinities")
            if any(np.may_share_memory(a, b) for i, a in arrays.items()
                   for j, b in arrays.items() if i < j):
                seen.add("shared memory")
    return seen


@pytest.mark.parametrize("op", OPS)
def test_sizes_axes_and_totals_that_blocks_divide(op):
    assert {"a whole axis", "a whole total"} <= reach(op)


@pytest.mark.parametrize("op", [op for op in OPS if TABLE[op].cls != "view" and op not in (
    "prod_backward", "adaptive_avg_pool2d_backward")])  # one of them has no rows, one few of images
def test_rows_beyond_the_first_512(op):
    assert "512 rows" in reach(op)


@pytest.mark.parametrize("op", STRIDED)
def test_every_operand_as_a_line_with_gaps_and_backwards(op):
    operands = [i for i, name in enumerate(TABLE[op].arrays)
                if (name, op) != ("grad", "prod_backward")]  # over all axes grad has none
    for i in operands:
        assert {("a line with gaps", i), ("a line backwards", i)} <= reach(op)


@pytest.mark.parametrize("op", [op for op in STRIDED if op != "prod_backward"] + [
    "matmul", "conv2d", "layer_norm", "batch_norm", "scaled_dot_product_attention", "max_pool2d"])
def test_a_middle_axis_that_repeats(op):
    assert "a middle axis" in reach(op)


@pytest.mark.parametrize("op", [op for op in OPS if TABLE[op].cls in (
    "binary", "compare", "equal", "select", "loss", "ternary", "rows_backward", "matmul",
    "attention", "norm", "sgd", "adamw", "conv2d") and op != "pow"])
def test_operands_in_one_memory(op):
    assert "shared memory" in reach(op)


@pytest.mark.parametrize("op", [op for op in OPS if "float64" in specs()[op].dtypes
                                and op not in ("prod", "prod_backward")])
def test_float64_where_float32_has_ended(op):
    assert "float64 alone" in reach(op)


@pytest.mark.parametrize("op", [op for op in STRIDED if "float32" in specs()[op].dtypes
                                and TABLE[op].cls != "prod_backward" and op != "prod"])
def test_signalling_nans(op):
    assert "a signalling NaN" in reach(op)


@pytest.mark.parametrize("op", [op for op in OPS if TABLE[op].cls.startswith(("matmul", "conv2d"))])
def test_zeros_that_meet_infinities_in_sums_of_products(op):
    assert "zeros beside infinities" in reach(op)


@pytest.mark.parametrize("op", [op for op in OPS if "attn_mask" in TABLE[op].arrays])
def test_rows_and_sequences_that_are_masked_out(op):
    assert {"a row masked out", "a sequence masked out"} <= reach(op)
