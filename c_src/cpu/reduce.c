/* reduce.c: sum, mean, prod, amax and amin over one axis, argmax and argmin.
   Reference: packages/etude/src/etude/ops/reduce.py.   x: outer x n x inner; y: outer x inner.

   Plan. inner = 1, a sum along rows: sums.h, one row per item of work. inner > 1, a sum down
   columns: rows are cut into blocks, the column sums of each block lie in L1, and the blocks add
   up in order; narrow rows (10 classes) are added several at a time to fill the vectors. A single
   long row is cut into blocks too. Blocks depend on the shape alone, so results do not depend on
   threads. All are bound by memory.

   A NaN counts as the largest element, and as the smallest too; of equal elements argmax and argmin
   take the first. */
#include <math.h>

#include "sums.h"

enum {
    ROW_BLOCK = 16 * ETUDE_BLOCK, /* elements of a long row in one item of work */
    NARROW = 256,                 /* a row as wide as this fills the vectors by itself */
    SHORT = 64,                   /* this many rows add up directly; longer columns in two levels */
    MOST_COLUMNS = 4096           /* columns whose sums lie in L1 */
};

typedef enum { SUM, MAX, MIN, PROD } kind;

typedef struct {
    kind kind;
    const real *x;
    real *y;
    int64_t *index;
    int64_t outer, n, inner;
    int64_t block;  /* rows of x in one item */
    int64_t blocks; /* per index of outer */
} reduce_call;

#if defined(ETUDE_INT)
#define IS_NAN(v) 0
#else
#define IS_NAN(v) ((v) != (v))
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE real larger(real m, real v)
{
    return v > m || IS_NAN(v) ? v : m;
}

INLINE real smaller(real m, real v)
{
    return v < m || IS_NAN(v) ? v : m;
}

INLINE real combine(kind kind, real a, real v)
{
#if defined(ETUDE_INT)
    if (kind == PROD)
        return (real)((uint64_t)a * (uint64_t)v); /* wraps, as in NumPy */
#endif
    return kind == SUM    ? a + v
           : kind == PROD ? a * v
           : kind == MAX  ? larger(a, v)
                          : smaller(a, v);
}

/* ---- Along a row ----------------------------------------------------------------------------- */

static real largest(const real *x, int64_t n)
{
    real top = x[0];
    int found = IS_NAN(x[0]);
    ETUDE_PRAGMA(omp simd reduction(max : top) reduction(| : found)) for (int64_t i = 0; i < n; i++)
    {
        top = x[i] > top ? x[i] : top;
        found |= IS_NAN(x[i]);
    }
    return found ? (real)NAN : top;
}

static real smallest(const real *x, int64_t n)
{
    real low = x[0];
    int found = IS_NAN(x[0]);
    ETUDE_PRAGMA(omp simd reduction(min : low) reduction(| : found)) for (int64_t i = 0; i < n; i++)
    {
        low = x[i] < low ? x[i] : low;
        found |= IS_NAN(x[i]);
    }
    return found ? (real)NAN : low;
}

INLINE real product(const real *x, int64_t n)
{
    real total = 1;
    if (n < LANES) {
        for (int64_t i = 0; i < n; i++)
            total = combine(PROD, total, x[i]);
        return total;
    }
    lanes ones = (lanes){0} + 1, a = ones, b = ones;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        a *= lanes_at(x + i), b *= lanes_at(x + i + LANES);
    for (; i + LANES <= n; i += LANES)
        a *= lanes_at(x + i);
    if (i < n)
        b *= last_lanes(lanes_at(x + n - LANES), ones, n - i);
    return lanes_product(a * b);
}

INLINE real along(kind kind, const real *x, int64_t n)
{
    if (kind == SUM) /* a short row costs no call */
        return n <= ETUDE_BLOCK ? block_sum(SUM_OF_X, x, x, 0, n) : row_sum(x, n);
    return kind == PROD ? product(x, n) : kind == MAX ? largest(x, n) : smallest(x, n);
}

/* Rows shorter than a vector: one vector holds an element of each of LANES rows. */
INLINE void short_rows(kind kind, const real *x, real *y, int64_t rows, int64_t n)
{
    for (int64_t o = 0; o < rows; o += LANES) {
        int64_t count = ETUDE_MIN(rows - o, LANES);
        const real *first = x + o * n;
        if (count == LANES) {
            real best[LANES];
            ETUDE_SIMD for (int k = 0; k < LANES; k++) best[k] = first[k * n];
            for (int64_t j = 1; j < n; j++)
                ETUDE_SIMD for (int k = 0; k < LANES; k++)
                    best[k] = combine(kind, best[k], first[k * n + j]);
            memcpy(y + o, best, sizeof best);
        } else
            for (int64_t k = 0; k < count; k++) {
                y[o + k] = first[k * n];
                for (int64_t j = 1; j < n; j++)
                    y[o + k] = combine(kind, y[o + k], first[k * n + j]);
            }
    }
}

INLINE void rows_of_kind(kind kind, const reduce_call *c, int64_t begin, int64_t end)
{
    if (c->n < LANES && (kind == MAX || kind == MIN))
        short_rows(kind, c->x + begin * c->n, c->y + begin, end - begin, c->n);
    else if (c->blocks == 1)
        for (int64_t o = begin; o < end; o++)
            c->y[o] = along(kind, c->x + o * c->n, c->n);
    else
        for (int64_t item = begin; item < end; item++) {
            int64_t o = item / c->blocks, from = item % c->blocks * c->block;
            c->y[item] = along(kind, c->x + o * c->n + from, ETUDE_MIN(c->block, c->n - from));
        }
}

static void rows_body(void *arg, int64_t begin, int64_t end)
{
    const reduce_call *c = arg;
    if (c->kind == SUM)
        rows_of_kind(SUM, c, begin, end);
    else if (c->kind == PROD)
        rows_of_kind(PROD, c, begin, end);
    else if (c->kind == MAX)
        rows_of_kind(MAX, c, begin, end);
    else
        rows_of_kind(MIN, c, begin, end);
}

static int reduce_rows(etude_context *ctx, reduce_call *c)
{
    c->block = c->outer >= 8 || c->n < 2 * ROW_BLOCK ? c->n : ROW_BLOCK;
    c->blocks = (c->n + c->block - 1) / c->block;
    if (c->blocks == 1) {
        etude_parallel_for(ctx, rows_body, c, c->outer, ETUDE_GRAIN_MEMORY / c->n + 1);
        return ETUDE_OK;
    }
    real *y = c->y;
    c->y = etude_scratch(ctx, (size_t)(c->outer * c->blocks) * sizeof(real));
    if (!c->y)
        return ETUDE_NO_MEMORY;
    etude_parallel_for(ctx, rows_body, c, c->outer * c->blocks, 1);
    for (int64_t o = 0; o < c->outer; o++)
        y[o] = along(c->kind, c->y + o * c->blocks, c->blocks);
    return ETUDE_OK;
}

/* ---- Down columns ---------------------------------------------------------------------------- */

/* y = the n rows of x combined; a row is cols numbers and begins `step` after the one before. */
INLINE void rows_combined(kind kind, const real *x, real *y, int64_t n, int64_t cols, int64_t step)
{
    memcpy(y, x, (size_t)cols * sizeof(real));
    for (int64_t j = 1; j < n; j++)
        ETUDE_SIMD for (int64_t i = 0; i < cols; i++) y[i] = combine(kind, y[i], x[j * step + i]);
}

/* The same for many rows: SHORT of them at a time, then their results, for less rounding error. */
INLINE void columns(kind kind, const real *x, real *y, int64_t n, int64_t cols, int64_t step)
{
    real part[MOST_COLUMNS];
    rows_combined(kind, x, y, ETUDE_MIN(n, SHORT), cols, step);
    for (int64_t j = SHORT; j < n; j += SHORT) {
        rows_combined(kind, x + j * step, part, ETUDE_MIN(n - j, SHORT), cols, step);
        ETUDE_SIMD for (int64_t i = 0; i < cols; i++) y[i] = combine(kind, y[i], part[i]);
    }
}

/* Narrow rows lie one after another: `fold` of them are taken as one wide row. */
INLINE void narrow_columns(kind kind, const real *x, real *y, int64_t n, int64_t inner)
{
    real wide[2 * NARROW];
    int64_t fold = NARROW / inner, whole = n / fold;
    if (whole == 0) {
        columns(kind, x, y, n, inner, inner);
        return;
    }
    columns(kind, x, wide, whole, fold * inner, fold * inner);
    rows_combined(kind, wide, y, fold, inner, inner);
    for (int64_t j = whole * fold; j < n; j++)
        for (int64_t i = 0; i < inner; i++)
            y[i] = combine(kind, y[i], x[j * inner + i]);
}

INLINE void block_of_columns(kind kind, const reduce_call *c, int64_t item)
{
    int64_t o = item / c->blocks, from = item % c->blocks * c->block;
    int64_t n = ETUDE_MIN(c->block, c->n - from);
    const real *x = c->x + (o * c->n + from) * c->inner;
    real *y = c->y + item * c->inner;
    if (c->inner <= NARROW / 2)
        narrow_columns(kind, x, y, n, c->inner);
    else
        for (int64_t i = 0; i < c->inner; i += MOST_COLUMNS)
            columns(kind, x + i, y + i, n, ETUDE_MIN(c->inner - i, MOST_COLUMNS), c->inner);
}

static void columns_body(void *arg, int64_t begin, int64_t end)
{
    const reduce_call *c = arg;
    for (int64_t item = begin; item < end; item++)
        if (c->kind == SUM)
            block_of_columns(SUM, c, item);
        else if (c->kind == PROD)
            block_of_columns(PROD, c, item);
        else if (c->kind == MAX)
            block_of_columns(MAX, c, item);
        else
            block_of_columns(MIN, c, item);
}

static int reduce_columns(etude_context *ctx, reduce_call *c)
{
    c->block = ETUDE_MAX(SHORT, (ROW_BLOCK / c->inner + SHORT - 1) / SHORT * SHORT);
    c->blocks = (c->n + c->block - 1) / c->block;
    int64_t items = c->outer * c->blocks;
    real *y = c->y;
    if (c->blocks > 1) {
        c->y = etude_scratch(ctx, (size_t)(items * c->inner) * sizeof(real));
        if (!c->y)
            return ETUDE_NO_MEMORY;
    }
    etude_parallel_for(ctx, columns_body, c, items,
                       ETUDE_GRAIN_MEMORY / (ETUDE_MIN(c->n, c->block) * c->inner) + 1);
    if (c->blocks > 1) {
        reduce_call rest = {.kind = c->kind, .x = c->y, .y = y, .n = c->blocks, .inner = c->inner,
                            .block = c->blocks, .blocks = 1};
        columns_body(&rest, 0, c->outer);
    }
    return ETUDE_OK;
}

static inline int reduce(etude_context *ctx, kind kind, const real *x, real *y, int64_t outer,
                         int64_t n, int64_t inner)
{
    reduce_call c = {.kind = kind, .x = x, .y = y, .outer = outer, .n = n, .inner = inner};
    if (outer * inner == 0)
        return ETUDE_OK;
    if (n == 0) { /* only sum and prod get here: the shape rule has refused the others */
        for (int64_t i = 0; i < outer * inner; i++)
            y[i] = kind == PROD;
        return ETUDE_OK;
    }
    return inner == 1 ? reduce_rows(ctx, &c) : reduce_columns(ctx, &c);
}

/* ---- argmax and argmin ----------------------------------------------------------------------- */

/* Whether a later v takes the place of m. `least` asks for the smallest instead of the largest; it
   is a constant in every call, so that each of the two has loops of its own. */
INLINE int replaces(int least, real v, real m)
{
    return (least ? v < m : v > m) || (IS_NAN(v) && !IS_NAN(m));
}

/* Where `value` first stands in a row that has it, or the first NaN, if there is one. */
static int64_t find(const real *x, real value, int64_t n)
{
    int64_t from = 0;
    for (; from + SHORT <= n; from += SHORT) { /* whole blocks by vectors */
        int here = 0;
        ETUDE_PRAGMA(omp simd reduction(| : here)) for (int64_t i = 0; i < SHORT; i++)
            here |= x[from + i] == value || IS_NAN(x[from + i]);
        if (here)
            break;
    }
    while (from < n - 1 && x[from] != value && !IS_NAN(x[from]))
        from++;
    return from;
}

INLINE void arg_items(int least, const reduce_call *c, int64_t begin, int64_t end)
{
    int64_t inner = c->inner;
    for (int64_t o = begin; o < end; o++) {
        const real *x = c->x + o * c->n * inner;
        int64_t *index = c->index + o * inner;
        if (inner == 1) {
            real top = x[0];
            if (c->n > SHORT) {
                index[0] = find(x, least ? smallest(x, c->n) : largest(x, c->n), c->n);
                continue;
            }
            index[0] = 0;
            for (int64_t j = 1; j < c->n; j++)
                if (replaces(least, x[j], top))
                    top = x[j], index[0] = j;
            continue;
        }
        for (int64_t from = 0; from < inner; from += MOST_COLUMNS) {
            real top[MOST_COLUMNS];
            int64_t cols = ETUDE_MIN(inner - from, MOST_COLUMNS);
            memcpy(top, x + from, (size_t)cols * sizeof(real));
            memset(index + from, 0, (size_t)cols * sizeof(int64_t));
            for (int64_t j = 1; j < c->n; j++)
                ETUDE_SIMD for (int64_t i = 0; i < cols; i++)
                {
                    real v = x[j * inner + from + i], m = top[i];
                    int64_t at = index[from + i];
                    index[from + i] = replaces(least, v, m) ? j : at;
                    top[i] = replaces(least, v, m) ? v : m;
                }
        }
    }
}

static void argmax_body(void *arg, int64_t begin, int64_t end)
{
    arg_items(0, arg, begin, end);
}

static void argmin_body(void *arg, int64_t begin, int64_t end)
{
    arg_items(1, arg, begin, end);
}

#if !defined(ETUDE_INT) || ETUDE_INT == 64

ETUDE_KERNEL(reduce, sum)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                          int64_t inner)
{
    return reduce(ctx, SUM, x, y, outer, n, inner);
}

ETUDE_KERNEL(reduce, amax)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                           int64_t inner)
{
    return reduce(ctx, MAX, x, y, outer, n, inner);
}

ETUDE_KERNEL(reduce, amin)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                           int64_t inner)
{
    return reduce(ctx, MIN, x, y, outer, n, inner);
}

ETUDE_KERNEL(reduce, prod)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                           int64_t inner)
{
    return reduce(ctx, PROD, x, y, outer, n, inner);
}

#endif

#if !defined(ETUDE_INT)

ETUDE_KERNEL(reduce, mean)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                           int64_t inner)
{
    int status = reduce(ctx, SUM, x, y, outer, n, inner);
    int lost = 0;
    if (status != ETUDE_OK)
        return status;
    ETUDE_PRAGMA(omp simd reduction(| : lost)) for (int64_t i = 0; i < outer * inner; i++)
    {
        y[i] /= (real)n;
        lost |= overflowed(y[i]);
    }
    for (int64_t i = 0; lost && i < outer * inner; i++)
        if (overflowed(y[i]))
            y[i] = (real)(wide_sum(x + i / inner * n * inner + i % inner, n, inner) / (double)n);
    return ETUDE_OK;
}

#endif

ETUDE_KERNEL(argreduce, argmax)(etude_context *ctx, const real *x, int64_t *y, int64_t outer,
                                int64_t n, int64_t inner)
{
    reduce_call c = {.x = x, .index = y, .outer = outer, .n = n, .inner = inner};
    etude_parallel_for(ctx, argmax_body, &c, outer,
                       ETUDE_GRAIN_MEMORY / ETUDE_MAX(n * inner, 1) + 1);
    return ETUDE_OK;
}

ETUDE_KERNEL(argreduce, argmin)(etude_context *ctx, const real *x, int64_t *y, int64_t outer,
                                int64_t n, int64_t inner)
{
    reduce_call c = {.x = x, .index = y, .outer = outer, .n = n, .inner = inner};
    etude_parallel_for(ctx, argmin_body, &c, outer,
                       ETUDE_GRAIN_MEMORY / ETUDE_MAX(n * inner, 1) + 1);
    return ETUDE_OK;
}
