/* index.cu: whole rows by number: index_select, embedding and its gradient, one_hot.
   Reference: packages/etude/src/etude/ops/index.py. On the CPU: c_src/cpu/index.c.
   index_select: x outer x n x inner, index index_n, y outer x index_n x inner.
   embedding: index count, weight V x D, y and grad count x D.

   Plan. Bound by memory: a row lies along the threads of a block, 16 bytes each where rows begin at
   16 bytes. The gradient of embedding adds up rows that have the same number, and gives the same
   bits in every run: numbers are sorted (order.cuh), and each column of a run of equal ones is
   added up by one thread, in order, in double. Where there is little to do, a thread looks through
   all of index for the rows of its own number instead. ETUDE_REAL is 32 or 64; index_select is
   compiled for ETUDE_INT too, since labels are selected by index as well as floats. */
#include "picked.cuh"
#if !defined(ETUDE_INT)
#include "order.cuh"
#endif

struct take_shape {
    int64_t outer, rows, count, cols; /* x: outer x rows x cols, y: outer x count x cols */
};

/* N numbers at a time; s.cols counts these. */
template <int N>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    take_rows(take_shape s, const real *x, const int64_t *index, real *y)
{
    for_each(s.outer, s.count, s.cols, [&](int64_t o, int64_t j, int64_t i) {
        int64_t row = index[j];
        if (!outside(row, s.rows))
            store<N>(y + ((o * s.count + j) * s.cols + i) * N,
                     load<N>(x + ((o * s.rows + row) * s.cols + i) * N));
    });
}

static inline int take(etude_context *ctx, const char *op, const real *x, const int64_t *index,
                       real *y, take_shape s)
{
    if (s.count == 0)
        return ETUDE_OK;
    int *flag = (int *)etude_scratch(ctx, FLAG);
    if (!flag)
        return ETUDE_NO_MEMORY;
    int status = check_begun(ctx, op, flag, index, s.count, s.rows);
    if (status != ETUDE_OK)
        return status;
    if (s.outer * s.cols > 0) {
        bool even = aligned(x) && aligned(y) && s.cols % PACK == 0;
        s.cols /= even ? PACK : 1;
        walk_shape walk = walk_of(s.outer, s.count, s.cols);
        if (even)
            take_rows<PACK><<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, x, index, y);
        else
            take_rows<1><<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, x, index, y);
        if ((status = launched(ctx, op)) != ETUDE_OK)
            return status;
    }
    return check_ended(ctx, op, flag);
}

ETUDE_KERNEL(gather, index_select)(etude_context *ctx, const real *x, const int64_t *index, real *y,
                                   int64_t outer, int64_t n, int64_t index_n, int64_t inner)
{
    return take(ctx, "index_select", x, index, y, {outer, n, index_n, inner});
}

#if !defined(ETUDE_INT)

ETUDE_KERNEL(embedding, embedding)(etude_context *ctx, const int64_t *index, const real *weight,
                                   real *y, int64_t count, int64_t V, int64_t D)
{
    return take(ctx, "embedding", weight, index, y, {1, V, count, D});
}

/* ---- The gradient of embedding --------------------------------------------------------------- */

struct add_shape {
    int64_t count, V, D, padding; /* padding: the row that stays 0, or -1 */
};

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    add_few(add_shape s, const real *grad, const int64_t *index, real *dweight)
{
    for_each(1, s.V, s.D, [&](int64_t, int64_t v, int64_t d) {
        double sum = 0;
        for (int64_t j = 0; j < s.count; j++)
            if (index[j] == v && v != s.padding)
                sum += grad[j * s.D + d];
        dweight[v * s.D + d] = (real)sum;
    });
}

/* A number that is out of range takes the first row. */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    row_keys(int64_t count, int64_t V, const int64_t *index, ordered elements)
{
    for (int64_t j = first_item(); j < count; j += all_threads()) {
        elements.key[j] = outside(index[j], V) ? 0 : index[j];
        elements.place[j] = j;
    }
}

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    add_runs(add_shape s, ordered sorted, const real *grad, real *dweight)
{
    for_each(1, s.count, s.D, [&](int64_t, int64_t j, int64_t d) {
        int64_t v = sorted.key[j];
        if (!begins_run(sorted.key, j) || v == s.padding)
            return;
        int64_t end = end_of_run(sorted.key, j, s.count);
        double sum = 0;
#pragma unroll 4
        for (int64_t k = j; k < end; k++)
            sum += grad[sorted.place[k] * s.D + d];
        dweight[v * s.D + d] = (real)sum;
    });
}

static int add_sorted(etude_context *ctx, add_shape s, const real *grad, const int64_t *index,
                      real *dweight, void *scratch)
{
    const char *op = "embedding_backward";
    ordered sorted, elements = elements_of(scratch, s.count);
    int status = filled(ctx, op, dweight, 0, (size_t)(s.V * s.D) * sizeof(real));
    if (status != ETUDE_OK)
        return status;
    row_keys<<<blocks_for(s.count), threads_for(s.count), 0, stream_of(ctx)>>>(s.count, s.V, index,
                                                                               elements);
    status = launched(ctx, op);
    if (status == ETUDE_OK)
        status = sort_by_key(ctx, op, scratch, s.count, s.V, &sorted);
    if (status != ETUDE_OK)
        return status;
    walk_shape walk = walk_of(1, s.count, s.D);
    add_runs<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, sorted, grad, dweight);
    return launched(ctx, op);
}

ETUDE_KERNEL(embedding_backward, embedding_backward)(etude_context *ctx, const real *grad,
                                                     const int64_t *index, real *dweight,
                                                     int64_t count, int64_t V, int64_t D,
                                                     double padding_idx)
{
    const char *op = "embedding_backward";
    add_shape s = {count, V, D, padding_idx >= 0 ? (int64_t)padding_idx : -1};
    if (count == 0)
        return filled(ctx, op, dweight, 0, (size_t)(V * D) * sizeof(real));
    if (V == 0)
        return ETUDE_BAD_INDEX;
    bool few = few_of(count, V * D);
    char *scratch = (char *)etude_scratch(ctx, FLAG + (few ? 0 : bytes_of_order(count)));
    if (!scratch)
        return ETUDE_NO_MEMORY;
    int *flag = (int *)scratch;
    int status = check_begun(ctx, op, flag, index, count, V);
    if (status != ETUDE_OK)
        return status;
    if (few && D > 0) {
        walk_shape walk = walk_of(1, V, D);
        add_few<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, grad, index, dweight);
        status = launched(ctx, op);
    } else if (D > 0) {
        status = add_sorted(ctx, s, grad, index, dweight, scratch + FLAG);
    }
    return status != ETUDE_OK ? status : check_ended(ctx, op, flag);
}

#elif ETUDE_INT == 64

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    one_hot_kernel(int64_t count, int64_t classes, const int64_t *index, int64_t *y)
{
    for_each(1, count, classes, [&](int64_t, int64_t j, int64_t c) {
        y[j * classes + c] = index[j] == c;
    });
}

ETUDE_KERNEL(one_hot, one_hot)(etude_context *ctx, const int64_t *index, int64_t *y, int64_t count,
                               int64_t num_classes)
{
    if (count * num_classes == 0)
        return ETUDE_OK;
    int *flag = (int *)etude_scratch(ctx, FLAG);
    if (!flag)
        return ETUDE_NO_MEMORY;
    int status = check_begun(ctx, "one_hot", flag, index, count, num_classes);
    if (status != ETUDE_OK)
        return status;
    walk_shape walk = walk_of(1, count, num_classes);
    one_hot_kernel<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(count, num_classes, index, y);
    status = launched(ctx, "one_hot");
    return status != ETUDE_OK ? status : check_ended(ctx, "one_hot", flag);
}

#endif
