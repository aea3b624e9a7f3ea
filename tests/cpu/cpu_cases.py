"""What the tests of the kernels share: calls of every op; the one place that knows tolerance."""

import numpy as np

from etude.core.table import TABLE

FLOATS = ("float32", "float64")

#: sizes around the widths of vectors, of unrolled loops and of blocks, and one worth two threads
SIZES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 4095, 4097,
         70001)


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, dtype="float32", seed=0):
    return rng(seed).standard_normal(shape).astype(dtype)


def ulps(got, exact):
    """Distance in units of the last place of ``exact`` (float64 or wider), NaN where both are."""
    exact = np.asarray(exact)
    spacing = np.spacing(np.abs(exact).astype(got.dtype)).astype(exact.dtype)
    with np.errstate(invalid="ignore"):
        return np.abs(got.astype(exact.dtype) - exact) / spacing


def agree(name, got, want, terms=1):
    """Hold a kernel's result against the reference's: shape, dtype, layout, values.

    The allowed difference is a few units of the last place of a result of size 1, times the square
    root of how many ``terms`` were added up; non-numbers must stand in the same places.
    """
    assert type(got) is np.ndarray, name
    assert got.shape == want.shape, f"{name}: shape {got.shape}, not {want.shape}"
    assert got.dtype == want.dtype, f"{name}: {got.dtype}, not {want.dtype}"
    assert got.flags.c_contiguous, f"{name}: the result is not contiguous"
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, err_msg=name)
        return
    eps = np.finfo(got.dtype).eps * 16 * max(terms, 1) ** 0.5
    np.testing.assert_allclose(got, want, rtol=eps, atol=eps, err_msg=name)


def hold(ops, name, *arrays, terms=1, **attrs):
    """Run one op on the kernel and on the reference; compare every output, return the first."""
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in arrays]
    want = TABLE[name](*arrays, **attrs)
    got = ops[name](*arrays, **attrs)
    for a, before in zip(arrays, given):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, before, err_msg=f"{name} changed an input")
    pairs = zip(got, want, strict=True) if isinstance(want, tuple) else ((got, want),)
    for g, w in pairs:
        agree(name, g, w, terms)
    return got[0] if isinstance(got, tuple) else got


#: asked where they are defined; every other map on any number, every other binary op on any two
POSITIVE_MAPS = ("log", "sqrt", "log1p", "rsqrt", "reciprocal")
ASKED_BELOW = ("clamp", "pow")  # with attributes or operands of their own


def of_class(*classes):
    """The ops of these classes that take float arrays; a new one is among them by itself."""
    return [name for name, op in TABLE.items() if op.cls in classes and not op.fixed
            and name not in (*POSITIVE_MAPS, *ASKED_BELOW)]


def _maps_with_attributes(x):
    yield "leaky_relu", (x,), {"negative_slope": 0.2}
    yield "elu", (x,), {"alpha": 0.7}
    yield "softplus", (x,), {"beta": 2.0}
    yield "clamp", (x,), {"min": -0.5, "max": 0.3}
    yield "clamp", (x,), {"max": 0.3}
    yield "clamp", (x,), {"min": 0}

REDUCTIONS = ("sum", "mean", "amax", "amin", "argmax", "argmin", "logsumexp", "var")


def _by_index(x, index, labels):
    cols = x.shape[1]
    for dim in (0, 1):
        yield "index_select", (x, index[:40, 1] % x.shape[dim]), {"dim": dim}
    yield "embedding", (index % x.shape[0], x), {}
    yield "embedding_backward", (x, labels), {"num_embeddings": cols}
    yield "one_hot", (labels,), {"num_classes": cols}


def _choices(x, y, row):
    for dim, k in ((0, 3), (1, 3), (1, 20), (1, 67)):
        yield "topk", (x,), {"k": k, "dim": dim}
        yield "topk", (x,), {"k": k, "dim": dim, "largest": False}
    yield "prod_backward", (y[:, 0], 1 + x / 50), {"dim": 1}
    yield "prod_backward", (row, 1 + x / 50), {"dim": 0}


def _norms(x, grad, row, image):
    size = {"normalized_shape": x.shape[1:]}
    yield "rms_norm", (x, row), size
    yield "rms_norm_backward", (grad, x, row, TABLE["rms_norm"](x, row, **size)[1]), size
    for a, w in ((x, row), (image, row[:3].copy())):
        _, mean, var = TABLE["batch_norm"](a, w, w)
        yield "batch_norm", (a, w, w), {}
        yield "batch_norm_backward", (a[..., ::-1].copy(), a, w, mean, var), {}
        yield "batch_norm_eval", (a, mean, var, w, w), {}


def _average_pools(image):
    window = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    size = {"input_size": image.shape[2:]}
    yield "avg_pool2d", (image,), window
    yield "avg_pool2d_backward", (TABLE["avg_pool2d"](image, **window),), {**size, **window}
    yield "adaptive_avg_pool2d", (image,), {"output_size": (5, 4)}
    yield "adaptive_avg_pool2d_backward", (image[:, :, :5, :4].copy(),), size


def _attention(dtype, heads):
    query, grad = (normal(heads, 1, 70, 9, dtype=dtype, seed=s) for s in (0, 1))
    key, value = (normal(heads, 1, 150, 9, dtype=dtype, seed=s) for s in (2, 3))
    for attrs in ({}, {"is_causal": True}, {"scale": 0.2}):
        saved = TABLE["scaled_dot_product_attention"](query, key, value, **attrs)
        yield "scaled_dot_product_attention", (query, key, value), attrs
        yield "attention_backward", (grad, query, key, value, None, *saved), attrs
    mask = np.tri(70, 150, 40, bool)
    saved = TABLE["scaled_dot_product_attention"](query, key, value, mask)
    yield "scaled_dot_product_attention", (query, key, value, mask), {}
    yield "attention_backward", (grad, query, key, value, mask, *saved), {}


def _on_bools(x, y):
    yield "logical_and", (x, y), {}
    yield "logical_or", (x, y), {}
    yield "logical_not", (x,), {}
    for dim in (None, 0, 1):
        yield "all", (x,), {"dim": dim}
        yield "any", (x,), {"dim": dim}


def calls(dtype, scale=1):
    """One call of every op that has a kernel: (name, arrays, attributes).

    ``scale`` multiplies the rows; at 40 nearly every op has work for several threads.
    """
    n, c = 50 * scale, 67
    x, y = normal(n, c, dtype=dtype), normal(n, c, dtype=dtype, seed=1)
    positive = np.abs(x) + 0.1
    row, key = normal(c, dtype=dtype, seed=2), np.array([3, 5])
    labels = rng(3).integers(0, c, n)
    index = rng(4).integers(0, c, (n, 9))
    image, weight = normal(scale, 3, 12, 13, dtype=dtype), normal(4, 3, 3, 3, dtype=dtype)
    grid = {"stride": (2, 1), "padding": (1, 0)}
    out = TABLE["conv2d"](image, weight, **grid)
    window = {"kernel_size": (3, 2), "stride": (2, 2), "padding": (1, 1)}
    pooled, where = TABLE["max_pool2d"](image, **window)
    _, *saved = TABLE["cross_entropy"](x, labels)
    _, mean, rstd = TABLE["layer_norm"](x, normalized_shape=(c,))
    yield from ((op, (x,), {}) for op in of_class("map", "map_bool"))
    yield from ((op, (positive,), {}) for op in POSITIVE_MAPS)
    yield from _maps_with_attributes(x)
    yield from _on_bools(x > 0, row > 0)
    yield "gelu", (x,), {"approximate": "tanh"}
    yield from ((op, (x, y), {}) for op in of_class("equal"))
    yield "gelu_backward", (x, y), {"approximate": "tanh"}
    yield from ((op, (x, row), {}) for op in of_class("binary", "compare"))
    yield "pow", (positive, y), {}
    yield "where", (x > y, x, y), {}
    yield "lerp", (x, y, 0.25), {}
    for dim in (None, 0, 1):
        yield from ((op, (x,), {"dim": dim}) for op in REDUCTIONS)
        yield "prod", (1 + x / 50,), {"dim": dim}
    for dim in (-1, 0):
        yield from ((op, (x,), {"dim": dim}) for op in ("softmax", "log_softmax"))
        for op in ("softmax", "log_softmax"):
            yield op + "_backward", (y, TABLE[op](x, dim=dim)), {"dim": dim}
    yield "contiguous", (x.T,), {}
    yield from _choices(x, y, row)
    yield "cat", (x, y[:, :5]), {"dim": 1}
    yield "slice_backward", (x,), {"shape": (n + 3, 2 * c), "index": ((1, n + 1, 1), (0, 2 * c, 2))}
    yield "cast", (x,), {"dtype": np.dtype("int64")}
    yield "gather", (x, index), {"dim": 1}
    yield "scatter_add", (x, index, y), {"dim": 1}
    yield from _by_index(x, index, labels)
    yield from _norms(x, y, row, image)
    for op in ("mse_loss", "l1_loss", "binary_cross_entropy_with_logits"):
        for reduction in ("mean", "sum", "none"):
            yield op, (x, y), {"reduction": reduction}
    for dim in (0, 1):
        yield "cumsum", (x,), {"dim": dim}
        yield "stack", (x, y), {"dim": dim}
    yield "pad", (x,), {"padding": (1, 2, 3, 0), "value": 0.5}
    for diagonal in (-3, 0, 5):
        yield "tril", (x,), {"diagonal": diagonal}
        yield "triu", (x,), {"diagonal": diagonal}
    yield "matmul", (x, y.T), {}
    yield "linear", (x, normal(33, c, dtype=dtype), normal(33, dtype=dtype)), {}
    yield "linear_int8", (x, normal(33, c).astype(np.int8), normal(33, dtype=dtype)), {}
    yield "conv2d", (image, weight, normal(4, dtype=dtype)), grid
    yield "conv2d_input", (out, weight), {"input_size": (12, 13), **grid}
    yield "conv2d_weight", (out, image), {"kernel_size": (3, 3), **grid}
    yield "max_pool2d", (image,), window
    yield "max_pool2d_backward", (pooled, where), {"input_size": (12, 13)}
    yield "cross_entropy", (x, labels), {}
    yield "cross_entropy_backward", (np.ones((), dtype), x, labels, None, *saved), {}
    yield "layer_norm", (x, row, row[::-1].copy()), {"normalized_shape": (c,)}
    yield "layer_norm_backward", (y, x, row, mean, rstd), {"normalized_shape": (c,)}
    yield from _average_pools(image)
    yield from _attention(dtype, scale)
    for op in ("rand", "randn"):
        yield op, (key,), {"shape": (n, c), "dtype": np.dtype(dtype)}
    yield "dropout", (x, key), {"p": 0.3}
    for nesterov in (False, True):
        yield "sgd_step", (x, y, y, np.array([0.1, 0.9, 0.01])), {"nesterov": nesterov}
    hyper = np.array([0.1, 0.9, 0.99, 1e-8, 0.01, 0.5, 0.3])
    yield "adamw_step", (x, y, y, positive, hyper), {}
    yield "adam_step", (x, y, y, positive, hyper), {}
    yield "rmsprop_step", (x, y, positive, y, np.array([0.1, 0.9, 1e-4, 0.01, 0.8])), {}
