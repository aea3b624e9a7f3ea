"""Every public op beside PyTorch's: values on every sample of tests/ops, gradients where smooth."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from beside import backward, close, same_gradient, to_etude, to_torch
from op_sweep import SHIPPED, samples_of

import etude
from etude import TABLE
from etude.core.dispatch import OPS
from etude.nn import functional

PUBLIC = [name for name in SHIPPED if not TABLE[name].internal]
DTYPES = {np.dtype(k): v for k, v in (("float32", torch.float32), ("float64", torch.float64),
                                      ("int64", torch.int64), ("bool", torch.bool))}
KINDS = {float: torch.float64, int: torch.int64, bool: torch.bool}


def over(fn):
    """A reduction with PyTorch's dim, for any dim of Etude's: None, an integer or several."""
    def call(x, dim=None, keepdim=False, **attrs):
        whole = tuple(range(x.ndim)) if dim is None else dim
        if whole == ():
            return fn(x.unsqueeze(0), dim=0, **attrs)
        return fn(x, dim=whole, keepdim=keepdim, **attrs)

    return call


def one_axis(fn):
    """The same, where PyTorch takes one axis only: the others are reduced in turn."""
    def call(x, dim=None, keepdim=False):
        axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        shape = x.shape
        gone = {a % x.ndim for a in axes}
        for a in sorted(gone, reverse=True):
            x = fn(x, dim=a)
        return x.reshape([1 if i in gone else n for i, n in enumerate(shape)]) if keepdim else x

    return call


def place(fn):
    """argmax and argmin: all axes at once, or one."""
    def call(x, dim=None, keepdim=False):
        if x.dtype == torch.bool:
            return None
        y = fn(x, dim=dim)
        return y.reshape([1] * x.ndim if dim is None else
                         [1 if i == dim % x.ndim else n for i, n in enumerate(x.shape)]
                         ) if keepdim else y

    return call


def sliced(x, index):
    """Etude's index: an integer, (start, stop, step) or None for each axis."""
    axes = []
    for i in index:
        if isinstance(i, tuple):
            start, stop, step = (*i, None)[:3] if len(i) == 2 else i
            if step is not None and step < 0:
                return None  # PyTorch has no negative step
            axes.append(slice(start, stop, step))
        else:
            axes.append(i)
    return x[tuple(axes)]


def attention(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if query.shape[-2] != key.shape[-2] and is_causal:
        seen = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        return F.scaled_dot_product_attention(query, key, value, seen, scale=scale)
    return F.scaled_dot_product_attention(query, key, value, attn_mask, is_causal=is_causal,
                                          scale=scale)


def batch_norm(x, weight=None, bias=None, eps=1e-5):
    return None if not x.numel() else F.batch_norm(x, None, None, weight, bias, True, 0.1, eps)


def cross_entropy(x, target, weight=None, **attrs):
    """PyTorch gives class weights no gradient; weighted probabilities in place of labels do."""
    if weight is None or not weight.requires_grad:
        return F.cross_entropy(x, target, weight, **attrs)
    counts = target != attrs.get("ignore_index", -100)
    labels = torch.where(counts, target, 0)
    smooth = attrs.get("label_smoothing", 0.0)
    asked = (1 - smooth) * F.one_hot(labels, x.shape[1]).to(x.dtype) + smooth / x.shape[1]
    loss = -(asked * weight * F.log_softmax(x, 1)).sum(1) * counts
    reduction = attrs.get("reduction", "mean")
    if reduction == "none":
        return loss
    return loss.sum() / ((weight[labels] * counts).sum() if reduction == "mean" else 1)


def topk(x, k, dim=-1, largest=True):
    """Of equal elements PyTorch promises no order: then the values alone."""
    values, places = torch.topk(x, k, dim, largest)
    return (values, places) if x.unique().numel() == x.numel() else values


def sizes(normalized_shape):
    return (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape


#: In the order of Etude's arrays, then its attributes; None: PyTorch has no such case.
THEIRS = {name: getattr(F, name, None) or getattr(torch, name, None) for name in PUBLIC} | {
    **{name: over(getattr(torch, name))
       for name in ("sum", "mean", "amax", "amin", "logsumexp", "var")},
    **{name: one_axis(getattr(torch, name)) for name in ("prod", "all", "any")},
    "argmax": place(torch.argmax), "argmin": place(torch.argmin),
    "batch_norm": batch_norm,
    "cross_entropy": cross_entropy,
    "floor_divide": lambda x, y: torch.floor_divide(*(  # PyTorch has no gradient of it
        t.detach() if isinstance(t, torch.Tensor) else t for t in (x, y))),
    "layer_norm": lambda x, w=None, b=None, *, normalized_shape, eps=1e-5: F.layer_norm(
        x, sizes(normalized_shape), w, b, eps),
    "rms_norm": lambda x, w=None, *, normalized_shape, eps=None: F.rms_norm(
        x, sizes(normalized_shape), w, eps),
    "softmax": lambda x, dim=-1: F.softmax(x, dim),
    "log_softmax": lambda x, dim=-1: F.log_softmax(x, dim),
    "cast": lambda x, dtype: x.to(DTYPES[np.dtype(dtype)]),
    "cat": lambda *xs, dim=0: torch.cat(xs, dim),
    "stack": lambda *xs, dim=0: torch.stack(xs, dim),
    "contiguous": torch.Tensor.contiguous,
    "expand": lambda x, shape: x.expand(shape),
    "full": lambda shape, value, dtype: torch.full(shape, value, dtype=DTYPES[np.dtype(dtype)]),
    "gather": lambda x, index, dim: torch.gather(x, dim, index),
    "index_select": lambda x, index, dim: torch.index_select(x, dim, index),
    "scatter_add": lambda x, index, src, dim: torch.scatter_add(
        x, dim, index, src[tuple(map(slice, index.shape))]),  # its gradient wants one shape
    "softplus": lambda x, beta=1.0, threshold=20.0: F.softplus(x, beta, threshold),
    "one_hot": lambda index, num_classes: F.one_hot(index, num_classes),
    "pad": lambda x, padding, value=0.0: F.pad(x, padding, value=value),
    "scaled_dot_product_attention": attention,
    "slice": sliced,
    "topk": topk,
    "split": lambda x, sizes, dim=0: torch.split(x, list(sizes), dim),
}


def test_every_public_op_is_compared():
    assert [name for name, fn in THEIRS.items() if fn is None] == []


def results(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


@pytest.mark.parametrize("name", PUBLIC)
def test_op(name):
    compared = 0
    for i, sample in enumerate(samples_of(name)):
        where = f"{name}, sample {i}"
        mine = [to_etude(a, sample.smooth) for a in sample.arrays]
        theirs = [torch.tensor(a, dtype=KINDS[type(a)]) if type(a) in KINDS else to_torch(
            a, sample.smooth) for a in sample.arrays]
        other = THEIRS[name](*theirs, **sample.attrs)
        if other is None:
            continue
        ys, zs = results(OPS[name](*mine, **sample.attrs)), results(other)
        assert len(zs) in (1, len(ys)), where
        for y, z in zip(ys, zs, strict=False):
            close(y, z, where)
        compared += 1
        if sample.smooth and zs[0].requires_grad:
            if ys[0].requires_grad:
                backward(ys[0], zs[0])
            else:  # no gradient is a gradient of zeros
                zs[0].sum().backward()
            for a, b in zip(mine, theirs, strict=True):
                if isinstance(b, torch.Tensor) and b.requires_grad:
                    same_gradient(a, b, where)
    assert compared


#: A few functions that are no ops; torch_samples.py has them all.
COMPOSED = [
    ("conv1d", [(2, 4, 9), (6, 2, 3), (6,)], {"stride": 2, "padding": 1, "dilation": 2,
                                             "groups": 2}),
    ("conv1d", [(1, 1, 4), (2, 1, 2)], {}),
    ("conv_transpose2d", [(2, 4, 3, 5), (4, 3, 2, 3), (6,)], {
        "stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2,
        "dilation": (2, 1)}),
    ("conv_transpose2d", [(1, 2, 3, 3), (2, 1, 2, 2)], {"stride": 2}),
    ("group_norm", [(3, 4, 5), 2, (4,), (4,)], {"eps": 0.1}),
    ("group_norm", [(3, 4, 2, 2), 4], {}),
    ("batch_norm", [(4, 3, 2), None, None, (3,), (3,)], {"training": True}),
    ("matmul", [(5,), (5,)], {}), ("matmul", [(5,), (2, 5, 3)], {}),
    ("matmul", [(2, 3, 5), (5,)], {}),
]


@pytest.mark.parametrize(("name", "inputs", "attrs"), COMPOSED)
def test_function_of_several_ops(name, inputs, attrs):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(x) if isinstance(x, tuple) else x for x in inputs]
    mine, theirs = ([make(a, True) for a in arrays] for make in (to_etude, to_torch))
    y = getattr(functional, name)(*mine, **attrs)
    z = (getattr(F, name, None) or getattr(torch, name))(*theirs, **attrs)
    close(y, z)
    backward(y, z)
    for a, b in zip(mine, theirs, strict=True):
        if isinstance(b, torch.Tensor):
            same_gradient(a, b, name)


@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_batch_norm_moves_its_running_statistics_alike(momentum):
    rng = np.random.default_rng(0)
    mine, theirs = ([make(np.zeros(3)), make(np.ones(3))] for make in (to_etude, to_torch))
    for _ in range(3):
        x = rng.standard_normal((5, 3, 2))
        functional.batch_norm(to_etude(x), *mine, training=True, momentum=momentum)
        F.batch_norm(to_torch(x), *theirs, training=True, momentum=momentum)
        x = rng.standard_normal((2, 3))
        close(functional.batch_norm(to_etude(x), *mine), F.batch_norm(to_torch(x), *theirs))
    for a, b in zip(mine, theirs, strict=True):
        close(a, b)


def test_second_derivatives_of_a_small_network_agree():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((2, 2, 5, 5), (3, 2, 3, 3), (4, 27))]

    def slope(lib, grad, x, w, v):
        y = lib.tanh(lib.conv2d(x, w)).reshape(2, -1)
        y = lib.gelu(lib.layer_norm(lib.linear(y, v), (4,)))
        (g,) = grad((y * y).sum(), [x], create_graph=True)
        return (g * g).sum()

    class Torch:
        tanh, conv2d, gelu, layer_norm, linear = (
            torch.tanh, F.conv2d, F.gelu, F.layer_norm, F.linear)

    mine, theirs = ([make(a, True) for a in arrays] for make in (to_etude, to_torch))
    y, z = slope(functional, etude.grad, *mine), slope(Torch, torch.autograd.grad, *theirs)
    close(y, z)
    y.backward()
    z.backward()
    for a, b in zip(mine, theirs, strict=True):
        same_gradient(a, b, rtol=1e-9, atol=1e-11)
