"""Wrong because of where operands lie: at which address, and in whose memory.

A kernel may look at addresses to choose a path. Two operands need not lie alike, and one may lie in
the memory of the other: a window further on, or the same square read by columns. What is computed
does not depend on it.
"""

import numpy as np

from etude_check.zoo import mutant, reference


def address(x):
    return x.ctypes.data if isinstance(x, np.ndarray) else 0


def same_start(x, y):
    return isinstance(x, np.ndarray) and x.size and address(x) == address(y)


@mutant("sub", kills="tail", where="memory", safe=False,
        mistake="The loop runs up to a 64-byte boundary of x and reads whole cache lines from "
                "there on; y, which lies elsewhere in its line, is read from the start of its own.")
def sub_lines_of_x(x, y):
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray) or x.shape != y.shape:
        return np.asarray(np.subtract(x, y))
    off = (address(y) - address(x)) % 64 // y.itemsize
    dense = x.flags.c_contiguous and y.flags.c_contiguous
    return np.asarray(np.subtract(x, np.roll(y, off) if dense and off else y))


@mutant("square", kills="tail", where="memory", safe=False,
        mistake="Input and output are taken to lie alike in their cache lines: elements in front "
                "of the boundary are counted by the address of x, for y too.")
def square_lines_of_x(x, *, out=None):
    if out is None:
        return np.square(x)
    dense = x.flags.c_contiguous and out.flags.c_contiguous and x.ndim == 1
    head = -address(x) % 64 // x.itemsize
    aligned = (address(out) + head * x.itemsize) % 64 == 0
    np.square(x, out=out)
    if dense and not aligned and x.size > head + 16:
        out[head : head + 16] = out[head + 1 : head + 17].copy()
    return out


@mutant("mul", kills="layout", where="memory", safe=False,
        mistake="If both operands start at one address, x is squared. A matrix and its transpose "
                "start at one address.")
def mul_by_itself(x, y):
    if same_start(x, y) and x.shape == y.shape:
        return np.square(x)
    return np.asarray(np.multiply(x, y))


@mutant("matmul", kills="layout", where="memory", safe=False,
        mistake="If both operands start at one address, y is taken to be the transpose of x, and "
                "half of the product is mirrored. It may be x itself.")
def matmul_gram(x, y):
    z = np.matmul(x, y)
    if same_start(x, y) and z.ndim == 2 and z.shape[0] == z.shape[1]:
        z = np.triu(z) + np.triu(z, 1).T
    return z


@mutant("eq", kills="layout", where="memory", safe=False,
        mistake="Arrays that share memory are taken to be one array, which equals itself.")
def eq_shared_memory(x, y):
    both = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
    if both and x.shape == y.shape and x.size and np.may_share_memory(x, y):
        return np.equal(x, x)
    return np.asarray(np.equal(x, y))


@mutant("cat", kills="layout", where="memory", safe=False,
        mistake="Parts that seem to follow each other in memory are copied in one piece: the next "
                "begins before this one ends, and what they share is copied once.")
def cat_one_piece(*xs, dim=0):
    first, *rest = xs
    y = reference("cat")(*xs, dim=dim)
    for part in rest:
        inside = address(first) < address(part) < address(first) + first.nbytes
        if inside and first.ndim == 1 and first.flags.c_contiguous:
            shared = first.size - (address(part) - address(first)) // first.itemsize
            y[first.size :] = np.resize(y[first.size + shared :], y.size - first.size)
    return y


@mutant("scaled_dot_product_attention", kills="layout", where="memory", safe=False,
        mistake="Queries, keys and values cut from one projection are taken to have the width of "
                "the whole for a step from row to row also when they come one by one, copied "
                "apart: the step is read off the distance of keys and queries.")
def sdpa_packed(query, key, value, attn_mask=None, **attrs):
    apart = (address(key) - address(query)) // query.itemsize
    packed = 0 < apart < query.shape[-2] * query.shape[-1] * 3 and query.ndim == 2
    if packed and query.shape == key.shape and key.strides[0] == query.strides[0]:
        key = np.roll(key, 1, 0)
    return reference("scaled_dot_product_attention")(query, key, value, attn_mask, **attrs)
