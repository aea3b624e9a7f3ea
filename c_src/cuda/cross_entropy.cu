/* cross_entropy.cu: log-sum-exp of each row less the logit of its label, and the gradient.
   Reference: packages/etude/src/etude/ops/cross_entropy.py.
   On the CPU: c_src/cpu/cross_entropy.c.
   x, dx: rows x cols logits; target: rows class numbers; weight: cols, or NULL; top, log_sum: rows;
   loss: rows, or one number. float and double (ETUDE_REAL).

   Plan. First one block reads all labels and finds what the mean divides by, and whether a label is
   out of range; that answer the host waits for at the end, since the op must raise an error. Then
   one team of threads for a row, as in softmax.cu: maximum, sum of exponentials, and with smoothing
   the sum of the logits; backward one walk. Maximum and logarithm are kept apart: together they
   would round the logarithm away where logits are large. Last, one block adds up the losses of the
   rows, in one order. Rows whose label is `ignore` have loss and gradient 0 and do not count in the
   mean. A label out of range ends in ETUDE_BAD_INDEX, and the reference words the error.
   The least number of sectors, no conflicts. Bound by memory: 4 bytes an element forward, 8
   backward; 85 % of its bandwidth aimed at from about 2^22 logits on. */
#include "rows.cuh"

enum { MEAN, SUM, NONE }; /* reduction */

/* What the first kernel finds. */
struct label_totals {
    wide whole;    /* of the labels that count: their weights, or their number */
    wide weights;  /* of all classes */
    int64_t wrong; /* labels out of range */
};

struct loss_call {
    const real *x, *grad, *weight, *top_in, *log_sum_in;
    const int64_t *target;
    label_totals *totals;
    wide *losses; /* rows */
    real *loss, *top, *log_sum, *dx;
    int64_t rows, cols, ignore;
    int reduction;
    wide smoothing; /* this share of the target is spread over all classes */
};

static __global__ void count_labels(loss_call c)
{
    wide whole = 0, weights = 0;
    int64_t wrong = 0;
    for (int64_t r = threadIdx.x; r < c.rows; r += blockDim.x) {
        int64_t label = c.target[r];
        if (label == c.ignore)
            continue;
        if (label < 0 || label >= c.cols)
            wrong++;
        else
            whole += c.weight ? c.weight[label] : 1;
    }
    for (int64_t k = threadIdx.x; k < c.cols; k += blockDim.x)
        weights += c.weight ? c.weight[k] : 1;
    whole = block_sum(whole);
    weights = block_sum(weights);
    wrong = block_sum(wrong);
    if (threadIdx.x == 0)
        *c.totals = {whole, weights, wrong};
}

/* The label of a row, or -1 where it does not count. */
ETUDE_DEVICE int64_t label_of(const loss_call &c, int64_t row)
{
    int64_t label = c.target[row];
    return label == c.ignore || label < 0 || label >= c.cols ? -1 : label;
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* The mean of the losses that a row has for each class in turn. */
ETUDE_DEVICE wide even_loss(const loss_call &c, const team &t, const real *x, real top,
                            wide log_sum)
{
    wide sum = 0;
    for (int64_t k = t.rank; k < c.cols; k += t.size) {
        wide cost = log_sum - ((wide)x[k] - top);
        sum += c.weight ? cost * c.weight[k] : cost;
    }
    return team_sum(t, sum) / (wide)c.cols;
}

/* The maximum of a row of which `top` is the largest number: NaN if it has one. A NaN is in its sum
   of exponentials too, so that ordinary rows are not read again. */
ETUDE_DEVICE real max_or_nan(const loss_call &c, const team &t, const real *x, real top, wide sum)
{
    if (sum == sum)
        return top;
    int found = 0;
    for (int64_t k = t.rank; k < c.cols; k += t.size)
        found |= x[k] != x[k];
    return team_sum(t, found) ? (real)NAN : top;
}

template <int N> ETUDE_DEVICE void loss_row(const loss_call &c, const team &t)
{
    const real *x = c.x + t.row * c.cols;
    real top = row_max<N>(t, x, c.cols);
    wide sum = row_exp_sum<N>(t, x, top, c.cols), log_sum = log_of(sum);
    real top_or_nan = max_or_nan(c, t, x, top, sum);
    wide even = c.smoothing != 0 ? even_loss(c, t, x, top, log_sum) : 0;
    if (t.rank > 0)
        return;
    c.top[t.row] = top_or_nan;
    c.log_sum[t.row] = (real)log_sum;
    int64_t label = label_of(c, t.row);
    wide loss = 0;
    if (label >= 0) {
        loss = log_sum - ((wide)x[label] - top);
        if (c.weight)
            loss *= c.weight[label];
        if (c.smoothing != 0)
            loss = (1 - c.smoothing) * loss + c.smoothing * even;
    }
    if (c.reduction == NONE)
        c.loss[t.row] = (real)loss;
    else
        c.losses[t.row] = loss;
}

static __global__ void cross_entropy_rows(loss_call c, int packed)
{
    team t = my_team(c.cols);
    if (t.row >= c.rows)
        return;
    if (packed)
        loss_row<PACK>(c, t);
    else
        loss_row<1>(c, t);
}

static __global__ void add_losses(loss_call c)
{
    wide sum = 0;
    for (int64_t r = threadIdx.x; r < c.rows; r += blockDim.x)
        sum += c.losses[r];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *c.loss = (real)(c.reduction == MEAN ? sum / c.totals->whole : sum);
}

/* Threads of the one block that walks over all labels. */
static int label_threads(int64_t rows, int64_t cols)
{
    return most(rows, cols) <= 2 * THREADS ? (int)THREADS : (int)LONG_THREADS;
}

/* Whether a label was out of range, as a status. */
static int label_status(etude_context *ctx, const label_totals *totals)
{
    label_totals found;
    int status = fetch(ctx, "cross_entropy count_labels", &found, totals, sizeof found);
    if (status != ETUDE_OK)
        return status;
    return found.wrong ? ETUDE_BAD_INDEX : ETUDE_OK;
}

ETUDE_KERNEL(cross_entropy, cross_entropy)(etude_context *ctx, const real *x, const int64_t *target,
                                           const real *weight, real *loss, real *top,
                                           real *log_sum, int64_t rows, int64_t cols,
                                           double reduction, double ignore, double smoothing)
{
    size_t bytes = sizeof(label_totals) + (size_t)(reduction == NONE ? 0 : rows) * sizeof(wide);
    loss_call c = {};
    c.totals = (label_totals *)etude_scratch(ctx, bytes);
    if (!c.totals)
        return ETUDE_NO_MEMORY;
    c.losses = (wide *)(c.totals + 1);
    c.x = x, c.target = target, c.weight = weight, c.loss = loss, c.top = top, c.log_sum = log_sum;
    c.rows = rows, c.cols = cols, c.ignore = (int64_t)ignore, c.reduction = (int)reduction;
    c.smoothing = smoothing;
    int threads = label_threads(rows, cols);
    count_labels<<<1, threads, 0, stream_of(ctx)>>>(c);
    int status = launched(ctx, "count_labels");
    if (status == ETUDE_OK && rows > 0) {
        int packed = cols % PACK == 0 && aligned(x);
        cross_entropy_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
            c, packed);
        status = launched(ctx, "cross_entropy_rows");
    }
    if (status == ETUDE_OK && reduction != NONE) {
        add_losses<<<1, threads, 0, stream_of(ctx)>>>(c);
        status = launched(ctx, "add_losses");
    }
    return status == ETUDE_OK ? label_status(ctx, c.totals) : status;
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* dx = grad ((1 - s) w_t (p - [c = t]) + s / C (p sum_k w_k - w_c)), in the mean over the whole. */
template <int N> ETUDE_DEVICE void gradient_row(const loss_call &c, const team &t)
{
    const real *x = c.x + t.row * c.cols;
    real *dx = c.dx + t.row * c.cols, top = c.top_in[t.row], log_sum = c.log_sum_in[t.row];
    int64_t label = label_of(c, t.row);
    wide even = c.smoothing / (wide)c.cols, own = 0, scale = 0;
    if (label >= 0) {
        own = (1 - c.smoothing) * (c.weight ? c.weight[label] : 1);
        scale = c.grad[c.reduction == NONE ? t.row : 0];
        if (c.reduction == MEAN && c.totals->whole != 0)
            scale /= c.totals->whole;
    }
    wide all = own + even * c.totals->weights;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> v = load<N>(x + i);
        for (int k = 0; k < N; k++) {
            wide d = 0;
            if (label >= 0) {
                d = exp_of(v.at[k] - top - log_sum) * (even == 0 ? own : all);
                if (even != 0)
                    d -= c.weight ? even * c.weight[i + k] : even;
                d = (i + k == label ? d - own : d) * scale;
            }
            v.at[k] = (real)d;
        }
        store<N>(dx + i, v);
    }
}

static __global__ void cross_entropy_backward_rows(loss_call c, int packed)
{
    team t = my_team(c.cols);
    if (t.row >= c.rows)
        return;
    if (packed)
        gradient_row<PACK>(c, t);
    else
        gradient_row<1>(c, t);
}

ETUDE_KERNEL(cross_entropy_backward, cross_entropy_backward)(etude_context *ctx, const real *grad,
                                                             const real *x, const int64_t *target,
                                                             const real *weight, const real *top,
                                                             const real *log_sum, real *dx,
                                                             int64_t rows, int64_t cols,
                                                             double reduction, double ignore,
                                                             double smoothing)
{
    if (rows == 0)
        return ETUDE_OK;
    loss_call c = {};
    c.totals = (label_totals *)etude_scratch(ctx, sizeof *c.totals);
    if (!c.totals)
        return ETUDE_NO_MEMORY;
    c.x = x, c.grad = grad, c.target = target, c.weight = weight, c.top_in = top;
    c.log_sum_in = log_sum, c.dx = dx, c.rows = rows, c.cols = cols, c.ignore = (int64_t)ignore;
    c.reduction = (int)reduction, c.smoothing = smoothing;
    count_labels<<<1, label_threads(rows, cols), 0, stream_of(ctx)>>>(c);
    int status = launched(ctx, "count_labels");
    if (status != ETUDE_OK)
        return status;
    int packed = cols % PACK == 0 && aligned(x) && aligned(dx);
    cross_entropy_backward_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
        c, packed);
    status = launched(ctx, "cross_entropy_backward_rows");
    return status == ETUDE_OK ? label_status(ctx, c.totals) : status;
}
