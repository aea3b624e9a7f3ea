"""Reductions: the elements that share a place of the result, as a list, and Python's arithmetic.

A sum over no elements is 0, a product 1; the other reductions have no value there. Integers add up
and multiply modulo 2^64. A NaN is the largest element and the smallest, wherever it stands; of
equal elements argmax and argmin take the first, and -0 equals 0. What a product loses on the way,
where the factors up to some place leave the range of float64, is lost.
"""

import math

import numpy as np
from exact import definition, wrapped
from lines import INF, LONG, NAN, few, finite, last, once, squares, total, variance_of, wide
from mpmath import mp, mpf

from etude import TABLE
from etude_check.cases.spec import call


def axes(x, dim):
    """The axes that are reduced, in order."""
    every = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return sorted({d % x.ndim for d in every}) if x.ndim else []


def group(x, attrs):
    """A place of the result -> the elements that it is made of, in C order, as a list."""
    dims = axes(x, attrs["dim"])

    def elements(place):
        index, kept = [], iter(place)
        for d in range(x.ndim):
            at = next(kept) if d not in dims or attrs["keepdim"] else None
            index.append(slice(None) if d in dims else at)
        return x[tuple(index)].ravel().tolist()
    return once(elements)


def reduction(op, formula, *, calls, scale=None):
    """Enter the definition of an op that makes each result from a list of elements."""
    @definition(op, calls=calls, scale=scale)
    def values(arrays, attrs, output, places):
        elements = group(arrays[0], attrs)
        return [formula(elements(place)) for place in places]


def drawn(draw):
    """(x, dim) over one axis, several and all, of numbers of every size."""
    for x in (draw.magnitudes((12, 9)), draw.offset((12, 9)), draw.floats((12, 9), -2, 3),
              draw.magnitudes((12, 9), -20, 20), tied(draw)):
        yield from ((x, 0), (x, 1), (x, None))
    cube = draw.magnitudes((4, 5, 6), -30, 60)
    yield from ((cube, d) for d in (0, 1, 2, (0, 2), (-1, -2), (0, 1, 2), ()))
    yield draw.magnitudes((300, 1), 100, 120), 0
    yield draw.magnitudes((1000,), -140, -120), None
    yield special_rows(draw), 1
    yield equal(draw, (2000, 2)), 0
    if draw.whole:
        yield from ((draw.offset((4000, 3), by, 1), 0) for by in (0, 100, 1e8, -1e4))
        yield draw.offset((3, 4000), 3, 1), 1
        for n in (10**5, 10**6):
            yield from ((equal(draw, shape), d) for shape, d in (((n,), 0), ((n, 3), 0),
                                                                 ((2, n, 2), 1)))


def long(draw):
    """10^7 elements in float32 along every axis, of a few kinds; with one long axis and several."""
    if not (draw.whole and draw.dtype == np.float32):
        return
    n = 10**7
    for shape, dim in (((n,), 0), ((n, 2), 0), ((1, n, 2), 1)):
        yield draw.offset(shape, 3, 1), dim
    for shape, dim in (((n, 2), 0), ((2, n), 1), ((3000, 2, 3000), (0, 2))):
        yield equal(draw, shape), dim
    yield draw.offset((n,), 0, 1), None


def equal(draw, shape):
    """One number throughout, which is no sum of few powers of two: errors of one sign."""
    return np.full(shape, 7 if draw.dtype.kind == "i" else 0.1, draw.dtype)


def tied(draw):
    if draw.dtype.kind in "bi":
        return draw.rng.integers(0, 2, (12, 9)).astype(draw.dtype)
    return draw.rng.choice([-1.0, -0.0, 0.0, 2.0], (12, 9)).astype(draw.dtype)


def special_rows(draw):
    """Rows with infinities, NaN, zeros and subnormal numbers, at different places."""
    some = draw.specials()
    rows = [draw.rng.permutation(some)[:5] for _ in range(40)]
    if draw.dtype.kind == "f":
        rows += [[-np.inf] * 5, [np.inf] * 5, [-0.0] * 5, [0.0, -0.0, 0, 0, 0], [np.nan] * 5,
                 [1, np.nan, np.inf, 0, 0], [np.inf, -np.inf, 0, 0, 0], [np.nan, -np.inf, 0, 0, 0]]
    return np.array(rows).astype(draw.dtype)


def _calls(*kinds, **attrs):
    def calls(draw):
        for kind in kinds:
            for i, (x, dim) in enumerate(kind(draw)):
                yield call(x, dim=dim, keepdim=i % 3 == 0, **attrs)
    return calls


# ------------------------------------------------------------------ sums


def _size(arrays, attrs):
    """(the number of elements of each result, the sum of their magnitudes)."""
    x, dims = arrays[0], tuple(axes(arrays[0], attrs["dim"]))
    size = np.abs(wide(x)).sum(dims, keepdims=attrs["keepdim"])
    return math.prod(x.shape[d] for d in dims), size


def _sum_scale(arrays, attrs, output):
    """One rounding at the end, and before that those of a sum in float64."""
    n, size = _size(arrays, attrs)
    x, dims = wide(arrays[0]), tuple(axes(arrays[0], attrs["dim"]))
    exact = np.abs(x.sum(dims, keepdims=attrs["keepdim"]))
    return 2 * exact + last(arrays[0].dtype) * n * size


def _sum(x):
    value = total(x)
    return wrapped(value) if isinstance(value, int) else value


def _mean_scale(arrays, attrs, output):
    n, _ = _size(arrays, attrs)
    return 1 / n * _sum_scale(arrays, attrs, output)


def _mean(x):
    return total(x) / len(x)


reduction("sum", _sum, calls=_calls(drawn, long), scale=_sum_scale)
reduction("mean", _mean, calls=_calls(drawn, long), scale=_mean_scale)


# ------------------------------------------------------------------ extremes


def _largest(x):
    return next((v for v in x if v != v), None) or plain(max(x))


def _smallest(x):
    return next((v for v in x if v != v), None) or plain(min(x))


def plain(v):
    """A zero of which the sign does not count."""
    return 0 if v == 0 else v


reduction("amax", _largest, calls=_calls(drawn))
reduction("amin", _smallest, calls=_calls(drawn))


def _first(best):
    def place(x):
        missing = [i for i, v in enumerate(x) if v != v]
        return missing[0] if missing else x.index(best(x))
    return place


def _one_axis(draw):
    return ((x, dim) for x, dim in drawn(draw) if dim is None or isinstance(dim, int))


reduction("argmax", _first(max), calls=_calls(_one_axis))
reduction("argmin", _first(min), calls=_calls(_one_axis))

# ------------------------------------------------------------------ products


def _prod_scale(arrays, attrs, output):
    """n factors are rounded n - 1 times, and the last time to the dtype."""
    x, dims = wide(arrays[0]), tuple(axes(arrays[0], attrs["dim"]))
    n = math.prod(x.shape[d] for d in dims)
    return np.abs(x.prod(dims, keepdims=attrs["keepdim"])) * (2 + last(arrays[0].dtype) * n)


def _prod(x):
    if x and isinstance(x[0], int):
        return wrapped(math.prod(x))
    return mp.fprod(x) if finite(x) else plain(float(math.prod(x)))


def _factors(draw):
    """Factors whose products stay in the range of float64 up to any place, but not in float32's."""
    for shape, dim in (((40, 4), 1), ((3, 40), 0), ((5, 2, 3, 6), (1, 2)), ((6,), None)):
        yield draw.magnitudes(shape, -140, 120), dim
    yield draw.magnitudes((3, 400), -1, 1), 1
    yield draw.floats((30, 9), -2, 2), 1
    yield draw.rng.choice(draw.among((-1.0, 0.0, 2.0), (9,), (3, -7, 0)), (40, 4)), 1
    some = (0, 1, -1, 2, -3) if draw.dtype.kind == "i" else (0, -0.0, 1, 2, -3, INF, -INF, NAN)
    yield draw.rng.choice(some, (60, 3)).astype(draw.dtype), 1
    if draw.whole and draw.dtype.kind == "f":
        near = 1 + draw.floats((10**5, 2), -1, 1) / draw.dtype.type(300)
        yield from ((near.astype(draw.dtype), 0), (near.T.copy().astype(draw.dtype), 1))


reduction("prod", _prod, calls=_calls(_factors), scale=_prod_scale)


def _spread(grad, x, attrs):
    """grad with its reduced axes kept, as size 1, and stretched over x."""
    dims = axes(x, attrs["dim"])
    shape = [1 if d in dims else n for d, n in enumerate(x.shape)]
    return np.broadcast_to(grad.reshape(shape), x.shape)


def _others_scale(arrays, attrs, output):
    grad, x = arrays
    n = math.prod(x.shape[d] for d in axes(x, attrs["dim"]))
    size = TABLE["prod_backward"](np.abs(wide(grad)), np.abs(wide(x)), **attrs)
    return size * (3 + last(x.dtype) * (n + 3))


def _others(draw):
    for i, (x, dim) in enumerate(_factors(draw)):
        if x.size <= 1300:
            dims, keepdim = axes(x, dim), i % 2 == 0
            shape = [1 if d in dims else n for d, n in enumerate(x.shape) if keepdim
                     or d not in dims]
            yield call(draw.floats(shape), x, dim=dim, keepdim=keepdim)


@definition("prod_backward", calls=_others, scale=_others_scale)
def _prod_backward(arrays, attrs, output, places):
    grad, x = arrays
    stretched, dims = _spread(grad, x, attrs), axes(x, attrs["dim"])
    sizes = [x.shape[d] for d in dims]
    elements = group(x, {**attrs, "keepdim": True})

    def value(place):
        line = elements(tuple(0 if d in dims else i for d, i in enumerate(place)))
        at = 0
        for n, d in zip(sizes, dims, strict=True):
            at = at * n + place[d]
        rest = _prod(line[:at] + line[at + 1 :])
        g = stretched[place].item()
        return g * rest if isinstance(rest, float) or not math.isfinite(g) else mpf(g) * rest
    return [value(place) for place in places]


# ------------------------------------------------------------------ var, logsumexp


def _var_scale(arrays, attrs, output):
    """Squares of differences from a mean that is off by D: D^2 more, and the squares' roundings.

    D = 2^-53 (n + 1) mean|x|: sums run in float64.
    """
    x, dims = wide(arrays[0]), tuple(axes(arrays[0], attrs["dim"]))
    n, u = math.prod(x.shape[d] for d in dims), 2.0**-53
    keep = {"keepdims": attrs["keepdim"]}
    share = n / (n - attrs["correction"])
    off = u * (n + 1) * np.abs(x).mean(dims, **keep)
    return share * (variance_of(x, dims, **keep) * (4 + last(arrays[0].dtype) * (n + 6))
                    + off * off * last(arrays[0].dtype) / u)


def _variances(draw):
    for x, dim in drawn(draw):
        wide_enough = math.prod(x.shape[d] for d in axes(x, dim)) > 2
        if wide_enough:
            yield x, dim
    level = draw.offset((9, 12), 0, 1)
    for by in (1e8, 1e8 + 1, 1e15, -3e7, 2.0**60):
        yield (wide(level) * max(1, by / 2**26) + by).astype(draw.dtype), 1
    yield equal(draw, (3, 5)), 1
    yield draw.magnitudes((6, 9), 55, 66), 1  # squares beyond float32, some of the means not
    yield draw.magnitudes((6, 9), -80, -60), 1


@definition("var", scale=_var_scale, calls=lambda draw: (
    c for correction in (1.0, 0.0, 1.5)
    for c in _calls(_variances, *([long] if correction == 1 else []), correction=correction)(draw)))
def _var(arrays, attrs, output, places):
    elements = group(arrays[0], attrs)

    def value(x):
        return squares(x)[1] / (len(x) - mpf(attrs["correction"])) if finite(x) else NAN
    return [value(elements(place)) for place in places]


def _logsumexp_scale(arrays, attrs, output):
    x, dims = wide(arrays[0]), tuple(axes(arrays[0], attrs["dim"]))
    top = x.max(dims, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    away = np.abs(x - top)
    e = np.exp(-away)
    away = np.where(np.isfinite(x), away, 0)
    keep = {"keepdims": attrs["keepdim"]}
    whole = e.sum(dims, **keep)
    mean = (e * away).sum(dims, **keep) / np.where(whole == 0, 1, whole)
    log = np.log(np.where(whole == 0, 1, whole))
    value = top.reshape(whole.shape) + log
    return 2 * np.abs(value) + 2 * np.abs(log) + mean + few(x.size // max(whole.size, 1)) + 8


def _logsumexp(x):
    if any(v != v for v in x):
        return NAN
    top = max(x)
    if not math.isfinite(top):
        return top
    if len(x) > LONG:
        return top + mp.log(math.fsum(math.exp(v - top) for v in x))
    return top + mp.log(mp.fsum(mp.exp(mpf(v) - top) for v in x if v != -INF))


def _exponents(draw):
    for x, dim in drawn(draw):
        yield x, dim
        if draw.dtype.kind == "f" and x.size < 500:
            yield np.where(draw.bools(x.shape), x, -np.inf).astype(draw.dtype), dim
    yield draw.floats((20, 9), -300, 300), 1
    yield np.full((3, 7), -np.inf, draw.dtype), 1


reduction("logsumexp", _logsumexp, calls=_calls(_exponents, long), scale=_logsumexp_scale)
