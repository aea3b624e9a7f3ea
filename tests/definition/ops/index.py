"""Rows by number. Copies keep the sign of a zero; sums are exact; of equal elements topk takes the
one with the lower index first, -0 being equal to 0, and a NaN is larger than any number.
"""

import numpy as np
from exact import definition
from lines import by_lines, last, total, wide
from places import at

from etude import TABLE
from etude_check.cases.spec import call


def _rows(draw):
    x = draw.rng.choice(draw.specials(), (7, 3)).astype(draw.dtype)
    yield call(x, draw.rng.integers(0, 7, 20), dim=0)
    yield call(x, draw.rng.integers(0, 3, 20), dim=-1)


@definition("index_select", calls=_rows)
def index_select(arrays, attrs, output, places):
    x, index = arrays
    d = attrs["dim"] % x.ndim
    return [at(x, (*p[:d], index[p[d]].item(), *p[d + 1 :])) for p in places]


def _words(draw):
    table = draw.rng.choice(draw.specials(), (7, 3)).astype(draw.dtype)
    yield call(draw.rng.integers(0, 7, (4, 5)), table)
    yield call(draw.rng.integers(0, 7, (4, 5)), table, padding_idx=2)


@definition("embedding", calls=_words)
def embedding(arrays, attrs, output, places):
    index, weight = arrays
    return [at(weight, (index[p[:-1]].item(), p[-1])) for p in places]


def _gradients(draw):
    index = draw.rng.integers(0, 5, (30,))
    for padding in (None, 3):
        for grad in (draw.magnitudes((30, 4)), draw.offset((30, 4)),
                     draw.rng.choice(draw.specials()[:-1], (30, 4)).astype(draw.dtype)):
            yield call(grad, index, num_embeddings=6, padding_idx=padding)
    if draw.whole:
        for n in (10**5, *([10**7] if draw.dtype == np.float32 else ())):
            yield call(np.full((n, 1), 0.1, draw.dtype), np.arange(n) % 2, num_embeddings=2)


def _gradient_scale(arrays, attrs, output):
    """One rounding at the end, and before that those of a sum in float64."""
    grad, index = arrays
    run = TABLE["embedding_backward"]
    size = run(np.abs(wide(grad)), index, **attrs)
    count = run(np.ones(grad.shape), index, **attrs)
    value = np.abs(run(wide(grad), index, **attrs))
    return 2 * value + last(grad.dtype) * count * size


@definition("embedding_backward", calls=_gradients, scale=_gradient_scale)
def embedding_backward(arrays, attrs, output, places):
    grad, index = arrays
    index, grad = index.ravel(), grad.reshape(index.size, grad.shape[-1])

    def value(place):
        row, column = place
        return 0 if row == attrs["padding_idx"] else total(grad[index == row, column].tolist())
    return [value(place) for place in places]


@definition("one_hot")
def one_hot(arrays, attrs, output, places):
    return [int(arrays[0][p[:-1]].item() == p[-1]) for p in places]


def _contests(draw):
    some = draw.specials()
    for x, dim in ((draw.rng.choice(some, (6, 9)).astype(draw.dtype), 1), (draw.magnitudes(
            (9, 6)), 0), (draw.among((0.0, -0.0, 1.0), (5, 8), (0, 1)), -1)):
        for largest in (True, False):
            for k in (0, 1, 4, x.shape[dim]):
                yield call(x, k=k, dim=dim, largest=largest)


@definition("topk", calls=_contests)
def topk(arrays, attrs, output, places):
    return by_lines(lambda x: _best(x, attrs["largest"], output), arrays, attrs["dim"],
                    places)


def _best(x, largest, output):
    def rank(i):
        v = (1, 0) if x[i] != x[i] else (0, x[i])
        return (-v[0], -v[1], i) if largest else (*v, i)
    order = sorted(range(len(x)), key=rank)
    return lambda j: order[j] if output else x[order[j]]
