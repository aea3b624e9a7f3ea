/* softmax.c, plain: softmax, its logarithm, and their backwards, one row at a time, to be read
   before the fast ones.

   It refuses to be fast: no vectors, no threads, and the exponential is that of the C library. Even
   on one core it takes some 7 times as long as the fast one (1024 x 1024 float32, a core with
   AVX-512, November 2026). It is right in every case, and it is checked as the fast one is:

       etude check --source c_src/cpu/plain/softmax.c                             float32
       CFLAGS=-DETUDE_REAL=64 etude check --source c_src/cpu/plain/softmax.c      float64

   Reference: packages/etude/src/etude/ops/softmax.py.   Fast: c_src/cpu/softmax.c.

   Legend: x, y, grad, dx: rows x cols, contiguous. y may be x: an element is read before it is
   written. Rows do not meet, so threads would each take some of them. */
#include <tgmath.h> /* exp(x) is expf for a float and exp for a double */

#include "../kernel.h"

/* max_c x[c]. A NaN compares false and is passed over here; it comes back through exp. */
static real largest(const real *x, int64_t cols)
{
    real top = -INFINITY;
    for (int64_t c = 0; c < cols; c++)
        if (x[c] > top)
            top = x[c];
    return top;
}

/* y[c] = exp(x[c] - top) / sum_c exp(x[c] - top).   Any top gives the same y on paper. With the
   largest x, no exponential overflows, and the sum is at least 1. */
ETUDE_KERNEL(rows, softmax)(etude_context *ctx, const real *x, real *y, int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        real top = largest(x, cols), sum = 0;
        for (int64_t c = 0; c < cols; c++) {
            y[c] = exp(x[c] - top);
            sum += y[c];
        }
        for (int64_t c = 0; c < cols; c++)
            y[c] /= sum;
    }
    return ETUDE_OK;
}

/* y[c] = x[c] - top - log(sum_c exp(x[c] - top)), the logarithm of the y above. Taken from y itself
   it would be -infinity wherever the exponential is 0. */
ETUDE_KERNEL(rows, log_softmax)(etude_context *ctx, const real *x, real *y, int64_t rows,
                                int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        real top = largest(x, cols), sum = 0;
        for (int64_t c = 0; c < cols; c++)
            sum += exp(x[c] - top);
        real log_sum = log(sum);
        for (int64_t c = 0; c < cols; c++)
            y[c] = x[c] - top - log_sum;
    }
    return ETUDE_OK;
}

/* dx[c] = y[c] (grad[c] - sum_d grad[d] y[d]), from dy[d]/dx[c] = y[d] ([c = d] - y[c]). */
ETUDE_KERNEL(rows_backward, softmax_backward)(etude_context *ctx, const real *grad, const real *y,
                                              real *dx, int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, grad += cols, y += cols, dx += cols) {
        real dot = 0;
        for (int64_t c = 0; c < cols; c++)
            dot += grad[c] * y[c];
        for (int64_t c = 0; c < cols; c++)
            dx[c] = y[c] * (grad[c] - dot);
    }
    return ETUDE_OK;
}

/* dx[c] = grad[c] - exp(y[c]) sum_d grad[d], from dy[d]/dx[c] = [c = d] - exp(y[c]). */
ETUDE_KERNEL(rows_backward, log_softmax_backward)(etude_context *ctx, const real *grad,
                                                  const real *y, real *dx, int64_t rows,
                                                  int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, grad += cols, y += cols, dx += cols) {
        real sum = 0;
        for (int64_t c = 0; c < cols; c++)
            sum += grad[c];
        for (int64_t c = 0; c < cols; c++)
            dx[c] = grad[c] - exp(y[c]) * sum;
    }
    return ETUDE_OK;
}
