/* gather.c: elements picked by an index along one axis, and the transpose, scatter_add.
   Reference: packages/etude/src/etude/ops/gather.py.
   x: outer x n x inner; index, and y or src: outer x index_n x inner.

   Plan. Bound by memory. Threads share the rows of the result; in scatter_add they share outer and
   the columns of inner instead, so that repeats of an index meet in one thread, in order, and sums
   do not depend on the split; more than MANY terms add up in double, because in float the rounding
   errors would grow with their number. An index out of range ends in ETUDE_BAD_INDEX. */
#include <stdatomic.h>

#include "kernel.h"

typedef struct {
    const real *x;
    const int64_t *index;
    real *y;
    int64_t n, index_n, inner;
    atomic_int *bad, *failed; /* an index; no memory */
    etude_context *ctx;
} gather_call;

#if defined(ETUDE_INT)
#define WRAPS 1 /* int64 adds up exactly, or wraps as in NumPy */
#else
#define WRAPS 0
#endif

/* Numbers as wide as their indices are read at random by vectors. Others go one by one, because to
   put a vector together from them takes longer. */
#if ETUDE_REAL == 64 || ETUDE_INT == 64
#define AT_RANDOM ETUDE_SIMD
#elif defined(__clang__)
#define AT_RANDOM _Pragma("clang loop vectorize(disable) unroll_count(4)")
#else
#define AT_RANDOM _Pragma("GCC unroll 4")
#endif

enum { BLOCK = 1024 }; /* indices that are looked over together */

/* Whether every index is in 0 .. n - 1. The loop has no branch, so that it is vectorised. */
static int indices_fit(const int64_t *index, int64_t count, int64_t n)
{
    int outside = 0;
    ETUDE_PRAGMA(omp simd reduction(| : outside)) for (int64_t i = 0; i < count; i++)
        outside |= (uint64_t)index[i] >= (uint64_t)n;
    return !outside;
}

/* The row is on its way to the cache before it is read at random, which no processor foresees. */
static void ask_for(const real *row, int64_t n)
{
    if (n * (int64_t)sizeof(real) <= ETUDE_AHEAD)
        for (int64_t i = 0; i < n; i += 64 / (int64_t)sizeof(real))
            __builtin_prefetch(row + i);
}

/* The elements begin <= j < end of y, counted over all of outer x index_n x inner. They are taken
   in runs: a run lies in one row of y, or where inner is 1 in one index of outer. Indices are looked
   over BLOCK at a time, since runs may be short. */
static void gather_part(void *arg, int64_t begin, int64_t end)
{
    const gather_call *c = arg;
    int64_t inner = c->inner, whole = c->index_n * inner, run = inner == 1 ? whole : inner;
    int64_t step = inner > 1; /* of x along a run */
    int64_t seen = begin % whole, at = seen % run, checked = begin;
    const real *x = c->x + begin / whole * c->n * inner;
    for (int64_t j = begin, count; j < end; j += count) {
        count = ETUDE_MIN(run - at, end - j);
        if (j + count > checked) {
            int64_t to = ETUDE_MIN(end, ETUDE_MAX(j + count, checked + BLOCK));
            if (!indices_fit(c->index + checked, to - checked, c->n)) {
                atomic_store(c->bad, 1);
                return;
            }
            checked = to;
        }
        if (inner == 1 && count >= c->n && j + count < end)
            ask_for(x + c->n, c->n);
        const int64_t *index = c->index + j;
        const real *from = x + at * step;
        real *y = c->y + j;
        if (inner == 1)
            AT_RANDOM for (int64_t i = 0; i < count; i++) y[i] = from[index[i]];
        else
            ETUDE_SIMD for (int64_t i = 0; i < count; i++) y[i] = from[index[i] * inner + i];
        at = 0;
        seen += count;
        if (seen == whole)
            seen = 0, x += c->n * inner;
    }
}

ETUDE_KERNEL(gather, gather)(etude_context *ctx, const real *x, const int64_t *index, real *y,
                             int64_t outer, int64_t n, int64_t index_n, int64_t inner)
{
    atomic_int bad = 0;
    gather_call c = {x, index, y, n, index_n, inner, &bad, NULL, ctx};
    etude_parallel_for(ctx, gather_part, &c, outer * index_n * inner, ETUDE_GRAIN_MATH);
    return bad ? ETUDE_BAD_INDEX : ETUDE_OK;
}

#if !defined(ETUDE_INT) || ETUDE_INT == 64

enum {
    COLUMNS = 64, /* columns of inner in one item of work */
    MANY = 4096   /* terms that add up in real */
};

/* y, n x cols, += src at index, added up in double and rounded once; lines are `inner` apart.
   Inlined, so that with one column the compiler knows that they run on. 0: no memory. */
static inline __attribute__((always_inline)) int scatter_wide(const gather_call *c, real *y,
                                                              const int64_t *index,
                                                              const real *src, int64_t cols,
                                                              int64_t inner)
{
#if !defined(ETUDE_INT)
    double *sum = etude_scratch(c->ctx, (size_t)(c->n * cols) * sizeof(double));
    if (!sum)
        return 0;
    for (int64_t j = 0; j < c->n; j++)
        for (int64_t i = 0; i < cols; i++)
            sum[j * cols + i] = y[j * inner + i];
    for (int64_t j = 0; j < c->index_n; j++, index += inner, src += inner)
        for (int64_t i = 0; i < cols; i++)
            sum[index[i] * cols + i] += src[i];
    for (int64_t j = 0; j < c->n; j++)
        for (int64_t i = 0; i < cols; i++)
            y[j * inner + i] = (real)sum[j * cols + i];
#else
    (void)c, (void)y, (void)index, (void)src, (void)cols, (void)inner;
#endif
    return 1;
}

/* inner = 1: the indices of some rows are looked over together, and are in L1 when they are used. */
static void scatter_rows(void *arg, int64_t begin, int64_t end)
{
    const gather_call *c = arg;
    int64_t n = c->n, index_n = c->index_n, step = ETUDE_MAX(1, BLOCK / ETUDE_MAX(1, index_n));
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        const int64_t *index = c->index + r * index_n;
        const real *src = c->x + r * index_n;
        real *y = c->y + r * n;
        if (!indices_fit(index, rows * index_n, n)) {
            atomic_store(c->bad, 1);
            return;
        }
        if (index_n > MANY && !WRAPS) { /* one row */
            if (!scatter_wide(c, y, index, src, 1, 1))
                atomic_store(c->failed, 1);
            continue;
        }
        for (int64_t k = 0; k < rows; k++, y += n, index += index_n, src += index_n)
            for (int64_t j = 0; j < index_n; j++)
                y[index[j]] += src[j];
    }
}

static void scatter_columns(void *arg, int64_t begin, int64_t end)
{
    const gather_call *c = arg;
    int64_t inner = c->inner, parts = (inner + COLUMNS - 1) / COLUMNS;
    for (int64_t item = begin; item < end; item++) {
        int64_t o = item / parts, from = item % parts * COLUMNS;
        int64_t cols = ETUDE_MIN(COLUMNS, inner - from);
        real *y = c->y + o * c->n * inner + from;
        const int64_t *index = c->index + o * c->index_n * inner + from;
        const real *src = c->x + o * c->index_n * inner + from;
        int fit = 1;
        for (int64_t j = 0; j < c->index_n; j++)
            fit &= indices_fit(index + j * inner, cols, c->n);
        if (!fit) {
            atomic_store(c->bad, 1);
        } else if (c->index_n > MANY && !WRAPS) {
            if (!scatter_wide(c, y, index, src, cols, inner))
                atomic_store(c->failed, 1);
        } else
            for (int64_t j = 0; j < c->index_n; j++, index += inner, src += inner)
                for (int64_t i = 0; i < cols; i++)
                    y[index[i] * inner + i] += src[i];
    }
}

ETUDE_KERNEL(scatter_add, scatter_add)(etude_context *ctx, const int64_t *index, const real *src,
                                       real *y, int64_t outer, int64_t n, int64_t index_n,
                                       int64_t inner)
{
    atomic_int bad = 0, failed = 0;
    gather_call c = {src, index, y, n, index_n, inner, &bad, &failed, ctx};
    int64_t parts = (inner + COLUMNS - 1) / COLUMNS;
    etude_parallel_for(ctx, inner == 1 ? scatter_rows : scatter_columns, &c, outer * parts,
                       ETUDE_GRAIN_MATH / (index_n * ETUDE_MIN(COLUMNS, inner) + 1) + 1);
    return bad ? ETUDE_BAD_INDEX : failed ? ETUDE_NO_MEMORY : ETUDE_OK;
}

#endif
