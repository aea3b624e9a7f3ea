/* pointwise.cuh: how kernels walk arrays element by element: z[i] = f(x[i], y[i], ...).

   Geometry, for operands that broadcast: three dimensions, that is size[0] x size[1] rows of
   size[2] numbers, of which z is contiguous. Along a row an operand has stride 0 (one number for
   the whole row) or 1. Arrays of one shape are a single row, with stride 1.

   Plan. Bound by memory. A thread takes 16 bytes of the widest operand at a time, so that a warp
   reads and writes 512 bytes side by side; where a row does not begin at 16 bytes it takes one
   number, and a warp still reads whole sectors. A single row is shared by all threads of the grid.
   Of several rows a block takes a tile, as wide as a row up to THREADS, and as high as that leaves,
   and then as deep.

   Kernels that want the places, not the numbers, walk by `for_each`, at the end.

   f is a struct with an operator() for one element, a constant of the kernel like its types. z may
   be an operand: an element is read before it is written, by the thread that writes it. */
#ifndef ETUDE_POINTWISE_CUH
#define ETUDE_POINTWISE_CUH

#include "kernel.cuh"

enum { MOST_DEEP = 64 }; /* what CUDA allows as the third size of a block */

/* An input: p[i * step[0] + j * step[1] + k * step[2]]. */
template <class T> struct operand {
    const T *p;
    int64_t step[3];
};

/* The same in one row: p[k * step], with step 0 or 1. */
template <class T> struct cursor {
    const T *p;
    int64_t step;
};

/* Bytes of the widest of the types. */
template <class T, class... Rest>
constexpr size_t WIDEST = sizeof(T) > WIDEST<Rest...> ? sizeof(T) : WIDEST<Rest...>;
template <class T> constexpr size_t WIDEST<T> = sizeof(T);

template <int N, class T> ETUDE_DEVICE pack<N, T> pack_at(const cursor<T> &x, int64_t k)
{
    if (x.step)
        return load<N>(x.p + k);
    pack<N, T> same;
#pragma unroll
    for (int e = 0; e < N; e++)
        same.at[e] = x.p[0];
    return same;
}

template <int N, class Z, class F, class... X>
ETUDE_DEVICE pack<N, Z> applied(F f, const pack<N, X> &...x)
{
    pack<N, Z> z;
#pragma unroll
    for (int e = 0; e < N; e++)
        z.at[e] = f(x.at[e]...);
    return z;
}

/* A row of n numbers: `packs` packs and the rest one by one, from `first` on by steps of `all`. The
   loops run once for most threads, so unrolling them would only cost registers. */
template <class F, class Z, class... X>
ETUDE_DEVICE void walk(F f, int64_t first, int64_t all, int64_t packs, int64_t n, Z *z,
                       const cursor<X> &...x)
{
    constexpr int N = 16 / WIDEST<Z, X...>;
#pragma unroll 1
    for (int64_t k = first; k < packs; k += all)
        store<N>(z + k * N, applied<N, Z>(f, pack_at<N>(x, k * N)...));
#pragma unroll 1
    for (int64_t k = packs * N + first; k < n; k += all)
        z[k] = f(x.p[k * x.step]...);
}

template <class F, class Z, class... X>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    one_row(F f, int64_t packs, int64_t n, Z *z, cursor<X>... x)
{
    walk(f, first_item(), all_threads(), packs, n, z, x...);
}

/* The other two dimensions are those of the grid, so that nothing is divided. */
template <class F, class Z, class... X>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    many_rows(F f, int64_t outer, int64_t rows, int64_t packs, int64_t n, Z *z, operand<X>... x)
{
    int64_t first = first_item(), all = all_threads();
    int64_t first_row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y;
    for (int64_t i = (int64_t)blockIdx.z * blockDim.z + threadIdx.z; i < outer;
         i += (int64_t)gridDim.z * blockDim.z)
        for (int64_t j = first_row; j < rows; j += (int64_t)gridDim.y * blockDim.y)
            walk(f, first, all, packs, n, z + (i * rows + j) * n,
                 cursor<X>{x.p + i * x.step[0] + j * x.step[1], x.step[2]}...);
}

/* ---- On the host ----------------------------------------------------------------------------- */

template <class T> static operand<T> operand_of(const T *p, const int64_t step[3])
{
    return {p, {step[0], step[1], step[2]}};
}

/* Whether every row of x begins at 16 bytes, or is one number. */
template <int N, class T> static bool rows_aligned(const operand<T> &x)
{
    return x.step[2] == 0 || (aligned(x.p) && x.step[0] % N == 0 && x.step[1] % N == 0);
}

template <class F, class Z, class... X>
static int single_row(etude_context *ctx, const char *op, F f, int64_t packs, int64_t n, Z *z,
                      const cursor<X> &...x)
{
    int64_t items = most(packs, n - packs * (16 / (int64_t)WIDEST<Z, X...>));
    one_row<<<blocks_for(items), threads_for(items), 0, stream_of(ctx)>>>(f, packs, n, z, x...);
    return launched(ctx, op);
}

/* z[i] = f(x[i], ...) for i < n. */
template <class F, class Z, class... X>
static int each(etude_context *ctx, const char *op, F f, int64_t n, Z *z, const X *...x)
{
    constexpr int N = 16 / WIDEST<Z, X...>;
    if (n == 0)
        return ETUDE_OK;
    int64_t packs = aligned(z) && (aligned(x) && ...) ? n / N : 0;
    return single_row(ctx, op, f, packs, n, z, cursor<X>{x, 1}...);
}

/* A block of at most THREADS: as wide as there are items, then as high as rows, then as deep. */
static inline dim3 tile_of(int64_t items, int64_t rows, int64_t outer)
{
    unsigned wide = 1, high = 1, deep = 1;
    while (wide < THREADS && wide < items)
        wide *= 2;
    while (wide * high < THREADS && high < rows)
        high *= 2;
    while (wide * high * deep < THREADS && deep < outer && deep < MOST_DEEP)
        deep *= 2;
    return dim3(wide, high, deep);
}

static inline unsigned blocks_along(int64_t n, unsigned step)
{
    return (unsigned)least(pieces(n, step), MOST_BLOCKS);
}

/* z = f(x, ...) over size[0] x size[1] x size[2]. */
template <class F, class Z, class... X>
static int pointwise(etude_context *ctx, const char *op, F f, const int64_t size[3], Z *z,
                     const operand<X> &...x)
{
    constexpr int N = 16 / WIDEST<Z, X...>;
    int64_t rows = size[0] * size[1], n = size[2];
    if (rows * n == 0)
        return ETUDE_OK;
    bool even = aligned(z) && (rows == 1 || n % N == 0) && (rows_aligned<N>(x) && ...);
    int64_t packs = even ? n / N : 0;
    if (rows == 1)
        return single_row(ctx, op, f, packs, n, z, cursor<X>{x.p, x.step[2]}...);
    dim3 tile = tile_of(packs ? packs : n, size[1], size[0]);
    dim3 grid(blocks_along(packs ? packs : n, tile.x), blocks_along(size[1], tile.y),
              blocks_along(size[0], tile.z));
    many_rows<<<grid, tile, 0, stream_of(ctx)>>>(f, size[0], size[1], packs, n, z, x...);
    return launched(ctx, op);
}

/* ---- A walk that is told its places ------------------------------------------------------- */

/* Calls body(o, j, i) for all o < outer, j < rows, i < inner, of which this thread gets some. */
template <class Body>
ETUDE_DEVICE void for_each(int64_t outer, int64_t rows, int64_t inner, Body body)
{
    int64_t first_row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y;
    int64_t first_outer = (int64_t)blockIdx.z * blockDim.z + threadIdx.z;
    for (int64_t o = first_outer; o < outer; o += (int64_t)gridDim.z * blockDim.z)
        for (int64_t j = first_row; j < rows; j += (int64_t)gridDim.y * blockDim.y)
            for (int64_t i = first_item(); i < inner; i += all_threads())
                body(o, j, i);
}

/* A launch that for_each walks over: k<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(...). */
struct walk_shape {
    dim3 grid, tile;
};

static inline walk_shape walk_of(int64_t outer, int64_t rows, int64_t inner)
{
    dim3 tile = tile_of(inner, rows, outer);
    return {dim3(blocks_along(inner, tile.x), blocks_along(rows, tile.y),
                 blocks_along(outer, tile.z)),
            tile};
}

#endif
