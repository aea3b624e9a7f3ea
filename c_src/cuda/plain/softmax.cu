/* softmax.cu, plain: softmax, its logarithm, and their backwards, one thread for a row, to be read
   before the fast ones.

   It refuses to be fast: a thread walks along its row, and its neighbours in the warp along theirs,
   `cols` numbers further on. So a load of the warp touches 32 rows at once, 32 sectors of 32 bytes
   where 4 would do: on a card memory runs at an eighth of its speed, and with few rows most of the
   card has nothing to do. It is right in every case, and it is checked as the fast one is:

       etude check --source c_src/cuda/plain/softmax.cu

   Reference: packages/etude/src/etude/ops/softmax.py.   Fast: c_src/cuda/softmax.cu.
   On the CPU: c_src/cpu/plain/softmax.c.   float and double (ETUDE_REAL).

   Legend: x, y, grad, dx: rows x cols, contiguous. y may be x: an element is read before it is
   written. Rows do not meet, so no thread waits for another. Sums are double: a row may be long. */
#include "../kernel.cuh"

/* max_c x[c]. A NaN compares false and is passed over here; it comes back through exp. */
ETUDE_DEVICE real largest(const real *x, int64_t cols)
{
    real top = -INFINITY;
    for (int64_t c = 0; c < cols; c++)
        if (x[c] > top)
            top = x[c];
    return top;
}

/* sum_c exp(x[c] - top) */
ETUDE_DEVICE double sum_of_exponentials(const real *x, real top, int64_t cols)
{
    double sum = 0;
    for (int64_t c = 0; c < cols; c++)
        sum += exp_of(x[c] - top);
    return sum;
}

/* y[c] = exp(x[c] - top) / sum_c exp(x[c] - top).   Any top gives the same y on paper. With the
   largest x, no exponential overflows, and the sum is at least 1. */
static __global__ void softmax_row(const real *x, real *y, int64_t rows, int64_t cols)
{
    for (int64_t r = first_item(); r < rows; r += all_threads()) {
        const real *from = x + r * cols;
        real *to = y + r * cols, top = largest(from, cols);
        double sum = sum_of_exponentials(from, top, cols);
        for (int64_t c = 0; c < cols; c++)
            to[c] = (real)(exp_of(from[c] - top) / sum);
    }
}

/* y[c] = x[c] - top - log(sum_c exp(x[c] - top)), the logarithm of the y above. Taken from y itself
   it would be -infinity wherever the exponential is 0. */
static __global__ void log_softmax_row(const real *x, real *y, int64_t rows, int64_t cols)
{
    for (int64_t r = first_item(); r < rows; r += all_threads()) {
        const real *from = x + r * cols;
        real *to = y + r * cols, top = largest(from, cols);
        real log_sum = (real)log_of(sum_of_exponentials(from, top, cols));
        for (int64_t c = 0; c < cols; c++)
            to[c] = from[c] - top - log_sum;
    }
}

/* dx[c] = y[c] (grad[c] - sum_d grad[d] y[d]), from dy[d]/dx[c] = y[d] ([c = d] - y[c]). */
static __global__ void softmax_backward_row(const real *grad, const real *y, real *dx, int64_t rows,
                                            int64_t cols)
{
    for (int64_t r = first_item(); r < rows; r += all_threads()) {
        int64_t begin = r * cols, end = begin + cols;
        double dot = 0;
        for (int64_t i = begin; i < end; i++)
            dot += grad[i] * y[i];
        for (int64_t i = begin; i < end; i++)
            dx[i] = (real)(y[i] * (grad[i] - dot));
    }
}

/* dx[c] = grad[c] - exp(y[c]) sum_d grad[d], from dy[d]/dx[c] = [c = d] - exp(y[c]). */
static __global__ void log_softmax_backward_row(const real *grad, const real *y, real *dx,
                                                int64_t rows, int64_t cols)
{
    for (int64_t r = first_item(); r < rows; r += all_threads()) {
        int64_t begin = r * cols, end = begin + cols;
        double sum = 0;
        for (int64_t i = begin; i < end; i++)
            sum += grad[i];
        for (int64_t i = begin; i < end; i++)
            dx[i] = (real)(grad[i] - exp_of(y[i]) * sum);
    }
}

ETUDE_KERNEL(rows, softmax)(etude_context *ctx, const real *x, real *y, int64_t rows, int64_t cols)
{
    softmax_row<<<blocks_for(rows), THREADS, 0, stream_of(ctx)>>>(x, y, rows, cols);
    return launched(ctx, "softmax_row");
}

ETUDE_KERNEL(rows, log_softmax)(etude_context *ctx, const real *x, real *y, int64_t rows,
                                int64_t cols)
{
    log_softmax_row<<<blocks_for(rows), THREADS, 0, stream_of(ctx)>>>(x, y, rows, cols);
    return launched(ctx, "log_softmax_row");
}

ETUDE_KERNEL(rows_backward, softmax_backward)(etude_context *ctx, const real *grad, const real *y,
                                              real *dx, int64_t rows, int64_t cols)
{
    softmax_backward_row<<<blocks_for(rows), THREADS, 0, stream_of(ctx)>>>(grad, y, dx, rows, cols);
    return launched(ctx, "softmax_backward_row");
}

ETUDE_KERNEL(rows_backward, log_softmax_backward)(etude_context *ctx, const real *grad,
                                                  const real *y, real *dx, int64_t rows,
                                                  int64_t cols)
{
    log_softmax_backward_row<<<blocks_for(rows), THREADS, 0, stream_of(ctx)>>>(grad, y, dx, rows,
                                                                               cols);
    return launched(ctx, "log_softmax_backward_row");
}
