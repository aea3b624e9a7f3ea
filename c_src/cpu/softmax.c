/* softmax.c: softmax, its logarithm, and their backwards, row by row.
   Reference: packages/etude/src/etude/ops/softmax.py.
   Read first: c_src/cpu/plain/softmax.c, the same as plain loops.
   x, y, grad, dx: rows x cols, contiguous.

   Plan. Rows go through L1 in blocks, as many whole rows as fit ETUDE_BLOCK elements (or one long
   row). Each pass over a block is one vectorised loop, and the exponential runs over the whole
   block at once, so that short rows (10 classes) fill the vectors too; a long row is added up in
   the same pass. Bound by the exponential: three or four passes in L1 for each element brought from
   memory. */
#include "rows.h"

enum { LONG = 512 }; /* a row whose exponentials fill the vectors by itself */

typedef struct {
    const real *x, *y;
    real *z;
    int64_t cols;
} rows_call;

/* z = x - max x for each row; z may be x. */
static void subtract_max(const real *x, real *z, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++, x += cols, z += cols) {
        real top = row_max(x, cols);
        ETUDE_SIMD for (int64_t c = 0; c < cols; c++) z[c] = x[c] - top;
    }
}

/* z = exp(x - max x) for one row. Returns the sum: blocks add up in vectors, and they in double. */
static real exponentials_of_row(const real *x, real *z, int64_t cols)
{
    real top = row_max(x, cols);
    double total = 0;
    for (int64_t from = 0; from < cols; from += ETUDE_BLOCK) {
        int64_t to = ETUDE_MIN(from + ETUDE_BLOCK, cols);
        real sum = 0;
        ETUDE_PRAGMA(omp simd reduction(+ : sum)) for (int64_t c = from; c < to; c++)
            sum += z[c] = v_exp_below_0(x[c] - top);
        total += sum;
    }
    return (real)total;
}

static void softmax_rows(void *arg, int64_t begin, int64_t end)
{
    const rows_call *call = arg;
    int64_t cols = call->cols, step = cols < LONG ? rows_in_block(cols) : 1;
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        const real *x = call->x + r * cols;
        real *z = call->z + r * cols, sum = 0;
        if (cols >= LONG) {
            sum = exponentials_of_row(x, z, cols);
        } else {
            subtract_max(x, z, rows, cols);
            ETUDE_SIMD for (int64_t i = 0; i < rows * cols; i++) z[i] = v_exp_below_0(z[i]);
        }
        for (int64_t k = 0; k < rows; k++, z += cols) {
            real scale = 1 / (cols >= LONG ? sum : row_sum(z, cols));
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) z[c] *= scale;
        }
    }
}

static void log_softmax_rows(void *arg, int64_t begin, int64_t end)
{
    const rows_call *call = arg;
    int64_t cols = call->cols, step = rows_in_block(cols);
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        const real *x = call->x + r * cols;
        real *z = call->z + r * cols, top[ETUDE_BLOCK], sum[ETUDE_BLOCK], log_sum[ETUDE_BLOCK];
        block_log_sum(x, rows, cols, top, sum);
        block_logs(sum, log_sum, rows);
        for (int64_t k = 0; k < rows; k++, x += cols, z += cols)
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) z[c] = x[c] - top[k] - log_sum[k];
    }
}

/* x is the gradient, y the saved output. */
static void softmax_backward_rows(void *arg, int64_t begin, int64_t end)
{
    const rows_call *call = arg;
    int64_t cols = call->cols;
    for (int64_t r = begin; r < end; r++) {
        const real *grad = call->x + r * cols, *y = call->y + r * cols;
        real *dx = call->z + r * cols, dot = row_dot(grad, y, cols);
        ETUDE_SIMD for (int64_t c = 0; c < cols; c++) dx[c] = y[c] * (grad[c] - dot);
    }
}

static void log_softmax_backward_rows(void *arg, int64_t begin, int64_t end)
{
    const rows_call *call = arg;
    int64_t cols = call->cols, step = rows_in_block(cols);
    real e[ETUDE_BLOCK];
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        const real *grad = call->x + r * cols, *y = call->y + r * cols;
        real *dx = call->z + r * cols;
        if (cols > ETUDE_BLOCK) { /* one long row */
            real sum = row_sum(grad, cols);
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) dx[c] =
                grad[c] - v_exp_below_0(y[c]) * sum;
            continue;
        }
        ETUDE_SIMD for (int64_t i = 0; i < rows * cols; i++) e[i] = v_exp_below_0(y[i]);
        for (int64_t k = 0; k < rows; k++, grad += cols, dx += cols) {
            real sum = row_sum(grad, cols);
            ETUDE_SIMD for (int64_t c = 0; c < cols; c++) dx[c] = grad[c] - e[k * cols + c] * sum;
        }
    }
}

ETUDE_KERNEL(rows, softmax)(etude_context *ctx, const real *x, real *y, int64_t rows, int64_t cols)
{
    rows_call call = {x, NULL, y, cols};
    etude_parallel_for(ctx, softmax_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}

ETUDE_KERNEL(rows, log_softmax)(etude_context *ctx, const real *x, real *y, int64_t rows,
                                int64_t cols)
{
    rows_call call = {x, NULL, y, cols};
    etude_parallel_for(ctx, log_softmax_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}

ETUDE_KERNEL(rows_backward, softmax_backward)(etude_context *ctx, const real *grad, const real *y,
                                              real *dx, int64_t rows, int64_t cols)
{
    rows_call call = {grad, y, dx, cols};
    etude_parallel_for(ctx, softmax_backward_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}

ETUDE_KERNEL(rows_backward, log_softmax_backward)(etude_context *ctx, const real *grad,
                                                  const real *y, real *dx, int64_t rows,
                                                  int64_t cols)
{
    rows_call call = {grad, y, dx, cols};
    etude_parallel_for(ctx, log_softmax_backward_rows, &call, rows, rows_grain(cols));
    return ETUDE_OK;
}
