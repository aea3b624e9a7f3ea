/* logsumexp.cu: log sum exp over one axis.
   Reference: `logsumexp` in packages/etude/src/etude/ops/reduce.py. On the CPU:
   c_src/cpu/logsumexp.c. x: outer x n x inner, y: outer x inner. float and double (ETUDE_REAL).

   Plan. inner = 1: a team of threads for a row, as in softmax.cu. inner > 1: a block for 32 columns
   side by side, whose eight warps each walk down every eighth row, so that a warp reads 128 bytes
   together, 4 sectors; the eight parts of a column meet in shared memory, in their order, without
   conflicts. Two walks, for the maximum and for the sum. An infinite maximum is not subtracted,
   since infinity less infinity is NaN: exp then gives 0 or infinity, and the logarithm of that is
   minus or plus infinity, as it should be. NaN stays NaN.
   Bound by memory, 4 bytes an element: 80 % of its bandwidth aimed at. */
#include "rows.cuh"

enum { SLICES = 8 }; /* warps that share a column */

ETUDE_DEVICE real finite_or_0(real x)
{
    return x - x == 0 ? x : 0;
}

template <int N> ETUDE_DEVICE void lse_row(const team &t, const real *x, real *y, int64_t cols)
{
    real top = finite_or_0(row_max<N>(t, x, cols));
    wide sum = row_exp_sum<N>(t, x, top, cols);
    if (t.rank == 0)
        *y = (real)(top + log_of(sum));
}

static __global__ void lse_rows(const real *x, real *y, int64_t rows, int64_t cols, int packed)
{
    team t = my_team(cols);
    if (t.row >= rows)
        return;
    if (packed)
        lse_row<PACK>(t, x + t.row * cols, y + t.row, cols);
    else
        lse_row<1>(t, x + t.row * cols, y + t.row, cols);
}

/* blockIdx.x counts the parts of all `outer` slabs, each part 32 columns wide. */
static __global__ void lse_columns(const real *x, real *y, int64_t n, int64_t inner, int64_t parts)
{
    __shared__ real tops[SLICES][WARP];
    __shared__ wide sums[SLICES][WARP];
    int lane = lane_of_warp(), slice = (int)threadIdx.x / WARP;
    int64_t o = blockIdx.x / parts, column = blockIdx.x % parts * WARP + lane;
    int inside = column < inner;
    x += o * n * inner + column;
    real top = -INFINITY;
    for (int64_t j = slice; inside && j < n; j += SLICES) {
        real v = x[j * inner];
        top = v > top ? v : top;
    }
    tops[slice][lane] = top;
    __syncthreads();
    for (int k = 0; k < SLICES; k++)
        top = tops[k][lane] > top ? tops[k][lane] : top;
    top = finite_or_0(top);
    wide sum = 0;
    for (int64_t j = slice; inside && j < n; j += SLICES)
        sum += exp_of(x[j * inner] - top);
    sums[slice][lane] = sum;
    __syncthreads();
    if (slice > 0 || !inside)
        return;
    for (int k = 1; k < SLICES; k++)
        sum += sums[k][lane];
    y[o * inner + column] = (real)(top + log_of(sum));
}

ETUDE_KERNEL(reduce, logsumexp)(etude_context *ctx, const real *x, real *y, int64_t outer,
                                int64_t n, int64_t inner)
{
    if (outer == 0 || inner == 0)
        return ETUDE_OK;
    if (inner == 1) {
        int packed = n % PACK == 0 && aligned(x);
        lse_rows<<<row_blocks(outer, n), row_threads(n), 0, stream_of(ctx)>>>(x, y, outer, n,
                                                                              packed);
        return launched(ctx, "lse_rows");
    }
    int64_t parts = pieces(inner, WARP);
    lse_columns<<<(unsigned)(outer * parts), SLICES * WARP, 0, stream_of(ctx)>>>(x, y, n, inner,
                                                                                 parts);
    return launched(ctx, "lse_columns");
}
