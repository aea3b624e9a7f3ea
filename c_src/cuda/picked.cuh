/* picked.cuh: what kernels with an index share: the check of indices, a walk over three dimensions,
   and whether sorting pays.

   An index may be out of range. A launch looks at all of them and sets a flag in device memory; the
   kernel that uses them is queued behind it and passes over what is out of range; then the host
   waits for the flag, and answers ETUDE_BAD_INDEX. */
#ifndef ETUDE_PICKED_CUH
#define ETUDE_PICKED_CUH

#include "pointwise.cuh"

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

ETUDE_DEVICE bool outside(int64_t index, int64_t n)
{
    return (uint64_t)index >= (uint64_t)n;
}

static __global__ void __launch_bounds__(THREADS)
    look_for_bad_index(const int64_t *index, int64_t count, int64_t n, int *flag)
{
    for (int64_t i = first_item(); i < count; i += all_threads())
        if (outside(index[i], n))
            atomicOr(flag, 1);
}

/* Whether each of `places` had better look through all indices, `each` of them, for those that are
   its own, than that indices are sorted. The lanes of a warp look at the same ones, so that a
   comparison costs next to nothing; but a place looks at one after another. */
static inline bool few_of(int64_t each, int64_t places)
{
    const int64_t most_each = 4096, most_of_all = 1 << 28;
    return each <= most_each && each * places <= most_of_all;
}

enum { FLAG = 256 }; /* bytes of scratch memory for the flag; what lies behind it is aligned */

/* Queues the check of `count` indices. */
static inline int check_begun(etude_context *ctx, const char *op, int *flag, const int64_t *index,
                              int64_t count, int64_t n)
{
    int status = filled(ctx, op, flag, 0, sizeof *flag);
    if (status != ETUDE_OK)
        return status;
    look_for_bad_index<<<blocks_for(count), threads_for(count), 0, stream_of(ctx)>>>(index, count,
                                                                                     n, flag);
    return launched(ctx, op);
}

/* Waits for all that is queued, and says what the check has found. */
static inline int check_ended(etude_context *ctx, const char *op, const int *flag)
{
    int bad = 0, status = fetch(ctx, op, &bad, flag, sizeof bad);
    return status != ETUDE_OK ? status : bad ? ETUDE_BAD_INDEX : ETUDE_OK;
}

#endif
