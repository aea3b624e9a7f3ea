"""Maps against 40-digit decimals and SciPy, and what they do at their limits."""

import decimal
import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from op_cases import SHAPES, Case, apart, away, elementwise, near, sample

import etude
from etude import functional as F
from etude import ops

D = decimal.Decimal
decimal.getcontext().prec = 40
PI = D("3.14159265358979323846264338327950288419717")


def _decimal(fn):
    return lambda *arrays, **_: elementwise(lambda *v: float(fn(*map(D, v))), *arrays)


def _tanh(x):
    if abs(x) < D("1e-12"):
        return x - x**3 / 3
    e = (-2 * abs(x)).exp()
    return ((1 - e) / (1 + e)).copy_sign(x)


def _sigmoid(x):
    return 1 / (1 + (-x).exp())


def _erf(x):
    """The Taylor series of Abramowitz and Stegun 7.1.5, in 80 digits; |x| < 10."""
    if abs(x) > 9:  # 1 - 1e-37
        return D(1).copy_sign(x)
    term, total, n = x, x, 0
    while abs(term) > D("1e-78"):
        n += 1
        term *= -x * x / n
        total += term / (2 * n + 1)
    return total * 2 / PI.sqrt()


def _uniform(low, high):
    return lambda rng: [sample(np.asarray(rng.uniform(low, high, s))) for s in SHAPES]


def _two(rng):
    return [sample(away(rng, s), rng.uniform(-0.9, 0.9, s)) for s in SHAPES]


def _kinked(rng):
    return [sample(apart(rng, s)) for s in SHAPES] + [
        sample(np.array([0.0, -0.0, 1.0, -1.0]), smooth=False)]


def _both(kind):
    return lambda rng: [sample(*s.arrays, approximate=a) for s in kind(rng)
                        for a in ("none", "tanh")]


CUBE, SCALE = D("0.044715"), (2 / PI).sqrt()


def _gelu(x, *, approximate):
    if approximate == "tanh":
        return elementwise(lambda v: float(
            D(v) / 2 * (1 + _tanh(SCALE * (D(v) + CUBE * D(v) ** 3)))), x)
    return x * scipy.special.ndtr(x)


def _gelu_backward(grad, x, *, approximate):
    if approximate == "tanh":
        def slope(v):
            t = _tanh(SCALE * (v + CUBE * v**3))
            return (1 + t) / 2 + v / 2 * (1 - t * t) * SCALE * (1 + 3 * CUBE * v * v)
        return elementwise(lambda g, v: float(D(g) * slope(D(v))), grad, x)
    return grad * (scipy.special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi))


def _sin(x):
    """The Taylor series, in 40 digits; |x| < 4."""
    term, total, n = x, x, 1
    while abs(term) > D("1e-39"):
        term *= -x * x / ((n + 1) * (n + 2))
        total += term
        n += 2
    return total


CASES = {
    "abs": Case(_kinked, _decimal(abs), ulps=0),
    "sign": Case(_kinked, _decimal(lambda x: (x > 0) - (x < 0)), ulps=0),
    "rsqrt": Case(_uniform(0.1, 5), _decimal(lambda x: 1 / x.sqrt()), ulps=2, analytic=True),
    "reciprocal": Case(_uniform(0.1, 5), _decimal(lambda x: 1 / x), ulps=1, analytic=True),
    "square": Case(_uniform(-3, 3), _decimal(lambda x: x * x), ulps=1, analytic=True),
    "expm1": Case(lambda rng: _uniform(-3, 3)(rng) + _uniform(-1e-6, 1e-6)(rng),
                  _decimal(lambda x: x.exp() - 1), analytic=True),
    "log1p": Case(lambda rng: _uniform(-0.9, 3)(rng) + _uniform(1e-7, 1e-6)(rng),
                  _decimal(lambda x: (1 + x).ln()), analytic=True),
    "sin": Case(_uniform(-3, 3), _decimal(_sin), analytic=True, scale=lambda x: 0.1 + 0 * x),
    "cos": Case(_uniform(-3, 3), _decimal(lambda x: _sin(PI / 2 - x)), analytic=True,
                scale=lambda x: 0.1 + 0 * x),
    "neg": Case(_uniform(-3, 3), _decimal(lambda x: -x), ulps=0, analytic=True),
    "exp": Case(_uniform(-3, 3), _decimal(lambda x: x.exp()), analytic=True),
    "log": Case(_uniform(0.1, 5), _decimal(lambda x: x.ln()), analytic=True),
    "sqrt": Case(_uniform(0.1, 5), _decimal(lambda x: x.sqrt()), ulps=1, analytic=True),
    "tanh": Case(_uniform(-3, 3), _decimal(_tanh), analytic=True),
    "tanh_backward": Case(_two, _decimal(lambda g, y: g * (1 - y * y)), analytic=True,
                          scale=lambda g, y: np.abs(g)),
    "sigmoid": Case(_uniform(-3, 3), _decimal(_sigmoid), analytic=True),
    "sigmoid_backward": Case(_two, _decimal(lambda g, y: g * y * (1 - y)), analytic=True),
    "relu": Case(_kinked, _decimal(lambda x: x if x > 0 else D(0)), ulps=0),
    "relu_backward": Case(
        lambda rng: [sample(away(rng, s), apart(rng, s)) for s in SHAPES] + [
            sample(np.array([3.0, -3.0, 3.0]), np.array([0.0, -0.0, 1.0]), smooth=False)],
        _decimal(lambda g, y: g if y > 0 else D(0)), ulps=0),
    "erf": Case(_uniform(-3, 3), _decimal(_erf), ulps=2, analytic=True),
    "gelu": Case(_both(_uniform(-3, 3)), _gelu, analytic=True,
                 scale=lambda x, **_: np.abs(x)),
    "gelu_backward": Case(_both(_two), _gelu_backward, ulps=8,
                          scale=lambda g, x, **_: np.abs(g) * (1 + np.abs(x))),
}


@pytest.mark.parametrize(("op", "x", "y"), [
    ("neg", math.inf, -math.inf), ("neg", math.nan, math.nan),
    ("rsqrt", 0, math.inf), ("rsqrt", -1, math.nan), ("reciprocal", 0, math.inf),
    ("expm1", -math.inf, -1), ("expm1", 1000, math.inf), ("log1p", -1, -math.inf),
    ("log1p", -2, math.nan), ("sin", math.inf, math.nan), ("cos", 0, 1),
    ("sign", math.nan, math.nan), ("abs", -math.inf, math.inf),
    ("exp", math.inf, math.inf), ("exp", -math.inf, 0), ("exp", 1000, math.inf),
    ("exp", math.nan, math.nan), ("exp", 0, 1),
    ("log", 0, -math.inf), ("log", -1, math.nan), ("log", math.inf, math.inf),
    ("log", 1, 0), ("log", math.nan, math.nan),
    ("sqrt", 0, 0), ("sqrt", -1, math.nan), ("sqrt", math.inf, math.inf),
    ("tanh", math.inf, 1), ("tanh", -math.inf, -1), ("tanh", 1000, 1), ("tanh", math.nan, math.nan),
    ("sigmoid", math.inf, 1), ("sigmoid", -math.inf, 0), ("sigmoid", 1000, 1),
    ("sigmoid", -1000, 0), ("sigmoid", 0, 0.5), ("sigmoid", math.nan, math.nan),
    ("relu", math.inf, math.inf), ("relu", -math.inf, 0), ("relu", math.nan, math.nan),
    ("erf", math.inf, 1), ("erf", -math.inf, -1), ("erf", 30, 1), ("erf", math.nan, math.nan),
    ("gelu", math.inf, math.inf), ("gelu", 40, 40), ("gelu", -40, 0), ("gelu", math.nan, math.nan),
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(op, x, y, dtype):
    near(getattr(ops, op)(np.array([x], dtype)), np.array([y]), 2, where=f"{op}({x})")


@pytest.mark.parametrize("op", ["exp", "log", "sqrt", "tanh", "sigmoid", "erf"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elementary_functions_over_all_magnitudes(op, dtype):
    """Inputs drawn evenly over exponents, subnormal numbers included."""
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    top = 5.0 if op == "erf" else float(np.log(info.max)) * 1.02
    x = np.exp(rng.uniform(np.log(info.smallest_subnormal), np.log(top), 200))
    x = (x if op in ("log", "sqrt") else x * rng.choice([-1, 1], 200)).astype(dtype)
    want = CASES[op].oracle(x.astype(np.float64))
    near(getattr(ops, op)(x), want, 4, where=op)


def test_erf_is_within_two_units_in_the_last_place_everywhere():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 7, 300), 1 + rng.uniform(-0.1, 0.1, 200), [1.0, 30.0, 1e300],
                        np.nextafter(1, [0, 2]), 2.0 ** rng.uniform(-60, 1, 100)])
    with decimal.localcontext(prec=80):
        want = [_erf(D(v)) for v in x.tolist()]
        for sign in (1, -1):
            off = [abs(sign * D(v) - w) for v, w in zip(ops.erf(sign * x).tolist(), want)]
            ulps = [float(d) / np.spacing(float(w)) for d, w in zip(off, want)]
            assert max(ulps) <= 2


def test_gelu_keeps_its_digits_far_below_zero():
    x = -np.array([0.5, 1.0, 2.0, 4.0, 6.0, 8.0])
    with decimal.localcontext(prec=80):
        want = np.array([float(D(v) * (1 + _erf(D(v) / D(2).sqrt())) / 2) for v in x.tolist()])
    near(ops.gelu(x), want, 64)
    near(ops.gelu(x.astype(np.float32)), want, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tanh_form_of_gelu_keeps_its_digits_far_below_zero(backend, dtype):
    """x p and p + x p (1 - p) z', with p = 1 / (1 + e^-z), z = sqrt(8/pi) (x + 0.044715 x^3)."""
    x = etude.tensor(-np.array([0.5, 1.0, 2.0, 4.0, 6.0, 8.0], dtype), requires_grad=True)
    with etude.use(backend):
        y = F.gelu(x, approximate="tanh")
        y.sum().backward()
    root, cube = (8 / PI).sqrt(), D("0.044715")
    want, slope = [], []
    for v in map(D, x.tolist()):
        p = 1 / (1 + (-root * (v + cube * v**3)).exp())
        want.append(float(v * p))
        slope.append(float(p + v * p * (1 - p) * root * (1 + 3 * cube * v * v)))
    # e^-z has the error of z, which is 50 at the end
    near(y.detach().numpy(), want, 64)
    near(x.grad.numpy(), slope, 128)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu_of_the_largest_numbers_has_a_slope(backend, approximate, dtype):
    most = np.finfo(dtype).max / 8
    x = etude.tensor(np.array([most, most / 1e6, 1e19, 61, -61, -1e19, -most], dtype),
                     requires_grad=True)
    with etude.use(backend):
        y = F.gelu(x, approximate=approximate)
        y.sum().backward()
    tiny = np.finfo(np.float32).tiny
    assert y.tolist()[:4] == x.tolist()[:4]
    assert x.grad.tolist()[:4] == [1, 1, 1, 1]
    assert max(map(abs, y.tolist()[4:] + x.grad.tolist()[4:])) < tiny


def test_and_the_tanh_form_a_second_one():
    x = etude.tensor([1e38, 61, -61, -1e38], requires_grad=True)
    (first,) = etude.grad(F.gelu(x, approximate="tanh").sum(), x, create_graph=True)
    (second,) = etude.grad(first.sum(), x)
    assert (first.tolist(), second.tolist()) == ([1, 1, 0, 0], [0, 0, 0, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_expm1_is_e_to_the_x_however_far_below_0(backend, dtype):
    x = etude.tensor(np.array([-80.0, -40.0, -20.0, -1.0, 0.0, 3.0], dtype), requires_grad=True)
    with etude.use(backend):
        (first,) = etude.grad(F.expm1(x).sum(), x, create_graph=True)
        (second,) = etude.grad(first.sum(), x)
    want = np.exp(x.detach().numpy().astype(float))
    near(first.detach().numpy(), want, 4)
    near(second.numpy(), want, 4)


def test_erf_reaches_one_without_passing_it():
    x = np.linspace(3, 8, 2001)
    y = ops.erf(x)
    near(y, scipy.special.erf(x), 4)
    assert y.max() <= 1


@pytest.mark.parametrize("op", ["neg", "relu"])
def test_integers_stay_integers(op):
    y = getattr(ops, op)(np.array([-2, 0, 3]))
    assert y.dtype == np.int64
    assert y.tolist() == ([2, 0, -3] if op == "neg" else [0, 0, 3])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_keeps_the_sign_of_zero(dtype):
    x = np.array([-0.0, 0.0, -1.0, -0.0] * 40, dtype)
    assert np.array_equal(np.signbit(ops.relu(x)), [True, False, False, True] * 40)


def test_at_the_kink_the_slope_of_relu_is_zero():
    x = etude.tensor([-1.0, 0.0, -0.0, 1.0], requires_grad=True)
    F.relu(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 1]


def test_sigmoid_keeps_its_small_values():
    near(ops.sigmoid(np.array([-50.0, -700.0])), [math.exp(-50), math.exp(-700)], 4)


@given(st.floats(-20, 20))
def test_sigmoid_and_tanh_are_one_function(x):
    x = np.array(x)
    near(2 * ops.sigmoid(2 * x) - 1, ops.tanh(x), 4, 1)
    near(ops.sigmoid(x) + ops.sigmoid(-x), np.array(1.0), 2)


def test_the_two_forms_of_gelu_are_near_each_other_but_not_the_same():
    x = np.linspace(-4, 4, 101)
    apart = np.abs(ops.gelu(x) - ops.gelu(x, approximate="tanh"))
    assert 1e-5 < apart.max() < 1e-3


def test_gelu_has_a_third_derivative():
    """phi(x) (x^3 - 4x), with phi the normal density: differentiate x Phi(x) three times."""
    x = etude.tensor(np.linspace(-2, 2, 9), requires_grad=True)
    y = F.gelu(x)
    for _ in range(3):
        (y,) = etude.grad(y.sum(), x, create_graph=True)
    v = x.detach().numpy()
    near(y.detach().numpy(), np.exp(-v * v / 2) / np.sqrt(2 * np.pi) * (v**3 - 4 * v), 100, 1)


def test_an_unknown_form_of_gelu_is_refused():
    with pytest.raises(ValueError, match="gelu: approximate must be one of 'none', 'tanh', got "
                                         "'fast'"):
        F.gelu(etude.ones(2), approximate="fast")
