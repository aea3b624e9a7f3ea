/* index.c: whole rows by number: index_select, embedding and its gradient, one_hot.
   Reference: packages/etude/src/etude/ops/index.py.
   index_select: x outer x n x inner, index index_n, y outer x index_n x inner.
   embedding: index count, weight rows x cols, y and grad count x cols.

   Plan. Bound by memory: a row is one memcpy, and threads share the rows of the result. The
   gradient of embedding adds up rows that have the same number. Threads share the rows of dweight:
   each reads all of index and takes the rows that are its own, in order, so sums do not depend on
   the split; reading index a few times costs little beside rows of some length. A row that more
   than MANY others are added to is summed in double, because in float the rounding errors would
   grow with their number. An index out of range ends in ETUDE_BAD_INDEX before anything is written.
   Compiled for ETUDE_INT too: labels are selected by index as well as floats. */
#include <string.h>

#include "kernel.h"

enum {
    SHARES = 8, /* the most parts that the rows of dweight are cut into */
    MANY = 4096 /* rows that add up in real */
};

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

typedef struct {
    index_call call;
    int64_t *slot; /* of each row: 1, 2, ... for those with a sum in double, else 0; or NULL */
    double *sums;  /* slots x cols */
    int64_t padding; /* the row that stays 0, or -1 */
} add_call;

/* Gives the rows that occur more than MANY times their sums. 0: no memory. */
static int plan_sums(etude_context *ctx, add_call *a)
{
    const index_call *c = &a->call;
    int64_t most = c->count / MANY, used = 0;
    if (most == 0)
        return 1;
    a->sums = etude_scratch(ctx, (size_t)(most * c->cols + c->rows) * sizeof(double));
    if (!a->sums)
        return 0;
    a->slot = (int64_t *)(a->sums + most * c->cols);
    memset(a->slot, 0, (size_t)c->rows * sizeof(int64_t));
    for (int64_t j = 0; j < c->count; j++)
        a->slot[c->index[j]]++;
    for (int64_t r = 0; r < c->rows; r++)
        a->slot[r] = a->slot[r] > MANY ? ++used : 0;
    memset(a->sums, 0, (size_t)(used * c->cols) * sizeof(double));
    return 1;
}

static void embedding_backward_rows(void *arg, int64_t begin, int64_t end)
{
    const add_call *a = arg;
    const index_call *c = &a->call;
    int64_t cols = c->cols;
    memset(c->y + begin * cols, 0, (size_t)((end - begin) * cols) * sizeof(real));
    for (int64_t j = 0; j < c->count; j++) {
        int64_t row = c->index[j];
        if (row < begin || row >= end)
            continue;
        const real *grad = c->x + j * cols;
        real *y = c->y + row * cols;
        if (a->slot && a->slot[row]) {
            double *sum = a->sums + (a->slot[row] - 1) * cols;
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++) sum[i] += grad[i];
        } else {
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++) y[i] += grad[i];
        }
    }
    for (int64_t row = begin; a->slot && row < end; row++)
        for (int64_t i = 0; a->slot[row] && i < cols; i++)
            c->y[row * cols + i] = (real)a->sums[(a->slot[row] - 1) * cols + i];
    if (a->padding >= begin && a->padding < end)
        memset(c->y + a->padding * cols, 0, (size_t)cols * sizeof(real));
}

ETUDE_KERNEL(embedding_backward, embedding_backward)(etude_context *ctx, const real *grad,
                                                     const int64_t *index, real *dweight,
                                                     int64_t count, int64_t rows, int64_t cols,
                                                     double padding_idx)
{
    add_call a = {.call = {grad, index, dweight, count, rows, cols},
                  .padding = padding_idx >= 0 ? (int64_t)padding_idx : -1};
    if (!indices_fit(index, count, rows))
        return ETUDE_BAD_INDEX;
    if (!plan_sums(ctx, &a))
        return ETUDE_NO_MEMORY;
    int64_t shares = 1 + (count + rows) * cols / ETUDE_GRAIN_MEMORY;
    shares = ETUDE_MIN(shares, SHARES);
    etude_parallel_for(ctx, embedding_backward_rows, &a, rows, (rows + shares - 1) / shares);
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
