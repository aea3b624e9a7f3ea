/* rms_norm.cu: each row divided by its root mean square, and the gradient in x and weight.
   Reference: packages/etude/src/etude/ops/rms_norm.py.   On the CPU: c_src/cpu/rms_norm.c.
   x, y, grad, dx: rows x cols; weight, dweight: cols; rstd: rows. float and double
   (ETUDE_REAL).

   Plan. layer_norm.cu without the mean: one team of threads for a row, two walks along it, the
   second out of L1; dweight by columns.cuh. 16-byte loads, the least number of sectors, no
   conflicts. Bound by memory, 8 bytes an element forward, 20 backward: 85 % of its bandwidth aimed
   at on cards with half as many double units as float ones. */
#include <float.h>

#include "columns.cuh"

struct rms_rows {
    const real *grad, *x, *weight, *rstd_in;
    real *y, *rstd; /* y is dx in backward */
    int64_t rows, cols;
    wide eps;
};

/* ---- Forward --------------------------------------------------------------------------------- */

/* y = x rstd weight, in T: float, or where that would not do double. */
template <int N, class T> ETUDE_DEVICE void write_row(const rms_rows &c, const team &t, T rstd)
{
    const real *x = c.x + t.row * c.cols;
    real *y = c.y + t.row * c.cols;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> v = load<N>(x + i), w;
        if (c.weight)
            w = load<N>(c.weight + i);
        for (int k = 0; k < N; k++)
            v.at[k] = (real)(c.weight ? v.at[k] * rstd * w.at[k] : v.at[k] * rstd);
        store<N>(y + i, v);
    }
}

template <int N> ETUDE_DEVICE void rms_row(const rms_rows &c, const team &t)
{
    const real *x = c.x + t.row * c.cols;
    wide squares = 0;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> v = load<N>(x + i);
        for (int k = 0; k < N; k++)
            squares += (wide)v.at[k] * v.at[k];
    }
    wide square = team_sum(t, squares) / (wide)c.cols + c.eps, rstd = 1 / sqrt_of(square);
    if (beyond_float(square))
        write_row<N, wide>(c, t, rstd);
    else
        write_row<N, real>(c, t, (real)rstd);
    if (t.rank == 0)
        c.rstd[t.row] = (real)rstd;
}

static __global__ void rms_norm_rows(rms_rows c, int packed)
{
    team t = my_team(c.cols);
    if (t.row >= c.rows)
        return;
    if (packed)
        rms_row<PACK>(c, t);
    else
        rms_row<1>(c, t);
}

ETUDE_KERNEL(rms_norm, rms_norm)(etude_context *ctx, const real *x, const real *weight, real *y,
                                 real *rstd, int64_t rows, int64_t cols, double eps)
{
    if (rows == 0 || cols == 0)
        return ETUDE_OK;
    if (eps != eps) /* NaN, none was given: that of the dtype */
        eps = sizeof(real) == 8 ? DBL_EPSILON : FLT_EPSILON;
    rms_rows c = {};
    c.x = x, c.weight = weight, c.y = y, c.rstd = rstd, c.rows = rows, c.cols = cols, c.eps = eps;
    int packed = cols % PACK == 0 && aligned(x) && aligned(y) && aligned(weight);
    rms_norm_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(c, packed);
    return launched(ctx, "rms_norm_rows");
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* dx = rstd (g - h mean(g h)) with g = grad weight, h = x rstd. */
template <int N> ETUDE_DEVICE void backward_row(const rms_rows &c, const team &t)
{
    const real *grad = c.grad + t.row * c.cols, *x = c.x + t.row * c.cols;
    real *dx = c.y + t.row * c.cols;
    wide rstd = c.rstd_in[t.row], of_gh = 0;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> g = load<N>(grad + i), v = load<N>(x + i), w;
        if (c.weight)
            w = load<N>(c.weight + i);
        for (int k = 0; k < N; k++) {
            wide d = c.weight ? (wide)g.at[k] * w.at[k] : g.at[k];
            of_gh += d * (v.at[k] * rstd);
        }
    }
    of_gh = team_sum(t, of_gh) / (wide)c.cols;
    for (int64_t i = t.rank * N; i < c.cols; i += t.size * N) {
        pack<N> g = load<N>(grad + i), v = load<N>(x + i), w;
        if (c.weight)
            w = load<N>(c.weight + i);
        for (int k = 0; k < N; k++) {
            wide d = c.weight ? (wide)g.at[k] * w.at[k] : g.at[k];
            v.at[k] = (real)(rstd * (d - v.at[k] * rstd * of_gh));
        }
        store<N>(dx + i, v);
    }
}

static __global__ void rms_norm_backward_rows(rms_rows c, int packed)
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

/* The terms of dweight; there is no second sum. */
struct rms_terms {
    const real *grad, *x, *rstd;
    int64_t cols;

    ETUDE_METHOD void add(int64_t row, int64_t column, wide &of_gh, wide &) const
    {
        wide g = grad[row * cols + column];
        of_gh += g * ((wide)x[row * cols + column] * rstd[row]);
    }
};

} // namespace

ETUDE_KERNEL(rms_norm_backward, rms_norm_backward)(etude_context *ctx, const real *grad,
                                                   const real *x, const real *weight,
                                                   const real *rstd, real *dx, real *dweight,
                                                   int64_t rows, int64_t cols)
{
    if (cols == 0)
        return ETUDE_OK;
    int status = ETUDE_OK;
    int64_t parts = column_parts(rows);
    wide *sums = (wide *)etude_scratch(ctx, (size_t)(parts * 2 * cols) * sizeof(wide));
    if (!sums)
        return ETUDE_NO_MEMORY;
    if (rows > 0) {
        rms_rows c = {};
        c.grad = grad, c.x = x, c.weight = weight, c.rstd_in = rstd, c.y = dx;
        c.rows = rows, c.cols = cols;
        int packed = cols % PACK == 0 && aligned(x) && aligned(grad) && aligned(dx) &&
                     aligned(weight);
        rms_norm_backward_rows<<<row_blocks(rows, cols), row_threads(cols), 0, stream_of(ctx)>>>(
            c, packed);
        status = launched(ctx, "rms_norm_backward_rows");
    }
    if (status == ETUDE_OK)
        status = run_columns(ctx, "rms_norm_backward columns", rms_terms{grad, x, rstd, cols},
                             sums, rows, cols);
    if (status != ETUDE_OK)
        return status;
    finish_columns<<<blocks_for(cols), THREADS, 0, stream_of(ctx)>>>(sums, dweight, NULL, parts,
                                                                     cols);
    return launched(ctx, "finish_columns");
}
