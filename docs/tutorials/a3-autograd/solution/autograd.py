"""Assignment A3: autograd on arrays, in NumPy. Gradients have the shape and the dtype of what they
are the gradients of.
"""

import itertools

import numpy as np

counter = itertools.count()


class Tensor:
    """An array (data), its parents, and a rule: a function of the gradient of this array that
    returns a tuple, the gradient of each parent. A leaf has neither. grad is None until a walk
    back has been here.
    """

    def __init__(self, data, parents=(), rule=None):
        self.data = np.asarray(data)
        self.grad = None
        self.parents = parents
        self.rule = rule
        self.number = next(counter)  # a parent has a smaller one than its children

    def backward(self):
        """Fill in grad of this and of everything that it was made from. Begins with ones. Each
        rule is asked once, when the gradient of its array is complete. What comes to an array on
        several ways adds up, and is cast to the dtype of its data.
        """
        # BEGIN SOLUTION
        self.grad = np.ones_like(self.data)
        waiting = {self.number: self}
        while waiting:
            t = waiting.pop(max(waiting))
            if t.rule is None:
                continue
            for parent, g in zip(t.parents, t.rule(t.grad)):
                g = np.asarray(g).astype(parent.data.dtype)
                parent.grad = g if parent.grad is None else parent.grad + g
                waiting[parent.number] = parent
        # END SOLUTION


def unbroadcast(g, shape):
    """The gradient of an array of this shape that broadcasting stretched to the shape of g."""
    # BEGIN SOLUTION
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    ones = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=ones, keepdims=True)
    # END SOLUTION


def add(a, b):
    """a + b, with broadcasting. Tensors."""
    # BEGIN SOLUTION
    return Tensor(a.data + b.data, (a, b),
                  lambda g: (unbroadcast(g, a.data.shape), unbroadcast(g, b.data.shape)))
    # END SOLUTION


def mul(a, b):
    """a b, element by element, with broadcasting. Tensors."""
    # BEGIN SOLUTION
    return Tensor(a.data * b.data, (a, b),
                  lambda g: (unbroadcast(g * b.data, a.data.shape),
                             unbroadcast(g * a.data, b.data.shape)))
    # END SOLUTION


def exp(a):
    """e to the power of a, element by element. This function is given."""
    y = np.exp(a.data)
    return Tensor(y, (a,), lambda g: (g * y,))


def matmul(a, b):
    """The matrix product a @ b: (..., M, K) and (..., K, N), the axes in front broadcast."""
    # BEGIN SOLUTION
    def rule(g):
        to_a = g @ np.swapaxes(b.data, -1, -2)
        to_b = np.swapaxes(a.data, -1, -2) @ g
        return unbroadcast(to_a, a.data.shape), unbroadcast(to_b, b.data.shape)

    return Tensor(a.data @ b.data, (a, b), rule)
    # END SOLUTION


def total(a):
    """The sum of all elements: a Tensor with no axes."""
    # BEGIN SOLUTION
    return Tensor(a.data.sum(), (a,), lambda g: (np.broadcast_to(g, a.data.shape),))
    # END SOLUTION


def amax(a, axis):
    """The largest along one axis, which is gone from the result. Where several are the largest,
    they share the gradient equally.
    """
    # BEGIN SOLUTION
    y = a.data.max(axis=axis, keepdims=True)

    def rule(g):
        largest = a.data == y
        return (np.expand_dims(g, axis) * largest / largest.sum(axis=axis, keepdims=True),)

    return Tensor(np.squeeze(y, axis), (a,), rule)
    # END SOLUTION


def take(a, rows):
    """a[rows]: rows of a by number, int64; a number may come more than once."""
    # BEGIN SOLUTION
    def rule(g):
        grad = np.zeros_like(a.data)
        np.add.at(grad, rows, g)
        return (grad,)

    return Tensor(a.data[rows], (a,), rule)
    # END SOLUTION


def gradcheck(f, arrays):
    """Whether the rules in f agree with differences: True or False. f takes as many Tensors as
    there are arrays (float64) and returns a Tensor of any shape. A rule that is off by a thousandth
    of its gradient or more counts as wrong, however small the gradient. The functions that f is
    made of are smooth here.
    """
    # BEGIN SOLUTION
    h = 1e-4
    inputs = [Tensor(array) for array in arrays]
    y = f(*inputs)
    weights = Tensor(np.random.default_rng(0).normal(size=y.data.shape))
    total(mul(y, weights)).backward()
    for i, array in enumerate(arrays):
        slopes = np.empty_like(array)
        for at in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [other.copy() for other in arrays]
                moved[i][at] += sign * h
                sides.append((f(*map(Tensor, moved)).data * weights.data).sum())
            slopes[at] = (sides[0] - sides[1]) / (2 * h)
        grad = inputs[i].grad
        if grad.shape != array.shape:
            return False
        if not (abs(grad - slopes) <= 1e-5 * abs(slopes).max()).all():
            return False
    return True
    # END SOLUTION
