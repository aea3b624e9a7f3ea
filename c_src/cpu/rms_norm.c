/* rms_norm.c: each row divided by its root mean square, and the gradient in x and weight.
   Reference: packages/etude/src/etude/ops/rms_norm.py.
   x, y, grad, dx: rows x cols; weight, dweight: cols; rstd: rows.

   Plan. layer_norm.c without the mean: a row stays in L1 for its two passes. Backward needs sums
   along rows and, for dweight, down columns of the same products: rows are cut into blocks whose
   size depends on cols alone, each adds up columns of its own, and the blocks add up in order, so
   results do not depend on threads. Bound by memory from about 64 columns on. */
#include <float.h>

#include "rows.h"

enum { TOGETHER = 4 }; /* rows that backward takes at a time */

typedef struct {
    const real *grad, *x, *weight, *rstd_in;
    real *y, *rstd; /* y is dx in backward */
    real *sums;     /* blocks x cols: of grad h, as in backward_rows */
    int64_t rows, cols, block;
    real eps;
} rms_call;

/* A row whose squares leave the range of float. */
static void wide_row(const rms_call *call, int64_t r)
{
    int64_t cols = call->cols;
    const real *x = call->x + r * cols, *weight = call->weight;
    double rstd = 1 / sqrt(wide_squares(x, 0, cols, 1) / (double)cols + call->eps);
    for (int64_t c = 0; c < cols; c++)
        call->y[r * cols + c] = (real)(x[c] * rstd * (weight ? weight[c] : 1));
    call->rstd[r] = (real)rstd;
}

static void forward_rows(void *arg, int64_t begin, int64_t end)
{
    const rms_call *call = arg;
    int64_t cols = call->cols;
    const real *weight = call->weight;
    for (int64_t r = begin; r < end; r++) {
        const real *x = call->x + r * cols;
        real *y = call->y + r * cols;
        real square = row_dot(x, x, cols) / (real)cols + call->eps;
        if (squares_lost(square)) {
            wide_row(call, r);
            continue;
        }
        real rstd = 1 / (sizeof(real) == 8 ? (real)sqrt(square) : (real)sqrtf((float)square));
        if (weight)
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) y[c] = x[c] * rstd * weight[c];
        else
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) y[c] = x[c] * rstd;
        call->rstd[r] = rstd;
    }
}

ETUDE_KERNEL(rms_norm, rms_norm)(etude_context *ctx, const real *x, const real *weight, real *y,
                                 real *rstd, int64_t rows, int64_t cols, double eps)
{
    if (eps != eps) /* NaN, none was given: that of the dtype */
        eps = sizeof(real) == 8 ? DBL_EPSILON : FLT_EPSILON;
    rms_call call = {.x = x, .weight = weight, .y = y, .rstd = rstd, .cols = cols,
                     .eps = (real)eps};
    etude_parallel_for(ctx, forward_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}

/* A vector of columns c .. c + LANES of some rows goes into the sums of backward_rows. `count` is
   LANES, or fewer at the end of a row: then the last ones. */
static inline __attribute__((always_inline)) void
backward_columns(const rms_call *call, int64_t r, int rows, int64_t c, int64_t count, lanes *of_gh,
                 real *dweight)
{
    lanes dw = lanes_at(dweight + c);
    for (int k = 0; k < rows; k++) {
        int64_t at = (r + k) * call->cols + c;
        lanes dh = lanes_at(call->grad + at) * (lanes_at(call->x + at) * call->rstd_in[r + k]);
        if (count < LANES)
            dh = last_lanes(dh, (lanes){0}, count);
        dw += dh;
        of_gh[k] += call->weight ? dh * lanes_at(call->weight + c) : dh;
    }
    memcpy(dweight + c, &dw, sizeof dw);
}

/* dx = rstd (g - h mean(g h)) with g = grad weight, h = x rstd. Some rows go together through the
   first loop, so that dweight is read and written once for all. */
static inline __attribute__((always_inline)) void
backward_rows(const rms_call *call, int64_t r, int rows, real *dweight)
{
    int64_t cols = call->cols, c = 0;
    const real *weight = call->weight;
    lanes of_gh[TOGETHER] = {{0}};
    for (; c + LANES <= cols; c += LANES)
        backward_columns(call, r, rows, c, LANES, of_gh, dweight);
    if (c < cols && cols >= LANES)
        backward_columns(call, r, rows, cols - LANES, cols - c, of_gh, dweight);
    for (int k = 0; k < rows; k++) {
        const real *grad = call->grad + (r + k) * cols, *x = call->x + (r + k) * cols;
        real *dx = call->y + (r + k) * cols, rstd = call->rstd_in[r + k];
        real sum_gh = lanes_sum(of_gh[k]);
        for (c = 0; cols < LANES && c < cols; c++) { /* a row shorter than a vector */
            real product = grad[c] * (x[c] * rstd);
            dweight[c] += product;
            sum_gh += weight ? product * weight[c] : product;
        }
        sum_gh /= (real)cols;
        ETUDE_SIMD for (c = 0; c < cols; c++)
        {
            real g = weight ? grad[c] * weight[c] : grad[c];
            dx[c] = rstd * (g - x[c] * rstd * sum_gh);
        }
    }
}

static void backward_blocks(void *arg, int64_t begin, int64_t end)
{
    const rms_call *call = arg;
    for (int64_t b = begin; b < end; b++) {
        real *dweight = call->sums + b * call->cols;
        int64_t last = ETUDE_MIN((b + 1) * call->block, call->rows);
        memset(dweight, 0, (size_t)call->cols * sizeof(real));
        int64_t r = b * call->block;
        for (; r + TOGETHER <= last; r += TOGETHER)
            backward_rows(call, r, TOGETHER, dweight);
        for (; r < last; r++)
            backward_rows(call, r, 1, dweight);
    }
}

ETUDE_KERNEL(rms_norm_backward, rms_norm_backward)(etude_context *ctx, const real *grad,
                                                   const real *x, const real *weight,
                                                   const real *rstd, real *dx, real *dweight,
                                                   int64_t rows, int64_t cols)
{
    rms_call call = {.grad = grad, .x = x, .weight = weight, .rstd_in = rstd, .y = dx,
                     .rows = rows, .cols = cols, .block = rows_in_sum(cols)};
    int64_t blocks = (rows + call.block - 1) / call.block;
    call.sums = etude_scratch(ctx, (size_t)(blocks * cols + 1) * sizeof(real));
    if (!call.sums)
        return ETUDE_NO_MEMORY;
    etude_parallel_for(ctx, backward_blocks, &call, blocks, 1);
    memset(dweight, 0, (size_t)cols * sizeof(real));
    for (int64_t b = 0; b < blocks; b++) {
        const real *sums = call.sums + b * cols;
        ETUDE_SIMD for (int64_t c = 0; c < cols; c++) dweight[c] += sums[c];
    }
    return ETUDE_OK;
}
