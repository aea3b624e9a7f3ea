"""One step of an optimiser as a pure function: sgd_step, adamw_step. C: c_src/cpu/step.c.

Legend: p parameter, g its gradient, v and m running moments, all of one shape and dtype; hyper a
float64 array, because learning rates change from step to step and attributes may not.
``etude.optim`` calls these with ``out=(p, ...)``, so the memory of p is updated in place.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import common_dtype, float64
from etude.table import DOMAINS, op


def _step_shape(name, settings):
    def rule(*operands):
        *arrays, hyper = operands
        common_dtype(name, arrays, DOMAINS["float"])
        if any(a.shape != arrays[0].shape for a in arrays):
            raise ShapeError(f"{name}: parameter, gradient and moments must have one shape, got "
                             f"{', '.join(map(str, arrays))}")
        if hyper.shape != (len(settings),):
            raise ShapeError(f"{name}: hyper must be float64[{len(settings)}] "
                             f"({', '.join(settings)}), got {hyper}")
        p, _, *moments = arrays
        return (p, *moments)

    return rule


@op("sgd", shape=_step_shape("sgd_step", ("lr", "momentum", "weight_decay")), outputs=("p", "v"),
    fixed={"hyper": float64}, alias={"p": "p", "v": "v"}, internal=True,
    flops=lambda p, g, v, hyper: 6 * p.size)
def sgd_step(p, g, v, hyper):
    """v = momentum v + g + weight_decay p;  p = p - lr v.   hyper: (3) float64.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum, section 2,
    in PyTorch's form, where the learning rate stays outside v.
    """
    lr, momentum, weight_decay = (p.dtype.type(h) for h in hyper)
    v = momentum * v + (g + weight_decay * p)
    return p - lr * v, v


ADAMW = ("lr", "beta1", "beta2", "eps", "weight_decay", "correction1", "correction2")


@op("adamw", shape=_step_shape("adamw_step", ADAMW), outputs=("p", "m", "v"),
    fixed={"hyper": float64}, alias={"p": "p", "m": "m", "v": "v"}, internal=True,
    flops=lambda p, g, m, v, hyper: 14 * p.size)
def adamw_step(p, g, m, v, hyper):
    """m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
    p = p (1 - lr weight_decay) - lr (m / correction1) / (sqrt(v / correction2) + eps).

    hyper: (7) float64, in the order of the formula's names: lr, beta1, beta2, eps, weight_decay,
    and correction_i = 1 - beta_i^t at step t. Source: Loshchilov and Hutter 2019, Decoupled
    Weight Decay Regularization, algorithm 2.
    """
    lr, beta1, beta2, eps, decay, c1, c2 = hyper
    number = p.dtype.type
    m = number(beta1) * m + number(1 - beta1) * g
    v = number(beta2) * v + number(1 - beta2) * (g * g)
    size = np.sqrt(v) / number(np.sqrt(c2)) + number(eps)
    return p * number(1 - lr * decay) - number(lr / c1) * (m / size), m, v
