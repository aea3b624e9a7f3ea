/* cross_entropy.c: log-sum-exp of each row less the logit of its label, and the gradient.
   Reference: packages/etude/src/etude/ops/cross_entropy.py.
   x, dx: rows x cols logits; target: rows class numbers; weight: cols, or NULL; top, log_sum: rows;
   loss: rows, or one number.

   Plan. As in softmax.c: blocks of rows stay in L1, and one loop takes the exponentials of a whole
   block. The maximum of a row and the logarithm of its sum are kept apart: together they would
   round the logarithm away where logits are large. The losses of the rows add up after the threads
   are done, in one order. Rows whose label is `ignore` have loss and gradient 0 and do not count in
   the mean. A label out of range ends in ETUDE_BAD_INDEX, and the reference words the error. */
#include <string.h>

#include "rows.h"

enum { MEAN, SUM, NONE }; /* reduction */

typedef struct {
    const real *x, *grad, *weight; /* weight: cols, or NULL */
    const int64_t *target;
    real *loss, *top, *log_sum, *dx;
    int64_t cols;
    int64_t ignore;
    int64_t grad_step; /* 1: grad has a number for each row; 0: one for all */
    real scale;
    real smoothing; /* this share of the target is spread over all classes */
    real weights;   /* of all classes: the sum */
} loss_call;

/* How many rows are not ignored; -1 if a label is out of range. */
static int64_t count_labels(const int64_t *target, int64_t rows, int64_t cols, int64_t ignore)
{
    int fit = 1;
    int64_t ignored = 0;
    for (int64_t r = 0; r < rows; r++) {
        int skip = target[r] == ignore;
        ignored += skip;
        fit &= skip | (target[r] >= 0 && target[r] < cols);
    }
    return fit ? rows - ignored : -1;
}

/* What the mean divides by: the weights of the labels that count, added up. */
static real total_weight(const real *weight, const int64_t *target, int64_t rows, int64_t ignore,
                         int64_t count)
{
    if (!weight)
        return (real)count;
    double total = 0;
    for (int64_t r = 0; r < rows; r++)
        total += target[r] == ignore ? 0 : weight[target[r]];
    return (real)total;
}

/* The mean of the losses that a row has for each class in turn. */
static real even_loss(const loss_call *call, const real *x, real top, real log_sum)
{
    int64_t cols = call->cols;
    if (!call->weight)
        return log_sum - row_shifted(x, top, cols) / (real)cols;
    double total = 0;
    for (int64_t c = 0; c < cols; c++)
        total += call->weight[c] * (log_sum - (x[c] - top));
    return (real)(total / (double)cols);
}

static void forward_rows(void *arg, int64_t begin, int64_t end)
{
    const loss_call *call = arg;
    int64_t cols = call->cols, step = rows_in_block(cols);
    real top[ETUDE_BLOCK], sum[ETUDE_BLOCK];
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        const real *x = call->x + r * cols;
        block_log_sum(x, rows, cols, top, sum);
        block_logs(sum, call->log_sum + r, rows);
        for (int64_t k = 0; k < rows; k++) {
            real log_sum = call->log_sum[r + k];
            int64_t label = call->target[r + k];
            call->top[r + k] = max_or_nan(x + k * cols, cols, top[k], sum[k]);
            if (label == call->ignore) {
                call->loss[r + k] = 0;
                continue;
            }
            real loss = log_sum - (x[k * cols + label] - top[k]);
            if (call->weight)
                loss *= call->weight[label];
            if (call->smoothing != 0)
                loss = (1 - call->smoothing) * loss +
                       call->smoothing * even_loss(call, x + k * cols, top[k], log_sum);
            call->loss[r + k] = loss;
        }
    }
}

ETUDE_KERNEL(cross_entropy, cross_entropy)(etude_context *ctx, const real *x, const int64_t *target,
                                           const real *weight, real *loss, real *top,
                                           real *log_sum, int64_t rows, int64_t cols,
                                           double reduction, double ignore, double smoothing)
{
    int64_t count = count_labels(target, rows, cols, (int64_t)ignore);
    if (count < 0)
        return ETUDE_BAD_INDEX;
    real *losses = loss;
    if (reduction != NONE) {
        losses = etude_scratch(ctx, (size_t)(rows + 1) * sizeof(real));
        if (!losses)
            return ETUDE_NO_MEMORY;
    }
    loss_call call = {.x = x, .weight = weight, .target = target, .loss = losses, .top = top,
                      .log_sum = log_sum, .cols = cols, .ignore = (int64_t)ignore,
                      .smoothing = (real)smoothing};
    etude_parallel_for(ctx, forward_rows, &call, rows, rows_grain(cols));
    if (reduction != NONE)
        loss[0] = row_sum(losses, rows);
    if (reduction == MEAN) {
        real by = total_weight(weight, target, rows, (int64_t)ignore, count);
        loss[0] = overflowed(loss[0]) ? (real)(wide_sum(losses, rows, 1) / by) : loss[0] / by;
    }
    return ETUDE_OK;
}

/* dx holds the probabilities of one row; makes of them the gradient where classes have weights. */
static void weighted_row(const loss_call *call, real *dx, int64_t label, real even, real scale)
{
    const real *weight = call->weight;
    real own = (1 - call->smoothing) * weight[label], all = own + even * call->weights;
    if (even == 0)
        ETUDE_SIMD for (int64_t c = 0; c < call->cols; c++) dx[c] = dx[c] * own;
    else
        ETUDE_SIMD for (int64_t c = 0; c < call->cols; c++) dx[c] = dx[c] * all - even * weight[c];
    dx[label] -= own;
    ETUDE_SIMD for (int64_t c = 0; c < call->cols; c++) dx[c] *= scale;
}

/* Of the rows r .. r + rows, into dx. Those that are 0 or nearly so are rare, as in map.c's exp. */
static void probabilities(const loss_call *call, int64_t r, int64_t rows, real *dx)
{
    int64_t cols = call->cols;
    int rare = 0;
    for (int64_t k = 0; k < rows; k++) {
        const real *x = call->x + (r + k) * cols;
        real top = call->top[r + k], log_sum = call->log_sum[r + k];
        ETUDE_SIMD for (int64_t c = 0; c < cols; c++) dx[k * cols + c] = x[c] - top - log_sum;
    }
    ETUDE_PRAGMA(omp simd reduction(| : rare)) for (int64_t i = 0; i < rows * cols; i++)
        rare |= !has_ordinary_exp(dx[i]);
    if (rare)
        ETUDE_SIMD for (int64_t i = 0; i < rows * cols; i++) dx[i] = v_exp(dx[i]);
    else
        ETUDE_SIMD for (int64_t i = 0; i < rows * cols; i++) dx[i] = v_exp_of_ordinary(dx[i]);
}

static void backward_rows(void *arg, int64_t begin, int64_t end)
{
    const loss_call *call = arg;
    int64_t cols = call->cols, step = rows_in_block(cols);
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        real *dx = call->dx + r * cols;
        probabilities(call, r, rows, dx);
        for (int64_t k = 0; k < rows; k++, dx += cols) {
            int64_t label = call->target[r + k];
            if (label == call->ignore) {
                memset(dx, 0, (size_t)cols * sizeof *dx);
                continue;
            }
            real scale = call->grad[(r + k) * call->grad_step] * call->scale;
            real even = call->smoothing / (real)cols;
            if (call->weight) {
                weighted_row(call, dx, label, even, scale);
                continue;
            }
            dx[label] -= 1 - call->smoothing;
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) dx[c] = (dx[c] - even) * scale;
        }
    }
}

ETUDE_KERNEL(cross_entropy_backward, cross_entropy_backward)(etude_context *ctx, const real *grad,
                                                             const real *x, const int64_t *target,
                                                             const real *weight, const real *top,
                                                             const real *log_sum, real *dx,
                                                             int64_t rows, int64_t cols,
                                                             double reduction, double ignore,
                                                             double smoothing)
{
    int64_t count = count_labels(target, rows, cols, (int64_t)ignore);
    if (count < 0)
        return ETUDE_BAD_INDEX;
    real whole = total_weight(weight, target, rows, (int64_t)ignore, count);
    loss_call call = {.x = x, .grad = grad, .weight = weight, .target = target, .top = (real *)top,
                      .log_sum = (real *)log_sum, .dx = dx, .cols = cols,
                      .ignore = (int64_t)ignore, .grad_step = reduction == NONE,
                      .scale = reduction == MEAN && whole != 0 ? 1 / whole : 1,
                      .smoothing = (real)smoothing,
                      .weights = weight ? row_sum(weight, cols) : (real)cols};
    etude_parallel_for(ctx, backward_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}
