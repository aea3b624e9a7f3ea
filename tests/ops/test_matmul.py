"""Matrix products against exact fractions in triple loops; layouts, batches, empty sizes."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, near, sample

import etude
from etude import ShapeError, ops
from etude import functional as F


def _product(x, y, exact=True):
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = np.broadcast_to(x, (*batch, *x.shape[-2:]))
    y = np.broadcast_to(y, (*batch, *y.shape[-2:]))
    z = np.empty((*batch, x.shape[-2], y.shape[-1]))
    for at in np.ndindex(z.shape):
        b, i, j = at[:-2], at[-2], at[-1]
        pairs = [(x[(*b, i, k)].item(), y[(*b, k, j)].item()) for k in range(x.shape[-1])]
        z[at] = float(sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(0))) if exact \
            else math.fsum(abs(p * q) for p, q in pairs)
    return z


def _size(x, y):
    return _product(x, y, exact=False)


PAIRS = [((2, 3), (3, 4)), ((5, 3), (3, 4)), ((1, 1), (1, 1)), ((1, 7), (7, 1)), ((7, 1), (1, 7)),
         ((2, 2, 3), (2, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)),
         ((2, 1, 2, 3), (3, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)),
         ((0, 2, 3), (0, 3, 2))]


def _linear_samples(rng):
    def draw(x, n, k, bias):
        arrays = [rng.uniform(-1, 1, (*x, k)), rng.uniform(-1, 1, (n, k))]
        return sample(*arrays, *([rng.uniform(-1, 1, n)] if bias else []))
    found = [draw(x, 4, 3, bias) for x in ((2,), (5,), (), (2, 3), (0,), (2, 0)) for bias in (0, 1)]
    x, w = rng.uniform(-1, 1, (2, 3)), rng.uniform(-1, 1, (2, 3))
    return [*found, sample(x, w, None), draw((2,), 0, 3, True), draw((2,), 2, 0, True)]


def _linear(x, weight, bias=None):
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y = _product(rows, weight.T)
    if bias is not None:
        for at in np.ndindex(y.shape):
            y[at] += bias[at[1]]
    return y.reshape(*x.shape[:-1], len(weight))


CASES = {
    "matmul": Case(lambda rng: [sample(rng.uniform(-1, 1, a), rng.uniform(-1, 1, b))
                                for a, b in PAIRS], _product, scale=_size, analytic=True),
    "linear": Case(_linear_samples, _linear, analytic=True,
                   scale=lambda x, weight, bias=None: _linear(
                       np.abs(x), np.abs(weight), None if bias is None else np.abs(bias))),
}

SIZES = st.integers(0, 4)


@given(SIZES, SIZES, SIZES, hnp.mutually_broadcastable_shapes(
    num_shapes=2, max_dims=2, min_side=0, max_side=3))
def test_batches_broadcast_and_whole_numbers_are_exact(m, k, n, batches):
    rng = np.random.default_rng(0)
    a, b = batches.input_shapes
    x = rng.integers(-9, 9, (*a, m, k)).astype(np.float32)
    y = rng.integers(-9, 9, (*b, k, n)).astype(np.float32)
    z = ops.matmul(x, y)
    assert z.shape == (*batches.result_shape, m, n)
    assert np.array_equal(z, _product(x, y))


@pytest.mark.parametrize("flip", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_any_transposes(flip):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (3, 4)), rng.uniform(-1, 1, (4, 5))
    tx = etude.tensor(x.T if flip[0] else x)
    ty = etude.tensor(y.T if flip[1] else y)
    z = (tx.T if flip[0] else tx) @ (ty.T if flip[1] else ty)
    near(z.numpy(), _product(x, y), 8, 1)


def test_vectors_are_rows_on_the_left_and_columns_on_the_right():
    m = etude.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    v, w = etude.tensor([1.0, 10.0, 100.0]), etude.tensor([1.0, 10.0])
    assert (m @ v).tolist() == [321, 654]
    assert (w @ m).tolist() == [41, 52, 63]
    assert (v @ v).tolist() == 10101
    stack = etude.ones(4, 2, 3)
    assert (stack @ v).shape == (4, 2)
    assert (w @ stack).shape == (4, 3)


def test_arrays_and_lists_may_stand_on_either_side():
    m = etude.tensor([[1.0, 2.0], [3.0, 4.0]])
    for v in (np.array([1.0, 10.0]), [1.0, 10.0]):
        assert (m @ v).tolist() == [21, 43]
        assert (v @ m).tolist() == [31, 42]


def test_flops_count_a_multiplication_and_an_addition_each():
    assert ops.matmul.flops(np.ones((5, 2, 3)), np.ones((3, 4))) == 2 * 5 * 2 * 3 * 4
    assert ops.linear.flops(np.ones((5, 3)), np.ones((4, 3))) == 2 * 5 * 3 * 4
    x = np.ones((5, 3), np.float32)
    assert ops.linear.bytes(x, x, np.ones(5, np.float32)) == 4 * (15 + 15 + 5 + 25)


def test_linear_of_an_empty_batch_goes_backwards():
    for shape, n in (((0, 3), 2), ((2, 0, 3), 2), ((2, 3), 0)):
        for create_graph in (False, True):
            x = etude.zeros(*shape, requires_grad=True)
            w = etude.ones(n, 3, requires_grad=True)
            b = etude.ones(n, requires_grad=True)
            F.linear(x, w, b).sum().backward(create_graph=create_graph)
            assert not w.grad.detach().numpy().any()
            assert (x.grad.shape, w.grad.shape, b.grad.tolist()) == (shape, (n, 3), [0.0] * n)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: F.matmul(etude.ones(2, 3), etude.ones(2, 3)),
     r"matmul: y must be \(\.\.\., K, N\) with K = 3 from x float32\[2, 3\], got float32\[2, 3\]; "
     "transposed it would fit"),
    (lambda: etude.ones(2, 3) @ 2.0, r"matmul: y must be .* with K = 3 from x "
                                     r"float32\[2, 3\], got float32\[\]"),
    (lambda: F.matmul(etude.ones(2, 1, 1), etude.ones(3, 1, 1)), "matmul: shapes"),
    (lambda: F.linear(etude.ones(2, 3), etude.ones(3, 2)), r"linear: weight must be \(N, K\) with "
     r"K = 3 from x float32\[2, 3\], got float32\[3, 2\]; transposed it would fit"),
    (lambda: F.linear(etude.tensor(1.0), etude.ones(3, 2)), "linear: x must have"),
    (lambda: F.linear(etude.ones(2, 3), etude.ones(3)), "linear: weight must be"),
    (lambda: F.linear(etude.ones(2, 3), etude.ones(4, 3), etude.ones(3)), r"linear: bias must have "
     r"shape \[4\]: \(N\) with N = 4 from weight .*, got float32\[3\]"),
])
def test_shapes_that_do_not_fit(call, words):
    with pytest.raises(ShapeError, match=words):
        call()


@pytest.mark.parametrize("shapes", [((1, 200_000), (200_000, 2)), ((2, 1, 50_000), (50_000, 3))])
def test_a_long_sum_of_equal_terms_does_not_drift(shapes):
    x, y = (np.full(shape, value, np.float32) for shape, value in zip(shapes, (0.1, 0.3)))
    exact = shapes[1][0] * float(x.flat[0]) * float(y.flat[0])
    np.testing.assert_allclose(ops.matmul(x, y), exact, rtol=1e-4)
    np.testing.assert_allclose(ops.linear(x, y.T), exact, rtol=1e-4)


def test_the_gradient_of_a_kernel_that_meets_many_pixels_does_not_drift():
    grad, x = np.full((1, 1, 320, 318), 0.1, np.float32), np.full((1, 1, 320, 320), 0.1, np.float32)
    exact = grad.size * float(grad.flat[0]) * float(x.flat[0])
    dweight = ops.conv2d_weight(grad, x, kernel_size=(1, 3))
    np.testing.assert_allclose(dweight, exact, rtol=1e-4)
