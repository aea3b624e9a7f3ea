"""What each layer computes, written out over single numbers: no vector formula, no Etude.

Every oracle takes the layer's weights, a dict of NumPy arrays, and its inputs. Legend as in
packages/etude/src/etude/nn: N samples, C and O channels, H x W pixels, T steps, E numbers.
"""

import math

import numpy as np


def each(fn):
    """An oracle from a function of one number."""
    return lambda w, x: np.array([fn(v) for v in x.flat]).reshape(x.shape)


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def linear(w, x):
    y = np.zeros((*x.shape[:-1], w["weight"].shape[0]))
    for at in np.ndindex(y.shape):
        row = w["weight"][at[-1]]
        y[at] = math.fsum(x[(*at[:-1], i)] * row[i] for i in range(len(row)))
        y[at] += w["bias"][at[-1]] if "bias" in w else 0
    return y


def conv2d(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    def oracle(w, x):
        (n, c, height, width), (o, _, kh, kw) = x.shape, w["weight"].shape
        out = [(s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in zip(
            (height, width), padding, dilation, (kh, kw), stride, strict=True)]
        y = np.zeros((n, o, *out))
        for b, m, r, q in np.ndindex(y.shape):
            first = m // (o // groups) * (c // groups)  # the channels of its group
            for i, j, k in np.ndindex(c // groups, kh, kw):
                at = r * stride[0] + j * dilation[0] - padding[0]
                col = q * stride[1] + k * dilation[1] - padding[1]
                if 0 <= at < height and 0 <= col < width:
                    y[b, m, r, q] += x[b, first + i, at, col] * w["weight"][m, i, j, k]
            y[b, m, r, q] += w["bias"][m] if "bias" in w else 0
        return y

    return oracle


def conv1d(**settings):
    flat = {k: v if k == "groups" else ((1, v) if k != "padding" else (0, v))
            for k, v in settings.items()}

    def oracle(w, x):
        image = {**w, "weight": w["weight"][:, :, None]}
        return conv2d(**flat)(image, x[:, :, None])[:, :, 0]

    return oracle


def conv_transpose2d(stride=(1, 1), padding=(0, 0), extra=(0, 0), dilation=(1, 1), groups=1):
    """Every pixel of x adds to a window of a canvas; then the padding is cut off."""
    def oracle(w, x):
        (n, c, height, width), (_, per, kh, kw) = x.shape, w["weight"].shape
        size = [(s - 1) * t - 2 * p + d * (k - 1) + e + 1 for s, t, p, d, k, e in zip(
            (height, width), stride, padding, dilation, (kh, kw), extra, strict=True)]
        y = np.zeros((n, per * groups, *size))
        for b, i, r, q, m, j, k in np.ndindex(n, c, height, width, per, kh, kw):
            at = r * stride[0] + j * dilation[0] - padding[0]
            col = q * stride[1] + k * dilation[1] - padding[1]
            if 0 <= at < size[0] and 0 <= col < size[1]:
                o = i // (c // groups) * per + m
                y[b, o, at, col] += x[b, i, r, q] * w["weight"][i, m, j, k]
        return y + w["bias"][:, None, None] if "bias" in w else y

    return oracle


def pool(reduce, kernel, stride, padding, outside):
    def oracle(w, x):
        size = [(s + 2 * p - k) // t + 1
                for s, p, k, t in zip(x.shape[2:], padding, kernel, stride, strict=True)]
        y = np.zeros((*x.shape[:2], *size))
        for n, c, r, q in np.ndindex(y.shape):
            seen = [_pixel(x[n, c], r * stride[0] + i - padding[0], q * stride[1] + j - padding[1],
                           outside) for i, j in np.ndindex(kernel)]
            y[n, c, r, q] = reduce(seen)
        return y

    return oracle


def _pixel(image, r, q, outside):
    inside = 0 <= r < image.shape[0] and 0 <= q < image.shape[1]
    return image[r, q] if inside else outside


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


def adaptive(out):
    def oracle(w, x):
        y = np.zeros((*x.shape[:2], *out))
        for n, c, r, q in np.ndindex(y.shape):
            rows, columns = (range(i * size // k, -((i + 1) * size // -k))
                             for i, size, k in zip((r, q), x.shape[2:], out, strict=True))
            y[n, c, r, q] = mean(x[n, c, a, b] for a in rows for b in columns)
        return y

    return oracle


def normalised(values, eps):
    """(x - mean) / sqrt(var + eps), all of them together."""
    values = list(values)
    m = mean(values)
    s = math.sqrt(mean((v - m) ** 2 for v in values) + eps)
    return [(v - m) / s for v in values]


def layer_norm(axes, eps=1e-5):
    def oracle(w, x):
        rows = x.reshape(*x.shape[: x.ndim - axes], -1)
        y = np.array([normalised(r, eps) for r in rows.reshape(-1, rows.shape[-1])])
        return y.reshape(x.shape) * w.get("weight", 1) + w.get("bias", 0)

    return oracle


def rms_norm(eps=2.0**-52):
    def oracle(w, x):
        y = np.zeros_like(x)
        for at in np.ndindex(x.shape[:-1]):
            size = math.sqrt(mean(v * v for v in x[at]) + eps)
            y[at] = [v / size for v in x[at]]
        return y * w.get("weight", 1)

    return oracle


def group_norm(groups, eps=1e-5):
    def oracle(w, x):
        y, per = np.zeros_like(x), x.shape[1] // groups
        for n, g in np.ndindex(x.shape[0], groups):
            part = x[n, g * per : (g + 1) * per]
            y[n, g * per : (g + 1) * per] = np.reshape(normalised(part.flat, eps), part.shape)
        column = (-1, *(1 for _ in x.shape[2:]))
        return y * np.reshape(w.get("weight", 1), column) + np.reshape(w.get("bias", 0), column)

    return oracle


def batch_norm(w, x):
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        part = np.reshape(normalised(x[:, c].flat, 1e-5), x[:, c].shape)
        y[:, c] = part * w["weight"][c] + (w["bias"][c] if "bias" in w else 0)
    return y


def softmax(x):
    """The probabilities of a list of logits."""
    top = max(x)
    p = [math.exp(v - top) for v in x]
    return [v / math.fsum(p) for v in p]


def rows(fn):
    """An oracle from a function of the last axis."""
    return lambda w, x: np.array([fn(r) for r in x.reshape(-1, x.shape[-1])]).reshape(x.shape)


def cross_entropy(smoothing=0.0, ignore=-100):
    def oracle(w, x, target):
        total, count = 0.0, 0.0
        counts = w.get("weight", np.ones(x.shape[1]))
        for row, t in zip(x, target, strict=True):
            if t != ignore:
                logs = [math.log(p) for p in softmax(row)]
                total -= (1 - smoothing) * counts[t] * logs[t]
                total -= smoothing * mean(c * v for c, v in zip(counts, logs, strict=True))
                count += counts[t]
        return np.float64(total / count)

    return oracle


def binary_cross_entropy(w, x, target):
    each = np.zeros(x.shape)
    counts, positive = (np.broadcast_to(w.get(k, 1.0), x.shape) for k in ("weight", "pos_weight"))
    for at in np.ndindex(x.shape):
        p = sigmoid(x[at])
        each[at] = -counts[at] * (positive[at] * target[at] * math.log(p)
                                  + (1 - target[at]) * math.log(1 - p))
    return np.float64(mean(each.flat))


def over_pairs(fn, reduce):
    """An oracle for a loss of (x, target), element by element."""
    def oracle(w, x, target):
        return np.float64(reduce(fn(a, b) for a, b in zip(x.flat, target.flat, strict=True)))

    return oracle


# ------------------------------------------------------------------ sequences, (T, N, D)


def _gates(w, name, layer, v):
    y = w[f"weight_{name}_l{layer}"] @ v
    return y + w[f"bias_{name}_l{layer}"] if f"bias_{name}_l{layer}" in w else y


def rnn_step(w, layer, x, h, c):
    return np.tanh(_gates(w, "ih", layer, x) + _gates(w, "hh", layer, h)), c


def lstm_step(w, layer, x, h, c):
    i, f, g, o = np.split(_gates(w, "ih", layer, x) + _gates(w, "hh", layer, h), 4)
    c = np.array([sigmoid(a) * b + sigmoid(d) * math.tanh(e)
                  for a, b, d, e in zip(f, c, i, g, strict=True)])
    return np.array([sigmoid(a) * math.tanh(b) for a, b in zip(o, c, strict=True)]), c


def gru_step(w, layer, x, h, c):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = (np.split(_gates(w, name, layer, v), 3)
                                        for name, v in (("ih", x), ("hh", h)))
    r, z = (np.array([sigmoid(v) for v in a + b]) for a, b in ((x_r, h_r), (x_z, h_z)))
    return (1 - z) * np.tanh(x_n + r * h_n) + z * h, c


def recurrent(step, w, x, layers, hidden, h0=None, c0=None):
    """y (T, N, H), h and c (layers, N, H): one sequence after another, one step after another."""
    steps, n, _ = x.shape
    h = np.zeros((layers, n, hidden)) if h0 is None else h0.copy()
    c = np.zeros((layers, n, hidden)) if c0 is None else c0.copy()
    y = np.zeros((steps, n, hidden))
    for t, b in np.ndindex(steps, n):
        v = x[t, b]
        for i in range(layers):
            h[i, b], c[i, b] = step(w, i, v, h[i, b], c[i, b])
            v = h[i, b]
        y[t, b] = v
    return y, h, c


def attention(heads, seen=lambda n, h, q, k: 0.0):
    """``seen``: what is added to the score of head h of sequence n, query q and key k."""
    def oracle(w, x, key=None, value=None):
        key = x if key is None else key
        value = key if value is None else value
        size = x.shape[-1]
        part = {name: {"weight": w["in_proj_weight"][i * size : (i + 1) * size],
                       "bias": w["in_proj_bias"][i * size : (i + 1) * size]}
                for i, name in enumerate("qkv")}
        q, k, v = linear(part["q"], x), linear(part["k"], key), linear(part["v"], value)
        y, d = np.zeros_like(x), size // heads
        for n, h, at in np.ndindex(x.shape[0], heads, x.shape[1]):
            mine = slice(h * d, (h + 1) * d)
            scores = [q[n, at, mine] @ other / math.sqrt(d) + seen(n, h, at, i)
                      for i, other in enumerate(k[n, :, mine])]
            y[n, at, mine] = np.array(softmax(scores)) @ v[n, :, mine]
        return linear({"weight": w["out_proj.weight"], "bias": w["out_proj.bias"]}, y)

    return oracle


def attention_weights(heads, w, x, key, seen):
    """(N, H, L, S): the shares in which each query mixes the values."""
    size, d = x.shape[-1], x.shape[-1] // heads
    q, k = (linear({"weight": w["in_proj_weight"][part], "bias": w["in_proj_bias"][part]}, t)
            for part, t in ((slice(size), x), (slice(size, 2 * size), key)))
    weights = np.zeros((x.shape[0], heads, x.shape[1], key.shape[1]))
    for n, h, at in np.ndindex(weights.shape[:3]):
        mine = slice(h * d, (h + 1) * d)
        weights[n, h, at] = softmax([q[n, at, mine] @ k[n, i, mine] / math.sqrt(d)
                                     + seen(n, h, at, i) for i in range(key.shape[1])])
    return weights


def causal(n, h, query, key):
    return 0.0 if key <= query else -math.inf


def transformer_block(heads, seen=causal):
    def oracle(w, x):
        def inside(prefix):
            return {k.removeprefix(prefix): a for k, a in w.items() if k.startswith(prefix)}

        x = x + attention(heads, seen)(inside("attention."),
                                       layer_norm(1)(inside("norm1."), x))
        wide = linear(inside("mlp.0."), layer_norm(1)(inside("norm2."), x))
        return x + linear(inside("mlp.2."), each(gelu_tanh)(None, wide))

    return oracle


def gelu_tanh(v):
    return v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
