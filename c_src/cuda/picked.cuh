/* picked.cuh: what kernels with an index share: the check of indices, and whether sorting pays.

   An index may be out of range. A launch looks at all of them and sets a flag in device memory; the
   kernel that uses them is queued behind it and passes over what is out of range; then the host
   waits for the flag, and answers ETUDE_BAD_INDEX. */
#ifndef ETUDE_PICKED_CUH
#define ETUDE_PICKED_CUH

#include "pointwise.cuh"

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

#endif
