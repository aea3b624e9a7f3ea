"""Wrong readings of weights that are stored in one byte: their sign, their ends, their scales."""

import numpy as np

from etude_check.zoo import mutant, reference


@mutant("linear_int8", kills="tail", where="index",
        mistake="Every output is scaled by the scale of its neighbour.")
def linear_int8_neighbour(x, weight, scale, bias=None):
    return reference("linear_int8")(x, weight, np.roll(scale, 1), bias)


@mutant("linear_int8", kills="tail", where="numerics",
        mistake="Weights are read as unsigned bytes: -1 is 255.")
def linear_int8_unsigned(x, weight, scale, bias=None):
    return reference("linear_int8")(x, np.ascontiguousarray(weight).view(np.uint8), scale, bias)


@mutant("linear_int8", kills="tail", where="numerics",
        mistake="A weight of -128 is taken for -127, as by a multiplication that saturates.")
def linear_int8_saturates(x, weight, scale, bias=None):
    return reference("linear_int8")(x, np.maximum(weight, -127), scale, bias)


@mutant("linear_int8", kills="tail", where="index", covers="tail skipped",
        mistake="The sum runs over whole vectors of 16 weights; the rest is left out.")
def linear_int8_tail(x, weight, scale, bias=None):
    k = x.shape[-1] // 16 * 16 or x.shape[-1]
    return reference("linear_int8")(x[..., :k], weight[:, :k], scale, bias)
