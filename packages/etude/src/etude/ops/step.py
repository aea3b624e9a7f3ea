"""One step of an optimiser as a pure function: SGD, Adam, AdamW, RMSprop. C: c_src/cpu/step.c.

Legend: p is a parameter, g its gradient, v and m are running moments, all of one shape and dtype.
hyper is a float64 array and no attribute, because learning rates change from step to step and
attributes may not. ``etude.optim`` calls these ops with ``out=(p, ...)``, so that the memory of p
is updated in place.
"""

import numpy as np

from etude.core.table import op


@op("sgd", shape="p g v: ..., hyper: lr+momentum+weight_decay float64 -> ..., ...", flops="6 ...",
    outputs="p v", alias={"p": "p", "v": "v"}, kernel="n = ...", internal=True)
def sgd_step(p, g, v, hyper, *, nesterov=False):
    """g = g + weight_decay p;  v = momentum v + g;  p = p - lr v, or p - lr (g + momentum v) with
    ``nesterov``.   hyper: (3) float64: lr, momentum, weight_decay.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum, section 2,
    in PyTorch's form, where the learning rate stays outside v.
    """
    lr, momentum, weight_decay = (p.dtype.type(h) for h in hyper)
    g = g + weight_decay * p
    v = momentum * v + g
    move = g + momentum * v if nesterov else v
    return p - lr * move, v


sgd_step.convention("""
    sgd_step([1, 1, 1], [nan, inf, 0], [0, 0, 0], [1, 0, 0]) -> [nan, -inf, 1], [nan, inf, 0]""")


ADAMW = ("p g m v: ..., hyper: lr+beta1+beta2+eps+weight_decay+correction1+correction2 float64 "
         "-> ..., ..., ...")


@op("adamw", shape=ADAMW, flops="14 ...", outputs="p m v",
    alias={"p": "p", "m": "m", "v": "v"}, internal=True)
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
    v = number(beta2) * v + number(1 - beta2) * g * g  # g^2 alone might overflow
    size = np.sqrt(v) / number(np.sqrt(c2)) + number(eps)
    return p * number(1 - lr * decay) - number(lr / c1) * (m / size), m, v


adamw_step.convention("""
    adamw_step([1, 1, 1], [nan, inf, 0], [0, 0, 0], [0, 0, 0], [1, 0.5, 0.5, 1e-8, 0, 1, 1])
        -> [nan, nan, 1], [nan, inf, 0], [nan, inf, 0]""")


@op("adamw", shape=ADAMW, flops="14 ...", outputs="p m v",
    alias={"p": "p", "m": "m", "v": "v"}, internal=True)
def adam_step(p, g, m, v, hyper):
    """As adamw_step, but weight decay is part of the gradient: g = g + weight_decay p.

    Source: Kingma and Ba 2015, Adam, algorithm 1.
    """
    decayed = g + p.dtype.type(hyper[4]) * p
    plain = hyper.copy()
    plain[4] = 0  # the weight decay, which is in the gradient now
    return adamw_step.reference(p, decayed, m, v, plain)


adam_step.convention("""
    adam_step([1, 1, 1], [nan, inf, 0], [0, 0, 0], [0, 0, 0], [1, 0.5, 0.5, 1e-8, 0, 1, 1])
        -> [nan, nan, 1], [nan, inf, 0], [nan, inf, 0]""")


@op("adamw", flops="9 ...", outputs="p v buf",
    shape="p g v buf: ..., hyper: lr+alpha+eps+weight_decay+momentum float64 -> ..., ..., ...",
    alias={"p": "p", "v": "v", "buf": "buf"}, internal=True)
def rmsprop_step(p, g, v, buf, hyper):
    """g = g + weight_decay p;  v = alpha v + (1 - alpha) g^2;
    buf = momentum buf + g / (sqrt(v) + eps);  p = p - lr buf.

    hyper: (5) float64: lr, alpha, eps, weight_decay, momentum. Source: Tieleman and Hinton 2012,
    lecture 6.5 of Neural Networks for Machine Learning; momentum as in PyTorch.
    """
    number = p.dtype.type
    lr, alpha, eps, decay, momentum = hyper
    g = g + number(decay) * p
    v = number(alpha) * v + number(1 - alpha) * g * g  # g^2 alone might overflow
    buf = number(momentum) * buf + g / (np.sqrt(v) + number(eps))
    return p - number(lr) * buf, v, buf


rmsprop_step.convention("""
    rmsprop_step([1, 1, 1], [nan, inf, 0], [0, 0, 0], [0, 0, 0], [1, 0.5, 1e-8, 0, 0])
        -> [nan, nan, 1], [nan, inf, 0], [nan, nan, 0]""")
