"""Cross-entropy and its gradient, row by row: -ln of the probability of the label.

A row that is ignored has loss 0 and no gradient, whatever its logits are. NaN or +inf among the
logits spoils the row, and so does -inf throughout; a label whose logit is -inf costs infinity, and
so does any class of -inf under label smoothing. The mean over no labels, or over labels that weigh
nothing, is 0 / 0, NaN, or infinite; its gradient is not divided then.
"""

import math

import numpy as np
from exact import definition
from lines import INF, NAN, few, last, once, total, wide
from logits import level, masked, parts, spoilt, sum_of_exp
from mpmath import mp, mpf

from etude import TABLE
from etude_check.cases.spec import call


def _batches(draw):
    """(x, whether a share may be -inf): logits of every size, offset, level, masked."""
    yield draw.magnitudes((12, 7))
    yield draw.magnitudes((12, 7), -9, 9)
    for by, spread in ((1e8, 1), (-1e8, 30), (1e4, 3)):
        yield draw.offset((12, 7), by, spread)
    yield draw.floats((12, 7), -100, 100)
    yield draw.offset((5, 300), 0, 4)
    yield level(draw)
    yield masked(draw)
    yield np.full((64, 3), 2.0**124, draw.dtype) * draw.dtype.type([1, -1, 0.5])
    if draw.whole:
        yield draw.offset((2000, 10), 0, 4)
        yield draw.offset((3, 4000), 1e6, 4)
        if draw.dtype == np.float32:
            yield draw.offset((2, 10**6), 0, 4)


def _asked(draw):
    """(x, target, weight, attributes)."""
    for i, x in enumerate(_batches(draw)):
        n, c = x.shape
        target = draw.rng.integers(0, c, n)
        target[1::5] = -100
        weights = (None, draw.positive((c,), 0.1, 3), np.abs(draw.magnitudes((c,), -100, 100)))
        for j, reduction in enumerate(("none", "sum", "mean")):
            weight = weights[(i + j) % 3]
            yield x, target, weight, {"reduction": reduction}
            if not np.isinf(x).any() and c < 10**5:
                yield x, target, weights[(i + j + 1) % 3], {"reduction": reduction,
                                                            "label_smoothing": 0.1}
    x = draw.floats((4, 3), -2, 2)
    for target, weight in ((np.full(4, 1), draw.dtype.type([1, 0, 2])), (np.full(4, -100), None)):
        yield x, target, weight, {"reduction": "mean"}
    yield x, np.array([0, 5, 1, 5]), None, {"ignore_index": 5, "label_smoothing": 1.0}


def _calls(draw):
    for x, target, weight, attrs in _asked(draw):
        yield call(x, target, *(() if weight is None else (weight,)), **attrs)


def _gradients(draw):
    for x, target, weight, attrs in _asked(draw):
        with np.errstate(all="ignore"):
            _, top, log_sum = TABLE["cross_entropy"](x, target, **attrs)
        shape = target.shape if attrs.get("reduction") == "none" else ()
        yield call(draw.floats(shape, 0.5, 2), x, target, weight, top, log_sum, **attrs)


# ------------------------------------------------------------------ forward


def _rows(arrays, attrs):
    """What the bound needs of each row, in float64: (worth, loss, how many u it may err)."""
    x, target, weight = (*arrays, None)[:3]
    x, c = wide(x), x.shape[1]
    w = np.ones(c) if weight is None else wide(weight)
    s, counts = attrs["label_smoothing"], target != attrs["ignore_index"]
    label = np.where(counts, target, 0)
    away, _, mean, log = parts(x, 1)
    log, error = log[:, 0], (mean + few(c) + 8 + 3 * log)[:, 0]
    own = x[np.arange(len(x)), label]
    own = np.where(np.isfinite(own), x.max(1) - own, 0)
    worth = w[label] * counts
    loss = (1 - s) * worth * (log + own) + s * (w * (log[:, None] + away)).mean(1) * counts
    errs = (1 - s) * worth * (error + own) + s * (w * (error[:, None] + away)).mean(1) * counts
    return worth, loss, errs + 8 * loss + s * last(arrays[0].dtype) * c * loss


def _scale(arrays, attrs, output):
    x = arrays[0]
    if output == 1:
        return np.zeros(len(x))
    if output == 2:
        _, _, mean, log = parts(wide(x), 1)
        return (mean + few(x.shape[1]) + 8 + 3 * log)[:, 0]
    worth, loss, errs = _rows(arrays, attrs)
    if attrs["reduction"] == "none":
        return errs
    whole = errs.sum() + (4 + last(x.dtype) * len(x)) * loss.sum()
    return whole if attrs["reduction"] == "sum" else whole / worth.sum()


@definition("cross_entropy", calls=_calls, scale=_scale)
def cross_entropy(arrays, attrs, output, places):
    x, target, weight = (*arrays, None)[:3]
    known = once(lambda n: top_and_log(x[n].tolist()))
    if output:
        return [known(n)[output - 1] for n, in places]
    weights = None if weight is None else weight.tolist()

    def loss(n):
        return loss_of(x[n].tolist(), target[n].item(), weights, attrs, *known(n))
    if attrs["reduction"] == "none":
        return [loss(n) for n, in places]
    found = summed([loss(n) for n in range(len(x))])
    if attrs["reduction"] == "sum":
        return [found]
    return [over(found, worth_of(target, weights, attrs))]


def top_and_log(x):
    """(max x, ln sum e^(x - max x)) of a row. A maximum of 0 may have either sign."""
    if any(v != v for v in x):
        return NAN, NAN
    if max(x) == 0 and not spoilt(x):
        return mpf(0), mp.log(sum_of_exp(x, 0.0))
    if spoilt(x):
        return max(x), NAN
    return max(x), mp.log(sum_of_exp(x, max(x)))


def loss_of(x, label, weights, attrs, top, log):
    if label == attrs["ignore_index"]:
        return mpf(0)
    if log != log:
        return NAN
    s = mpf(attrs["label_smoothing"])

    def cost(c):
        return INF if x[c] == -INF else log - (mpf(x[c]) - top)

    def weighed(c):
        return cost(c) if weights is None else cost(c) * weights[c]
    if not s:
        return weighed(label)
    return (1 - s) * weighed(label) + s * summed([weighed(c) for c in range(len(x))]) / len(x)


def summed(values):
    """The sum of mpf and of floats that are infinite or NaN."""
    if any(isinstance(v, float) for v in values):
        return float(sum(map(float, values)))
    return mp.fsum(values)


def worth_of(target, weights, attrs):
    """What the mean divides by: the weights of the labels that count."""
    labels = [t for t in target.tolist() if t != attrs["ignore_index"]]
    return mpf(len(labels)) if weights is None else total([weights[t] for t in labels]) or mpf(0)


def over(a, b):
    """a / b, where 0 / 0 is NaN and anything else over 0 infinite."""
    if isinstance(a, float) or b:
        return a / float(b) if isinstance(a, float) and b else a if isinstance(a, float) else a / b
    return INF if a > 0 else NAN


# ------------------------------------------------------------------ backward


def _backward_scale(arrays, attrs, output):
    """The exponent x - top - log_sum is rounded, then what is taken from the probability."""
    grad, x, target, weight, top, log_sum = arrays
    c, s = x.shape[1], attrs["label_smoothing"]
    counts = target != attrs["ignore_index"]
    label = np.where(counts, target, 0)
    w = np.ones(c) if weight is None else wide(weight)
    worth = w[label] * counts
    z = wide(x) - wide(top)[:, None]
    p = np.exp(z - wide(log_sum)[:, None])
    of_p = p * (2 * np.abs(np.where(np.isfinite(z), z, 0)) + np.abs(wide(log_sum))[:, None] + 10)
    asked = np.broadcast_to(s / c * w, x.shape).copy()
    asked[np.arange(len(x)), label] += (1 - s) * worth
    own = ((1 - s) * worth + s * w.mean())[:, None]
    lost = 2.0**-1074 / np.finfo(arrays[1].dtype).eps  # of a probability, below float64's range
    rows = ((of_p + lost) * own + 10 * asked) * np.abs(wide(grad).reshape(-1, 1)) * counts[:, None]
    whole = worth.sum() if attrs["reduction"] == "mean" and worth.sum() else 1
    return rows / whole


@definition("cross_entropy_backward", calls=_gradients, scale=_backward_scale)
def cross_entropy_backward(arrays, attrs, output, places):
    grad, x, target, weight, top, log_sum = arrays
    weights = [1.0] * x.shape[1] if weight is None else weight.tolist()
    every, s = total(weights), mpf(attrs["label_smoothing"])
    whole = worth_of(target, None if weight is None else weights, attrs)
    by = whole if attrs["reduction"] == "mean" and whole else mpf(1)

    def value(place):
        n, c = place
        label, g = target[n].item(), grad[n if grad.ndim else ()].item()
        if label == attrs["ignore_index"]:
            return mpf(0)
        v, t, log = x[place].item(), top[n].item(), log_sum[n].item()
        if any(not math.isfinite(a) for a in (t, log)) or v != v:
            return NAN
        p = mpf(0) if v == -INF else mp.exp(mpf(v) - t - log)
        asked = (1 - s) * weights[label] * (p - (c == label)) + s / len(weights) * (
            p * every - weights[c])
        return asked * g / by
    return [value(place) for place in places]
