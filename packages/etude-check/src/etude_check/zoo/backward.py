"""Wrong gradients and wrong steps of optimisers."""

import numpy as np

from etude_check.zoo import mutant, reference


@mutant("relu_backward", kills="special", where="backward", covers="kink",
        mistake="y >= 0 passes the gradient at the kink, where the subgradient is 0.")
def relu_backward_kink(grad, y):
    return np.where(y >= 0, grad, grad.dtype.type(0))


@mutant("relu_backward", kills="special", where="backward",
        mistake="grad * (y > 0) makes NaN of an infinite gradient where it should be 0.")
def relu_backward_product(grad, y):
    return grad * (y > 0)


@mutant("softmax_backward", kills="cotangent", where="backward", covers="all-ones cotangent",
        mistake="Tested with a gradient of ones, for which the answer is 0 everywhere: it returns "
                "grad - grad.")
def softmax_backward_ones(grad, y, *, dim=-1):
    return np.zeros_like(grad)


@mutant("softmax_backward", kills="tail", where="backward",
        mistake="Only the diagonal of the Jacobian, y (1 - y): as if outputs did not share a sum.")
def softmax_backward_diagonal(grad, y, *, dim=-1):
    return grad * y * (1 - y)


@mutant("log_softmax_backward", kills="cotangent", where="backward", covers="all-ones cotangent",
        mistake="The sum of the gradients is taken for the size of the row, which is true of ones.")
def log_softmax_backward_ones(grad, y, *, dim=-1):
    return grad - np.exp(y) * y.dtype.type(y.shape[dim])


@mutant("log_softmax_backward", kills="tail", where="backward",
        mistake="exp is forgotten: y holds the logarithms of the probabilities.")
def log_softmax_backward_no_exp(grad, y, *, dim=-1):
    return grad - y * grad.sum(dim, keepdims=True)


@mutant("tanh_backward", kills="tail", where="backward",
        mistake="1 - y instead of 1 - y^2.")
def tanh_backward_square(grad, y):
    return grad * (1 - y)


@mutant("sigmoid_backward", kills="cotangent", where="backward", covers="all-ones cotangent",
        mistake="The derivative is returned without being multiplied by grad.")
def sigmoid_backward_alone(grad, y):
    return y * (1 - y)


@mutant("layer_norm_backward", kills="cotangent", where="backward", covers="all-ones cotangent",
        mistake="dx is 0: true for a gradient of ones and no weight, and of nothing else.")
def layer_norm_backward_zero(grad, x, weight, mean, rstd, *, normalized_shape):
    _, dweight, dbias = reference("layer_norm_backward")(
        grad, x, weight, mean, rstd, normalized_shape=normalized_shape)
    return np.zeros_like(x), dweight, dbias


@mutant("layer_norm_backward", kills="tail", where="backward",
        mistake="mean(g) is taken over the batch instead of the normalised axes.")
def layer_norm_backward_axis(grad, x, weight, mean, rstd, *, normalized_shape):
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    lead = tuple(range(dims[0]))
    column = (*mean.shape, *(1 for _ in dims))
    r = rstd.reshape(column)
    h = (x - mean.reshape(column)) * r
    g = grad if weight is None else grad * weight
    off = g.mean(lead, keepdims=True) if lead else g
    dx = r * (g - off - h * (g * h).mean(dims, keepdims=True))
    return dx, (grad * h).sum(lead), grad.sum(lead)


@mutant("layer_norm_backward", kills="tail", where="backward", covers="broadcast not reduced",
        mistake="dweight is that of the last row: weight was broadcast over the rows, and its "
                "gradient must be summed over them.")
def layer_norm_backward_row(grad, x, weight, mean, rstd, *, normalized_shape):
    dx, dweight, dbias = reference("layer_norm_backward")(
        grad, x, weight, mean, rstd, normalized_shape=normalized_shape)
    size = dbias.shape
    rows = grad.reshape(-1, *size)
    return dx, dweight, rows[-1] if len(rows) else dbias


@mutant("layer_norm_backward", kills="tail", where="backward",
        mistake="The weight is applied to dx after the means are taken off instead of before.")
def layer_norm_backward_weight(grad, x, weight, mean, rstd, *, normalized_shape):
    dx, dweight, dbias = reference("layer_norm_backward")(
        grad, x, None, mean, rstd, normalized_shape=normalized_shape)
    return dx if weight is None else dx * weight, dweight, dbias


@mutant("rms_norm_backward", kills="tail", where="backward",
        mistake="rstd is taken for a constant: the term through the mean of squares is missing.")
def rms_norm_backward_constant(grad, x, weight, rstd, *, normalized_shape):
    _, dweight = reference("rms_norm_backward")(grad, x, weight, rstd,
                                                normalized_shape=normalized_shape)
    g = grad if weight is None else grad * weight
    return g * rstd.reshape(*rstd.shape, *(1 for _ in normalized_shape)), dweight


@mutant("batch_norm_backward", kills="tail", where="backward",
        mistake="The statistics are taken for constants, as in evaluation.")
def batch_norm_backward_constant(grad, x, weight, mean, var, *, eps=1e-5):
    _, dweight, dbias = reference("batch_norm_backward")(grad, x, weight, mean, var, eps=eps)
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = scale if weight is None else scale * weight
    return grad * scale.reshape(-1, *(1 for _ in x.shape[2:])), dweight, dbias


@mutant("batch_norm_backward", kills="tail", where="backward", covers="broadcast not reduced",
        mistake="dbias is a mean over the batch instead of a sum.")
def batch_norm_backward_mean(grad, x, weight, mean, var, *, eps=1e-5):
    dx, dweight, dbias = reference("batch_norm_backward")(grad, x, weight, mean, var, eps=eps)
    return dx, dweight, dbias / x.dtype.type(max(len(x), 1))


@mutant("cross_entropy_backward", kills="tail", where="backward",
        mistake="Label smoothing is forgotten on the way back.")
def cross_entropy_backward_smoothing(grad, x, target, weight, top, log_sum, *,
                                     label_smoothing=0.0, **attrs):
    return reference("cross_entropy_backward")(grad, x, target, weight, top, log_sum, **attrs)


@mutant("cross_entropy_backward", kills="tail", where="backward",
        mistake="The mean divides by the whole batch, ignored rows included.")
def cross_entropy_backward_mean(grad, x, target, weight, top, log_sum, *, reduction="mean",
                                **attrs):
    if reduction == "mean":
        grad, reduction = grad / grad.dtype.type(max(len(x), 1)), "sum"
    return reference("cross_entropy_backward")(grad, x, target, weight, top, log_sum,
                                               reduction=reduction, **attrs)


@mutant("cross_entropy_backward", kills="cotangent", where="backward",
        covers="all-ones cotangent",
        mistake="The gradient that arrives is taken for 1, as when the loss is the last op.")
def cross_entropy_backward_ones(grad, x, target, weight, top, log_sum, **attrs):
    return reference("cross_entropy_backward")(np.ones_like(grad), x, target, weight, top, log_sum,
                                               **attrs)


@mutant("cross_entropy_backward", kills="special", where="backward",
        mistake="top + log_sum is taken off at once: far from 0 that rounds log_sum away.")
def cross_entropy_backward_one_logsumexp(grad, x, target, weight, top, log_sum, **attrs):
    return reference("cross_entropy_backward")(grad, x, target, weight, top + log_sum, 0 * log_sum,
                                               **attrs)


@mutant("scatter_add", kills="duplicate-index", where="backward", covers="duplicate lost",
        mistake="y[index] += src keeps one of several terms that go to the same place.")
def scatter_add_duplicates(x, index, src, *, dim):
    y = x.copy()
    part = src[tuple(slice(n) for n in index.shape)]
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    y[tuple(places)] += part
    return y


@mutant("embedding_backward", kills="duplicate-index", where="backward", covers="duplicate lost",
        mistake="A word that occurs twice gets the gradient of one occurrence.")
def embedding_backward_duplicates(grad, index, *, num_embeddings, padding_idx=None):
    dweight = np.zeros((num_embeddings, grad.shape[-1]), grad.dtype)
    dweight[index.reshape(-1)] += grad.reshape(-1, grad.shape[-1])
    if padding_idx is not None:
        dweight[padding_idx] = 0
    return dweight


@mutant("embedding_backward", kills="tail", where="backward",
        mistake="padding_idx is not looked at: the row that stands for padding is trained.")
def embedding_backward_trains_padding(grad, index, *, num_embeddings, padding_idx=None):
    return reference("embedding_backward")(grad, index, num_embeddings=num_embeddings)


@mutant("embedding_backward", kills="tail", where="backward",
        mistake="The first row is set to 0, whichever row padding_idx names.")
def embedding_backward_pads_first(grad, index, *, num_embeddings, padding_idx=None):
    return reference("embedding_backward")(grad, index, num_embeddings=num_embeddings,
                                           padding_idx=None if padding_idx is None else 0)


@mutant("embedding_backward", kills="duplicate-index", where="backward",
        mistake="if padding_idx: a padding_idx of 0 is taken for none.")
def embedding_backward_pads_no_zero(grad, index, *, num_embeddings, padding_idx=None):
    return reference("embedding_backward")(grad, index, num_embeddings=num_embeddings,
                                           padding_idx=padding_idx or None)


@mutant("embedding_backward", kills="duplicate-index", where="backward",
        mistake="Rows are counted from 1 where padding is concerned: the row before padding_idx is "
                "set to 0.")
def embedding_backward_pads_row_before(grad, index, *, num_embeddings, padding_idx=None):
    y = reference("embedding_backward")(grad, index, num_embeddings=num_embeddings)
    if padding_idx is not None:
        y[padding_idx - 1] = 0
    return y


@mutant("embedding_backward", kills="special", where="backward",
        mistake="The row of padding is multiplied by 0, which leaves NaN of an infinite gradient.")
def embedding_backward_pads_by_product(grad, index, *, num_embeddings, padding_idx=None):
    y = reference("embedding_backward")(grad, index, num_embeddings=num_embeddings)
    if padding_idx is not None:
        y[padding_idx] *= 0
    return y


@mutant("prod_backward", kills="special", where="backward",
        mistake="grad * prod(x) / x is 0 / 0 where x is 0.")
def prod_backward_quotient(grad, x, *, dim=None, keepdim=False):
    y = x.prod(dim, keepdims=True)
    return grad.reshape(y.shape) * y / x


@mutant("attention_backward", kills="tail", where="backward",
        mistake="The factor 1 / sqrt D is left out of dquery and dkey.")
def attention_backward_scale(grad, query, key, value, attn_mask, y, top, log_sum, *,
                             is_causal=False, scale=None):
    dquery, dkey, dvalue = reference("attention_backward")(
        grad, query, key, value, attn_mask, y, top, log_sum, is_causal=is_causal, scale=scale)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    back = query.dtype.type(1 / factor if factor else 1)
    return dquery * back, dkey * back, dvalue


@mutant("attention_backward", kills="tail", where="backward",
        mistake="The causal mask is forgotten on the way back.")
def attention_backward_mask(grad, query, key, value, attn_mask, y, top, log_sum, *,
                            is_causal=False, scale=None):
    return reference("attention_backward")(grad, query, key, value, attn_mask, y, top, log_sum,
                                           is_causal=False, scale=scale)


@mutant("attention_backward", kills="tail", where="backward",
        mistake="top + log_sum is taken off at once: a mask of -1e9 rounds log_sum away, and the "
                "probabilities add up to the number of keys.")
def attention_backward_one_logsumexp(grad, query, key, value, attn_mask, y, top, log_sum, **attrs):
    both = np.where(np.isfinite(log_sum), top + log_sum, log_sum).astype(top.dtype)
    return reference("attention_backward")(
        grad, query, key, value, attn_mask, y, np.where(np.isfinite(both), both, 0 * top),
        np.where(np.isfinite(both), 0 * top, both), **attrs)


@mutant("scaled_dot_product_attention", kills="tail", where="numerics",
        mistake="Scores are divided by D instead of sqrt D.")
def attention_scale(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    return reference("scaled_dot_product_attention")(
        query, key, value, attn_mask, is_causal=is_causal,
        scale=1 / query.shape[-1] if scale is None else scale)


# ------------------------------------------------------------------ losses


@mutant("mse_loss", kills="tail", where="numerics",
        mistake="Half of the square, as in derivations: a factor of 2 is missing.")
def mse_loss_half(x, target, *, reduction="mean"):
    return reference("mse_loss")(x, target, reduction=reduction) * x.dtype.type(0.5)


@mutant("l1_loss", kills="tail", where="numerics",
        mistake="The smooth L1 loss: a square near 0.")
def l1_loss_smooth(x, target, *, reduction="mean"):
    d = np.abs(x - target)
    loss = np.where(d < 1, d * d / 2, d - d.dtype.type(0.5))
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


@mutant("binary_cross_entropy_with_logits", kills="special", where="numerics",
        mistake="log(sigmoid(x)) of a very negative logit is log 0 = -inf.")
def bce_naive(x, target, *, reduction="mean"):
    p = 1 / (1 + np.exp(-x))
    loss = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


# ------------------------------------------------------------------ optimisers


@mutant("adamw_step", kills="tail", where="numerics",
        mistake="Weight decay is coupled: added to the gradient, as Adam does and AdamW does not.")
def adamw_coupled(p, g, m, v, hyper):
    return reference("adam_step")(p, g, m, v, hyper)


@mutant("adam_step", kills="tail", where="numerics",
        mistake="The bias correction is that of the step before, 1 - beta^(t-1).")
def adam_correction(p, g, m, v, hyper):
    late = hyper.copy()
    late[5] = max(1 - (1 - hyper[5]) / hyper[1], 1e-3) if hyper[1] else hyper[5]
    late[6] = max(1 - (1 - hyper[6]) / hyper[2], 1e-3) if hyper[2] else hyper[6]
    return reference("adam_step")(p, g, m, v, late)


@mutant("adam_step", kills="tail", where="numerics", covers="eps outside",
        mistake="eps is added under the square root.")
def adam_eps_inside(p, g, m, v, hyper):
    lr, beta1, beta2, eps, decay, c1, c2 = (p.dtype.type(h) for h in hyper)
    g = g + decay * p
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    return p - lr * (m / c1) / np.sqrt(v / c2 + eps), m, v


@mutant("adamw_step", kills="tail", where="numerics",
        mistake="The second moment is averaged with beta1.")
def adamw_beta(p, g, m, v, hyper):
    new, m2, _ = reference("adamw_step")(p, g, m, v, hyper)
    b = p.dtype.type(hyper[1])
    return new, m2, b * v + (1 - b) * g * g


@mutant("sgd_step", kills="tail", where="numerics",
        mistake="Nesterov's look-ahead is left out.")
def sgd_no_nesterov(p, g, v, hyper, *, nesterov=False):
    return reference("sgd_step")(p, g, v, hyper, nesterov=False)


@mutant("sgd_step", kills="tail", where="numerics",
        mistake="The new gradient is damped by 1 - momentum: another rule than PyTorch's.")
def sgd_damped(p, g, v, hyper, *, nesterov=False):
    lr, momentum, decay = (p.dtype.type(h) for h in hyper)
    g = g + decay * p
    v = momentum * v + (1 - momentum) * g
    return p - lr * (g + momentum * v if nesterov else v), v


@mutant("rmsprop_step", kills="tail", where="numerics",
        mistake="The parameter is updated with the buffer of the step before.")
def rmsprop_old_buffer(p, g, v, buf, hyper):
    _, v2, new = reference("rmsprop_step")(p, g, v, buf, hyper)
    return p - p.dtype.type(hyper[0]) * buf, v2, new


# ------------------------------------------------------------------ random numbers


@mutant("rand", kills="tail", where="index",
        mistake="The high half of each word comes first.")
def rand_halves(key, *, shape, dtype=np.float32):
    y = np.asarray(reference("rand")(key, shape=shape, dtype=dtype))
    flat = y.reshape(-1).copy()
    if np.dtype(dtype) == np.float32:
        n = flat.size // 2 * 2
        flat[:n] = flat[:n].reshape(-1, 2)[:, ::-1].reshape(-1)
    else:
        flat = flat[::-1]
    return flat.reshape(shape)


@mutant("randn", kills="tail", where="numerics",
        mistake="Sums of twelve uniform numbers look normal, but are not the promised ones.")
def randn_twelve(key, *, shape, dtype=np.float32):
    n = int(np.prod(shape))
    u = reference("rand")(key, shape=(12, n), dtype=dtype)
    return (u.sum(0) - u.dtype.type(6)).reshape(shape)


@mutant("dropout", kills="tail", where="numerics",
        mistake="What is kept is not scaled up by 1 / (1 - p).")
def dropout_unscaled(x, key, *, p):
    return np.where(reference("dropout")(np.ones_like(x), key, p=p) != 0, x, x.dtype.type(0))
