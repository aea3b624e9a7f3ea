/* rms_norm.c: each row divided by its root mean square, and the gradient in x and weight.
   Reference: packages/etude/src/etude/ops/rms_norm.py.
   x, y, grad, dx: rows x cols; weight, dweight: cols; rstd: rows.

   Plan. layer_norm.c without the mean: a row stays in L1 for its two passes. Backward needs sums
   along rows and, for dweight, down columns of the same products: rows are cut into blocks whose
   size depends on cols alone, each adds up columns of its own, and the blocks add up in order, so
   results do not depend on threads. Bound by memory from about 64 columns on. */
#include <float.h>

#include "rows.h"

typedef struct {
    const real *grad, *x, *weight, *rstd_in;
    real *y, *rstd; /* y is dx in backward */
    real *sums;     /* blocks x cols: of grad h, as in backward_row */
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

/* One row: dx = rstd (g - h mean(g h)) with g = grad weight, h = x rstd. */
static void backward_row(const rms_call *call, int64_t r, real *dweight)
{
    int64_t cols = call->cols;
    const real *grad = call->grad + r * cols, *x = call->x + r * cols, *weight = call->weight;
    real *dx = call->y + r * cols, rstd = call->rstd_in[r], of_gh = 0;
    ETUDE_PRAGMA(omp simd reduction(+ : of_gh)) for (int64_t c = 0; c < cols; c++)
    {
        real product = grad[c] * (x[c] * rstd);
        dweight[c] += product;
        of_gh += weight ? product * weight[c] : product;
    }
    of_gh /= (real)cols;
    ETUDE_SIMD for (int64_t c = 0; c < cols; c++)
    {
        real g = weight ? grad[c] * weight[c] : grad[c];
        dx[c] = rstd * (g - x[c] * rstd * of_gh);
    }
}

static void backward_blocks(void *arg, int64_t begin, int64_t end)
{
    const rms_call *call = arg;
    for (int64_t b = begin; b < end; b++) {
        real *dweight = call->sums + b * call->cols;
        int64_t last = ETUDE_MIN((b + 1) * call->block, call->rows);
        memset(dweight, 0, (size_t)call->cols * sizeof(real));
        for (int64_t r = b * call->block; r < last; r++)
            backward_row(call, r, dweight);
    }
}

ETUDE_KERNEL(rms_norm_backward, rms_norm_backward)(etude_context *ctx, const real *grad,
                                                   const real *x, const real *weight,
                                                   const real *rstd, real *dx, real *dweight,
                                                   int64_t rows, int64_t cols)
{
    rms_call call = {.grad = grad, .x = x, .weight = weight, .rstd_in = rstd, .y = dx,
                     .rows = rows, .cols = cols, .block = rows_grain(cols)};
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
