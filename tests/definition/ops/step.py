"""One step of an optimiser. hyper holds float64 numbers, which are exact.

The new moments are rounded to the dtype in which they are kept, and p is made from those: what
overflows in v is infinite in the formula for p as well.
"""

import numpy as np
from exact import definition, number, real, to_dtype
from mpmath import mp

from etude import TABLE
from etude_check.cases.spec import call


def step(op, hypers, attrs=({},)):
    """Decorator: a step by the formula of one element, ``formula(*elements, *hyper, kept)``, where
    ``kept`` rounds a number to the dtype of p.
    """
    def calls(draw):
        names = TABLE[op].arrays[:-1]
        for hyper in hypers:
            for drawn in elements(draw, len(names)):
                arrays = dict(zip(names, drawn))
                arrays |= as_in_a_run(arrays) if op != "sgd_step" else {}
                yield from (call(*arrays.values(), np.array(hyper), **a) for a in attrs)

    def enter(formula):
        @definition(op, calls=calls)
        def values(arrays, given, output, places):
            *moving, hyper = arrays
            exact = [number(h) for h in hyper]
            kept = lambda x: to_dtype(x, moving[0].dtype)  # noqa: E731
            return [formula(*(number(a[place]) for a in moving), *exact, kept=kept,
                            **given)[output] for place in places]
        return formula

    return enter


def elements(draw, count):
    """Arrays of finite numbers of every size, and arrays with infinities and NaN."""
    for given in draw.pointwise(count):
        if all(np.isfinite(a).all() for a in given.arrays):
            yield given.arrays
    yield [draw.infinite([draw.count]) for _ in range(count)]


def as_in_a_run(arrays):
    """v, an average of squares, is not negative; m, of what was squared, not far above its root."""
    v = np.abs(arrays["v"])
    most = 4 * np.sqrt(v)
    return {"v": v} | ({"m": np.clip(arrays["m"], -most, most)} if "m" in arrays else {})


@step("sgd_step", [[0.1, 0.9, 0.01], [1e-3, 0.0, 0.0]], [{"nesterov": n} for n in (False, True)])
def sgd_step(p, g, v, lr, momentum, decay, *, kept, nesterov):
    g = g + decay * p
    v = momentum * v + g
    return p - lr * (g + momentum * v if nesterov else v), v


ADAM = [[1e-3, 0.9, 0.999, 1e-8, 0.01, 1 - 0.9**3, 1 - 0.999**3],
        [0.1, 0.5, 0.9, 1e-3, 0.0, 0.5, 0.1]]


@step("adamw_step", ADAM)
def adamw_step(p, g, m, v, lr, beta1, beta2, eps, decay, c1, c2, *, kept):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    size = mp.sqrt(kept(v) / c2) + eps
    return p * (1 - lr * decay) - real(lr * m / c1) / size, m, v


@step("adam_step", ADAM)
def adam_step(p, g, m, v, lr, beta1, beta2, eps, decay, c1, c2, *, kept):
    return adamw_step(p, g + decay * p, m, v, lr, beta1, beta2, eps, 0, c1, c2, kept=kept)


@step("rmsprop_step", [[0.01, 0.99, 1e-8, 0.0, 0.0], [0.1, 0.9, 1e-3, 0.01, 0.9]])
def rmsprop_step(p, g, v, buf, lr, alpha, eps, decay, momentum, *, kept):
    g = g + decay * p
    v = alpha * v + (1 - alpha) * g * g
    buf = momentum * buf + g / (mp.sqrt(kept(v)) + eps)
    return p - lr * buf, v, buf
