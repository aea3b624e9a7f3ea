"""PyTorch as a foreign backend: the ops of the table that it has, under its own names.

The best test of a conformance kit is a column nobody wrote for it. Where PyTorch's op means
something else (gelu's gradient, the places of a pooling) the difference is bridged here, and where
it cannot be, the call is declined. Left out are sqrt, whose last bit is not always right there,
binary_cross_entropy_with_logits, whose formula cancels for a sure and right logit, and remainder,
which is NaN in float32 where the quotient is very large. torch is an optional extra, imported when
the column is loaded.
"""

import math

import numpy as np

from etude.core.errors import Unsupported
from etude_check.zoo import honest

SIMPLE = ("neg", "abs", "rsqrt", "reciprocal", "square", "expm1", "log1p", "sin", "cos",
          "exp", "log", "tanh", "relu", "erf", "floor", "ceil", "round", "isnan",
          "add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt",
          "ge", "logical_and", "logical_or", "logical_not", "matmul", "where")
NAMED = ("sign", "sigmoid", "pow", "leaky_relu", "elu", "silu", "softplus", "clamp", "gelu",
         "gelu_backward", "tanh_backward", "sigmoid_backward", "relu_backward", "lerp", "sum",
         "mean", "amax", "amin", "prod", "var", "logsumexp", "argmin", "argmax", "all", "any",
         "cumsum", "softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "linear",
         "conv2d", "conv2d_input", "conv2d_weight", "max_pool2d", "max_pool2d_backward",
         "avg_pool2d", "avg_pool2d_backward", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward",
         "contiguous", "cast", "cat", "stack", "pad", "tril", "triu", "gather", "scatter_add",
         "index_select", "embedding", "embedding_backward", "one_hot", "layer_norm", "rms_norm",
         "batch_norm", "batch_norm_eval", "cross_entropy", "mse_loss", "l1_loss",
         "scaled_dot_product_attention", "floor_divide")


@honest(*SIMPLE, *NAMED, name="torch")
def torch_column():
    """Every op that PyTorch has, through PyTorch."""
    import torch

    torch.set_num_threads(1)
    made = {name: bridged(torch, getattr(torch, name)) for name in SIMPLE}
    ops = Ops(torch)
    return made | {name: bridged(torch, getattr(ops, name)) for name in NAMED}


def bridged(torch, fn):
    """fn on tensors, as a column's function on arrays."""
    def into(a):
        if not isinstance(a, np.ndarray):
            return a
        if min(a.strides, default=0) < 0 or not a.flags.writeable:
            a = a.copy()  # PyTorch has no negative strides, and wants to be able to write
        return torch.from_numpy(a)

    def call(*arrays, **attrs):
        given = [a for a in arrays if isinstance(a, np.ndarray)]
        like = next((a for a in given if a.dtype != bool), given[0] if given else None)
        if like is not None:  # some ops take no Python numbers
            arrays = tuple(np.asarray(a, like.dtype) if isinstance(a, (int, float)) else a
                           for a in arrays)
        try:
            result = fn(*map(into, arrays), **attrs)
        except (NotImplementedError, RuntimeError, IndexError) as error:
            # It lacks most empty arrays; of a bad index the reference says more.
            words = str(error)
            if isinstance(error, NotImplementedError) or any(
                    a.size == 0 for a in given) or "out of" in words or "Class" in words:
                raise Unsupported(str(error)) from None
            raise
        if isinstance(result, tuple):
            return tuple(np.array(y) for y in result)  # PyTorch may return a view of its input
        return np.array(result)
    return call


class Ops:
    """Ops whose names or arguments differ."""

    def __init__(self, torch):
        self.t, self.f, self.a = torch, torch.nn.functional, torch.ops.aten

    # -------------------------------------------------------------- elementwise

    def sign(self, x):
        return self.t.where(x != x, x, self.t.sign(x))  # PyTorch has 0 for NaN

    def sigmoid(self, x):
        y = self.t.sigmoid(x)
        if ((y == 0) & (x > -800)).any():
            raise Unsupported("sigmoid where e^-x overflows: PyTorch gives 0")
        return y

    def pow(self, x, y):
        if y.ndim == 0 and abs(y) == 0.5:
            raise Unsupported("x^0.5, which PyTorch takes for sqrt x: not so at -0 and -inf")
        if y.dtype == self.t.int64 and (y < 0).any():
            raise Unsupported("whole numbers to a power below 0")
        return self.t.pow(x, y)

    def floor_divide(self, x, y):
        if y.dtype == self.t.int64 and (y == 0).any():
            raise Unsupported("whole numbers by 0")
        return self.t.floor_divide(x, y)

    def leaky_relu(self, x, *, negative_slope):
        return self.f.leaky_relu(x, negative_slope)

    def elu(self, x, *, alpha):
        return self.f.elu(x, alpha)

    def silu(self, x):
        y = self.f.silu(x)
        if ((y == 0) & (x < -80) & (x > -800)).any():
            raise Unsupported("silu where e^-x overflows: PyTorch gives 0")
        return y

    def softplus(self, x, *, beta, threshold):
        return self.f.softplus(x, beta, threshold)

    def clamp(self, x, *, min, max):
        return self.t.clamp(x, min, max)

    def gelu(self, x, *, approximate):
        # oneDNN's, which PyTorch 2.13 takes on some processors, is NaN at infinity: not a formula.
        with self.t.backends.mkldnn.flags(enabled=False):
            return self.f.gelu(x, approximate=approximate)

    def gelu_backward(self, grad, x, *, approximate):
        far = self.t.abs(x) > (1e19 if x.dtype == self.t.float32 else 1e150)
        if approximate == "tanh" and (far & self.t.isfinite(x)).any():
            raise Unsupported("x so large that its square overflows")
        return self.a.gelu_backward(grad, x, approximate=approximate)

    def tanh_backward(self, grad, y):
        return self.a.tanh_backward(grad, y)

    def sigmoid_backward(self, grad, y):
        return self.a.sigmoid_backward(grad, y)

    def relu_backward(self, grad, y):
        return self.t.where(y > 0, grad, self.t.zeros_like(grad))

    def lerp(self, x, y, weight):
        if not all((np.abs(a) < 1e30).all() for a in (x, y, weight)):
            raise Unsupported("lerp of huge numbers: PyTorch starts from the nearer end")
        tensors = [a for a in (x, y, weight) if isinstance(a, self.t.Tensor)]
        x, y = (a if isinstance(a, self.t.Tensor) else self.t.tensor(a, dtype=tensors[0].dtype)
                for a in (x, y))
        return self.t.lerp(x, y, weight)

    # -------------------------------------------------------------- along axes

    def _dims(self, x, dim):
        return tuple(range(x.ndim)) if dim is None else dim

    def sum(self, x, *, dim, keepdim):
        return self.t.sum(x, self._dims(x, dim), keepdim) if x.ndim and dim != () else x.clone()

    def mean(self, x, *, dim, keepdim):
        return self.t.mean(x, self._dims(x, dim), keepdim) if x.ndim and dim != () else x.clone()

    def amax(self, x, *, dim, keepdim):
        return self.t.amax(x, self._dims(x, dim), keepdim) if x.ndim and dim != () else x.clone()

    def amin(self, x, *, dim, keepdim):
        return self.t.amin(x, self._dims(x, dim), keepdim) if x.ndim and dim != () else x.clone()

    def prod(self, x, *, dim, keepdim):
        axes = self._dims(x, dim)
        axes = (axes,) if isinstance(axes, int) else axes
        for d in sorted((d % x.ndim for d in axes), reverse=True):
            x = x.prod(d, keepdim)
        return x

    def var(self, x, *, dim, keepdim, correction):
        if dim == () or not x.ndim:
            raise Unsupported("the variance over no axis")
        return self.t.var(x, self._dims(x, dim), correction=correction, keepdim=keepdim)

    def logsumexp(self, x, *, dim, keepdim):
        return self.t.logsumexp(x, self._dims(x, dim), keepdim) if dim != () else x.clone()

    def argmin(self, x, *, dim, keepdim):
        return self._place(self.t.argmin, x, dim, keepdim)

    def argmax(self, x, *, dim, keepdim):
        return self._place(self.t.argmax, x, dim, keepdim)

    def _place(self, fn, x, dim, keepdim):
        x = x.to(self.t.uint8) if x.dtype == self.t.bool else x
        return fn(x, dim, keepdim)

    def all(self, x, *, dim, keepdim):
        return self.t.all(x, self._dims(x, dim), keepdim) if x.ndim and dim != () else x.clone()

    def any(self, x, *, dim, keepdim):
        return self.t.any(x, self._dims(x, dim), keepdim) if x.ndim and dim != () else x.clone()

    def cumsum(self, x, *, dim):
        return self.t.cumsum(x, dim)

    def softmax(self, x, *, dim):
        return self.t.softmax(x, dim)

    def log_softmax(self, x, *, dim):
        return self.t.log_softmax(x, dim)

    def softmax_backward(self, grad, y, *, dim):
        return self.a._softmax_backward_data(grad, y, dim, y.dtype)

    def log_softmax_backward(self, grad, y, *, dim):
        return self.a._log_softmax_backward_data(grad, y, dim, y.dtype)

    # -------------------------------------------------------------- products, images

    def linear(self, x, weight, bias=None):
        return self.f.linear(x, weight, bias)

    def conv2d(self, x, weight, bias=None, **attrs):
        if not x.shape[1]:
            raise Unsupported("no channels: PyTorch's result then has none either")
        return self.f.conv2d(x, weight, bias, **attrs)

    def conv2d_input(self, grad, weight, *, input_size, groups, **attrs):
        size = (len(grad), weight.shape[1] * groups, *input_size)
        return self.t.nn.grad.conv2d_input(size, weight, grad, groups=groups, **attrs)

    def conv2d_weight(self, grad, x, *, kernel_size, groups, **attrs):
        if not (grad.isfinite().all() and x.isfinite().all()):
            raise Unsupported("infinities: PyTorch skips the products that padding makes 0")
        size = (grad.shape[1], x.shape[1] // groups, *kernel_size)
        return self.t.nn.grad.conv2d_weight(x, size, grad, groups=groups, **attrs)

    def max_pool2d(self, x, *, kernel_size, stride, padding, dilation, ceil_mode):
        if x.isnan().any():
            raise Unsupported("the place of a NaN: PyTorch takes the last one")
        if any(2 * p > k for p, k in zip(padding, kernel_size)):
            raise Unsupported("padding of more than half the taps, although they lie apart")
        return self.f.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode,
                                 return_indices=True)

    def max_pool2d_backward(self, grad, index, *, input_size):
        n, c = grad.shape[:2]
        dx = self.t.zeros((n, c, input_size[0] * input_size[1]), dtype=grad.dtype)
        dx.scatter_add_(2, index.reshape(n, c, -1), grad.reshape(n, c, -1))
        return dx.reshape(n, c, *input_size)

    def avg_pool2d(self, x, *, kernel_size, stride, padding, ceil_mode, count_include_pad,
                   divisor_override):
        return self.f.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                                 divisor_override)

    def avg_pool2d_backward(self, grad, *, input_size, kernel_size, stride, padding, ceil_mode,
                            count_include_pad, divisor_override):
        x = self.t.zeros((*grad.shape[:2], *input_size), dtype=grad.dtype)
        return self.a.avg_pool2d_backward(grad.contiguous(), x, kernel_size, stride, padding,
                                          ceil_mode, count_include_pad, divisor_override)

    def adaptive_avg_pool2d(self, x, *, output_size):
        return self.f.adaptive_avg_pool2d(x, output_size)

    def adaptive_avg_pool2d_backward(self, grad, *, input_size):
        x = self.t.zeros((*grad.shape[:2], *input_size), dtype=grad.dtype)
        return self.a._adaptive_avg_pool2d_backward(grad.contiguous(), x)

    # -------------------------------------------------------------- copies, indices

    def contiguous(self, x):
        return x.clone(memory_format=self.t.contiguous_format)

    def cast(self, x, *, dtype):
        if np.dtype(dtype).kind == "b":
            return x != 0
        return x.to(getattr(self.t, np.dtype(dtype).name), copy=True)

    def cat(self, *xs, dim):
        return self.t.cat(xs, dim) if len(xs) > 1 else xs[0].clone()

    def stack(self, *xs, dim):
        return self.t.stack(xs, dim)

    def pad(self, x, *, padding, value):
        if not len(padding):
            return x.clone()
        return self.t.constant_pad_nd(x, padding, value)  # functional.pad makes it a float

    def tril(self, x, *, diagonal):
        return self.t.tril(x, diagonal)

    def triu(self, x, *, diagonal):
        return self.t.triu(x, diagonal)

    def gather(self, x, index, *, dim):
        return self.t.gather(x, dim, index)

    def scatter_add(self, x, index, src, *, dim):
        return self.t.scatter_add(x, dim, index, src)

    def index_select(self, x, index, *, dim):
        return self.t.index_select(x, dim, index)

    def embedding(self, index, weight, *, padding_idx=None):
        return self.f.embedding(index, weight, padding_idx)

    def embedding_backward(self, grad, index, *, num_embeddings, padding_idx=None):
        if padding_idx is not None:
            return self.a.embedding_dense_backward(grad, index, num_embeddings, padding_idx, False)
        dweight = self.t.zeros((num_embeddings, grad.shape[-1]), dtype=grad.dtype)
        return dweight.index_add_(0, index.reshape(-1),
                                  grad.reshape(index.numel(), grad.shape[-1]))

    def one_hot(self, index, *, num_classes):
        if not index.numel() or num_classes < 1:
            raise Unsupported("one_hot of nothing")
        return self.f.one_hot(index, num_classes)

    # -------------------------------------------------------------- normalisation, losses

    def layer_norm(self, x, weight=None, bias=None, *, normalized_shape, eps):
        y, mean, rstd = self.a.native_layer_norm(x, normalized_shape, weight, bias, eps)
        lead = x.shape[: x.ndim - len(normalized_shape)]
        return y, mean.reshape(lead), rstd.reshape(lead)

    def rms_norm(self, x, weight=None, *, normalized_shape, eps):
        dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        known = self.t.finfo(x.dtype).eps if eps is None else eps
        rstd = self.t.rsqrt((x * x).mean(dims) + known)
        return self.f.rms_norm(x, normalized_shape, weight, eps), rstd

    def batch_norm(self, x, weight=None, bias=None, *, eps):
        if not x.numel():
            raise Unsupported("an empty batch")
        dims = (0, *range(2, x.ndim))
        var, mean = self.t.var_mean(x, dims, correction=0)
        return self.f.batch_norm(x, None, None, weight, bias, True, eps=eps), mean, var

    def batch_norm_eval(self, x, mean, var, weight=None, bias=None, *, eps):
        return self.f.batch_norm(x, mean, var, weight, bias, False, eps=eps)

    def cross_entropy(self, x, target, weight=None, **attrs):
        return self.f.cross_entropy(x, target, weight, **attrs), *self.parts(x)

    def mse_loss(self, x, target, *, reduction):
        return self.f.mse_loss(x, target, reduction=reduction)

    def l1_loss(self, x, target, *, reduction):
        return self.f.l1_loss(x, target, reduction=reduction)

    def scaled_dot_product_attention(self, query, key, value, attn_mask=None, *, is_causal, scale):
        if attn_mask is not None:
            raise Unsupported("masks: rows that see nothing are NaN in PyTorch")
        y = self.f.scaled_dot_product_attention(query, key, value, is_causal=is_causal,
                                                scale=scale)
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        scores = query @ key.transpose(-1, -2) * factor
        if is_causal:
            seen = self.t.ones(scores.shape[-2:], dtype=self.t.bool).tril()
            scores = scores.masked_fill(~seen, -math.inf)
        top, log_sum = self.parts(scores)
        return y, self.t.where(top.isfinite(), top, 0.0), log_sum

    def parts(self, scores):
        """The row maximum, and the logarithm of the sum of what is left: PyTorch keeps neither."""
        top = scores.amax(-1)
        return top, (scores - top[..., None]).exp().sum(-1).log()
