/* copy.cu: strided copies (contiguous, cat, stack, pad, slice_backward) and casts between dtypes.
   Reference: packages/etude/src/etude/ops/copy.py. On the CPU: c_src/cpu/copy.c.

   Plan. The caller has merged neighbouring axes where that is possible, so the last is as long as
   it gets. The last axis lies along the threads of a block, the one before it along its height; any
   others are counted through by the third dimension of the grid. Where x and y both have stride 1
   along the last axis, a thread takes 16 bytes. If x has stride 1 along another axis, the copy is a
   transpose of these two axes and goes through square tiles in shared memory, so that a warp reads
   and writes side by side; a tile's rows have one number more than they need, so that a column of
   it lies in 32 banks. ETUDE_REAL is 32 or 64; compiled for ETUDE_INT too, since labels and masks
   are copied and cast as well as floats. */
#include "pointwise.cuh"

enum { MOST_AXES = 16, TILE = 32, TILE_HIGH = 8 };

struct copy_shape {
    int ndim; /* axes that the grid's third dimension counts through */
    int64_t size[MOST_AXES], xs[MOST_AXES], ys[MOST_AXES], outer; /* outer: their product */
    int64_t m, x_across, y_across; /* the second axis */
    int64_t n, x_step, y_step;     /* the last axis */
};

/* Moves x and y to number `item` of the outer axes. */
ETUDE_DEVICE void locate(const copy_shape &s, int64_t item, const real **x, real **y)
{
    for (int k = s.ndim - 1; k >= 0; k--) {
        int64_t i = s.ndim > 1 ? item % s.size[k] : item;
        item = s.ndim > 1 ? item / s.size[k] : 0;
        *x += i * s.xs[k];
        *y += i * s.ys[k];
    }
}

namespace {

struct same_map {
    __device__ real operator()(real v) const { return v; }
};

} // namespace

/* packs: how many a row has, 0 where rows do not begin at 16 bytes or have other strides. */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    copy_rows(copy_shape s, int64_t packs, const real *x0, real *y0)
{
    int64_t first = first_item(), all = all_threads();
    int64_t first_row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y;
    for (int64_t item = (int64_t)blockIdx.z * blockDim.z + threadIdx.z; item < s.outer;
         item += (int64_t)gridDim.z * blockDim.z) {
        const real *x = x0;
        real *y = y0;
        locate(s, item, &x, &y);
        for (int64_t j = first_row; j < s.m; j += (int64_t)gridDim.y * blockDim.y) {
            const real *from = x + j * s.x_across;
            real *to = y + j * s.y_across;
            if (s.y_step == 1 && s.x_step <= 1 && s.x_step >= 0)
                walk(same_map{}, first, all, packs, s.n, to, cursor<real>{from, s.x_step});
            else
                for (int64_t k = first; k < s.n; k += all)
                    to[k * s.y_step] = from[k * s.x_step];
        }
    }
}

/* y[j][k] = x[k][j]: x is contiguous along j, the second axis. */
static __global__ void __launch_bounds__(TILE * TILE_HIGH)
    copy_transposed(copy_shape s, const real *x0, real *y0)
{
    __shared__ real tile[TILE][TILE + 1];
    int tx = (int)threadIdx.x, ty = (int)threadIdx.y;
    int64_t j0 = (int64_t)blockIdx.x * TILE;
    for (int64_t item = blockIdx.z; item < s.outer; item += gridDim.z) {
        const real *x = x0;
        real *y = y0;
        locate(s, item, &x, &y);
        for (int64_t k0 = (int64_t)blockIdx.y * TILE; k0 < s.n; k0 += (int64_t)gridDim.y * TILE) {
            for (int k = ty; k < TILE; k += TILE_HIGH)
                if (j0 + tx < s.m && k0 + k < s.n)
                    tile[k][tx] = x[j0 + tx + (k0 + k) * s.x_step];
            __syncthreads();
            for (int j = ty; j < TILE; j += TILE_HIGH)
                if (j0 + j < s.m && k0 + tx < s.n)
                    y[(j0 + j) * s.y_across + (k0 + tx) * s.y_step] = tile[tx][j];
            __syncthreads(); /* the tile is free again */
        }
    }
}

/* Whether every row of a copy begins at 16 bytes in x and y. */
static bool rows_even(const copy_shape &s, const real *x, const real *y)
{
    bool even = s.y_step == 1 && aligned(y) && s.y_across % PACK == 0;
    bool spread = s.x_step == 0; /* one number for a row, which may lie anywhere */
    even = even && (spread || (s.x_step == 1 && aligned(x) && s.x_across % PACK == 0));
    for (int k = 0; k < s.ndim; k++)
        even = even && (spread || s.xs[k] % PACK == 0) && s.ys[k] % PACK == 0;
    return even;
}

static int copy(etude_context *ctx, const char *op, const real *x, real *y, int64_t ndim,
                const int64_t *size, const int64_t *xs, const int64_t *ys)
{
    int last = (int)ndim - 1, second = last - 1; /* -1: there is none */
    copy_shape s = {};
    s.n = size[last], s.x_step = xs[last], s.y_step = ys[last], s.m = 1, s.outer = 1;
    bool transposed = false;
    if (s.x_step != 1 && s.x_step != 0)
        for (int k = 0; k < last; k++)
            if (xs[k] == 1 && size[k] >= 4)
                transposed = true, second = k;
    for (int k = 0; k < last; k++) {
        if (k == second) {
            s.m = size[k], s.x_across = xs[k], s.y_across = ys[k];
            continue;
        }
        s.size[s.ndim] = size[k], s.xs[s.ndim] = xs[k], s.ys[s.ndim++] = ys[k];
        s.outer *= size[k];
    }
    if (s.outer * s.m * s.n == 0)
        return ETUDE_OK;
    if (transposed) {
        dim3 grid((unsigned)pieces(s.m, TILE), blocks_along(s.n, TILE), blocks_along(s.outer, 1));
        copy_transposed<<<grid, dim3(TILE, TILE_HIGH), 0, stream_of(ctx)>>>(s, x, y);
        return launched(ctx, op);
    }
    int64_t packs = rows_even(s, x, y) ? s.n / PACK : 0, items = packs ? packs : s.n;
    dim3 tile = tile_of(items, s.m, s.outer);
    dim3 grid(blocks_along(items, tile.x), blocks_along(s.m, tile.y),
              blocks_along(s.outer, tile.z));
    copy_rows<<<grid, tile, 0, stream_of(ctx)>>>(s, packs, x, y);
    return launched(ctx, op);
}

#define COPY(op)                                                                                  \
    ETUDE_KERNEL(copy, op)(etude_context * ctx, const real *x, real *y, int64_t ndim,             \
                           const int64_t size[16], const int64_t xs[16], const int64_t ys[16])    \
    {                                                                                             \
        return copy(ctx, #op, x, y, ndim, size, xs, ys);                                          \
    }

COPY(contiguous)
COPY(cat)
COPY(slice_backward)
COPY(stack)
COPY(pad)

/* ---- Casts ----------------------------------------------------------------------------------- */

namespace {

template <class From> struct cast_map {
    __device__ real operator()(From v) const
    {
#if defined(ETUDE_INT) && ETUDE_INT == 8
        return v != 0;
#else
        return (real)v;
#endif
    }
};

} // namespace

template <class From>
static int cast_from(etude_context *ctx, const void *x, real *y, int64_t n)
{
    return each(ctx, "cast", cast_map<From>{}, n, y, (const From *)x);
}

ETUDE_KERNEL(cast, cast)(etude_context *ctx, const void *x, real *y, int64_t n, int64_t from)
{
    return from == ETUDE_F32   ? cast_from<float>(ctx, x, y, n)
           : from == ETUDE_F64 ? cast_from<double>(ctx, x, y, n)
           : from == ETUDE_I64 ? cast_from<int64_t>(ctx, x, y, n)
                               : cast_from<uint8_t>(ctx, x, y, n);
}
