/* copy.c: strided copies (contiguous, cat, stack, pad, slice_backward) and casts between dtypes.
   Reference: packages/etude/src/etude/ops/copy.py.

   Plan. The caller has merged neighbouring axes where that is possible, so the last is as long as
   it gets. If x and y both have stride 1 along it, a row is one memcpy. If x has stride 1 along
   another axis, the copy is a transpose of these two axes and goes through square tiles, so that
   every cache line is used up while it is in L1. Anything else is copied element by element.
   Threads share the rows. Compiled for ETUDE_INT too: labels and masks are copied and cast as well
   as floats. */
#include <string.h>

#include "kernel.h"

enum { MOST_AXES = 16, TILE = 32 };

typedef struct {
    const real *x;
    real *y;
    int ndim; /* axes outside of the inner loops */
    int64_t size[MOST_AXES], xs[MOST_AXES], ys[MOST_AXES];
    int64_t n, x_step, y_step;       /* the last axis */
    int64_t m, x_across, y_across;   /* of a transpose: the axis where x has stride 1 */
    int64_t tiles;                   /* how many that axis has */
} copy_call;

/* Where row number `row` begins in x and in y. */
static void locate(const copy_call *c, int64_t row, const real **x, real **y)
{
    *x = c->x;
    *y = c->y;
    for (int k = c->ndim - 1; k >= 0; k--) {
        int64_t i = row % c->size[k];
        row /= c->size[k];
        *x += i * c->xs[k];
        *y += i * c->ys[k];
    }
}

static void copy_rows(void *arg, int64_t begin, int64_t end)
{
    const copy_call *c = arg;
    const real *x;
    real *y;
    for (int64_t row = begin; row < end; row++) {
        locate(c, row, &x, &y);
        if (c->x_step == 1 && c->y_step == 1)
            memcpy(y, x, (size_t)c->n * sizeof(real));
        else if (c->x_step == 0 && c->y_step == 1)
            for (int64_t i = 0; i < c->n; i++)
                y[i] = x[0];
        else
            for (int64_t i = 0; i < c->n; i++)
                y[i * c->y_step] = x[i * c->x_step];
    }
}

/* Part of the only row there is, which is long enough for several threads. */
static void copy_part(void *arg, int64_t begin, int64_t end)
{
    copy_call part = *(const copy_call *)arg;
    part.x += begin * part.x_step;
    part.y += begin * part.y_step;
    part.n = end - begin;
    copy_rows(&part, 0, 1);
}

/* y[i][j] = x[j][i]: x is contiguous along i. An item of work is TILE of the i and all of the j. */
static void copy_transposed(void *arg, int64_t begin, int64_t end)
{
    const copy_call *c = arg;
    const real *x;
    real *y, tile[TILE][TILE + 1]; /* rows of odd length: a column is in many cache sets */
    for (int64_t item = begin; item < end; item++) {
        locate(c, item / c->tiles, &x, &y);
        int64_t i0 = item % c->tiles * TILE, rows = ETUDE_MIN(TILE, c->m - i0);
        for (int64_t j0 = 0; j0 < c->n; j0 += TILE) {
            int64_t cols = ETUDE_MIN(TILE, c->n - j0);
            for (int64_t j = 0; j < cols; j++)
                memcpy(tile[j], x + i0 + (j0 + j) * c->x_step, (size_t)rows * sizeof(real));
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < cols; j++)
                    y[(i0 + i) * c->y_across + (j0 + j) * c->y_step] = tile[j][i];
        }
    }
}

static int copy(etude_context *ctx, const real *x, real *y, int64_t ndim, const int64_t *size,
                const int64_t *xs, const int64_t *ys)
{
    int last = (int)ndim - 1, across = -1;
    copy_call c = {.x = x, .y = y, .n = size[last], .x_step = xs[last], .y_step = ys[last], .m = 1};
    if (c.x_step != 1 && c.x_step != 0)
        for (int k = 0; k < last; k++)
            if (xs[k] == 1 && size[k] >= 4)
                across = k;
    int64_t rows = 1;
    for (int k = 0; k < last; k++) {
        if (k == across) {
            c.m = size[k], c.x_across = 1, c.y_across = ys[k];
            continue;
        }
        c.size[c.ndim] = size[k], c.xs[c.ndim] = xs[k], c.ys[c.ndim++] = ys[k];
        rows *= size[k];
    }
    c.tiles = (c.m + TILE - 1) / TILE;
    if (rows * c.m * c.n == 0)
        return ETUDE_OK;
    if (across >= 0)
        etude_parallel_for(ctx, copy_transposed, &c, rows * c.tiles,
                           ETUDE_GRAIN_MATH / (TILE * c.n) + 1);
    else if (rows == 1)
        etude_parallel_for(ctx, copy_part, &c, c.n, ETUDE_GRAIN_MEMORY);
    else
        etude_parallel_for(ctx, copy_rows, &c, rows, ETUDE_GRAIN_MEMORY / c.n + 1);
    return ETUDE_OK;
}

#define COPY(op)                                                                                  \
    ETUDE_KERNEL(copy, op)(etude_context *ctx, const real *x, real *y, int64_t ndim,              \
                           const int64_t size[16], const int64_t xs[16], const int64_t ys[16])    \
    {                                                                                             \
        return copy(ctx, x, y, ndim, size, xs, ys);                                               \
    }

COPY(contiguous)
COPY(cat)
COPY(slice_backward)
COPY(stack)
COPY(pad)

/* ---- Casts ----------------------------------------------------------------------------------- */

typedef struct {
    const void *x;
    real *y;
    int64_t from;
} cast_call;

#if defined(ETUDE_INT) && ETUDE_INT == 8
#define TO_REAL(v) ((v) != 0)
#else
#define TO_REAL(v) (real)(v)
#endif

#define CAST_FROM(type)                                                                           \
    {                                                                                             \
        const type *x = c->x;                                                                     \
        ETUDE_SIMD for (int64_t i = begin; i < end; i++) c->y[i] = TO_REAL(x[i]);                 \
        break;                                                                                    \
    }

static void cast_body(void *arg, int64_t begin, int64_t end)
{
    const cast_call *c = arg;
    switch (c->from) {
    case ETUDE_F32: CAST_FROM(float)
    case ETUDE_F64: CAST_FROM(double)
    case ETUDE_I64: CAST_FROM(int64_t)
    case ETUDE_B8: CAST_FROM(uint8_t)
    }
}

ETUDE_KERNEL(cast, cast)(etude_context *ctx, const void *x, real *y, int64_t n, int64_t from)
{
    cast_call c = {x, y, from};
    etude_parallel_for(ctx, cast_body, &c, n, ETUDE_GRAIN_MEMORY);
    return ETUDE_OK;
}
