/* topk.cu: the k largest or smallest numbers along an axis, in order, and where they stand.
   Reference: `topk` in packages/etude/src/etude/ops/index.py. On the CPU: c_src/cpu/topk.c.
   x: outer x n x inner; y and index: outer x k x inner. A row is one o and i.

   Plan. A number becomes a key, a whole number that is the smaller, the better the number is; equal
   numbers have one key. All of x is sorted by key, then by row (order.cuh): the sort is stable, so
   of equal numbers the first stays first, and the best k of each row lie together. That takes a
   pass for each 8 bits of key and of row number, each bound by memory, whatever k is: a choice of k
   by thresholds would read less where k is small. ETUDE_REAL is 32 or 64; compiled for ETUDE_INT
   too, for int64. */
#include "kernel.cuh"

#if !defined(ETUDE_INT) || ETUDE_INT == 64
#include "order.cuh"

struct topk_shape {
    int64_t outer, n, inner, k;
};

enum { KEY_BITS = 8 * (int)sizeof(real) };

#define KEY_MOST ((int64_t)(UINT64_MAX >> (65 - KEY_BITS))) /* the largest of KEY_BITS, signed */

/* The better v, the smaller the lowest KEY_BITS, without sign. `turn`: all bits of them where the
   smallest are wanted, else 0. */
ETUDE_DEVICE int64_t key_of(real v, int64_t turn)
{
#if defined(ETUDE_INT)
    int64_t key = v;
#elif ETUDE_REAL == 64
    int64_t key = __double_as_longlong(v + 0); /* -0 becomes 0 */
#else
    int64_t key = __float_as_int(v + 0);
#endif
#if !defined(ETUDE_INT)
    key ^= key < 0 ? KEY_MOST : 0; /* the bits of negative numbers run backwards */
    key = v != v ? KEY_MOST : key;
#endif
    return key ^ KEY_MOST ^ turn;
}

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    topk_keys(int64_t count, int64_t turn, const real *x, ordered elements)
{
    for (int64_t at = first_item(); at < count; at += all_threads()) {
        elements.key[at] = key_of(x[at], turn);
        elements.place[at] = at;
    }
}

/* The number of the row that an element of x is in: its place without the middle axis. */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    topk_rows(topk_shape s, int64_t count, ordered sorted, ordered elements)
{
    for (int64_t j = first_item(); j < count; j += all_threads()) {
        int64_t at = sorted.place[j];
        elements.key[j] = at / (s.n * s.inner) * s.inner + at % s.inner;
        elements.place[j] = at;
    }
}

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    topk_take(topk_shape s, ordered sorted, const real *x, real *y, int64_t *index)
{
    for_each(s.outer, s.k, s.inner, [&](int64_t o, int64_t j, int64_t i) {
        int64_t from = sorted.place[(o * s.inner + i) * s.n + j];
        int64_t to = (o * s.k + j) * s.inner + i;
        y[to] = x[from];
        index[to] = from / s.inner % s.n;
    });
}

static int topk_sorted(etude_context *ctx, topk_shape s, const real *x, int64_t turn, void *scratch,
                       ordered *sorted)
{
    int64_t count = s.outer * s.n * s.inner;
    unsigned blocks = blocks_for(count), threads = threads_for(count);
    ordered elements = elements_of(scratch, count);
    topk_keys<<<blocks, threads, 0, stream_of(ctx)>>>(count, turn, x, elements);
    int status = launched(ctx, "topk");
    if (status == ETUDE_OK)
        status = sort_by_bits(ctx, "topk", scratch, count, KEY_BITS, sorted);
    if (status != ETUDE_OK || s.outer * s.inner == 1)
        return status;
    topk_rows<<<blocks, threads, 0, stream_of(ctx)>>>(s, count, *sorted, elements);
    status = launched(ctx, "topk");
    if (status == ETUDE_OK)
        status = sort_by_key(ctx, "topk", scratch, count, s.outer * s.inner, sorted);
    return status;
}

ETUDE_KERNEL(topk, topk)(etude_context *ctx, const real *x, real *y, int64_t *index, int64_t outer,
                         int64_t n, int64_t inner, int64_t k, double largest)
{
    topk_shape s = {outer, n, inner, k};
    if (outer * k * inner == 0)
        return ETUDE_OK;
    void *scratch = etude_scratch(ctx, bytes_of_order(outer * n * inner));
    if (!scratch)
        return ETUDE_NO_MEMORY;
    ordered sorted;
    int status = topk_sorted(ctx, s, x, largest != 0 ? 0 : -1, scratch, &sorted);
    if (status != ETUDE_OK)
        return status;
    walk_shape walk = walk_of(outer, k, inner);
    topk_take<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, sorted, x, y, index);
    return launched(ctx, "topk");
}

#endif
