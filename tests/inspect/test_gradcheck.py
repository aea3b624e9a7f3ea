"""gradcheck must catch wrong gradients; its differences against others, written apart."""

import numpy as np
import pytest

import etude
from etude import TABLE, DTypeError, float64, gradcheck
from etude import functional as F
from etude.core.dispatch import OPS
from etude.inspect.gradcheck import numeric_gradient


def leaf(values):
    return etude.tensor(np.asarray(values, float), requires_grad=True)


WRONG = {
    "zeros": lambda F, g, x: F.mul(g, 0.0),
    "the wrong sign": lambda F, g, x: F.neg(F.mul(g, F.mul(x, 2.0))),
    "a factor 1.001": lambda F, g, x: F.mul(g, F.mul(x, 2.002)),
    "a factor 1 + 1e-6": lambda F, g, x: F.mul(g, F.mul(x, 2 + 2e-6)),
    "a constant too much": lambda F, g, x: F.add(F.mul(g, F.mul(x, 2.0)), 1e-4),
    "the cotangent forgotten": lambda F, g, x: F.mul(x, 2.0),
    "the cotangent squared": lambda F, g, x: F.mul(F.mul(g, g), F.mul(x, 2.0)),
    "NaN": lambda F, g, x: F.mul(g, float("nan")),
    "one element": lambda F, g, x: F.mul(g, F.where(F.eq(x, 0.7), 1.41, F.mul(x, 2.0))),
    "nothing": lambda F, g, x: None,
    "summed": lambda F, g, x: F.expand(F.sum(F.mul(g, F.mul(x, 2.0)), keepdim=True), shape=x.shape),
}


@pytest.fixture
def squared():
    """An op y = x^2 whose gradient the test sets."""
    @etude.op("map", saves="x", flops=lambda x: x.size)
    def squared(x):
        """y = x^2, elementwise. x, y: any shape, float."""
        return x * x

    yield squared
    del TABLE["squared"]
    OPS.pop("squared", None)
    for table in etude.core.state.STATE.get().tables.values():
        table.pop("squared", None)


@pytest.mark.parametrize("mistake", WRONG)
def test_it_catches(mistake, squared):
    squared.gradient(lambda F, g, x, *, needs: WRONG[mistake](F, g, x))
    with pytest.raises(AssertionError, match=r"gradcheck: the gradient in inputs\[0\] is wrong at "
                                             r"\["):
        gradcheck(OPS["squared"], [leaf([0.7, -1.3, 2.0])])


def test_it_passes_the_right_one(squared):
    squared.gradient(lambda F, g, x, *, needs: F.mul(g, F.mul(x, 2.0)))
    assert gradcheck(OPS["squared"], [leaf([0.7, -1.3, 2.0])]) is True
    assert gradcheck(OPS["squared"], [leaf(3.0)]) is True


def test_a_softmax_whose_backward_returns_zeros_is_caught():
    """With a weighting of ones it would pass: the true gradient is then zero."""
    x = leaf([0.1, 0.5, -0.3])
    with pytest.raises(AssertionError, match=r"backward gives -?0, differences give"):
        gradcheck(lambda x: x * 0.0 + F.softmax(x).detach(), [x])
    assert gradcheck(F.softmax, [x])


def test_it_names_the_input_and_the_element():
    x, y = leaf([[1.0, 2.0]]), leaf([[3.0, 4.0]])
    with pytest.raises(AssertionError, match=r"the gradient in inputs\[1\] is wrong at \[0, 1\]: "
                                             r"backward gives .*, differences give"):
        gradcheck(lambda x, y: x * F.where(etude.tensor([[True, False]]), y, y.detach()), [x, y])


def test_it_checks_each_input_that_asks_and_no_other():
    x, c = leaf([1.0, 2.0]), etude.tensor([5.0, 6.0], dtype=float64)
    assert gradcheck(lambda x, c: x * c.detach(), [x, c])
    with pytest.raises(ValueError, match="gradcheck: no input requires a gradient, so there is "
                                         "nothing to check"):
        gradcheck(lambda c: c, [c])
    with pytest.raises(DTypeError, match=r"gradcheck: inputs\[0\] is float32; differences need "
                                         r"float64"):
        gradcheck(F.exp, [etude.ones(2, requires_grad=True)])


def test_its_differences_are_of_fourth_order():
    """Exact for polynomials up to degree four, and where not, the error falls with h^4."""
    x = leaf([0.5, -2.0, 3.0])
    one = etude.ones(3, dtype=float64)
    found = numeric_gradient(lambda x: x**4 - 3 * x**3, [x], one, 0)
    v = x.detach().numpy()
    assert np.allclose(found, 4 * v**3 - 9 * v**2, rtol=1e-10, atol=0)


def test_its_differences_agree_with_richardson_extrapolation():
    """A second road to the derivative: central differences extrapolated to a step of zero."""
    rng = np.random.default_rng(0)
    x0, w = rng.uniform(-1, 1, (2, 3)), rng.uniform(0.5, 1.5, (2, 3))

    def fn(x):
        return (x * 1.3).tanh().exp() * F.softmax(x, 1)

    found = numeric_gradient(fn, [leaf(x0)], etude.tensor(w), 0)
    for at in np.ndindex(x0.shape):
        table = []
        for k in range(4):
            h = 0.1 / 2**k
            ends = []
            for sign in (1, -1):
                moved = x0.copy()
                moved[at] += sign * h
                ends.append((fn(etude.tensor(moved)).numpy() * w).sum())
            table.append((ends[0] - ends[1]) / (2 * h))
        for order in range(1, 4):
            table = [(4**order * b - a) / (4**order - 1)
                     for a, b in zip(table, table[1:], strict=False)]
        assert found[at] == pytest.approx(table[0], rel=1e-7, abs=1e-8)


def test_it_leaves_its_inputs_alone():
    x = leaf([1.0, 2.0])
    gradcheck(lambda x: x.exp(), [x])
    assert x.tolist() == [1, 2]
    assert x.grad is None
