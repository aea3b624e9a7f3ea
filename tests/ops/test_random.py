"""rand and dropout against a Philox written out in Python integers, and its published vectors."""

import math

import numpy as np
import pytest
from op_cases import Case, near, sample

import etude
from etude import functional as F
from etude import ops
from etude.core.random import Generator

MASK = 2**64 - 1
MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def philox(key, counter):
    """Philox 4x64-10: Salmon et al. 2011, section 3.3."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(MULTIPLIERS[0] * a, 2**64)
        high1, low1 = divmod(MULTIPLIERS[1] * c, 2**64)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return a, b, c, d


def stream(key, n):
    """The first n words of NumPy's stream, whose counter starts at 1."""
    key = [int(k) & MASK for k in key]
    found = []
    for block in range((n + 3) // 4):
        found.extend(philox(key, (block + 1, 0, 0, 0)))
    return found[:n]


def _uniform32(key, n):
    halves = [h for w in stream(key, (n + 1) // 2) for h in (w & 0xFFFFFFFF, w >> 32)]
    return [(h >> 8) / 2**24 for h in halves[:n]]


def _rand(key, *, shape, dtype):
    n = math.prod(shape)
    if np.dtype(dtype) == np.float32:
        return np.array(_uniform32(key, n), np.float32).reshape(shape)
    return np.array([(w >> 11) / 2**53 for w in stream(key, n)]).reshape(shape)


def _randn(key, *, shape, dtype):
    """Box-Muller with Python's own functions, each rounded once to float32."""
    n, z = math.prod(shape), []
    number = np.dtype(dtype).type
    for w in stream(key, (n + 1) // 2):
        radius = np.float32(math.sqrt(-2 * math.log((((w & 0xFFFFFFFF) >> 8) + 1) / 2**24)))
        angle = 2 * math.pi * ((w >> 40) / 2**24)
        z += [number(radius) * number(np.float32(f(angle))) for f in (math.cos, math.sin)]
    return np.array(z[:n], dtype).reshape(shape)


def _dropout(x, key, *, p):
    y = np.empty(x.shape)
    drawn = _uniform32(key, x.size)
    for i, at in enumerate(np.ndindex(x.shape)):
        y[at] = x[at] / (1 - p) if drawn[i] >= np.float32(p) else 0
    return y


KEYS = [np.array(k) for k in ((0, 0), (1, 0), (0, 1), (-1, 7), (2**63 - 1, 2**40))]
DRAWS = [((5,), "float32"), ((9,), "float32"), ((2, 3), "float64"), ((), "float32"),
         ((0, 2), "float64")]

CASES = {
    "rand": Case(lambda rng: [sample(k, shape=s, dtype=np.dtype(d)) for k in KEYS
                              for s, d in DRAWS], _rand, ulps=0),
    "randn": Case(lambda rng: [sample(k, shape=s, dtype=np.dtype(d)) for k in KEYS
                               for s, d in DRAWS], _randn, ulps=0),
    "dropout": Case(lambda rng: [sample(rng.uniform(0.5, 1, s), k, p=p)
                                 for k, s in zip(KEYS, ((7,), (15,), (2, 3), (), (0, 3)))
                                 for p in (0.0, 0.3, 0.5)], _dropout, ulps=2, analytic=True),
}


@pytest.mark.parametrize(("counter", "key", "words"), [
    ((0, 0, 0, 0), (0, 0), (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B,
                            0x7E68B68AEC7BA23B)),
    ((MASK,) * 4, (MASK,) * 2, (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6,
                                0xA09CAEBF594F0BA0)),
])
def test_the_philox_of_this_file_gives_the_published_vectors(counter, key, words):
    """Known answers of the Random123 library, philox4x64, 10 rounds."""
    assert philox(key, counter) == words


def test_a_longer_draw_begins_with_the_shorter_one():
    key = np.array([3, 4])
    long = ops.rand(key, shape=(1001,))
    for n in (1, 2, 3, 7, 8, 9, 1000):
        assert ops.rand(key, shape=(n,)).tobytes() == long[:n].tobytes()
    assert ops.rand(key, shape=(7, 143)).ravel().tobytes() == long.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_uniform_in_zero_to_one(dtype):
    u = ops.rand(np.array([1, 2]), shape=(100_000,), dtype=dtype)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, 100, (0, 1))[0]
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert 60 < chi2 < 150  # 99 degrees of freedom; a seed is fixed, so this cannot flicker
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01


def test_dropout_drops_a_share_scales_the_rest_and_goes_back_the_same_way():
    x = etude.ones(100_000, requires_grad=True)
    y = F.dropout(x, 0.3, generator=Generator(5))
    kept = y.detach().numpy() != 0
    assert abs(kept.mean() - 0.7) < 0.01
    near(y.detach().numpy()[kept], np.full(kept.sum(), 1 / 0.7), 2)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.detach().numpy())


def test_the_same_elements_are_dropped_for_every_dtype_and_layout():
    key = np.array([1, 2])
    wide = ops.dropout(np.ones((30, 20)), key, p=0.5)
    assert np.array_equal(ops.dropout(np.ones((30, 20), np.float32), key, p=0.5), wide)
    assert np.array_equal(ops.dropout(np.ones((20, 30)).T, key, p=0.5), wide)


def test_an_element_drawn_exactly_at_the_share_is_kept():
    key = np.array([1, 2])
    u = ops.rand(key, shape=(8,))
    assert ops.dropout(np.ones(8), key, p=float(u[3]))[3] != 0
    assert (ops.dropout(np.ones(8), key, p=float(u[3])) == 0).sum() == (u < u[3]).sum()


def test_dropout_is_off_outside_training_and_at_zero():
    x = etude.ones(5)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0) is x


def test_a_share_of_one_drops_everything():
    assert F.dropout(etude.ones(3), 1.0).tolist() == [0, 0, 0]


@pytest.mark.parametrize("p", [-0.1, 2.0, math.nan])
def test_a_share_outside_zero_to_one(p):
    for training in (True, False):
        with pytest.raises(ValueError, match=f"dropout: p is the share of elements dropped, "
                                             f"0 <= p <= 1, got {p}"):
            F.dropout(etude.ones(3), p, training)


def test_a_seed_fixes_the_run_and_every_call_draws_anew():
    etude.manual_seed(7)
    a, b = etude.rand(3, 4), etude.rand(3, 4)
    assert a.tolist() != b.tolist()
    etude.manual_seed(7)
    assert etude.rand(3, 4).tolist() == a.tolist()
    assert etude.rand((3, 4)).tolist() == b.tolist()
    etude.manual_seed(8)
    assert etude.rand(3, 4).tolist() != a.tolist()


def test_a_generator_is_two_integers():
    g = Generator(2**64 - 1)
    assert g.key().tolist() == [-1, 0]
    assert g.get_state() == {"seed": 2**64 - 1, "calls": 1}
    x = etude.rand(5, generator=g, dtype=etude.float64)
    assert x.dtype == np.float64
    h = Generator(0)
    h.set_state({"seed": 2**64 - 1, "calls": 1})
    assert etude.rand(5, generator=h, dtype=etude.float64).tolist() == x.tolist()
    child = h.spawn()
    assert etude.rand(5, generator=child).tolist() != etude.rand(5, generator=h).tolist()


@pytest.mark.parametrize("state", [
    {"seed": 1, "calls": -1}, {"seed": 1, "calls": 2**64}, {"seed": 1, "calls": 1.5},
    {"seed": -1, "calls": 0}, {"seed": 2**64, "calls": 0}, {"seed": None, "calls": 0}], ids=repr)
def test_a_state_that_no_generator_has_is_refused_and_nothing_changes(state):
    g = Generator(5)
    g.key()
    with pytest.raises(ValueError, match=r"must be|is an integer from 0"):
        g.set_state(state)
    assert g.get_state() == {"seed": 5, "calls": 1}


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "7"])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match=r"a seed is an integer from 0 to 2\^64 - 1, got"):
        etude.manual_seed(seed)


def test_keys_shapes_and_dtypes_that_do_not_fit():
    with pytest.raises(etude.ShapeError, match=r"rand: key must have shape \[2\]: "
                                               r"\(seed\+call\)"):
        ops.rand(np.array([1, 2, 3]), shape=(2,))
    with pytest.raises(etude.ShapeError, match="dropout: key must have shape"):
        ops.dropout(np.ones(3), np.array([1]), p=0.5)
    with pytest.raises(etude.DTypeError, match="rand: dtype must be one of float32, float64"):
        etude.rand(2, dtype=etude.int64)
    with pytest.raises(etude.ShapeError, match=r"rand: a shape is made of integers >= 0, got "
                                               r"\[-1\]"):
        etude.rand(-1)
