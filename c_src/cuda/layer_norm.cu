/* layer_norm.cu: normalisation of each row, and the gradient in x, weight and bias.
   Reference: packages/etude/src/etude/ops/layer_norm.py.   On the CPU: c_src/cpu/layer_norm.c.
   x, y, grad, dx: rows x cols; weight, bias, dweight, dbias: cols; mean, rstd: rows.
   float and double (ETUDE_REAL).

   Plan. Forward: one team of threads for a row (rows.cuh), three walks along it: sum, sum of
   squared deviations, result, the last two out of L1. Loads of 16 bytes where rows are aligned for
   it, the least number of sectors either way, no conflicts. Backward: dx the same way, two walks
   over x and grad; then the sums down columns for dweight and dbias (columns.cuh), which read both
   once more.
   Bound by memory: 8 bytes an element forward, 20 backward; 85 % of its bandwidth aimed at on cards
   with half as many double units as float ones, half of it on those with one for 32. */
#include "columns.cuh"

struct norm_rows {
    const real *grad, *x, *weight, *bias, *mean_in, *rstd_in;
    real *y, *mean, *rstd; /* y is dx in backward */
    int64_t rows, cols;
    wide eps;
};

/* ---- Forward --------------------------------------------------------------------------------- */

/* y = (x - mean) rstd weight + bias, in T: float, or where that would not do double. */
template <int N, class T>
ETUDE_DEVICE void write_row(const norm_rows &c, const team &t, T mean, T rstd)
{
    const real *x = c.x + t.row * c.cols;
    real *y = c.y + t.row * c.cols;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> v = load<N>(x + i), w, b;
        if (c.weight)
            w = load<N>(c.weight + i);
        if (c.bias)
            b = load<N>(c.bias + i);
        for (int k = 0; k < N; k++) {
            T h = (v.at[k] - mean) * rstd;
            h = c.weight ? h * w.at[k] : h;
            v.at[k] = (real)(c.bias ? h + b.at[k] : h);
        }
        store<N>(y + i, v);
    }
}

template <int N> ETUDE_DEVICE void norm_row(const norm_rows &c, const team &t)
{
    const real *x = c.x + t.row * c.cols;
    wide sum = 0, squares = 0;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> v = load<N>(x + i);
        for (int k = 0; k < N; k++)
            sum += v.at[k];
    }
    wide mean = team_sum(t, sum) / (wide)c.cols;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> v = load<N>(x + i);
        for (int k = 0; k < N; k++)
            squares += (v.at[k] - mean) * (v.at[k] - mean);
    }
    wide square = team_sum(t, squares) / (wide)c.cols + c.eps, rstd = 1 / sqrt_of(square);
    if (beyond_float(square))
        write_row<N, wide>(c, t, mean, rstd);
    else
        write_row<N, real>(c, t, (real)mean, (real)rstd);
    if (t.rank == 0) {
        c.mean[t.row] = (real)mean;
        c.rstd[t.row] = (real)rstd;
    }
}

static __global__ void layer_norm_rows(norm_rows c, int packed)
{
    team t = my_team(c.cols);
    if (t.row >= c.rows)
        return;
    if (packed)
        norm_row<PACK>(c, t);
    else
        norm_row<1>(c, t);
}

ETUDE_KERNEL(norm, layer_norm)(etude_context *ctx, const real *x, const real *weight,
                               const real *bias, real *y, real *mean, real *rstd, int64_t rows,
                               int64_t cols, double eps)
{
    if (rows == 0 || cols == 0)
        return ETUDE_OK;
    norm_rows c = {};
    c.x = x, c.weight = weight, c.bias = bias, c.y = y, c.mean = mean, c.rstd = rstd;
    c.rows = rows, c.cols = cols, c.eps = eps;
    int packed = cols % PACK == 0 && aligned(x) && aligned(y) && aligned(weight) && aligned(bias);
    layer_norm_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(c, packed);
    return launched(ctx, "layer_norm_rows");
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* dx = rstd (g - mean(g) - h mean(g h)) with g = grad weight, h = (x - mean) rstd. */
template <int N> ETUDE_DEVICE void backward_row(const norm_rows &c, const team &t)
{
    const real *grad = c.grad + t.row * c.cols, *x = c.x + t.row * c.cols;
    real *dx = c.y + t.row * c.cols;
    wide mean = c.mean_in[t.row], rstd = c.rstd_in[t.row], of_g = 0, of_gh = 0;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> g = load<N>(grad + i), v = load<N>(x + i), w;
        if (c.weight)
            w = load<N>(c.weight + i);
        for (int k = 0; k < N; k++) {
            wide d = c.weight ? (wide)g.at[k] * w.at[k] : g.at[k];
            of_g += d;
            of_gh += d * (v.at[k] - mean);
        }
    }
    of_g = team_sum(t, of_g) / (wide)c.cols;
    of_gh = team_sum(t, of_gh) * rstd / (wide)c.cols;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> g = load<N>(grad + i), v = load<N>(x + i), w;
        if (c.weight)
            w = load<N>(c.weight + i);
        for (int k = 0; k < N; k++) {
            wide d = c.weight ? (wide)g.at[k] * w.at[k] : g.at[k];
            v.at[k] = (real)(rstd * (d - of_g - (v.at[k] - mean) * rstd * of_gh));
        }
        store<N>(dx + i, v);
    }
}

static __global__ void layer_norm_backward_rows(norm_rows c, int packed)
{
    team t = my_team(c.cols);
    if (t.row >= c.rows)
        return;
    if (packed)
        backward_row<PACK>(c, t);
    else
        backward_row<1>(c, t);
}

namespace {

/* The terms of dweight and dbias. */
struct norm_terms {
    const real *grad, *x, *mean, *rstd;
    int64_t cols;

    ETUDE_METHOD void add(int64_t row, int64_t column, wide &of_gh, wide &of_g) const
    {
        wide g = grad[row * cols + column], mean_of_row = mean[row];
        of_gh += g * ((x[row * cols + column] - mean_of_row) * rstd[row]);
        of_g += g;
    }
};

} // namespace

ETUDE_KERNEL(norm_backward, layer_norm_backward)(etude_context *ctx, const real *grad,
                                                 const real *x, const real *weight,
                                                 const real *mean, const real *rstd, real *dx,
                                                 real *dweight, real *dbias, int64_t rows,
                                                 int64_t cols)
{
    if (cols == 0)
        return ETUDE_OK;
    int status = ETUDE_OK;
    int64_t parts = column_parts(rows);
    wide *sums = (wide *)etude_scratch(ctx, (size_t)(parts * 2 * cols) * sizeof(wide));
    if (!sums)
        return ETUDE_NO_MEMORY;
    if (rows > 0) {
        norm_rows c = {};
        c.grad = grad, c.x = x, c.weight = weight, c.mean_in = mean, c.rstd_in = rstd, c.y = dx;
        c.rows = rows, c.cols = cols;
        int packed = cols % PACK == 0 && aligned(x) && aligned(grad) && aligned(dx) &&
                     aligned(weight);
        layer_norm_backward_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
            c, packed);
        status = launched(ctx, "layer_norm_backward_rows");
    }
    if (status == ETUDE_OK)
        status = run_columns(ctx, "layer_norm_backward columns",
                             norm_terms{grad, x, mean, rstd, cols}, sums, rows, cols);
    if (status != ETUDE_OK)
        return status;
    finish_columns<<<blocks_for(cols), THREADS, 0, stream_of(ctx)>>>(sums, dweight, dbias, parts,
                                                                     cols);
    return launched(ctx, "finish_columns");
}
