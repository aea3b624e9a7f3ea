"""Honest variants: other formulas for the same thing, each of them in use somewhere."""

import math

import numpy as np

from etude.core.shapes import axes, reduced
from etude_check.zoo import honest, reference


def in_rows(x, dim):
    """(x as rows along its last axis, the shape without ``dim``, how to put rows back)."""
    dims = axes("rows", dim, x.ndim)
    kept = [d for d in range(x.ndim) if d not in dims]
    turned = x.transpose(*kept, *dims)
    rows = turned.reshape(*(x.shape[d] for d in kept), math.prod(x.shape[d] for d in dims))
    back = np.argsort((*kept, *dims))
    return rows, lambda y: y.reshape(turned.shape).transpose(back)


# ------------------------------------------------------------------ variances


def welford(rows):
    """Mean and sum of squared deviations along the last axis in one pass. Long rows go in chunks,
    which are joined by Chan's formula. Source: Knuth, volume 2, 4.2.2.
    """
    number, n = rows.dtype.type, rows.shape[-1]
    step = 1 if n <= 2048 else 256
    mean, m2, count = rows[..., 0] * 0, rows[..., 0] * 0, 0
    for i in range(0, n, step):
        chunk = rows[..., i : i + step]
        size = chunk.shape[-1]
        own = chunk.mean(-1)
        spread = np.square(chunk - own[..., None]).sum(-1)
        total = count + size
        off = own - mean
        mean = mean + off * number(size) / number(total)
        m2 = m2 + spread + off * off * number(count) * number(size) / number(total)
        count = total
    return mean, m2


@honest("var", "layer_norm", "batch_norm")
def variance_welford():
    """Mean and variance in one pass by Welford's update."""
    def var(x, *, dim=None, keepdim=False, correction=1):
        rows, _ = in_rows(x, dim)
        y = welford(rows)[1] / x.dtype.type(rows.shape[-1] - correction)
        return y.reshape(reduced(x.shape, axes("var", dim, x.ndim), keepdim=keepdim))

    def layer_norm(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
        lead = x.shape[: x.ndim - len(normalized_shape)]
        rows = x.reshape(*lead, math.prod(normalized_shape))
        mean, m2 = welford(rows)
        rstd = 1 / np.sqrt(m2 / x.dtype.type(rows.shape[-1]) + x.dtype.type(eps))
        y = ((rows - mean[..., None]) * rstd[..., None]).reshape(x.shape)
        y = y if weight is None else y * weight
        return (y if bias is None else y + bias), mean, rstd

    def batch_norm(x, weight=None, bias=None, *, eps=1e-5):
        if x.size == 0:
            return reference("batch_norm")(x, weight, bias, eps=eps)
        rows = np.ascontiguousarray(np.moveaxis(x, 1, 0)).reshape(x.shape[1], -1)
        mean, m2 = welford(rows)
        var = m2 / x.dtype.type(rows.shape[-1])
        scale = 1 / np.sqrt(var + x.dtype.type(eps))
        scale = scale if weight is None else scale * weight
        column = (-1, *(1 for _ in x.shape[2:]))
        y = (x - mean.reshape(column)) * scale.reshape(column)
        return (y if bias is None else y + bias.reshape(column)), mean, var

    return {"var": var, "layer_norm": layer_norm, "batch_norm": batch_norm}


@honest("var", "layer_norm")
def variance_two_pass():
    """First the mean, then the squares, with the correction of Chan, Golub and LeVeque for what
    the rounded mean leaves over.
    """
    def moments(rows):
        number = rows.dtype.type
        n = number(rows.shape[-1])
        mean = rows.sum(-1, dtype=rows.dtype) / n
        off = rows - mean[..., None]
        return mean, (off * off).sum(-1) - np.square(off.sum(-1)) / n

    def var(x, *, dim=None, keepdim=False, correction=1):
        rows, _ = in_rows(x, dim)
        y = moments(rows)[1] / x.dtype.type(rows.shape[-1] - correction)
        return y.reshape(reduced(x.shape, axes("var", dim, x.ndim), keepdim=keepdim))

    def layer_norm(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
        rows = x.reshape(*x.shape[: x.ndim - len(normalized_shape)], math.prod(normalized_shape))
        mean, m2 = moments(rows)
        rstd = 1 / np.sqrt(m2 / x.dtype.type(rows.shape[-1]) + x.dtype.type(eps))
        y = ((rows - mean[..., None]) * rstd[..., None]).reshape(x.shape)
        y = y if weight is None else y * weight
        return (y if bias is None else y + bias), mean, rstd

    return {"var": var, "layer_norm": layer_norm}


# ------------------------------------------------------------------ softmax in one pass


def online(rows):
    """Maximum and sum of e^(x - maximum), met together: when the maximum grows the sum shrinks.
    Source: Milakov and Gimelshein 2018, Online normalizer calculation for softmax, algorithm 3.
    """
    number, n = rows.dtype.type, rows.shape[-1]
    step = 1 if n <= 2048 else 64
    top, total = np.full(rows.shape[:-1], -np.inf, rows.dtype), np.zeros(rows.shape[:-1],
                                                                         rows.dtype)
    for i in range(0, n, step):
        part = rows[..., i : i + step]
        new = np.maximum(top, part.max(-1))
        safe = np.where(np.isneginf(new), number(0), new)
        kept = np.where(np.isneginf(top), number(0), total * np.exp(top - safe))
        total = kept + np.exp(part - safe[..., None]).sum(-1)
        top = new
    return top, total


@honest("softmax", "log_softmax", "logsumexp", "cross_entropy")
def softmax_online():
    """Maximum and sum of a row in one pass."""
    def softmax(x, *, dim=-1):
        rows, back = in_rows(x, dim)
        top, total = online(rows)
        return back(np.exp(rows - top[..., None]) / total[..., None])

    def log_softmax(x, *, dim=-1):
        rows, back = in_rows(x, dim)
        top, total = online(rows)
        return back((rows - top[..., None]) - np.log(total)[..., None])

    def logsumexp(x, *, dim=None, keepdim=False):
        top, total = online(in_rows(x, dim)[0])
        finite = np.isfinite(top)
        y = np.where(finite, top, x.dtype.type(0)) + np.log(np.where(finite, total, np.exp(top)))
        return y.reshape(reduced(x.shape, axes("logsumexp", dim, x.ndim), keepdim=keepdim))

    def cross_entropy(x, target, weight=None, *, reduction="mean", ignore_index=-100,
                      label_smoothing=0.0):
        _, top, log_sum = reference("cross_entropy")(  # which also refuses wrong labels
            x, target, reduction=reduction, ignore_index=ignore_index)
        logp = log_softmax(x, dim=1)
        weight = np.ones(x.shape[1], x.dtype) if weight is None else weight
        counts = target != ignore_index
        s = x.dtype.type(label_smoothing)
        label = np.where(counts, target, 0)
        loss = -(1 - s) * weight[label] * logp[np.arange(len(x)), label]
        loss = loss - s * (weight * logp).mean(1) if label_smoothing else loss
        loss = np.where(counts, loss, x.dtype.type(0))
        if reduction == "none":
            return loss, top, log_sum
        total = loss.sum()
        total = total / weight[label][counts].sum() if reduction == "mean" else total
        return total, top, log_sum

    return {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp,
            "cross_entropy": cross_entropy}


@honest("scaled_dot_product_attention")
def attention_tiles():
    """Sixteen keys at a time, with the softmax online: FlashAttention's algorithm 1."""
    def attention(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
        number = query.dtype.type
        factor = number(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        L, S = query.shape[-2], key.shape[-2]
        if is_causal:
            attn_mask = np.tri(L, S, dtype=bool)
        if attn_mask is not None:
            attn_mask = np.broadcast_to(attn_mask, (*query.shape[:-2], L, S))
        top = np.full(query.shape[:-1], -np.inf, query.dtype)
        total = np.zeros(query.shape[:-1], query.dtype)
        y = np.zeros((*query.shape[:-1], value.shape[-1]), query.dtype)
        for s in range(0, S, 16):
            scores = query @ key[..., s : s + 16, :].swapaxes(-1, -2) * factor
            if attn_mask is not None:
                m = attn_mask[..., s : s + 16]
                scores = np.where(m, scores, number(-np.inf)) if m.dtype == bool else scores + m
            new = np.maximum(top, scores.max(-1))
            safe = np.where(np.isneginf(new), number(0), new)
            shrink = np.where(np.isneginf(top), number(0), np.exp(top - safe))
            p = np.exp(scores - safe[..., None])
            total = total * shrink + p.sum(-1)
            y = y * shrink[..., None] + p @ value[..., s : s + 16, :]
            top = new
        none = total == 0
        y = np.where(none[..., None], number(0), y / np.where(none, number(1), total)[..., None])
        return y, np.where(np.isfinite(top), top, number(0)), np.log(total)
    return {"scaled_dot_product_attention": attention}


# ------------------------------------------------------------------ convolutions


def _columns(x, kernel, stride, padding, dilation, oh, ow):
    """im2col: (N, C KH KW, OH OW)."""
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    (ph, pw) = padding
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    taps = [padded[:, :, i * dh : i * dh + sh * (oh - 1) + 1 : sh,
                   j * dw : j * dw + sw * (ow - 1) + 1 : sw] for i in range(kh) for j in range(kw)]
    n, c = x.shape[:2]
    return np.stack(taps, 2).reshape(n, c * kh * kw, oh * ow)


def _size(x, weight, stride, padding, dilation):
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], stride, padding, dilation)]


@honest("conv2d")
def conv2d_im2col():
    """The image is unrolled into columns, and one matrix product does the rest."""
    def conv2d(x, weight, bias=None, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        oh, ow = _size(x, weight, stride, padding, dilation)
        parts = []
        for xg, wg in zip(np.split(x, groups, 1), np.split(weight, groups)):
            columns = _columns(xg, weight.shape[2:], stride, padding, dilation, oh, ow)
            parts.append(wg.reshape(len(wg), -1) @ columns)
        y = np.concatenate(parts, 1).reshape(len(x), len(weight), oh, ow)
        return y if bias is None else y + bias[:, None, None]
    return {"conv2d": conv2d}


@honest("conv2d")
def conv2d_direct():
    """The seven loops, sequentially over channels and taps, beginning with the bias."""
    def conv2d(x, weight, bias=None, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        oh, ow = _size(x, weight, stride, padding, dilation)
        per = len(weight) // groups
        y = np.zeros((len(x), len(weight), oh, ow), x.dtype)
        if bias is not None:
            y += bias[:, None, None]
        for g, xg in enumerate(np.split(x, groups, 1)):
            columns = _columns(xg, weight.shape[2:], stride, padding, dilation, oh, ow)
            columns = columns.reshape(len(x), 1, xg.shape[1] * math.prod(weight.shape[2:]),
                                      oh, ow)
            taps = weight[g * per : (g + 1) * per].reshape(per, columns.shape[2])
            for k in range(taps.shape[1]):
                y[:, g * per : (g + 1) * per] += columns[:, :, k] * taps[:, k, None, None]
        return y
    return {"conv2d": conv2d}


# ------------------------------------------------------------------ elementwise


@honest("sigmoid", "tanh", "gelu", "silu", "softplus", "log1p", "expm1")
def formulas():
    """Other stable formulas, computed in float64 and rounded once."""
    def rounded(fn):
        return lambda x, **attrs: np.asarray(fn(x.astype(np.float64), **attrs)).astype(x.dtype)

    def sigmoid(x):
        e = np.exp(np.where(x < 0, x, 0))
        return np.where(x < 0, e / (1 + e), 1 / (1 + np.exp(-x)))

    def tanh(x):
        t = np.expm1(2 * np.minimum(np.abs(x), 30))
        return np.copysign(t / (t + 2), x)

    def gelu(x, *, approximate="none"):
        if approximate == "tanh":
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
            return x * sigmoid(2 * inner)
        return 0.5 * x * np.vectorize(math.erfc, otypes=[np.float64])(-x * math.sqrt(0.5))

    def silu(x):
        return x * sigmoid(x)

    def softplus(x, *, beta=1.0, threshold=20.0):
        return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)

    def log1p(x):
        """Kahan's trick. Source: Higham 2002, problem 1.5."""
        w = 1 + x
        exact = np.where(np.isinf(w) | (w <= 0) | (w == 1), 1, w - 1)
        return np.where(w == 1, x, np.where(np.isinf(w) | (w <= 0), np.log(w),
                                            np.log(w) * x / exact))

    def expm1(x):
        """2 tanh(x / 2) / (1 - tanh(x / 2)), where x is small."""
        t = np.tanh(x / 2)
        return np.where(np.abs(x) < 1, 2 * t / (1 - t), np.exp(x) - 1)

    made = {"sigmoid": sigmoid, "tanh": tanh, "gelu": gelu, "silu": silu, "softplus": softplus,
            "log1p": log1p, "expm1": expm1}
    return {op: in_float32(rounded(fn), op) for op, fn in made.items()}


@honest("floor_divide", "remainder")
def divisions():
    """Division with a rest, for float32 in float64, where quotients of two of them come out exact;
    whole numbers by way of C's division, which cuts towards zero.
    """
    def whole(x, y):
        if np.any(np.equal(y, 0)):
            raise ZeroDivisionError("int64 divided by 0")
        rest = np.fmod(x, y)
        below = (rest != 0) & (np.less(rest, 0) != np.less(y, 0))
        return (x - rest) // y - below, np.where(below, rest + y, rest)

    def divided(fn, place):
        def call(x, y):
            dtype = (x if isinstance(x, np.ndarray) else y).dtype
            if dtype.kind == "i":
                return np.asarray(whole(x, y)[place])
            wide = fn(np.asarray(x, np.float64), np.asarray(y, np.float64))
            return np.asarray(wide).astype(dtype)
        return call

    return {"floor_divide": divided(np.floor_divide, 0), "remainder": divided(np.remainder, 1)}


def in_float32(fn, op):
    """``fn`` for float32; float64, which has nothing wider to round from, stays as it is."""
    def call(x, **attrs):
        return fn(x, **attrs) if x.dtype == np.float32 else reference(op)(x, **attrs)
    return call
