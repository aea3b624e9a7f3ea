"""Receipts add up; check_nan names the op that made the first NaN, and the user's line."""

import inspect
import math
import os

import numpy as np
import pytest

import etude
from etude import functional as F
from etude import ops
from etude.inspect.receipt import caller

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


def line():
    return inspect.currentframe().f_back.f_lineno


# ---------------------------------------------------------------------------- receipts


def test_calls_flops_and_bytes_are_those_of_the_ops():
    x, w = etude.ones(5, 3), etude.ones(4, 3)
    with etude.receipt() as r:
        for _ in range(3):
            F.linear(x, w)
        F.linear(etude.ones(7, 3), w)
        y = F.exp(x).T.reshape(15)
    rows = {row.op: row for row in r.rows(views=True)}
    assert set(rows) == {"linear", "exp", "permute", "reshape", "contiguous", "full"}
    linear = rows["linear"]
    assert linear.calls == 4
    assert linear.flops == 2 * 4 * 3 * (3 * 5 + 7)
    assert linear.bytes == 4 * (3 * (15 + 12 + 20) + (21 + 12 + 28))
    assert rows["exp"].flops == 15
    assert (rows["permute"].flops, rows["permute"].bytes) == (0, 0)
    assert all(row.seconds > 0 for row in rows.values())
    assert y.shape == (15,)


def test_views_are_left_out_unless_asked_for():
    x = etude.ones(2, 3)
    with etude.receipt() as r:
        x.reshape(6)
        x.exp()
    assert [row.op for row in r.rows()] == ["exp"]
    assert r.columns() == {"reference": 1}
    assert {row["op"] for row in r.json()} == {"reshape", "exp"}


def test_columns_and_refusals_appear():
    @etude.implements("softmax")
    def mine(x, *, dim=-1):
        if x.ndim > 1:
            raise etude.Unsupported("2-d")
        return ops.softmax(x, dim=dim)

    with etude.use(mine), etude.receipt() as r:
        F.softmax(etude.ones(3))
        F.softmax(etude.ones(3))
        F.softmax(etude.ones(2, 3))
        F.softmax(etude.ones(2, 3))
    assert r.columns() == {"mine": 2, "reference": 2}
    (row,) = r.fallbacks()
    assert (row.op, row.calls, row.declined) == ("softmax", 2, {"mine: 2-d": 2})
    assert "declined 2 times by mine: 2-d" in str(r)
    assert "softmax" in str(r)


def test_an_empty_receipt_prints():
    with etude.receipt() as r:
        pass
    assert r.rows() == []
    assert "GFLOP/s" in str(r)


# ---------------------------------------------------------------------------- check_nan


def test_it_names_the_op_the_inputs_the_column_and_the_line():
    x = etude.tensor([1.0, -4.0])
    with etude.check_nan():
        y = x * 1.0
        at = line() + 2
        with pytest.raises(FloatingPointError) as error:
            F.sqrt(y)
    assert str(error.value) == (
        f"sqrt (column reference) made the first NaN, at {__file__}:{at}. Its inputs had none: "
        f"x float32[2] from -4 to 1")


def test_it_names_the_column():
    @etude.implements("exp")
    def mine(x):
        return x * np.float32(math.nan)

    with etude.use(mine), etude.check_nan(), pytest.raises(
            FloatingPointError, match=r"exp \(column mine\) made the first NaN"):
        F.exp(etude.ones(2))


def test_a_nan_from_outside_is_nobodys_fault():
    x = etude.tensor([1.0, math.nan])
    with etude.check_nan():
        assert np.isnan(F.exp(x).numpy()).any()
        x.reshape(2, 1)
        F.where(etude.tensor([True, False]), math.nan, etude.ones(2))


def test_integers_and_bools_cannot_be_nan():
    with etude.check_nan():
        assert (etude.tensor([1, 2]) < 2).tolist() == [True, False]


def test_masks_are_described_among_the_inputs():
    mask = etude.tensor([True, False])
    big = etude.tensor([3e38, 3e38])
    with etude.check_nan(), pytest.raises(FloatingPointError, match=r"lerp .*weight float32\[2\]"):
        F.lerp(F.where(mask, big, big), big, etude.tensor([math.inf, 0.0]))


def test_in_backward_the_line_is_that_of_the_call_of_backward():
    x = etude.tensor([0.0], requires_grad=True)
    y = F.sqrt(x) * 0.0
    with etude.check_nan():
        at = line() + 2
        with pytest.raises(FloatingPointError) as error:
            y.backward()
    assert f"{__file__}:{at}" in str(error.value)
    assert str(error.value).startswith("div (column reference) made the first NaN")


def test_hidden_outputs_are_looked_at_and_nothing_is_after_the_block():
    @etude.implements("layer_norm")
    def mine(x, *rest, **attrs):
        y, mean, rstd = ops.layer_norm(x, *rest, **attrs)
        return y, mean, rstd * np.float32(math.nan)

    with etude.use(mine), etude.check_nan(), pytest.raises(FloatingPointError, match="layer_norm"):
        F.layer_norm(etude.ones(1, 2), 2)
    F.sqrt(etude.tensor([-1.0]))


def test_a_device_array_that_must_be_copied_to_be_looked_at_does_not_recurse():
    from etude.core.array import DeviceArray

    def upload(x):
        return DeviceArray(np.ascontiguousarray(x).reshape(-1).copy(), "moon", x.shape, x.dtype)

    def host(a):
        flat = a.buffer[a.offset:]
        return np.lib.stride_tricks.as_strided(flat, a.shape, [4 * s for s in a.strides])

    def column(op):
        return lambda *arrays, out=None, **attrs: upload(np.asarray(op.reference(
            *[host(a) if hasattr(a, "buffer") else a for a in arrays], **attrs), np.float32))

    moon = etude.Backend("moonshine", "moon", {n: column(etude.TABLE[n]) for n in
                                               ("contiguous", "exp", "sqrt")},
                         upload=upload, download=lambda a: host(a).copy())
    with etude.use(moon), etude.check_nan():
        x = etude.tensor([[1.0, math.nan], [2.0, -3.0]]).to("moon")
        F.exp(x.T)
        y = etude.tensor([[1.0, -1.0]]).to("moon").T
        with pytest.raises(FloatingPointError, match=r"sqrt \(column moonshine\) made the first "
                                                     r"NaN"):
            F.sqrt(y)


def test_the_users_line_is_found_also_beside_the_package(tmp_path):
    """A folder whose name begins like the package's is still the user's."""
    package = os.path.dirname(etude.__file__)
    namespace = {"caller": caller}
    exec(compile("at = caller()", package + "_course/lesson.py", "exec"), namespace)
    assert namespace["at"] == f"{package}_course/lesson.py:1"
