"""What calls the answer of A3: programs given as plain data, and functions with rules that are
right or wrong.
"""

import numpy as np


def run(answer, arrays, steps, weights):
    """The leaves of a program after the walk back. A step is [op, places of its Tensors..., more
    arguments], the last step's result is weighed and summed.
    """
    leaves = [answer.Tensor(array) for array in arrays]
    values = list(leaves)
    for op, places, *more in steps:
        values.append(getattr(answer, op)(*[values[i] for i in places], *more))
    y = values[-1]
    result = answer.Tensor((y.data * weights).sum(), (y,), lambda g: (g * weights,))
    result.backward()
    return y, leaves


def gradients(answer, arrays, steps, weights):
    """The value of a program, and the gradient of each array."""
    y, leaves = run(answer, arrays, steps, weights)
    return [y.data, *[leaf.grad for leaf in leaves]]


def dtypes(answer, arrays, steps, weights):
    """The dtype of each gradient, by name."""
    _, leaves = run(answer, arrays, steps, weights)
    return [str(leaf.grad.dtype) for leaf in leaves]


def asked(answer, depth):
    """How often each rule is asked in x + x + x ..., of which each uses the last one twice."""
    count = []
    x = answer.Tensor(np.ones(2))
    y = x
    for number in range(depth):
        def rule(g, number=number):
            count.append(number)
            return g, g

        y = answer.Tensor(y.data + y.data, (y, y), rule)
    answer.total(y).backward()
    return [sorted(count), x.grad]


def verdict(answer, kind, arrays):
    """What gradcheck says of a function whose rule is right or wrong in a way that has a name."""
    def softmax(a, right=True):
        e = np.exp(a.data - a.data.max(axis=-1, keepdims=True))
        y = e / e.sum(axis=-1, keepdims=True)
        return answer.Tensor(y, (a,), lambda g: (
            y * (g - (g * y).sum(axis=-1, keepdims=True)) if right else np.zeros_like(y),))

    def cube(a, off=lambda g: g):
        return answer.Tensor(a.data**3, (a,), lambda g: (off(3 * a.data**2 * g),))

    def small(a, off=1):
        return answer.Tensor(a.data**3 / 1000, (a,), lambda g: (off * 3 * a.data**2 / 1000 * g,))

    def last_wrong(g):
        g = g.copy()
        g.flat[-1] *= 1.01
        return g

    functions = {
        "a right cube": cube,
        "a right softmax": softmax,
        "softmax with a gradient of zeros": lambda a: softmax(a, right=False),
        "a factor forgotten": lambda a: cube(a, lambda g: g / 3),
        "one percent off": lambda a: cube(a, lambda g: 1.01 * g),
        "only the last element wrong": lambda a: cube(a, last_wrong),
        "the second of two wrong": lambda a, b: answer.Tensor(
            a.data * b.data, (a, b), lambda g: (g * b.data, g * b.data)),
        "a right product": lambda a, b: answer.Tensor(
            a.data * b.data, (a, b), lambda g: (g * b.data, g * a.data)),
        "right, and small": small,
        "one percent off, and small": lambda a: small(a, 1.01),
        "NaN": lambda a: cube(a, lambda g: g * np.nan),
    }
    return bool(answer.gradcheck(functions[kind], arrays))
