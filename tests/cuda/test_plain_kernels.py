"""The kernels of c_src/cuda/plain, which are read first, give what the reference gives."""

import sys
from pathlib import Path

import numpy as np
import pytest

from etude.core.table import TABLE

sys.path.insert(0, str(Path(__file__).parent))
from device_cases import There

PLAIN = Path(__file__).parents[2] / "c_src" / "cuda" / "plain"
GEOMETRY = ({}, {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}, {"groups": 2})


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def products():
    yield "matmul", (normal(2, 7, 5), normal(5, 9, seed=1))
    yield "matmul", (normal(5, 7).T, normal(9, 5, seed=1).T)
    yield "matmul", (normal(3, 0), normal(0, 4))
    yield "linear", (normal(4, 5), normal(3, 5, seed=1), normal(3, seed=2))


def rows():
    x = normal(5, 70)
    x[1, 3], x[2, 4], x[3] = np.nan, np.inf, -np.inf
    for op in ("softmax", "log_softmax"):
        yield op, (x,)
        yield f"{op}_backward", (normal(5, 70, seed=1), TABLE[op](normal(5, 70)))


def convolutions():
    for attrs in GEOMETRY:
        x, weight = normal(2, 4, 9, 8), normal(6, 4 // attrs.get("groups", 1), 3, 2, seed=1)
        grad = normal(*TABLE["conv2d"](x, weight, **attrs).shape, seed=2)
        yield "conv2d", (x, weight, normal(6, seed=3)), attrs
        yield "conv2d_input", (grad, weight), {**attrs, "input_size": (9, 8)}
        yield "conv2d_weight", (grad, x), {**attrs, "kernel_size": (3, 2)}


@pytest.mark.parametrize(("name", "calls"), [
    ("matmul", products), ("softmax", rows), ("conv2d", convolutions)])
def test_a_plain_file_is_right(lab_column, name, calls):
    from etude_cuda.column import open_source

    column = open_source(PLAIN / f"{name}.cu")
    asked = set()
    with np.errstate(invalid="ignore"):
        for op, arrays, *attrs in calls():
            given = attrs[0] if attrs else {}
            np.testing.assert_allclose(There(column).call(op, *arrays, **given),
                                       TABLE[op](*arrays, **given), rtol=2e-5, atol=2e-5,
                                       err_msg=op)
            asked.add(op)
    assert asked == set(column.ops)


def test_every_plain_file_is_asked_and_has_a_fast_counterpart():
    assert {f.stem for f in PLAIN.glob("*.cu")} == {"matmul", "softmax", "conv2d"}
    assert all((PLAIN.parent / f.name).exists() for f in PLAIN.glob("*.cu"))
