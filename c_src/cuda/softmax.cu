/* softmax.cu: softmax, its logarithm, and their backwards, row by row.
   Reference: packages/etude/src/etude/ops/softmax.py.   On the CPU: c_src/cpu/softmax.c.
   Read first: c_src/cuda/plain/softmax.cu, the same with one thread for a row.
   x, y, grad, dx: rows x cols, contiguous; y may be x. float and double (ETUDE_REAL).

   Plan. One team of threads for a row (rows.cuh): a warp up to 1024 columns, else a block. Three
   walks along the row, for the maximum, for the sum of exponentials and for the result; the second
   and third find the row in L1. The exponential is taken twice, which costs less than keeping it.
   Loads and stores are of 16 bytes where rows are aligned for it, and neighbours in a warp read
   neighbours in memory: 4 sectors of 32 bytes for a load of 4 bytes a lane, 16 for one of 16, both
   the least there can be. No shared memory but one number for each warp, no conflicts.
   Bound by memory, 8 bytes an element forward and 12 backward: 85 to 90 % of its bandwidth aimed at
   from about 2^22 elements on. */
#include "rows.cuh"

/* ---- Forward --------------------------------------------------------------------------------- */

template <int N>
ETUDE_DEVICE void softmax_row(const team &t, const real *x, real *y, int64_t cols)
{
    real top = row_max<N>(t, x, cols);
    real scale = (real)(1 / row_exp_sum<N>(t, x, top, cols));
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> v = load<N>(x + c);
        for (int i = 0; i < N; i++)
            v.at[i] = exp_of(v.at[i] - top) * scale;
        store<N>(y + c, v);
    }
}

static __global__ void softmax_rows(const real *x, real *y, int64_t rows, int64_t cols, int packed)
{
    team t = my_team(cols);
    if (t.row >= rows)
        return;
    x += t.row * cols, y += t.row * cols;
    if (packed)
        softmax_row<PACK>(t, x, y, cols);
    else
        softmax_row<1>(t, x, y, cols);
}

template <int N>
ETUDE_DEVICE void log_softmax_row(const team &t, const real *x, real *y, int64_t cols)
{
    real top = row_max<N>(t, x, cols);
    real log_sum = (real)log_of(row_exp_sum<N>(t, x, top, cols));
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> v = load<N>(x + c);
        for (int i = 0; i < N; i++)
            v.at[i] = v.at[i] - top - log_sum;
        store<N>(y + c, v);
    }
}

static __global__ void log_softmax_rows(const real *x, real *y, int64_t rows, int64_t cols,
                                        int packed)
{
    team t = my_team(cols);
    if (t.row >= rows)
        return;
    x += t.row * cols, y += t.row * cols;
    if (packed)
        log_softmax_row<PACK>(t, x, y, cols);
    else
        log_softmax_row<1>(t, x, y, cols);
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* dx = y (grad - sum grad y) */
template <int N>
ETUDE_DEVICE void softmax_backward_row(const team &t, const real *grad, const real *y, real *dx,
                                       int64_t cols)
{
    wide sum = 0;
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> g = load<N>(grad + c), p = load<N>(y + c);
        for (int i = 0; i < N; i++)
            sum += g.at[i] * p.at[i];
    }
    real dot = (real)team_sum(t, sum);
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> g = load<N>(grad + c), p = load<N>(y + c);
        for (int i = 0; i < N; i++)
            p.at[i] = p.at[i] * (g.at[i] - dot);
        store<N>(dx + c, p);
    }
}

static __global__ void softmax_backward_rows(const real *grad, const real *y, real *dx,
                                             int64_t rows, int64_t cols, int packed)
{
    team t = my_team(cols);
    if (t.row >= rows)
        return;
    grad += t.row * cols, y += t.row * cols, dx += t.row * cols;
    if (packed)
        softmax_backward_row<PACK>(t, grad, y, dx, cols);
    else
        softmax_backward_row<1>(t, grad, y, dx, cols);
}

/* dx = grad - exp(y) sum grad. The sum of a row of float may leave the range of float, and the
   difference need not. */
template <int N>
ETUDE_DEVICE void log_softmax_backward_row(const team &t, const real *grad, const real *y, real *dx,
                                           int64_t cols)
{
    wide sum = 0;
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> g = load<N>(grad + c);
        for (int i = 0; i < N; i++)
            sum += g.at[i];
    }
    sum = team_sum(t, sum);
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> g = load<N>(grad + c), p = load<N>(y + c);
        for (int i = 0; i < N; i++)
            g.at[i] = (real)(g.at[i] - exp_of(p.at[i]) * sum);
        store<N>(dx + c, g);
    }
}

static __global__ void log_softmax_backward_rows(const real *grad, const real *y, real *dx,
                                                 int64_t rows, int64_t cols, int packed)
{
    team t = my_team(cols);
    if (t.row >= rows)
        return;
    grad += t.row * cols, y += t.row * cols, dx += t.row * cols;
    if (packed)
        log_softmax_backward_row<PACK>(t, grad, y, dx, cols);
    else
        log_softmax_backward_row<1>(t, grad, y, dx, cols);
}

/* ---- The ops --------------------------------------------------------------------------------- */

/* Whether all rows of these arrays may be read 16 bytes at a time. */
static int rows_packed(const void *a, const void *b, const void *c, int64_t cols)
{
    return cols % PACK == 0 && aligned(a) && aligned(b) && aligned(c);
}

ETUDE_KERNEL(rows, softmax)(etude_context *ctx, const real *x, real *y, int64_t rows, int64_t cols)
{
    if (rows == 0 || cols == 0)
        return ETUDE_OK;
    softmax_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
        x, y, rows, cols, rows_packed(x, y, NULL, cols));
    return launched(ctx, "softmax_rows");
}

ETUDE_KERNEL(rows, log_softmax)(etude_context *ctx, const real *x, real *y, int64_t rows,
                                int64_t cols)
{
    if (rows == 0 || cols == 0)
        return ETUDE_OK;
    log_softmax_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
        x, y, rows, cols, rows_packed(x, y, NULL, cols));
    return launched(ctx, "log_softmax_rows");
}

ETUDE_KERNEL(rows_backward, softmax_backward)(etude_context *ctx, const real *grad, const real *y,
                                              real *dx, int64_t rows, int64_t cols)
{
    if (rows == 0 || cols == 0)
        return ETUDE_OK;
    softmax_backward_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
        grad, y, dx, rows, cols, rows_packed(grad, y, dx, cols));
    return launched(ctx, "softmax_backward_rows");
}

ETUDE_KERNEL(rows_backward, log_softmax_backward)(etude_context *ctx, const real *grad,
                                                  const real *y, real *dx, int64_t rows,
                                                  int64_t cols)
{
    if (rows == 0 || cols == 0)
        return ETUDE_OK;
    log_softmax_backward_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
        grad, y, dx, rows, cols, rows_packed(grad, y, dx, cols));
    return launched(ctx, "log_softmax_backward_rows");
}
