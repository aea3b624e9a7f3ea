"""Reductions against exact sums and plain loops over every choice of axes."""

import decimal
import itertools
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, apart, near, sample

import etude
from etude import AxisError, ShapeError, ops


def by_loops(fn, x, dim, keepdim):
    """``fn`` of the list of elements that share an index outside ``dim``."""
    every = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = {d % x.ndim for d in every} if x.ndim else set()
    shape = [1 if i in dims else n for i, n in enumerate(x.shape)]
    lists = {at: [] for at in np.ndindex(*shape)}
    for at in np.ndindex(x.shape):
        lists[tuple(0 if i in dims else n for i, n in enumerate(at))].append(x[at].item())
    out = np.array([fn(v) for v in lists.values()]).reshape(shape)
    return out if keepdim else out.reshape([n for i, n in enumerate(x.shape) if i not in dims])


def _sum(v):
    return float(sum(map(Fraction, v)))


def _mean(v):
    return float(sum(map(Fraction, v)) / len(v))


def _first_largest(v):
    return next(i for i, a in enumerate(v) if not any(b > a for b in v))


CHOICES = [None, 0, 1, -1, (0,), (0, 2), (-1, -3), (0, 1, 2), ()]


def _samples(empty, *extra):
    def make(rng):
        found = [sample(apart(rng, (2, 3, 2)), dim=d, keepdim=k)
                 for d, k in itertools.product(CHOICES, (False, True))]
        found += [sample(apart(rng, s)) for s in ((), (1,), (5,), (9,), (3, 4))]
        found += [sample(np.zeros((0, 3)), dim=1), sample(np.zeros((3, 0, 2)), dim=(0, 2))]
        return found + (empty and [sample(np.zeros((0, 3)), dim=d) for d in (None, 0, -2)]) + [
            *extra]
    return make


def _argmax_samples(rng):
    return [sample(apart(rng, (2, 3, 2)), dim=d, keepdim=k)
            for d, k in itertools.product([None, 0, 1, -1], (False, True))] + [
        sample(apart(rng, s)) for s in ((), (1,), (5,), (9,))] + [
        sample(np.zeros((0, 3)), dim=1), sample(np.array([1.0, 3.0, 3.0, 2.0])),
        sample(np.array([[0, 5], [7, 5]]), dim=0), sample(np.array([False, True, True]))]


def _argmax(x, dim, keepdim, first=_first_largest):
    if dim is None and x.ndim:
        y = np.asarray(first(x.reshape(-1).tolist()))
        return y.reshape((1,) * x.ndim) if keepdim else y
    if not x.size:
        return np.zeros([n for i, n in enumerate(x.shape) if i != dim % x.ndim], int)
    return by_loops(first, x, dim, keepdim).astype(int)


def _size(x, dim, keepdim):
    return by_loops(lambda v: sum(map(abs, v)), x, dim, keepdim)


def _prod(v):
    y = Fraction(1)
    for a in v:
        y *= Fraction(a)
    return float(y)


def _var_of(correction):
    def var(v):
        v = [Fraction(a) for a in v]
        mean = sum(v) / len(v)
        return float(sum((a - mean) ** 2 for a in v) / (len(v) - correction))
    return var


def _var_samples(rng):
    return [sample(apart(rng, (2, 3, 2)), dim=d, keepdim=k, correction=c)
            for d, c in ((None, 1), (1, 1), ((0, 2), 1), (-1, 0), (0, 1))
            for k in (False, True)] + [sample(apart(rng, s)) for s in ((2,), (5,), (10,), (3, 4))]


def _lse(v):
    with decimal.localcontext(prec=40):
        total = sum(decimal.Decimal(a).exp() for a in v)
        return float(total.ln()) if total else -math.inf


def _prod_backwards(rng):
    found = []
    for s in _samples([])(rng):
        x, a = s.arrays[0], {"dim": None, "keepdim": False, **s.attrs}
        y = by_loops(_prod, x, **a)
        found.append(sample(np.asarray(rng.uniform(-1, 1, y.shape)), x, **a))
    zeros = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    return [*found, sample(np.array([1.0, 2.0]), zeros, dim=1, keepdim=False)]


def _prod_backward(grad, x, *, dim, keepdim):
    """Each element moved by one: the product is linear in it, so the change is the derivative."""
    dx = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        one, none = x.copy(), x.copy()
        one[at], none[at] = 1, 0
        slope = by_loops(_prod, one, dim, keepdim) - by_loops(_prod, none, dim, keepdim)
        dx[at] = (slope * grad).sum()
    return dx


def _first_smallest(v):
    return next(i for i, a in enumerate(v) if not any(b < a for b in v))


def _argmin(x, dim, keepdim):
    return _argmax(x, dim, keepdim, _first_smallest)


CASES = {
    "prod": Case(lambda rng: _samples(True)(rng) + [sample(np.array([[2, -3], [4, 5]]), dim=0)],
                 lambda x, dim, keepdim: by_loops(_prod, x, dim, keepdim).astype(x.dtype),
                 ulps=16, analytic=True),
    "prod_backward": Case(_prod_backwards, _prod_backward, ulps=32, scale=lambda g, x, **a: (
        np.abs(g).max(initial=1) * np.prod(np.maximum(np.abs(x), 1)))),
    "var": Case(_var_samples, lambda x, dim, keepdim, correction: by_loops(
        _var_of(correction), x, dim, keepdim), ulps=8, analytic=True),
    "logsumexp": Case(_samples([], sample(np.array([1e4, 1e4 - 1, 0.0]), smooth=False), sample(
        np.array([-math.inf, -math.inf]), smooth=False)),
        lambda x, dim, keepdim: by_loops(_lse, x, dim, keepdim), analytic=True,
        scale=lambda x, dim, keepdim: np.array(2.0)),
    "argmin": Case(_argmax_samples, _argmin),
    "sum": Case(_samples(True), lambda x, dim, keepdim: by_loops(_sum, x, dim, keepdim),
                scale=_size, analytic=True),
    "mean": Case(_samples([]), lambda x, dim, keepdim: by_loops(_mean, x, dim, keepdim),
                 scale=lambda x, dim, keepdim: by_loops(
                     lambda v: sum(map(abs, v)) / len(v), x, dim, keepdim), analytic=True),
    "amax": Case(_samples([], sample(np.array([2.0, 2.0, 1.0]), smooth=False)),
                 lambda x, dim, keepdim: by_loops(max, x, dim, keepdim), ulps=0),
    "amin": Case(_samples([], sample(np.array([2.0, 1.0, 1.0]), smooth=False)),
                 lambda x, dim, keepdim: by_loops(min, x, dim, keepdim), ulps=0),
    "argmax": Case(_argmax_samples, _argmax),
}


@given(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4), st.data())
def test_any_axes_of_any_shape(shape, data):
    ndim = len(shape)
    dims = data.draw(st.one_of(
        st.none(), st.lists(st.integers(0, ndim - 1), unique=True).map(tuple) if ndim else
        st.just(())))
    if dims is not None:
        dims = tuple(d - ndim * data.draw(st.booleans()) for d in dims)
    keepdim = data.draw(st.booleans())
    x = np.random.default_rng(0).permutation(math.prod(shape)).reshape(shape).astype(float)
    for name in ("sum", "mean", "amax"):
        y = getattr(ops, name)(x, dim=dims, keepdim=keepdim)
        near(y, CASES[name].oracle(x, dims, keepdim), 4, where=f"{name} over {dims}")
        t = etude.tensor(x, requires_grad=True)
        assert etude.gradcheck(lambda t, name=name: getattr(t, name)(dims, keepdim), [t])


def test_an_empty_sum_is_zero_and_other_reductions_have_no_value():
    assert ops.sum(np.zeros((0, 2)), dim=0).tolist() == [0, 0]
    assert ops.sum(np.zeros(0)) == 0
    for name in ("mean", "amax", "argmax"):
        with pytest.raises(ShapeError, match=rf"{name}: no value over an empty axis, got "
                                             rf"float64\[0, 2\] with dim=0"):
            getattr(ops, name)(np.zeros((0, 2)), dim=0)
        with pytest.raises(ShapeError, match=f"{name}: no value over an empty axis"):
            getattr(ops, name)(np.zeros((0, 2)))


def test_integers_are_summed_as_integers():
    y = ops.sum(np.array([2**62, -1, 2**62 - 1]))
    assert y.dtype == np.int64
    assert y == 2**63 - 2
    assert ops.amax(np.array([[3, 9], [4, 1]]), dim=1).tolist() == [9, 4]


def test_bools_are_counted():
    assert etude.tensor([True, True, False]).sum().tolist() == 2
    assert etude.tensor([True, False]).mean().tolist() == 0.5


def test_nan_is_the_largest():
    x = np.array([[1.0, math.nan, 5.0], [1.0, 2.0, 3.0]])
    near(ops.amax(x, dim=1), [math.nan, 3])
    assert ops.argmax(x, dim=1).tolist() == [1, 2]
    near(ops.sum(x, dim=1), [math.nan, 6])


def test_equal_largest_elements_share_the_gradient():
    x = etude.tensor([[2.0, 2.0, 1.0], [0.0, 3.0, 1.0]], requires_grad=True)
    (x.amax(1) * etude.tensor([6.0, 5.0])).sum().backward()
    assert x.grad.tolist() == [[3, 3, 0], [0, 5, 0]]


def test_argmax_counts_in_the_flattened_array_and_has_no_gradient():
    x = etude.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True)
    y = x.argmax()
    assert (y.item(), y.dtype, y.requires_grad) == (2, np.int64, False)


def test_large_float32_sums_do_not_drift():
    x = np.full(100_000, 0.1, np.float32)
    near(ops.sum(x), np.float64(np.float32(0.1)) * 100_000, 8)


@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_wrong_axes(name):
    x = etude.ones(2, 3)
    with pytest.raises(AxisError, match=rf"{name}: dim=2 is outside an array of 2 dimensions "
                                        rf"\(allowed: -2 to 1\)"):
        getattr(x, name)(2)
    with pytest.raises(AxisError, match=rf"{name}: dim=\(0, -2\) names the same dimension twice"):
        getattr(x, name)((0, -2))
    with pytest.raises(AxisError, match=f"{name}: dim must be an integer, got 0.5"):
        getattr(x, name)((0.5,))


def test_a_bool_is_no_axis():
    with pytest.raises(AxisError, match="sum: dim must be an integer, got True"):
        ops.sum(np.ones((5, 7)), dim=True)


def test_wrong_axes_of_argmax():
    with pytest.raises(AxisError, match="argmax: dim=-3 is outside an array of 2 dimensions"):
        etude.ones(2, 3).argmax(-3)
    with pytest.raises(AxisError, match="argmax: dim must be an integer"):
        ops.argmax(np.ones((2, 3)), dim=(0, 1))


@pytest.mark.parametrize("dim", [None, 0, (0, 1)])
def test_the_gradient_of_logsumexp_adds_up_to_one_however_large_x_is(dim):
    x = etude.full((4, 1), 1e8, requires_grad=True)
    x.logsumexp(dim).sum().backward()
    assert x.grad.tolist() == [[0.25]] * 4
    hidden = etude.full((3, 1), -math.inf, requires_grad=True)
    hidden.logsumexp(dim).sum().backward()
    assert hidden.grad.tolist() == [[0]] * 3


def test_a_variance_needs_more_elements_than_its_correction():
    with pytest.raises(ShapeError, match="var: 1 elements with correction=1 have no variance"):
        ops.var(np.ones((3, 1)), dim=1)
    assert ops.var(np.ones((3, 1)), dim=1, correction=0).tolist() == [0, 0, 0]


def test_an_empty_product_is_one():
    assert ops.prod(np.zeros(0)) == 1


ROWS = 1_000_000
TENTH = float(np.float32(0.1))  # a little more than 0.1


@pytest.mark.parametrize(("name", "attrs", "want"), [
    ("sum", {"dim": 0}, TENTH * ROWS), ("mean", {"dim": 0}, TENTH), ("cumsum", {"dim": 0}, None),
    ("logsumexp", {"dim": 0}, TENTH + math.log(ROWS)), ("softmax", {"dim": 0}, 1 / ROWS),
    ("log_softmax", {"dim": 0}, -math.log(ROWS)), ("var", {"dim": 0, "correction": 0}, 0.0)])
def test_a_million_float32_rows_do_not_drift(name, attrs, want):
    y = getattr(ops, name)(np.full((ROWS, 2), 0.1, np.float32), **attrs)
    assert y.dtype == np.float32
    if name == "cumsum":
        near(y, TENTH * np.arange(1, ROWS + 1)[:, None] + [0, 0], 1)
    else:
        near(y, np.full(y.shape, want), 2, scale=1e-9 if name == "var" else None)


def test_references_add_up_by_total_and_average_alone():
    folder = Path(ops.__file__).parent
    allowed = {"x.sum(dims, dtype=wide(x.dtype)", "counts.sum()"}  # total itself; bools
    found = [f"{file.name}: {line.strip()}" for file in sorted(folder.glob("*.py"))
             for line in file.read_text().splitlines()
             if re.search(r"(?<!\bF)\.(sum|mean)\(", line) and not any(a in line for a in allowed)]
    assert not found, f"NumPy's own sum drifts in float32 along most axes; take total: {found}"


def test_ones_do_not_stop_adding_up_at_two_to_the_24():
    x = np.broadcast_to(np.float32(1), (2**24 + 2**10, 2))
    assert ops.mean(x, dim=0).tolist() == [1, 1]


def test_gradients_that_are_sums_over_a_million_rows_do_not_drift():
    index = np.zeros(ROWS, np.int64)
    tenths = np.full((ROWS, 2), 0.1, np.float32)
    mean, rstd = np.zeros(ROWS, np.float32), np.ones(ROWS, np.float32)
    found = {
        "embedding": ops.embedding_backward(tenths, index, num_embeddings=1)[0],
        "scatter_add": ops.scatter_add(np.zeros((1, 2), np.float32), np.stack([index] * 2, 1),
                                       tenths, dim=0)[0],
        "layer_norm": ops.layer_norm_backward(tenths, tenths, None, mean, rstd,
                                              normalized_shape=(2,))[2],
        "batch_norm": ops.batch_norm_backward(tenths, tenths, None, mean[:2], rstd[:2])[2]}
    for name, y in found.items():
        near(y, [TENTH * ROWS] * 2, 1, where=name)
    _, means, variances = ops.batch_norm(tenths)
    near(means, [TENTH] * 2, 1)
    near(variances, [0, 0], 1, scale=1e-9)
