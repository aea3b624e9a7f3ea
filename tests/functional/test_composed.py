"""Functions made of other ops, against NumPy, plain Python, and differences."""

import itertools
import math

import numpy as np
import pytest

import etude
from etude import ShapeError, gradcheck
from etude import functional as F


def draw(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


# ------------------------------------------------------------------ shapes


def test_pieces_and_slices():
    x = etude.arange(7)
    assert [p.tolist() for p in F.chunk(x, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [p.tolist() for p in x.chunk(chunks=9)] == [[i] for i in range(7)]
    assert [p.shape for p in etude.zeros(0, 2).chunk(2)] == [(0, 2), (0, 2)]
    table = etude.tensor([[1, 2], [3, 4]])
    assert [row.tolist() for row in table.unbind()] == [[1, 2], [3, 4]]
    assert [row.tolist() for row in F.unbind(table, dim=-1)] == [[1, 3], [2, 4]]


def test_axes_of_one_element_go_and_come():
    x = etude.zeros(1, 2, 1, 3)
    assert x.squeeze().shape == F.squeeze(x, ()).shape[1:2] + (3,) == (2, 3)
    assert x.squeeze((0, 1)).shape == (2, 1, 3)
    assert F.unsqueeze(x, -1).shape == (1, 2, 1, 3, 1)
    assert F.flatten(x, start_dim=1).shape == (1, 6)
    assert F.transpose(x, 1, -1).shape == (1, 3, 1, 2)


# ------------------------------------------------------------------ extremes, order


@pytest.mark.parametrize(("name", "of"), [("max", np.max), ("min", np.min)])
def test_extremes_in_each_of_their_forms(name, of):
    fn, x, y = getattr(F, name), draw(3, 4), draw(3, 4, seed=1)
    assert fn(x).item() == of(x.detach().numpy())
    found = fn(x, dim=1)
    assert np.array_equal(found.values.detach().numpy(), of(x.detach().numpy(), 1))
    assert fn(x, 1, keepdim=True).indices.shape == (3, 1)
    pairs = of([x.detach().numpy(), y.detach().numpy()], 0)
    for both in (fn(x, y), fn(x, other=y), getattr(x, name)(y)):
        assert np.array_equal(both.detach().numpy(), pairs)


def test_along_an_axis_the_first_of_those_that_tie_gets_the_gradient():
    x = etude.tensor([[2.0, 5.0, 5.0]], requires_grad=True)
    x.max(dim=1).values.sum().backward()
    assert x.grad.tolist() == [[0, 1, 0]]
    x.grad = None
    x.max().backward()
    assert x.grad.tolist() == [[0, 0.5, 0.5]]


def test_nan_is_an_extreme():
    x = etude.tensor([[1.0, math.nan, 3.0]])
    for fn in (F.max, F.min):
        assert math.isnan(fn(x).item())
        assert fn(x, 1).indices.tolist() == [1]


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_stable_and_nan_is_largest(descending):
    x = [2.0, math.nan, 1.0, 2.0, -math.inf]
    found = F.sort(etude.tensor(x), descending=descending)
    key = (lambda i: (not math.isnan(x[i]), -x[i])) if descending else (
        lambda i: (math.isnan(x[i]), x[i]))
    wanted = sorted(range(5), key=key)
    assert found.indices.tolist() == F.argsort(etude.tensor(x), 0, descending).tolist() == wanted
    assert str(found.values.tolist()) == str([x[i] for i in wanted])


def test_a_sorted_value_has_the_gradient_of_its_place():
    x = etude.tensor([[3.0, 1.0], [2.0, 4.0]], requires_grad=True)
    (F.sort(x, dim=0).values * etude.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert x.grad.tolist() == [[3, 2], [1, 4]]


def test_a_mask_is_filled():
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = x.masked_fill(etude.tensor([True, False]), -math.inf)
    assert y.tolist() == [-math.inf, 2]
    y[1].backward()
    assert x.grad.tolist() == [0, 1]
    assert F.masked_fill(x, x > 1, etude.tensor(9.0)).tolist() == [1, 9]
    with pytest.raises(ShapeError, match=r"masked_fill: value is one number, got \[2\]"):
        F.masked_fill(x, x > 1, etude.ones(2))


# ------------------------------------------------------------------ norms


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, math.inf, -math.inf, "fro", None])
@pytest.mark.parametrize("dim", [None, 0, (0, 1)])
def test_norms(p, dim):
    x = draw(3, 4)
    a = np.abs(x.detach().numpy())
    axis = dim if dim is not None else (0, 1)
    q = 2 if p in ("fro", None) else p
    wanted = {0: lambda: (a != 0).sum(axis), math.inf: lambda: a.max(axis),
              -math.inf: lambda: a.min(axis)}.get(q, lambda: (a**q).sum(axis) ** (1 / q))()
    np.testing.assert_allclose(F.norm(x, p, dim).detach().numpy(), wanted, rtol=1e-14)
    if p != 0:
        gradcheck(lambda t: F.norm(t, p, dim).sum(), [x])


def test_at_zero_a_norm_and_a_deviation_have_the_gradient_zero():
    for fn in (F.norm, F.std, lambda t: F.norm(t, 3)):
        x = etude.zeros(3, requires_grad=True)
        fn(x).backward()
        assert x.grad.tolist() == [0, 0, 0]


def test_what_is_no_norm_is_refused():
    with pytest.raises(ValueError, match="norm: p must be a number, inf, -inf or 'fro', got 'nuc'"):
        F.norm(etude.ones(2, 2), "nuc")


# ------------------------------------------------------------------ products


EQUATIONS = ["ij,jk->ik", "ij,jk", "ij,ij->", "ii", "ii->i", "ij->ji", "i,j->ij", "ij,kj,k->i",
             "bij,bjk->bik", "...ij,jk->...ik", "i...,i->...", "abc,cd,db->a", "ij->", "ji",
             "iij,j->i", "ij,jk,kl->il", "b...,b...->..."]
SIZES = dict(zip("abcdijkl", itertools.cycle((2, 3, 4)), strict=False)) | {"i": 3, "j": 3}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_that_of_numpy(equation):
    shapes = []
    for term in equation.partition("->")[0].split(","):
        head, dots, tail = term.partition("...")
        middle = (2, 3) if dots else ()
        shapes.append((*(SIZES[c] for c in head), *middle, *(SIZES[c] for c in tail)))
    operands = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    found = F.einsum(equation, *operands)
    arrays = [x.detach().numpy() for x in operands]
    np.testing.assert_allclose(found.detach().numpy(), np.einsum(equation, *arrays), atol=1e-13)
    gradcheck(lambda *xs: F.einsum(equation, list(xs)).sum(), operands)


def test_sizes_of_one_stretch_where_dots_stand():
    x, y = draw(2, 1, 3), draw(4, 3, seed=1)
    wanted = np.einsum("...i,...i->...", x.detach().numpy(), y.detach().numpy())
    found = F.einsum("...i,...i->...", x, y)
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-14)


@pytest.mark.parametrize(("equation", "shapes", "error", "words"), [
    ("ij,jk->ik", [(2, 3)], ValueError, "is for 2 operands, got 1"),
    ("ij->ij", [(2, 3, 4)], ShapeError, r"'ij' of .* does not name the axes of \[2, 3, 4\]"),
    ("ij,jk->ik", [(2, 3), (4, 5)], ShapeError, "einsum: 'j' is 3 and 4"),
    ("ii->i", [(2, 3)], ShapeError, "'i' is 2 and 3 in one operand"),
    ("ij->k", [(2, 3)], ValueError, "must have letters of the operands, each once"),
    ("i1->i", [(2, 3)], ValueError, "cannot read 'i1'"),
])
def test_einsum_refuses_what_it_cannot_read(equation, shapes, error, words):
    with pytest.raises(error, match=words):
        F.einsum(equation, *(draw(*shape) for shape in shapes))


def test_every_product_of_two_vectors():
    assert F.outer(etude.tensor([1.0, 2.0]), etude.tensor([3.0, 4.0])).tolist() == [[3, 4], [6, 8]]
    with pytest.raises(ShapeError, match=r"outer: takes two vectors, got \[2, 2\] and \[2\]"):
        F.outer(etude.ones(2, 2), etude.ones(2))
