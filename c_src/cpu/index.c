/* index.c: whole rows by number: index_select, embedding and its gradient, one_hot.
   Reference: packages/etude/src/etude/ops/index.py.
   index_select: x outer x n x inner, index index_n, y outer x index_n x inner.
   embedding: index count, weight rows x cols, y and grad count x cols.

   Plan. Bound by memory: a row is one memcpy, and threads share the rows of the result. The
   gradient of embedding adds up rows that have the same number. Threads share the rows of dweight:
   each reads all of index and takes the rows that are its own, in order, so sums do not depend on
   the split; reading index a few times costs little beside rows of some length. An index out of
   range ends in ETUDE_BAD_INDEX before anything is written. Compiled for ETUDE_INT too: labels are
   selected by index as well as floats. */
#include <string.h>

#include "kernel.h"

enum { SHARES = 8 }; /* the most parts that the rows of dweight are cut into */

typedef struct {
    const real *x;
    const int64_t *index;
    real *y;
    int64_t count, rows, cols;
} index_call;

/* Whether every index is in 0 .. n - 1. The loop has no branch, so that it is vectorised. */
static int indices_fit(const int64_t *index, int64_t count, int64_t n)
{
    int outside = 0;
    ETUDE_PRAGMA(omp simd reduction(| : outside)) for (int64_t i = 0; i < count; i++)
        outside |= (uint64_t)index[i] >= (uint64_t)n;
    return !outside;
}

/* Rows begin <= j < end of y, counted over outer x index_n. */
static void select_rows(void *arg, int64_t begin, int64_t end)
{
    const index_call *c = arg;
    int64_t cols = c->cols;
    for (int64_t j = begin; j < end; j++) {
        const real *x = c->x + (j / c->count * c->rows + c->index[j % c->count]) * cols;
        if (cols == 1)
            c->y[j] = x[0];
        else
            memcpy(c->y + j * cols, x, (size_t)cols * sizeof(real));
    }
}

static inline int take_rows(etude_context *ctx, index_call c, int64_t outer)
{
    if (!indices_fit(c.index, c.count, c.rows))
        return ETUDE_BAD_INDEX;
    etude_parallel_for(ctx, select_rows, &c, outer * c.count,
                       ETUDE_GRAIN_MEMORY / ETUDE_MAX(c.cols, 1) + 1);
    return ETUDE_OK;
}

ETUDE_KERNEL(gather, index_select)(etude_context *ctx, const real *x, const int64_t *index, real *y,
                                   int64_t outer, int64_t n, int64_t index_n, int64_t inner)
{
    return take_rows(ctx, (index_call){x, index, y, index_n, n, inner}, outer);
}

#if !defined(ETUDE_INT)

ETUDE_KERNEL(embedding, embedding)(etude_context *ctx, const int64_t *index, const real *weight,
                                   real *y, int64_t count, int64_t rows, int64_t cols)
{
    return take_rows(ctx, (index_call){weight, index, y, count, rows, cols}, 1);
}

static void embedding_backward_rows(void *arg, int64_t begin, int64_t end)
{
    const index_call *c = arg;
    int64_t cols = c->cols;
    memset(c->y + begin * cols, 0, (size_t)((end - begin) * cols) * sizeof(real));
    for (int64_t j = 0; j < c->count; j++) {
        if (c->index[j] < begin || c->index[j] >= end)
            continue;
        const real *grad = c->x + j * cols;
        real *y = c->y + c->index[j] * cols;
        ETUDE_SIMD for (int64_t i = 0; i < cols; i++) y[i] += grad[i];
    }
}

ETUDE_KERNEL(embedding_backward, embedding_backward)(etude_context *ctx, const real *grad,
                                                     const int64_t *index, real *dweight,
                                                     int64_t count, int64_t rows, int64_t cols)
{
    index_call c = {grad, index, dweight, count, rows, cols};
    if (!indices_fit(index, count, rows))
        return ETUDE_BAD_INDEX;
    int64_t shares = 1 + (count + rows) * cols / ETUDE_GRAIN_MEMORY;
    shares = ETUDE_MIN(shares, SHARES);
    etude_parallel_for(ctx, embedding_backward_rows, &c, rows, (rows + shares - 1) / shares);
    return ETUDE_OK;
}

#elif ETUDE_INT == 64

static void one_hot_rows(void *arg, int64_t begin, int64_t end)
{
    const index_call *c = arg;
    int64_t classes = c->cols;
    memset(c->y + begin * classes, 0, (size_t)((end - begin) * classes) * sizeof(real));
    for (int64_t j = begin; j < end; j++)
        c->y[j * classes + c->index[j]] = 1;
}

ETUDE_KERNEL(one_hot, one_hot)(etude_context *ctx, const int64_t *index, int64_t *y, int64_t count,
                               int64_t classes)
{
    index_call c = {.index = index, .y = y, .cols = classes};
    if (!indices_fit(index, count, classes))
        return ETUDE_BAD_INDEX;
    etude_parallel_for(ctx, one_hot_rows, &c, count, ETUDE_GRAIN_MEMORY / classes + 1);
    return ETUDE_OK;
}

#endif
