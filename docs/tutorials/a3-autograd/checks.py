"""How the cases of A3 are drawn: small arrays, whose sizes all differ, so that a transposed
gradient does not fit.
"""

import numpy as np

from etude_course.source.checks import cases


def floats(rng, *shape):
    return rng.normal(0, 1, shape)


def number(rng, low, high):
    return int(rng.integers(low, high + 1))


@cases("walk-values")
def walk_values(rng, parameters):
    x = np.float64([1, 2])
    yield "x x", ([x], [["mul", [0, 0]]], np.ones(2))
    yield "c = b + b", ([x], [["mul", [0, 0]], ["add", [1, 1]]], np.ones(2))
    yield "an old one and a new one", ([x], [["exp", [0]], ["mul", [0, 1]], ["add", [1, 2]]],
                                       np.ones(2))
    while True:
        leaves, steps = number(rng, 1, 3), []
        for i in range(number(rng, 3, 6)):
            op = str(rng.choice(["add", "mul"]))
            steps.append([op, [number(rng, 0, leaves + i - 1), leaves + i - 1]])
        arrays = [floats(rng, 3) for _ in range(leaves)]
        steps.append(["add", [0, leaves + len(steps) - 1]])
        for leaf in range(1, leaves):  # every leaf has a gradient
            steps.append(["add", [leaf, leaves + len(steps) - 1]])
        yield "a program", (arrays, steps, floats(rng, 3))


@cases("walk-once")
def walk_once(rng, parameters):
    yield "three in a row", (3,)
    yield "seven in a row", (7,)
    while True:
        yield "many in a row", (number(rng, 8, 15),)


@cases("dtype-kept")
def dtype_kept(rng, parameters):
    single, double = np.float32([1, 2]), np.float64([3, 4])
    yield "float32 alone", ([single], [["mul", [0, 0]]], np.ones(2))
    yield "float32 meets float64", ([single, double], [["mul", [0, 1]]], np.ones(2))
    yield "matrices", ([np.ones((2, 3), np.float32), np.ones((3, 4))], [["matmul", [0, 1]]],
                       np.ones((2, 4)))
    while True:
        arrays = [floats(rng, 3).astype(rng.choice(["float32", "float64"])) for _ in range(3)]
        yield "several", (arrays, [["mul", [0, 1]], ["add", [2, 3]]], floats(rng, 3))


PAIRS = (((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 1), (1, 3)), ((4,), (2, 3, 4)), ((2, 3), ()),
         ((1,), (3,)), ((2, 3), (1, 3)), ((2, 1, 4), (3, 1)), ((2, 3), (2, 3)))


@cases("unbroadcast-values")
def unbroadcast_values(rng, parameters):
    g = np.float64([[1, 2, 3], [4, 5, 6]])
    yield "a row", (g, (3,))
    yield "a column", (g, (2, 1))
    yield "a number", (g, ())
    yield "nothing was stretched", (g, (2, 3))
    while True:
        shape, other = PAIRS[rng.integers(len(PAIRS))]
        whole = np.broadcast_shapes(shape, other)
        yield "anything", (floats(rng, *whole), shape if rng.random() < 0.5 else other)


def binary(rng, op, pairs):
    while True:
        left, right = pairs[rng.integers(len(pairs))]
        yield (f"{left} and {right}",
               ([floats(rng, *left), floats(rng, *right)], [[op, [0, 1]]],
                floats(rng, *np.broadcast_shapes(left, right))))


@cases("add-mul-values")
def add_mul_values(rng, parameters):
    a, b = np.float64([[1, 2], [3, 4]]), np.float64([5, 6])
    yield "a row added to a table", ([a, b], [["add", [0, 1]]], np.ones((2, 2)))
    yield "a table times a row", ([a, b], [["mul", [0, 1]]], np.ones((2, 2)))
    yield "a table times a column", ([a, np.float64([[5], [6]])], [["mul", [0, 1]]],
                                     np.ones((2, 2)))
    both = binary(rng, "add", PAIRS), binary(rng, "mul", PAIRS)
    while True:
        yield next(both[rng.integers(2)])


@cases("matmul-values")
def matmul_values(rng, parameters):
    def case(name, left, right):
        a, b = floats(rng, *left), floats(rng, *right)
        return name, ([a, b], [["matmul", [0, 1]]], floats(rng, *(a @ b).shape))

    yield case("two matrices", (2, 3), (3, 4))
    yield case("a batch of matrices, and one", (5, 2, 3), (3, 4))
    yield case("a batch, and a batch of one", (2, 2, 3), (1, 3, 4))
    while True:
        m, k, n, batch = (number(rng, 1, 4) for _ in range(4))
        left = ((m, k), (batch, m, k), (1, m, k), (2, batch, m, k))[rng.integers(4)]
        right = ((k, n), (batch, k, n))[rng.integers(2)]
        yield case("anything", left, right)


@cases("reduce-values")
def reduce_values(rng, parameters):
    a = np.float64([[1, 3, 3], [5, 2, 4]])
    yield "the sum of a table", ([a], [["total", [0]]], np.float64(2))
    yield "the largest of each row, of which one is there twice", ([a], [["amax", [0], 1]],
                                                                  np.float64([1, 1]))
    yield "the largest of each column", ([a], [["amax", [0], 0]], np.float64([1, 2, 3]))
    while True:
        shape = tuple(number(rng, 1, 4) for _ in range(number(rng, 2, 3)))
        axis = number(rng, 0, len(shape) - 1)
        x = np.round(floats(rng, *shape))  # ties are frequent
        rest = shape[:axis] + shape[axis + 1:]
        yield "anything", ([x], [["amax", [0], axis]], floats(rng, *rest))


@cases("take-values")
def take_values(rng, parameters):
    a = np.float64([[1, 2], [3, 4], [5, 6]])
    yield "two rows", ([a], [["take", [0], np.int64([2, 0])]], np.ones((2, 2)))
    yield "a row twice", ([a], [["take", [0], np.int64([1, 1])]], np.float64([[1, 1], [10, 10]]))
    while True:
        n, m, k = number(rng, 1, 4), number(rng, 1, 3), number(rng, 1, 6)
        yield "anything", ([floats(rng, n, m)], [["take", [0], rng.integers(0, n, k)]],
                           floats(rng, k, m))


@cases("gradcheck-verdicts")
def gradcheck_verdicts(rng, parameters):
    one, two = [floats(rng, 2, 3) + 2], [floats(rng, 2, 3), floats(rng, 2, 3)]
    yield "a right cube", ("a right cube", one)
    yield "zeros for a softmax", ("softmax with a gradient of zeros", one)
    yield "only the last element wrong", ("only the last element wrong", one)
    yield "a right softmax", ("a right softmax", one)
    yield "the second of two wrong", ("the second of two wrong", two)
    yield "NaN", ("NaN", one)
    yield "one percent off, and small", ("one percent off, and small", one)
    while True:
        kind = ("a right cube", "a right softmax", "a factor forgotten", "one percent off",
                "only the last element wrong", "softmax with a gradient of zeros",
                "the second of two wrong", "a right product", "right, and small",
                "one percent off, and small")[rng.integers(10)]
        count = 2 if kind in ("the second of two wrong", "a right product") else 1
        yield kind, (kind, [floats(rng, 2, 3) + 2 for _ in range(count)])
