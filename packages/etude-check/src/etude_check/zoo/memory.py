"""Kernels with a memory, and kernels careless of memory: right values, until the next call.

Those with a parameter ``out`` write into it themselves, as a column does; without one ``with_out``
copies for them. What only C can do wrong is in ``native/``.
"""

import ctypes
from typing import Any

import numpy as np

from etude_check.zoo import mutant, reference

_KEPT: dict[Any, Any] = {}  # what the kernels below should not keep


def _done(result, out):
    if out is None:
        return result
    np.copyto(out, result)
    return out


@mutant("matmul", kills="tail", where="memory", covers="adds to output",
        mistake="C += A B, on the assumption that somebody has zeroed C.")
def matmul_accumulates(x, y, *, out=None):
    if out is None:
        out = np.full(np.broadcast_shapes(x.shape[:-2], y.shape[:-2]) + (x.shape[-2], y.shape[-1]),
                      0.5, x.dtype)
    out += np.matmul(x, y)
    return out


@mutant("embedding_backward", kills="tail", where="memory", covers="adds to output",
        mistake="The gradients are added to whatever the output holds.")
def embedding_backward_accumulates(grad, index, *, num_embeddings, padding_idx=None, out=None):
    right = reference("embedding_backward")(grad, index, num_embeddings=num_embeddings,
                                            padding_idx=padding_idx)
    if out is None:
        return right + right.dtype.type(0.25)
    out += right
    return out


@mutant("neg", kills="tail", where="memory", covers="last unwritten",
        mistake="The last element is never written: i < n - 1.")
def neg_last_unwritten(x, *, out=None):
    if out is None:
        out = np.full(x.shape, 77, x.dtype)
    if x.ndim == 0:
        out[...] = -x
    elif x.size:
        last = (-1,) * x.ndim
        kept = out[last].copy()
        np.negative(x, out=out)
        out[last] = kept
    return out


@mutant("sqrt", kills="empty", where="memory", covers="n = 0 writes", safe=False,
        mistake="do { ... } while (++i < n) runs once for n = 0 too.")
def sqrt_of_nothing(x, *, out=None):
    if x.size or out is None:
        return _done(np.sqrt(x), out)
    ctypes.memset(out.__array_interface__["data"][0], 0, x.itemsize)
    return out


@mutant("sum", kills="empty", where="memory", covers="n = 0 writes", safe=False,
        mistake="The running total starts with the first element, which an empty axis does not "
                "have.")
def sum_of_nothing(x, *, dim=None, keepdim=False):
    y = np.asarray(x.sum(dim, keepdims=keepdim))
    return y if x.size else y + np.asarray(7, y.dtype)


@mutant("log_softmax", kills="tail", where="memory", covers="writes input", safe=False,
        mistake="The maximum is taken off in place: the caller's x is changed.")
def log_softmax_in_place(x, *, dim=-1, out=None):
    x -= x.max(dim, keepdims=True)
    return _done(x - np.log(np.exp(x).sum(dim, keepdims=True)), out)


@mutant("cross_entropy_backward", kills="tail", where="memory", covers="writes input", safe=False,
        mistake="dx is built in the memory of the logits.")
def cross_entropy_backward_in_place(grad, x, target, weight, top, log_sum, *, out=None, **attrs):
    dx = reference("cross_entropy_backward")(grad, x, target, weight, top, log_sum, **attrs)
    x[...] = dx
    return _done(dx, out)


@mutant("relu", kills="tail", where="memory", covers="returns a view", safe=False,
        mistake="Where nothing is negative it returns x itself: who writes into the result changes "
                "the input.")
def relu_same_array(x, *, out=None):
    if out is None and (x >= 0).all():
        return x
    return _done(np.maximum(x, x.dtype.type(0)), out)


@mutant("contiguous", kills="tail", where="memory", covers="returns a view", safe=False,
        mistake="An array that is contiguous already is returned as it is; the op promises memory "
                "of its own.")
def contiguous_same_array(x, *, out=None):
    return _done(np.ascontiguousarray(x), out)


@mutant("tanh", kills="repeat", where="memory", covers="cache by pointer", safe=False,
        mistake="Results are cached by the address of x, and an address is used again for other "
                "numbers.")
def tanh_cached(x):
    key = "tanh", x.__array_interface__["data"][0], x.shape, x.strides, x.dtype.char
    if key not in _KEPT:
        _KEPT[key] = np.tanh(x)
    return _KEPT[key]


@mutant("mul", kills="repeat", where="memory", covers="first result", safe=False,
        mistake="The first result of a shape is returned for ever: a memo without its key.")
def mul_first_result(x, y):
    key = "mul", np.shape(x), np.shape(y), np.result_type(x, y).char
    if key not in _KEPT:
        _KEPT[key] = np.asarray(x * y)
    return _KEPT[key]


@mutant("linear", kills="repeat", where="memory", safe=False,
        mistake="The packed weight is kept from the first call of its shape, and training changes "
                "weights.")
def linear_packed_once(x, weight, bias=None):
    packed = _KEPT.setdefault(("linear", weight.shape, weight.dtype.char), weight.T.copy())
    return x @ packed if bias is None else x @ packed + bias


@mutant("sin", kills="large", where="memory", covers="leaks", safe=False,
        mistake="Each call keeps its work space for ever.")
def sin_leaks(x):
    _KEPT.setdefault("sin", []).append(x + 1)
    return np.sin(x)


@mutant("cumsum", kills="tail", where="memory", safe=False,
        mistake="The work space has the size of the first call; longer rows are cut off.")
def cumsum_small_workspace(x, *, dim):
    room = _KEPT.setdefault("cumsum", max(x.shape[dim], 16))
    y = x.cumsum(dim)
    if x.shape[dim] > room:
        np.moveaxis(y, dim, -1)[..., room:] = 0
    return y


@mutant("softmax", kills="alias", where="memory", safe=False,
        mistake="The output is cleared before the input is read, although they may be one array.")
def softmax_clears_first(x, *, dim=-1, out=None):
    if out is None:
        return reference("softmax")(x, dim=dim)
    out[...] = 0
    out[...] = reference("softmax")(x, dim=dim)
    return out


@mutant("sgd_step", kills="alias", where="memory", safe=False,
        mistake="p is written before v, which is then computed from the new p.")
def sgd_step_order(p, g, v, hyper, *, nesterov=False, out=None):
    if out is None:
        return reference("sgd_step")(p, g, v, hyper, nesterov=nesterov)
    new_p, new_v = out
    new_p[...] = reference("sgd_step")(p, g, v, hyper, nesterov=nesterov)[0]
    new_v[...] = reference("sgd_step")(p, g, v, hyper, nesterov=nesterov)[1]
    return out


@mutant("exp", kills="tail", where="memory", safe=False,
        mistake="The result is computed in float64 and returned as such.")
def exp_wide_result(x, *, out=None):
    return _done(np.exp(x.astype(np.float64)), out)
