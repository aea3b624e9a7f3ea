/* gather.c: elements picked by an index along one axis, and the transpose, scatter_add.
   Reference: packages/etude/src/etude/ops/gather.py.
   x: outer x n x inner; index, and y or src: outer x index_n x inner.

   Plan. Bound by memory. Threads share the rows of the result; in scatter_add they share outer and
   the columns of inner instead, so that repeats of an index meet in one thread, in order, and sums
   do not depend on the split. An index out of range ends in ETUDE_BAD_INDEX. */
#include <stdatomic.h>

#include "kernel.h"

typedef struct {
    const real *x;
    const int64_t *index;
    real *y;
    int64_t n, index_n, inner;
    atomic_int *bad;
} gather_call;

/* Items are rows of y, inner elements each. */
static void gather_rows(void *arg, int64_t begin, int64_t end)
{
    const gather_call *c = arg;
    int64_t o = begin / c->index_n, left = c->index_n - begin % c->index_n;
    const real *x = c->x + o * c->n * c->inner;
    for (int64_t row = begin; row < end; row++) {
        const int64_t *index = c->index + row * c->inner;
        real *y = c->y + row * c->inner;
        for (int64_t i = 0; i < c->inner; i++) {
            if (index[i] < 0 || index[i] >= c->n) {
                atomic_store(c->bad, 1);
                return;
            }
            y[i] = x[index[i] * c->inner + i];
        }
        if (--left == 0) {
            x += c->n * c->inner;
            left = c->index_n;
        }
    }
}

int ETUDE_NAME(gather)(etude_context *ctx, const real *x, const int64_t *index, real *y,
                       int64_t outer, int64_t n, int64_t index_n, int64_t inner)
{
    atomic_int bad = 0;
    gather_call c = {.x = x, .index = index, .y = y, .n = n, .index_n = index_n, .inner = inner,
                     .bad = &bad};
    if (inner > 0)
        etude_parallel_for(ctx, gather_rows, &c, outer * index_n, ETUDE_GRAIN_MATH / inner + 1);
    return bad ? ETUDE_BAD_INDEX : ETUDE_OK;
}

#if !defined(ETUDE_INT) || ETUDE_INT == 64

enum { COLUMNS = 64 }; /* of inner, in one item of work */

static void scatter_columns(void *arg, int64_t begin, int64_t end)
{
    const gather_call *c = arg;
    int64_t parts = (c->inner + COLUMNS - 1) / COLUMNS;
    for (int64_t item = begin; item < end; item++) {
        int64_t o = item / parts, from = item % parts * COLUMNS;
        int64_t to = ETUDE_MIN(from + COLUMNS, c->inner);
        real *y = c->y + o * c->n * c->inner;
        for (int64_t j = 0; j < c->index_n; j++) {
            const int64_t *index = c->index + (o * c->index_n + j) * c->inner;
            const real *src = c->x + (o * c->index_n + j) * c->inner;
            for (int64_t i = from; i < to; i++) {
                if (index[i] < 0 || index[i] >= c->n) {
                    atomic_store(c->bad, 1);
                    return;
                }
                y[index[i] * c->inner + i] += src[i];
            }
        }
    }
}

int ETUDE_NAME(scatter_add)(etude_context *ctx, const int64_t *index, const real *src, real *y,
                            int64_t outer, int64_t n, int64_t index_n, int64_t inner)
{
    atomic_int bad = 0;
    gather_call c = {.x = src, .index = index, .y = y, .n = n, .index_n = index_n, .inner = inner,
                     .bad = &bad};
    int64_t parts = (inner + COLUMNS - 1) / COLUMNS;
    etude_parallel_for(ctx, scatter_columns, &c, outer * parts,
                       ETUDE_GRAIN_MATH / (index_n * ETUDE_MIN(COLUMNS, inner) + 1) + 1);
    return bad ? ETUDE_BAD_INDEX : ETUDE_OK;
}

#endif
