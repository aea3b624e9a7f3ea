"""Every op of the table beside PyTorch's, at about a million elements: who is faster, and how far
from the speed of memory are we?

    python tests/bench/bench_ops_beside_torch.py                     every op, one thread
    python tests/bench/bench_ops_beside_torch.py sin topk --threads 2 --seed 7
    tox -e bench-torch -- -k beside                                  the same, as tests

Both run in turns in this process, on the same numbers, with as many threads; what they give is
compared before they are timed. An op has fixed shapes and three that are drawn from the seed, which
is printed. Time is CPU time of the thread where there is one, so that waiting for a core does not
count, and wall time with more. The ratio is PyTorch's time over ours, above 1 ours is faster: the
median over the turns, and its 95 % interval (``etude.measure``). "memory" is the share of the
bandwidth that ``etude.measure.peaks`` finds here, of the bytes that an op must read and write.

An op passes if it is at least as fast, or as fast as memory allows (``PASSES``). On a busy machine
the line says so and nothing is judged. Matrix products and convolutions are bound by arithmetic,
and stand elsewhere (``OTHERWISE``).
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

import etude
from etude.core.table import TABLE
from etude.measure import Span, median_interval, now, peaks

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

MILLION = 1 << 20
SAMPLE = 0.003  # seconds that one side runs in one turn, at least
TURNS = 25
DRAWN = 3
#: At least as fast as PyTorch, give or take; or most of what memory can do.
PASSES, PASSES_LOW, ENOUGH_OF_MEMORY = 1.0, 0.95, 0.85

#: Ops of the table that have no case here, and why.
OTHERWISE = {
    **dict.fromkeys(["matmul", "linear", "conv2d", "conv2d_input", "conv2d_weight"],
                    "bound by arithmetic, not by a million elements"),
    **dict.fromkeys(["sgd_step", "adamw_step", "adam_step", "rmsprop_step"],
                    "PyTorch has no function for it; a whole step is timed in bench_step.py"),
    "slice_backward": "PyTorch fills the gradient of a slice in two calls",
}


# ------------------------------------------------------------------ what a case is


@dataclass
class Case:
    """One op at one shape: what it is called with, and what does the same in PyTorch."""

    shape: tuple
    arrays: tuple
    theirs: object  # a function without arguments
    attrs: dict = field(default_factory=dict)
    outputs: int | None = None  # how many of the first outputs are compared; None: all

    def ours(self, op):
        """A function without arguments, for the column in use."""
        run = etude.current("cpu").stack[0].ops[op]
        return lambda: run(*self.arrays, **self.attrs)


CASES = {}  # op -> (function(rng, shape) -> Case, the fixed shapes, how a shape is drawn)


def flat(rng):
    """About a million elements in one to three axes."""
    n = int(MILLION * rng.uniform(0.8, 1.25))
    cuts = [int(2 ** rng.uniform(1, 7)) for _ in range(rng.integers(0, 3))]
    return (*cuts, max(1, n // math.prod(cuts)))


def table(rng):
    """About a million elements in rows of 8 to 20,000."""
    cols = int(2 ** rng.uniform(3, 14.3))
    return max(1, int(MILLION * rng.uniform(0.8, 1.25)) // cols), cols


def images(rng):
    """About a million pixels: N, C, H, W."""
    side, channels = int(rng.integers(12, 65)), int(2 ** rng.uniform(2, 7))
    return max(1, MILLION // (channels * side * side)), channels, side, side


FLAT = ([(MILLION,), (1024, 1024)], flat)
TABLE_ = ([(1024, 1024), (16384, 64), (256, 4096)], table)
IMAGES = ([(16, 64, 32, 32), (32, 32, 32, 32)], images)


def case(*names, shapes):
    def enter(make):
        for name in names:
            CASES[name] = (lambda rng, shape, name=name: make(name, rng, shape), *shapes)
        return make

    return enter


def normal(rng, shape):
    return rng.standard_normal(shape, dtype=np.float32)


def there(*arrays):
    """The same memory as PyTorch's tensors."""
    return [None if a is None else torch.from_numpy(a) for a in arrays]


def gradient(outputs, inputs, grad):
    """PyTorch's backward, by its tape, for a backward that has no name of its own there."""
    return lambda: torch.autograd.grad(outputs, inputs, grad, retain_graph=True)


# ------------------------------------------------------------------ element by element

MAPS = ["neg", "abs", "sign", "reciprocal", "square", "expm1", "sin", "cos", "exp", "tanh",
        "sigmoid", "relu", "erf", "floor", "ceil", "round", "isnan"]


@case(*MAPS, "leaky_relu", "elu", "silu", "softplus", "gelu", shapes=FLAT)
def one_array(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    function = getattr(torch, name, None) or getattr(F, name)
    return Case(shape, (x,), lambda: function(a))


@case("gelu_tanh", shapes=FLAT)
def gelu_by_tanh(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: F.gelu(a, approximate="tanh"), {"approximate": "tanh"})


@case("log", "log1p", "sqrt", "rsqrt", shapes=FLAT)
def one_positive(name, rng, shape):
    x = np.exp(3 * normal(rng, shape))
    (a,) = there(x)
    function = getattr(torch, name)
    return Case(shape, (x,), lambda: function(a))


@case("clamp", shapes=FLAT)
def clamp(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: torch.clamp(a, -1, 1), {"min": -1.0, "max": 1.0})


@case("tanh_backward", "sigmoid_backward", shapes=FLAT)
def from_output(name, rng, shape):
    grad, y = normal(rng, shape), rng.random(shape, dtype=np.float32)
    g, a = there(grad, y)
    function = getattr(torch.ops.aten, name)
    return Case(shape, (grad, y), lambda: function(g, a))


@case("relu_backward", shapes=FLAT)
def from_relu(name, rng, shape):
    grad, y = normal(rng, shape), np.maximum(normal(rng, shape), 0)
    g, a = there(grad, y)
    return Case(shape, (grad, y), lambda: torch.ops.aten.threshold_backward(g, a, 0))


@case("gelu_backward", shapes=FLAT)
def from_gelu(name, rng, shape):
    grad, x = normal(rng, shape), normal(rng, shape)
    g, a = there(grad, x)
    return Case(shape, (grad, x), lambda: torch.ops.aten.gelu_backward(g, a))


BINARY = {"add": "add", "sub": "sub", "mul": "mul", "div": "div", "maximum": "maximum",
          "minimum": "minimum", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt",
          "ge": "ge", "floor_divide": "floor_divide", "remainder": "remainder"}


@case(*BINARY, shapes=([(MILLION,), (1024, 1024)], flat))
def two_arrays(name, rng, shape):
    """Of one axis: two full arrays. Of more: the second is a row that is repeated."""
    x, y = normal(rng, shape), normal(rng, shape[-1:] if len(shape) > 1 else shape)
    a, b = there(x, y)
    function = getattr(torch, name)
    return Case(shape, (x, y), lambda: function(a, b))


@case("pow", shapes=FLAT)
def powers(name, rng, shape):
    x, y = np.exp(normal(rng, shape)), normal(rng, shape)
    a, b = there(x, y)
    return Case(shape, (x, y), lambda: torch.pow(a, b))


@case("pow_by_number", shapes=FLAT)
def power(name, rng, shape):
    x, exponent = np.exp(normal(rng, shape)), round(float(rng.uniform(0.1, 4)), 2)
    (a,) = there(x)
    return Case(shape, (x, np.float32(exponent).reshape(())), lambda: torch.pow(a, exponent))


@case("logical_and", "logical_or", shapes=FLAT)
def two_bools(name, rng, shape):
    x, y = normal(rng, shape) > 0, normal(rng, shape) > 0
    a, b = there(x, y)
    function = getattr(torch, name)
    return Case(shape, (x, y), lambda: function(a, b))


@case("logical_not", shapes=FLAT)
def one_bool(name, rng, shape):
    x = normal(rng, shape) > 0
    (a,) = there(x)
    return Case(shape, (x,), lambda: torch.logical_not(a))


@case("where", shapes=FLAT)
def where(name, rng, shape):
    c, x, y = normal(rng, shape) > 0, normal(rng, shape), normal(rng, shape)
    a, b, d = there(c, x, y)
    return Case(shape, (c, x, y), lambda: torch.where(a, b, d))


@case("lerp", shapes=FLAT)
def lerp(name, rng, shape):
    x, y, w = normal(rng, shape), normal(rng, shape), rng.random(shape, dtype=np.float32)
    a, b, d = there(x, y, w)
    return Case(shape, (x, y, w), lambda: torch.lerp(a, b, d))


@case("mse_loss", "l1_loss", shapes=FLAT)
def loss(name, rng, shape):
    x, y = normal(rng, shape), normal(rng, shape)
    a, b = there(x, y)
    return Case(shape, (x, y), lambda: getattr(F, name)(a, b))


@case("binary_cross_entropy_with_logits", shapes=FLAT)
def loss_of_logits(name, rng, shape):
    x, y = normal(rng, shape), (normal(rng, shape) > 0).astype(np.float32)
    a, b = there(x, y)
    return Case(shape, (x, y), lambda: F.binary_cross_entropy_with_logits(a, b))


# ------------------------------------------------------------------ along an axis


@case("sum", "mean", "amax", "amin", "prod", "logsumexp", "argmax", "argmin", "var", "cumsum",
      shapes=TABLE_)
def along_rows(name, rng, shape):
    x = normal(rng, shape) if name != "prod" else np.exp(0.1 * normal(rng, shape))
    (a,) = there(x)
    function = getattr(torch, name)
    return Case(shape, (x,), lambda: function(a, dim=-1), {"dim": -1})


@case("sum_of_columns", "mean_of_columns", "amax_of_columns", "var_of_columns", "cumsum_of_columns",
      "logsumexp_of_columns", "prod_of_columns", "argmax_of_columns", shapes=TABLE_)
def down_columns(name, rng, shape):
    name = name.removesuffix("_of_columns")
    x = normal(rng, shape) if name != "prod" else np.exp(0.01 * normal(rng, shape))
    (a,) = there(x)
    function = getattr(torch, name)
    return Case(shape, (x,), lambda: function(a, dim=0), {"dim": 0})


@case("sum_of_all", "mean_of_all", "amax_of_all", "argmax_of_all", shapes=FLAT)
def over_all(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    function = getattr(torch, name.removesuffix("_of_all"))
    return Case(shape, (x,), lambda: function(a))


@case("all", "any", shapes=TABLE_)
def bools_along_rows(name, rng, shape):
    x = np.full(shape, name == "all")
    (a,) = there(x)
    function = getattr(torch, name)
    return Case(shape, (x,), lambda: function(a, dim=-1), {"dim": -1})


@case("prod_backward", shapes=TABLE_)
def from_product(name, rng, shape):
    x, grad = np.exp(0.1 * normal(rng, shape)), normal(rng, shape[:1])
    a, g = there(x, grad)
    a.requires_grad_()
    return Case(shape, (grad, x), gradient(a.prod(-1), a, g), {"dim": -1})


@case("topk", shapes=TABLE_)
def topk(name, rng, shape):
    x, k = normal(rng, shape), min(10, shape[-1])
    (a,) = there(x)
    return Case(shape, (x,), lambda: torch.topk(a, k), {"k": k}, outputs=1)


@case("softmax", "log_softmax", shapes=TABLE_)
def softmax(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: getattr(torch, name)(a, -1))


@case("softmax_backward", "log_softmax_backward", shapes=TABLE_)
def from_softmax(name, rng, shape):
    x, grad = normal(rng, shape), normal(rng, shape)
    y = getattr(torch, name.removesuffix("_backward"))(torch.from_numpy(x), -1)
    (g,) = there(grad)
    function = getattr(torch.ops.aten, f"_{name}_data")
    return Case(shape, (grad, y.numpy()), lambda: function(g, y, -1, torch.float32))


@case("cross_entropy", shapes=TABLE_)
def cross_entropy(name, rng, shape):
    x, labels = normal(rng, shape), rng.integers(0, shape[1], shape[0])
    a, b = there(x, labels)
    return Case(shape, (x, labels, None), lambda: F.cross_entropy(a, b), outputs=1)


@case("cross_entropy_backward", shapes=TABLE_)
def from_cross_entropy(name, rng, shape):
    x, labels, grad = normal(rng, shape), rng.integers(0, shape[1], shape[0]), np.float32(1)
    _, top, log_sum = TABLE["cross_entropy"](x, labels, None)
    a, b = there(x, labels)
    a.requires_grad_()
    out = F.cross_entropy(a, b)
    return Case(shape, (grad.reshape(()), x, labels, None, top, log_sum),
                gradient(out, a, torch.ones(())))


@case("layer_norm", shapes=TABLE_)
def layer_norm(name, rng, shape):
    x, w, b = normal(rng, shape), normal(rng, shape[1:]), normal(rng, shape[1:])
    a, c, d = there(x, w, b)
    return Case(shape, (x, w, b), lambda: F.layer_norm(a, shape[1:], c, d),
                {"normalized_shape": shape[1:]}, outputs=1)


@case("layer_norm_backward", shapes=TABLE_)
def from_layer_norm(name, rng, shape):
    x, w, grad = normal(rng, shape), normal(rng, shape[1:]), normal(rng, shape)
    _, mean, rstd = TABLE["layer_norm"](x, w, w, normalized_shape=shape[1:])
    a, c, g, m, r = there(x, w, grad, mean, rstd)
    function = torch.ops.aten.native_layer_norm_backward
    m, r = m[:, None], r[:, None]
    return Case(shape, (grad, x, w, mean, rstd),
                lambda: function(g, a, shape[1:], m, r, c, c, [True, True, True]),
                {"normalized_shape": shape[1:]})


@case("rms_norm", shapes=TABLE_)
def rms_norm(name, rng, shape):
    x, w = normal(rng, shape), normal(rng, shape[1:])
    a, c = there(x, w)
    return Case(shape, (x, w), lambda: F.rms_norm(a, shape[1:], c),
                {"normalized_shape": shape[1:]}, outputs=1)


@case("rms_norm_backward", shapes=TABLE_)
def from_rms_norm(name, rng, shape):
    x, w, grad = normal(rng, shape), normal(rng, shape[1:]), normal(rng, shape)
    _, rstd = TABLE["rms_norm"](x, w, normalized_shape=shape[1:])
    a, c, g = there(x, w, grad)
    a.requires_grad_(), c.requires_grad_()
    out = F.rms_norm(a, shape[1:], c)
    return Case(shape, (grad, x, w, rstd), gradient(out, (a, c), g),
                {"normalized_shape": shape[1:]})


@case("tril", "triu", shapes=TABLE_)
def triangle(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: getattr(torch, name)(a))


# ------------------------------------------------------------------ images


def channels(rng, shape):
    return [normal(rng, shape[1:2]) for _ in range(2)]


@case("batch_norm", shapes=IMAGES)
def batch_norm(name, rng, shape):
    x, (w, b) = normal(rng, shape), channels(rng, shape)
    a, c, d = there(x, w, b)
    return Case(shape, (x, w, b), lambda: F.batch_norm(a, None, None, c, d, training=True),
                outputs=1)


@case("batch_norm_eval", shapes=IMAGES)
def batch_norm_eval(name, rng, shape):
    x, (w, b) = normal(rng, shape), channels(rng, shape)
    mean, var = normal(rng, shape[1:2]), np.exp(normal(rng, shape[1:2]))
    a, c, d, m, v = there(x, w, b, mean, var)
    return Case(shape, (x, mean, var, w, b), lambda: F.batch_norm(a, m, v, c, d))


@case("batch_norm_backward", shapes=IMAGES)
def from_batch_norm(name, rng, shape):
    x, grad, (w, _) = normal(rng, shape), normal(rng, shape), channels(rng, shape)
    _, mean, var = TABLE["batch_norm"](x, w, w)
    rstd = 1 / np.sqrt(var + 1e-5)
    a, g, c, m, r = there(x, grad, w, mean, rstd.astype(np.float32))
    function = torch.ops.aten.native_batch_norm_backward
    return Case(shape, (grad, x, w, mean, var),
                lambda: function(g, a, c, None, None, m, r, True, 1e-5, [True, True, True]))


@case("max_pool2d", "avg_pool2d", shapes=IMAGES)
def pool(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    run = torch.ops.aten.max_pool2d_with_indices if name == "max_pool2d" else F.avg_pool2d
    attrs = {"kernel_size": (2, 2), "stride": (2, 2)}
    return Case(shape, (x,), lambda: run(a, (2, 2), (2, 2)), attrs, outputs=1)


@case("max_pool2d_backward", shapes=IMAGES)
def from_max_pool(name, rng, shape):
    x = normal(rng, shape)
    y, index = TABLE["max_pool2d"](x, kernel_size=(2, 2))
    grad = normal(rng, y.shape)
    a, g, i = there(x, grad, index)
    function = torch.ops.aten.max_pool2d_with_indices_backward
    return Case(shape, (grad, index), lambda: function(g, a, (2, 2), (2, 2), 0, 1, False, i),
                {"input_size": shape[2:]})


@case("avg_pool2d_backward", shapes=IMAGES)
def from_avg_pool(name, rng, shape):
    x, grad = normal(rng, shape), normal(rng, (*shape[:2], shape[2] // 2, shape[3] // 2))
    a, g = there(x, grad)
    function = torch.ops.aten.avg_pool2d_backward
    return Case(shape, (grad,), lambda: function(g, a, (2, 2), (2, 2), 0, False, True, None),
                {"input_size": shape[2:], "kernel_size": (2, 2), "stride": (2, 2)})


@case("adaptive_avg_pool2d", shapes=IMAGES)
def adaptive(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: F.adaptive_avg_pool2d(a, (4, 4)), {"output_size": (4, 4)})


@case("adaptive_avg_pool2d_backward", shapes=IMAGES)
def from_adaptive(name, rng, shape):
    x, grad = normal(rng, shape), normal(rng, (*shape[:2], 4, 4))
    a, g = there(x, grad)
    function = torch.ops.aten._adaptive_avg_pool2d_backward
    return Case(shape, (grad,), lambda: function(g, a), {"input_size": shape[2:]})


@case("pad", shapes=IMAGES)
def pad(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: F.pad(a, (1, 1, 1, 1)),
                {"padding": (1, 1, 1, 1)})


# ------------------------------------------------------------------ copies and indices


@case("contiguous", shapes=TABLE_)
def contiguous(name, rng, shape):
    x = normal(rng, shape).T
    a = torch.from_numpy(x)
    return Case(shape, (x,), lambda: a.contiguous())


@case("cast", shapes=FLAT)
def cast(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x,), lambda: a.to(torch.float64), {"dtype": np.dtype(np.float64)})


@case("cat", "stack", shapes=FLAT)
def joined(name, rng, shape):
    xs = [normal(rng, (*shape[:-1], max(1, shape[-1] // 2))) for _ in range(2)]
    tensors = there(*xs)
    return Case(shape, tuple(xs), lambda: getattr(torch, name)(tensors, 0))


@case("index_select", shapes=TABLE_)
def index_select(name, rng, shape):
    x, index = normal(rng, shape), rng.integers(0, shape[0], shape[0])
    a, i = there(x, index)
    return Case(shape, (x, index), lambda: torch.index_select(a, 0, i), {"dim": 0})


@case("gather", shapes=TABLE_)
def gather(name, rng, shape):
    x, index = normal(rng, shape), rng.integers(0, shape[1], shape)
    a, i = there(x, index)
    return Case(shape, (x, index), lambda: torch.gather(a, 1, i), {"dim": 1})


@case("scatter_add", shapes=TABLE_)
def scatter_add(name, rng, shape):
    x, index, src = normal(rng, shape), rng.integers(0, shape[1], shape), normal(rng, shape)
    a, i, s = there(x, index, src)
    return Case(shape, (x, index, src), lambda: torch.scatter_add(a, 1, i, s), {"dim": 1})


@case("embedding", shapes=TABLE_)
def embedding(name, rng, shape):
    weight, index = normal(rng, (1000, shape[1])), rng.integers(0, 1000, shape[0])
    w, i = there(weight, index)
    return Case(shape, (index, weight), lambda: F.embedding(i, w))


@case("embedding_backward", shapes=TABLE_)
def from_embedding(name, rng, shape):
    grad, index = normal(rng, shape), rng.integers(0, 1000, shape[0])
    g, i = there(grad, index)
    function = torch.ops.aten.embedding_dense_backward
    return Case(shape, (grad, index), lambda: function(g, i, 1000, -1, False),
                {"num_embeddings": 1000})


@case("one_hot", shapes=TABLE_)
def one_hot(name, rng, shape):
    index = rng.integers(0, shape[1], shape[0])
    (i,) = there(index)
    return Case(shape, (index,), lambda: F.one_hot(i, shape[1]), {"num_classes": shape[1]})


# ------------------------------------------------------------------ attention, random numbers


def heads(rng):
    """About a million numbers of query: batch, heads, length, width."""
    length, width = int(rng.integers(16, 300)), int(rng.choice([16, 32, 64]))
    return max(1, MILLION // (4 * length * width)), 4, length, width


HEADS = ([(16, 4, 256, 64), (64, 4, 64, 64)], heads)


@case("scaled_dot_product_attention", "attention_masked", "attention_causal", shapes=HEADS)
def attention(name, rng, shape):
    q, k, v = [normal(rng, shape) for _ in range(3)]
    mask = normal(rng, (1, 1, *[shape[-2]] * 2)) > -1 if name == "attention_masked" else None
    causal = name == "attention_causal"
    a, b, c, m = there(q, k, v, mask)
    run = F.scaled_dot_product_attention
    return Case(shape, (q, k, v, mask), lambda: run(a, b, c, m, is_causal=causal),
                {"is_causal": causal}, outputs=1)


@case("attention_backward", shapes=HEADS)
def from_attention(name, rng, shape):
    q, k, v, grad = [normal(rng, shape) for _ in range(4)]
    y, top, log_sum = TABLE["scaled_dot_product_attention"](q, k, v)
    a, b, c, g = there(q, k, v, grad)
    for t in (a, b, c):
        t.requires_grad_()
    out = F.scaled_dot_product_attention(a, b, c)
    return Case(shape, (grad, q, k, v, None, y, top, log_sum), gradient(out, (a, b, c), g))


@case("rand", "randn", shapes=FLAT)
def random(name, rng, shape):
    """Another generator: only the time is compared."""
    key = np.array([1, 2])
    return Case(shape, (key,), lambda: getattr(torch, name)(shape), {"shape": shape}, outputs=0)


@case("dropout", shapes=FLAT)
def dropout(name, rng, shape):
    x = normal(rng, shape)
    (a,) = there(x)
    return Case(shape, (x, np.array([1, 2])), lambda: F.dropout(a, 0.5), {"p": 0.5}, outputs=0)


def op_of(name):
    """The op of a case: some ops have several."""
    for tail in ("_of_columns", "_of_all", "_by_number"):
        name = name.removesuffix(tail)
    return {"attention_masked": "scaled_dot_product_attention", "gelu_tanh": "gelu",
            "attention_causal": "scaled_dot_product_attention"}.get(name, name)


# ------------------------------------------------------------------ timing


def cases(name, seed):
    """The cases of one name: its fixed shapes, then those drawn."""
    make, fixed, draw = CASES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    for shape in [*fixed, *[draw(rng) for _ in range(DRAWN)]]:
        yield make(rng, shape)


def agree(name, case, ours, theirs):
    """What both give, in as far as it is the same thing."""
    def listed(out):
        return list(out) if isinstance(out, (tuple, list)) else [out]

    ours, theirs = listed(ours), listed(theirs)
    for got, want in list(zip(ours, theirs))[:case.outputs]:
        want = want.detach().numpy()
        size = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
        np.testing.assert_allclose(np.reshape(got, want.shape), want, rtol=2e-4, atol=2e-5 * size,
                                   err_msg=f"{name} {case.shape}")


@dataclass(frozen=True)
class Line:
    """What the timing of one case says."""

    name: str
    shape: tuple
    seconds: float  # of a call of ours
    ratio: object  # of etude.measure: an Interval
    memory: float  # share of the measured bandwidth
    busy: str

    @property
    def passes(self):
        fast = self.ratio.middle >= PASSES and self.ratio.low >= PASSES_LOW
        return fast or self.memory >= ENOUGH_OF_MEMORY

    def __str__(self):
        shape, r = "x".join(map(str, self.shape)), self.ratio
        mark = ("" if self.passes else "SLOWER ") + ("(busy)" if self.busy else "")
        return (f"{self.name:34} {shape:>16} {1e6 * self.seconds:9.1f} us "
                f"{r.middle:6.2f} ({r.low:.2f} to {r.high:.2f}) {self.memory:7.0%} {mark}")


def timed(name, case, threads, bandwidth):
    """Both sides in turns."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    sides = [case.ours(op_of(name)), case.theirs]
    mine = sides[0]()
    agree(name, case, mine, sides[1]())
    counts = [calls(side, clock) for side in sides]
    turns, start = [], now()
    for turn in range(TURNS):
        seconds = [0.0, 0.0]
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            seconds[i] = spent(sides[i], counts[i], clock)
        turns.append(seconds)
    span = Span.between(start, now())
    given = [a for a in case.arrays if a is not None]
    given += list(mine) if isinstance(mine, tuple) else [mine]
    ours = float(np.median([t[0] for t in turns]))
    moved = sum(a.nbytes for a in given)
    return Line(name, case.shape, ours, median_interval([b / a for a, b in turns]),
                moved / ours / bandwidth, span.busy)


def spent(side, count, clock):
    start = clock()
    for _ in range(count):
        side()
    return (clock() - start) / count


def calls(side, clock):
    """How many take a sample's time."""
    side()
    return max(1, math.ceil(SAMPLE / max(spent(side, 2, clock), 1e-7)))


def set_threads(threads):
    import etude_cpu

    etude_cpu.set_num_threads(threads)
    torch.set_num_threads(threads)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("names", nargs="*", help="of cases; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    args = parser.parse_args(argv)
    if torch is None:
        sys.exit("PyTorch is not installed: pip install torch")
    for name in args.names:
        if name not in CASES:
            parser.error(f"there is no case {name!r}; there are {', '.join(CASES)}")
    set_threads(args.threads)
    peak = peaks().of(args.threads)
    print(f"PyTorch {torch.__version__}, threads {args.threads}, seed {args.seed}, memory "
          f"{1e-9 * peak.bandwidth:.1f} GB/s")
    print(f"{'op':34} {'shape':>16} {'ours':>12} {'PyTorch over ours':>22} {'memory':>7}")
    lines = []
    with etude.use("cpu"), torch.no_grad():
        for name in args.names or CASES:
            with torch.enable_grad():
                made = list(cases(name, args.seed))
            for case in made:
                lines.append(timed(name, case, args.threads, peak.bandwidth))
                print(lines[-1], flush=True)
    middle = math.exp(np.mean([math.log(line.ratio.middle) for line in lines]))
    slower = sorted({line.name for line in lines if not line.passes})
    print(f"geometric mean {middle:.2f}; of {len(lines)} cases {sum(x.passes for x in lines)} pass"
          + (f"; slower somewhere: {', '.join(slower)}" if slower else ""))
    busy = sum(bool(line.busy) for line in lines)
    if busy:
        print(f"This machine was busy in {busy} of them: {next(x.busy for x in lines if x.busy)}.")


# ------------------------------------------------------------------ the same, as tests

needs_torch = pytest.mark.skipif(torch is None, reason="NOT RUN: PyTorch is not installed")


def test_every_op_stands_beside_pytorchs_or_the_reason_is_given():
    ops = {name for name, op in TABLE.items() if op.cls not in ("view", "create")}
    assert {op_of(name) for name in CASES} | set(OTHERWISE) == ops
    assert not {op_of(name) for name in CASES} & set(OTHERWISE)


@needs_torch
@pytest.mark.parametrize("name", CASES)
def test_an_op_is_as_fast_as_pytorchs_or_as_memory_beside_it(name, record_property):
    seed = time.time_ns() % 10_000
    set_threads(1)
    bandwidth = peaks().of(1).bandwidth
    with etude.use("cpu"), torch.no_grad():
        with torch.enable_grad():
            made = list(cases(name, seed))
        lines = [timed(name, case, 1, bandwidth) for case in made]
    print(f"seed {seed}", *lines, sep="\n")
    busy = next((line.busy for line in lines if line.busy), "")
    if busy:
        pytest.skip(f"NOT JUDGED: this machine was busy: {busy}")
    assert all(line.passes for line in lines), "\n".join(map(str, lines))


if __name__ == "__main__":
    main()
