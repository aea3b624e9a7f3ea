"""How the cases of A1 are drawn. Views are made from a dense one by random steps, so that they
look like those that programs have. What is expected of them NumPy says, where it may be an error.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from etude_course.source.checks import Raises, cases, expected

BUFFER = np.arange(4096, dtype=np.int64)
MIDDLE = 2048  # where the buffer of a case begins, since strides may be negative


def numbers(rng, low, high, count):
    return tuple(int(n) for n in rng.integers(low, high + 1, count))


def dense(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)


def some_view(rng, axes):
    """A view of that many axes: dense, then permuted or cut or both."""
    shape = numbers(rng, 2, 4, axes)
    strides, start = dense(shape), int(rng.integers(0, 9))
    if rng.random() < 0.5:
        order = rng.permutation(axes)
        shape, strides = tuple(shape[i] for i in order), tuple(strides[i] for i in order)
    if rng.random() < 0.5:
        axis, step = int(rng.integers(axes)), int(rng.integers(2, 4))
        strides = strides[:axis] + (strides[axis] * step,) + strides[axis + 1:]
    return shape, strides, start


def array(view):
    """The view as NumPy's, over a buffer whose numbers are their own places."""
    shape, strides, start = view
    return as_strided(BUFFER[MIDDLE + start:], shape, [8 * s for s in strides])


def record(seen):
    """(shape, strides, start) of an array over BUFFER."""
    first = seen.__array_interface__["data"][0] - BUFFER.__array_interface__["data"][0]
    return seen.shape, tuple(s // 8 for s in seen.strides), first // 8 - MIDDLE


def of_numpy(error, work):
    """What ``work()`` gives, or that it raises."""
    try:
        return work()
    except (ValueError, IndexError):
        return Raises(error)


@cases("strides-values")
def strides_values(rng, parameters):
    yield "two axes", ((2, 3),)
    yield "three axes", ((4, 2, 5),)
    yield "no axis", ((),)
    while True:
        shape = numbers(rng, 1, 6, rng.integers(1, 6))
        yield f"shape {shape}", (shape,)


@cases("position-values")
def position_values(rng, parameters):
    yield "the first element of a view that begins later", (((2, 3), (3, 1), 5), (0, 0))
    yield "an element of a transposed view", (((3, 2), (1, 3), 0), (2, 1))
    yield "counted from the end", (((2, 3), (3, 1), 0), (-1, -2))
    yield "outside", (((2, 3), (3, 1), 0), (0, 3))
    yield "too far from the end", (((2, 3), (3, 1), 0), (-3, 0))
    yield "too few numbers", (((2, 3), (3, 1), 0), (1,))
    while True:
        view = some_view(rng, int(rng.integers(1, 4)))
        yield "somewhere", (view, tuple(int(rng.integers(-n, n)) for n in view[0]))


@expected("position-values")
def position_expected(view, index, parameters):
    if len(index) != len(view[0]):
        return Raises("IndexError")
    return of_numpy("IndexError", lambda: int(array(view)[index]) - MIDDLE)


@cases("permute-values")
def permute_values(rng, parameters):
    yield "transposed", (((2, 3), (3, 1), 0), (1, 0))
    yield "three axes, each to another place", (((2, 3, 4), (12, 4, 1), 1), (2, 0, 1))
    yield "counted from the end", (((2, 3, 4), (12, 4, 1), 0), (-1, 0, 1))
    yield "an axis twice", (((2, 3), (3, 1), 0), (0, 0))
    yield "an axis left out", (((2, 3, 4), (12, 4, 1), 0), (0, 1))
    while True:
        view = some_view(rng, int(rng.integers(2, 5)))
        yield "any order", (view, tuple(int(a) for a in rng.permutation(len(view[0]))))


@expected("permute-values")
def permute_expected(view, axes, parameters):
    return of_numpy("ValueError", lambda: record(array(view).transpose(axes)))


@cases("cut-values")
def cut_values(rng, parameters):
    yield "begin later, along rows", (((4, 3), (3, 1), 0), 0, 1, None, None)
    yield "each second, of five", (((5,), (1,), 2), 0, None, None, 2)
    yield "backwards", (((4,), (2,), 1), 0, None, None, -1)
    yield "an end beyond the end", (((2, 4), (4, 1), 0), 1, 1, 9, 1)
    yield "nothing left", (((4,), (1,), 0), 0, 3, 1, 1)
    yield "step 0", (((4,), (1,), 0), 0, None, None, 0)
    while True:
        view = some_view(rng, int(rng.integers(1, 4)))
        axis = int(rng.integers(len(view[0])))
        begin, end = (None if rng.random() < 0.3 else int(rng.integers(-5, 6)) for _ in "be")
        step = None if rng.random() < 0.3 else int(rng.choice([-3, -2, -1, 1, 2, 3]))
        yield "anything", (view, axis, begin, end, step)


@expected("cut-values")
def cut_expected(view, axis, begin, end, step, parameters):
    index = (slice(None),) * axis + (slice(begin, end, step),)
    return of_numpy("ValueError", lambda: record(array(view)[index]))


@cases("broadcast-values")
def broadcast_values(rng, parameters):
    yield "a row to a table", (((3,), (1,), 0), (2, 3))
    yield "a column to a table", (((2, 1), (1, 1), 0), (2, 3))
    yield "flush right, not left", (((2,), (1,), 4), (2, 2))
    yield "a row to the other side", (((2,), (1,), 0), (2, 3))
    yield "fewer axes", (((2, 3), (3, 1), 0), (3,))
    while True:
        shape = numbers(rng, 1, 4, int(rng.integers(1, 5)))
        axes = int(rng.integers(0, len(shape) + 1))
        old = [n if rng.random() < 0.6 else 1 for n in shape[len(shape) - axes:]]
        if old and rng.random() < 0.15:
            old[-1] += 1
        old = tuple(old)
        yield "anything", ((old, dense(old), int(rng.integers(0, 5))), shape)


@expected("broadcast-values")
def broadcast_expected(view, shape, parameters):
    return of_numpy("ValueError", lambda: record(np.broadcast_to(array(view), shape)))


@cases("reshape-values")
def reshape_values(rng, parameters):
    yield "an axis split", (((6,), (2,), 1), (2, 3))
    yield "two axes merged", (((2, 3), (3, 1), 0), (6,))
    yield "a transposed table, flat", (((3, 2), (1, 3), 0), (6,))
    yield "columns cut away, flat", (((2, 3), (4, 1), 0), (6,))
    yield "an axis of 1 in the way", (((2, 1, 3), (3, 9, 1), 0), (6,))
    yield "new axes of 1", (((2, 3), (3, 1), 0), (2, 1, 3, 1))
    yield "split of a transposed table", (((4, 3), (1, 4), 0), (2, 2, 3))
    while True:
        view = some_view(rng, int(rng.integers(1, 4)))
        shape = list(view[0])
        for _ in range(int(rng.integers(1, 3))):
            i = int(rng.integers(len(shape)))
            if rng.random() < 0.5 and i + 1 < len(shape):
                shape[i:i + 2] = [shape[i] * shape[i + 1]]
            elif shape[i] % 2 == 0:
                shape[i:i + 1] = [2, shape[i] // 2] if rng.random() < 0.5 else [shape[i] // 2, 2]
            else:
                shape.insert(i, 1)
        yield "merged and split", (view, tuple(shape))


@expected("reshape-values")
def reshape_expected(view, shape, parameters):
    try:
        return record(np.reshape(array(view), shape, copy=False))
    except ValueError:
        return None
