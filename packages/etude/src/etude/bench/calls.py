"""A call of each op, for Etude and for PyTorch: this is the place that knows how an op is written
there. ``ops.py`` times them.

A ``Case`` is one op at one shape: what it is called with, and the function that does the same in
PyTorch, on the same memory. Each name has three sizes, about 1 thousand, 65 thousand and a million
elements; further shapes of a million, and a way to draw more, for ``tests/bench``. Most names are
those of ops; the others are an op called in another way (``op_of``). An op without a case stands in
``OTHERWISE``. Without PyTorch the cases can be made and called, and their ``theirs`` does nothing.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import etude
from etude.core.table import TABLE


class Absent:
    """PyTorch where it is not installed: any name of it, and whatever a call of that would give."""

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __getitem__(self, index):
        return self


try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = F = Absent()

MILLION = 1 << 20

#: Ops of the table that have no case here, and why.
OTHERWISE = {
    **dict.fromkeys(["sgd_step", "adamw_step", "adam_step", "rmsprop_step"],
                    "PyTorch has no function for it; etude bench steps times whole steps"),
    "linear_int8": "PyTorch has no public function for weights in int8",
    "slice_backward": "PyTorch fills the gradient of a slice in two calls",
}


# ------------------------------------------------------------------ what a case is


@dataclass
class Case:
    """One op at one shape: what it is called with, and what does the same in PyTorch."""

    shape: tuple[int, ...]
    arrays: tuple[Any, ...]
    theirs: Any  # a function without arguments
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int | None = None  # how many of the first outputs are compared; None: all

    def ours(self, op):
        """A function without arguments, for the column in use."""
        run = etude.current("cpu").stack[0].ops[op]
        return lambda: run(*self.arrays, **self.attrs)


CASES: dict[str, Any] = {}  # name -> (function(rng, shape) -> Case, Shapes)


@dataclass(frozen=True)
class Shapes:
    """What an op is called with: three sizes, more shapes of a million, how another is drawn."""

    sizes: tuple[tuple[int, ...], ...]
    more: tuple[tuple[int, ...], ...] = ()
    draw: Any = None


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


FLAT = Shapes(((1024,), (1 << 16,), (MILLION,)), ((1024, 1024),), flat)
TABLE_ = Shapes(((32, 32), (256, 256), (1024, 1024)), ((16384, 64), (256, 4096)), table)
IMAGES = Shapes(((1, 4, 16, 16), (4, 16, 32, 32), (16, 64, 32, 32)), ((32, 32, 32, 32),), images)


def case(*names, shapes):
    def enter(make):
        for name in names:
            CASES[name] = (lambda rng, shape, name=name: make(name, rng, shape), shapes)
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


@case(*BINARY, shapes=FLAT)
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
    y = TABLE[name.removesuffix("_backward")](x, dim=-1)
    g, a = there(grad, y)
    function = getattr(torch.ops.aten, f"_{name}_data")
    return Case(shape, (grad, y), lambda: function(g, a, -1, torch.float32))


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


# ------------------------------------------------------------------ products and convolutions

SQUARES = Shapes(((32, 32), (256, 256), (1024, 1024)))


@case("matmul", shapes=SQUARES)
def matmul(name, rng, shape):
    x, y = normal(rng, shape), normal(rng, shape)
    a, b = there(x, y)
    return Case(shape, (x, y), lambda: torch.matmul(a, b))


@case("linear", shapes=SQUARES)
def linear(name, rng, shape):
    x, w, b = normal(rng, shape), normal(rng, shape), normal(rng, shape[:1])
    a, c, d = there(x, w, b)
    return Case(shape, (x, w, b), lambda: F.linear(a, c, d))


def convolution(rng):
    """A layer over about a million pixels, as ``layer`` reads it."""
    size = int(rng.choice([1, 3, 5]))
    return *images(rng), int(2 ** rng.uniform(3, 7)), size, int(rng.integers(1, 3)), size // 2


#: N, C, H, W of a 3 x 3 convolution to as many channels as there are; or, as networks have them,
#: N, C, H, W, the channels of the result, the size of the kernel, stride and padding.
CONVOLVED = Shapes(((1, 4, 16, 16), (4, 16, 32, 32), (16, 64, 32, 32)),
                   ((32, 32, 16, 16, 64, 3, 2, 1), (32, 64, 16, 16, 128, 1, 1, 0),
                    (32, 64, 32, 32, 64, 3, 1, 1), (16, 128, 16, 16, 128, 3, 1, 1),
                    (32, 16, 32, 32, 16, 3, 1, 1), (16, 3, 224, 224, 64, 11, 4, 2)), convolution)


def layer(rng, shape):
    """(image, weight, stride, padding) of a shape of CONVOLVED."""
    n, c, h, w, k, size, stride, padding = shape if len(shape) == 8 else (*shape, shape[1], 3, 1, 1)
    return normal(rng, (n, c, h, w)), normal(rng, (k, c, size, size)), stride, padding


@case("conv2d", shapes=CONVOLVED)
def conv2d(name, rng, shape):
    x, w, stride, padding = layer(rng, shape)
    a, c = there(x, w)
    return Case(shape, (x, w, None), lambda: F.conv2d(a, c, stride=stride, padding=padding),
                {"stride": (stride, stride), "padding": (padding, padding)})


@case("conv2d_input", "conv2d_weight", shapes=CONVOLVED)
def from_conv2d(name, rng, shape):
    """The gradient of the image or of the weights alone."""
    x, w, stride, padding = layer(rng, shape)
    a, c = there(x, w)
    sides = [(n + 2 * padding - k) // stride + 1
             for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    grad = normal(rng, (len(x), len(w), *sides))
    (g,) = there(grad)
    image = name == "conv2d_input"
    run, wanted = torch.ops.aten.convolution_backward, [image, not image, False]
    which, other = (0, w) if image else (1, x)
    attrs = {"input_size": x.shape[2:]} if image else {"kernel_size": w.shape[2:]}
    return Case(shape, (grad, other), lambda: run(g, a, c, None, [stride] * 2, [padding] * 2,
                                                  [1, 1], False, [0, 0], 1, wanted)[which],
                {**attrs, "stride": (stride, stride), "padding": (padding, padding)})


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
    return Case(shape, (x,), lambda: run(a, (2, 2), (2, 2)),
                {"kernel_size": (2, 2), "stride": (2, 2)}, outputs=1)


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


HEADS = Shapes(((1, 2, 16, 32), (1, 4, 256, 64), (16, 4, 256, 64)), ((64, 4, 64, 64),), heads)


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


def op_of(name: str) -> str:
    """The op of a case: some ops have several."""
    for tail in ("_of_columns", "_of_all", "_by_number"):
        name = name.removesuffix(tail)
    return {"attention_masked": "scaled_dot_product_attention", "gelu_tanh": "gelu",
            "attention_causal": "scaled_dot_product_attention"}.get(name, name)
