/* layer_norm.c: normalisation of each row, and the gradient in x, weight and bias.
   Reference: packages/etude/src/etude/ops/layer_norm.py.
   x, y, grad, dx: rows x cols; weight, bias, dweight, dbias: cols; mean, rstd: rows.

   Plan. A row stays in L1 for its three passes: sum, sum of squared deviations, result. Backward
   needs sums along rows (for dx) and down columns (for dweight, dbias) of the same products: rows
   are cut into blocks whose size depends on cols alone, each block adds up columns of its own,
   and the blocks add up in order. So no thread waits, and results do not depend on how many
   there are. Bound by memory from about 64 columns on. */
#include "rows.h"

enum { TOGETHER = 4 }; /* rows that backward takes at a time */

typedef struct {
    const real *grad, *x, *weight, *bias, *mean_in, *rstd_in;
    real *y, *mean, *rstd; /* y is dx in backward */
    real *sums;            /* blocks x 2 x cols: of grad h and of grad, as in backward_rows */
    int64_t rows, cols, block;
    real eps;
} norm_call;

/* A row whose squares leave the range of float. */
static void wide_row(const norm_call *call, int64_t r)
{
    int64_t cols = call->cols;
    const real *x = call->x + r * cols, *weight = call->weight, *bias = call->bias;
    double mean = wide_sum(x, cols, 1) / (double)cols;
    double rstd = 1 / sqrt(wide_squares(x, mean, cols, 1) / (double)cols + call->eps);
    for (int64_t c = 0; c < cols; c++) {
        double h = (x[c] - mean) * rstd;
        call->y[r * cols + c] = (real)(h * (weight ? weight[c] : 1) + (bias ? bias[c] : 0));
    }
    call->mean[r] = (real)mean;
    call->rstd[r] = (real)rstd;
}

static void forward_rows(void *arg, int64_t begin, int64_t end)
{
    const norm_call *call = arg;
    int64_t cols = call->cols;
    const real *weight = call->weight, *bias = call->bias;
    for (int64_t r = begin; r < end; r++) {
        const real *x = call->x + r * cols;
        real *y = call->y + r * cols;
        real mean = row_sum(x, cols) / (real)cols;
        real var = row_squares(x, mean, cols) / (real)cols;
        if (squares_lost(var + call->eps)) {
            wide_row(call, r);
            continue;
        }
        real rstd = 1 / (sizeof(real) == 8 ? (real)sqrt(var + call->eps)
                                           : (real)sqrtf((float)(var + call->eps)));
        if (weight && bias)
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) y[c] =
                (x[c] - mean) * rstd * weight[c] + bias[c];
        else if (weight)
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) y[c] =
                (x[c] - mean) * rstd * weight[c];
        else if (bias)
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) y[c] = (x[c] - mean) * rstd + bias[c];
        else
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) y[c] = (x[c] - mean) * rstd;
        call->mean[r] = mean;
        call->rstd[r] = rstd;
    }
}

ETUDE_KERNEL(norm, layer_norm)(etude_context *ctx, const real *x, const real *weight,
                               const real *bias, real *y, real *mean, real *rstd, int64_t rows,
                               int64_t cols, double eps)
{
    norm_call call = {.x = x, .weight = weight, .bias = bias, .y = y, .mean = mean, .rstd = rstd,
                      .cols = cols, .eps = (real)eps};
    etude_parallel_for(ctx, forward_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}

/* A vector of columns c .. c + LANES of some rows goes into the sums of backward_rows. `count` is
   LANES, or fewer at the end of a row: then the last ones. */
static inline __attribute__((always_inline)) void
backward_columns(const norm_call *call, int64_t r, int rows, int64_t c, int64_t count, lanes *of_g,
                 lanes *of_gh, real *dweight, real *dbias)
{
    lanes zero = {0}, dw = lanes_at(dweight + c), db = lanes_at(dbias + c);
    for (int k = 0; k < rows; k++) {
        int64_t at = (r + k) * call->cols + c;
        lanes d = lanes_at(call->grad + at);
        lanes h = (lanes_at(call->x + at) - call->mean_in[r + k]) * call->rstd_in[r + k];
        if (count < LANES)
            d = last_lanes(d, zero, count), h = last_lanes(h, zero, count);
        lanes g = call->weight ? d * lanes_at(call->weight + c) : d;
        dw += d * h;
        db += d;
        of_g[k] += g;
        of_gh[k] += g * h;
    }
    memcpy(dweight + c, &dw, sizeof dw);
    memcpy(dbias + c, &db, sizeof db);
}

/* dx = rstd (g - mean(g) - h mean(g h)) with g = grad weight, h = (x - mean) rstd. Some rows go
   together through the first loop, so that dweight and dbias are read and written once for all. */
static inline __attribute__((always_inline)) void
backward_rows(const norm_call *call, int64_t r, int rows, real *dweight, real *dbias)
{
    int64_t cols = call->cols, c = 0;
    const real *weight = call->weight;
    lanes of_g[TOGETHER] = {{0}}, of_gh[TOGETHER] = {{0}};
    for (; c + LANES <= cols; c += LANES)
        backward_columns(call, r, rows, c, LANES, of_g, of_gh, dweight, dbias);
    if (c < cols && cols >= LANES)
        backward_columns(call, r, rows, cols - LANES, cols - c, of_g, of_gh, dweight, dbias);
    for (int k = 0; k < rows; k++) {
        const real *grad = call->grad + (r + k) * cols, *x = call->x + (r + k) * cols;
        real *dx = call->y + (r + k) * cols;
        real mean = call->mean_in[r + k], rstd = call->rstd_in[r + k];
        real sum_g = lanes_sum(of_g[k]), sum_gh = lanes_sum(of_gh[k]);
        for (c = 0; cols < LANES && c < cols; c++) { /* a row shorter than a vector */
            real h = (x[c] - mean) * rstd, d = grad[c], g = weight ? d * weight[c] : d;
            dweight[c] += d * h;
            dbias[c] += d;
            sum_g += g;
            sum_gh += g * h;
        }
        sum_g /= (real)cols;
        sum_gh /= (real)cols;
        ETUDE_SIMD for (c = 0; c < cols; c++)
        {
            real h = (x[c] - mean) * rstd, g = weight ? grad[c] * weight[c] : grad[c];
            dx[c] = rstd * (g - sum_g - h * sum_gh);
        }
    }
}

static void backward_blocks(void *arg, int64_t begin, int64_t end)
{
    const norm_call *call = arg;
    int64_t cols = call->cols;
    for (int64_t b = begin; b < end; b++) {
        real *dweight = call->sums + b * 2 * cols, *dbias = dweight + cols;
        int64_t last = ETUDE_MIN((b + 1) * call->block, call->rows);
        memset(dweight, 0, 2 * (size_t)cols * sizeof(real));
        int64_t r = b * call->block;
        for (; r + TOGETHER <= last; r += TOGETHER)
            backward_rows(call, r, TOGETHER, dweight, dbias);
        for (; r < last; r++)
            backward_rows(call, r, 1, dweight, dbias);
    }
}

ETUDE_KERNEL(norm_backward, layer_norm_backward)(etude_context *ctx, const real *grad,
                                                 const real *x, const real *weight,
                                                 const real *mean, const real *rstd, real *dx,
                                                 real *dweight, real *dbias, int64_t rows,
                                                 int64_t cols)
{
    norm_call call = {.grad = grad, .x = x, .weight = weight, .mean_in = mean, .rstd_in = rstd,
                      .y = dx, .rows = rows, .cols = cols, .block = rows_in_sum(cols)};
    int64_t blocks = (rows + call.block - 1) / call.block;
    call.sums = etude_scratch(ctx, (size_t)(blocks * 2 * cols + 1) * sizeof(real));
    if (!call.sums)
        return ETUDE_NO_MEMORY;
    etude_parallel_for(ctx, backward_blocks, &call, blocks, 1);
    memset(dweight, 0, (size_t)cols * sizeof(real));
    memset(dbias, 0, (size_t)cols * sizeof(real));
    for (int64_t b = 0; b < blocks; b++) {
        const real *sums = call.sums + b * 2 * cols;
        ETUDE_SIMD for (int64_t c = 0; c < cols; c++)
        {
            dweight[c] += sums[c];
            dbias[c] += sums[cols + c];
        }
    }
    return ETUDE_OK;
}
