/* gather.cu: elements picked by an index along one axis, and the transpose, scatter_add.
   Reference: packages/etude/src/etude/ops/gather.py. On the CPU: c_src/cpu/gather.c.
   x: outer x n x inner; index, and y or src: outer x index_n x inner.

   Plan. gather is bound by memory; inner lies along the threads of a block, so that a warp reads
   index and writes y side by side. scatter_add gives the same bits in every run: elements are
   sorted by where they go (order.cuh), and each run that goes to one place is added up by one
   thread, in order, in double. Where there is little to do, a thread looks through all of index for
   what goes to its place instead, which is one launch. ETUDE_REAL is 32 or 64; gather is compiled
   for ETUDE_INT too, scatter_add for int64. */
#include "picked.cuh"
#if !defined(ETUDE_INT) || ETUDE_INT == 64
#include "order.cuh"
#endif

struct gather_shape {
    int64_t outer, n, index_n, inner;
};

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    gather_kernel(gather_shape s, const real *x, const int64_t *index, real *y)
{
    for_each(s.outer, s.index_n, s.inner, [&](int64_t o, int64_t j, int64_t i) {
        int64_t at = (o * s.index_n + j) * s.inner + i, from = index[at];
        if (!outside(from, s.n))
            y[at] = x[(o * s.n + from) * s.inner + i];
    });
}

ETUDE_KERNEL(gather, gather)(etude_context *ctx, const real *x, const int64_t *index, real *y,
                             int64_t outer, int64_t n, int64_t index_n, int64_t inner)
{
    int64_t count = outer * index_n * inner;
    gather_shape s = {outer, n, index_n, inner};
    if (count == 0)
        return ETUDE_OK;
    int *flag = (int *)etude_scratch(ctx, FLAG);
    if (!flag)
        return ETUDE_NO_MEMORY;
    int status = check_begun(ctx, "gather", flag, index, count, n);
    if (status != ETUDE_OK)
        return status;
    walk_shape walk = walk_of(outer, index_n, inner);
    gather_kernel<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, x, index, y);
    status = launched(ctx, "gather");
    return status != ETUDE_OK ? status : check_ended(ctx, "gather", flag);
}

#if !defined(ETUDE_INT) || ETUDE_INT == 64

#if defined(ETUDE_INT)
typedef uint64_t sum_type; /* wraps, as in NumPy */
#else
typedef double sum_type;
#endif

/* Few elements: each place of y looks for what is added to it. */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    scatter_few(gather_shape s, const int64_t *index, const real *src, real *y)
{
    for_each(s.outer, s.n, s.inner, [&](int64_t o, int64_t r, int64_t i) {
        int64_t at = (o * s.n + r) * s.inner + i;
        sum_type sum = (sum_type)y[at];
        for (int64_t j = 0; j < s.index_n; j++) {
            int64_t from = (o * s.index_n + j) * s.inner + i;
            if (index[from] == r)
                sum += (sum_type)src[from];
        }
        y[at] = (real)sum;
    });
}

/* The key of an element is its place in y. One that is out of range takes the first. */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    scatter_keys(gather_shape s, const int64_t *index, ordered elements)
{
    for_each(s.outer, s.index_n, s.inner, [&](int64_t o, int64_t j, int64_t i) {
        int64_t at = (o * s.index_n + j) * s.inner + i, r = index[at];
        elements.key[at] = (o * s.n + (outside(r, s.n) ? 0 : r)) * s.inner + i;
        elements.place[at] = at;
    });
}

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    scatter_runs(ordered sorted, int64_t count, const real *src, real *y)
{
    for (int64_t j = first_item(); j < count; j += all_threads()) {
        if (!begins_run(sorted.key, j))
            continue;
        int64_t end = end_of_run(sorted.key, j, count);
        sum_type sum = (sum_type)y[sorted.key[j]];
#pragma unroll 4
        for (int64_t k = j; k < end; k++)
            sum += (sum_type)src[sorted.place[k]];
        y[sorted.key[j]] = (real)sum;
    }
}

static int scatter_sorted(etude_context *ctx, gather_shape s, const int64_t *index, const real *src,
                          real *y, void *scratch)
{
    int64_t count = s.outer * s.index_n * s.inner;
    ordered sorted, elements = elements_of(scratch, count);
    walk_shape walk = walk_of(s.outer, s.index_n, s.inner);
    scatter_keys<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, index, elements);
    int status = launched(ctx, "scatter_add");
    if (status == ETUDE_OK)
        status = sort_by_key(ctx, "scatter_add", scratch, count, s.outer * s.n * s.inner, &sorted);
    if (status != ETUDE_OK)
        return status;
    scatter_runs<<<blocks_for(count), threads_for(count), 0, stream_of(ctx)>>>(sorted, count, src,
                                                                               y);
    return launched(ctx, "scatter_add");
}

ETUDE_KERNEL(scatter_add, scatter_add)(etude_context *ctx, const int64_t *index, const real *src,
                                       real *y, int64_t outer, int64_t n, int64_t index_n,
                                       int64_t inner)
{
    int64_t count = outer * index_n * inner;
    gather_shape s = {outer, n, index_n, inner};
    if (count == 0)
        return ETUDE_OK;
    if (n == 0)
        return ETUDE_BAD_INDEX;
    bool few = few_of(index_n, outer * n * inner);
    char *scratch = (char *)etude_scratch(ctx, FLAG + (few ? 0 : bytes_of_order(count)));
    if (!scratch)
        return ETUDE_NO_MEMORY;
    int *flag = (int *)scratch;
    int status = check_begun(ctx, "scatter_add", flag, index, count, n);
    if (status != ETUDE_OK)
        return status;
    if (few) {
        walk_shape walk = walk_of(outer, n, inner);
        scatter_few<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, index, src, y);
        status = launched(ctx, "scatter_add");
    } else {
        status = scatter_sorted(ctx, s, index, src, y, scratch + FLAG);
    }
    return status != ETUDE_OK ? status : check_ended(ctx, "scatter_add", flag);
}

#endif
