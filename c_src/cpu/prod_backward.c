/* prod_backward.c: the gradient of a product, dx[j] = grad times the product of all others.
   Reference: `prod_backward` in packages/etude/src/etude/ops/reduce.py.
   x, dx: outer x n x inner; grad: outer x inner.

   Plan. Nothing is divided, since a factor may be 0: a walk down keeps the product of what stands
   before each element, and a walk back up multiplies it by that of what stands behind. Products are
   doubles, as in the reference: that of many floats may leave the range of float on the way. Down
   columns they are a vector at a time, for COLUMNS columns. A row is two chains of multiplications,
   of which each waits for the one before, so ROWS rows are walked side by side. Threads share outer
   and blocks of columns. */
#include <stdatomic.h>

#include "kernel.h"

enum { COLUMNS = 64, ROWS = 8 }; /* of inner, and of outer where inner is 1, in an item of work */

typedef struct {
    const real *grad, *x;
    real *dx;
    int64_t n, inner, parts;
    etude_context *ctx;
    atomic_int *failed;
} product_call;

/* `before` is room for n x cols numbers. */
static void products_of_columns(const product_call *c, const real *grad, const real *x, real *dx,
                                double *before, int64_t cols)
{
    int64_t inner = c->inner;
    double product[COLUMNS];
    for (int64_t i = 0; i < cols; i++)
        product[i] = 1;
    for (int64_t j = 0; j < c->n; j++)
        ETUDE_SIMD for (int64_t i = 0; i < cols; i++)
        {
            before[j * cols + i] = product[i];
            product[i] *= x[j * inner + i];
        }
    for (int64_t i = 0; i < cols; i++)
        product[i] = 1;
    for (int64_t j = c->n - 1; j >= 0; j--)
        ETUDE_SIMD for (int64_t i = 0; i < cols; i++)
        {
            dx[j * inner + i] = (real)(grad[i] * (before[j * cols + i] * product[i]));
            product[i] *= x[j * inner + i];
        }
}

/* The same for ROWS rows, of which each lies together. */
static void products_of_rows(const product_call *c, const real *grad, const real *x, real *dx,
                             double *before)
{
    int64_t n = c->n;
    double product[ROWS];
    for (int i = 0; i < ROWS; i++)
        product[i] = 1;
    for (int64_t j = 0; j < n; j++)
        for (int i = 0; i < ROWS; i++) {
            before[j * ROWS + i] = product[i];
            product[i] *= x[i * n + j];
        }
    for (int i = 0; i < ROWS; i++)
        product[i] = 1;
    for (int64_t j = n - 1; j >= 0; j--)
        for (int i = 0; i < ROWS; i++) {
            dx[i * n + j] = (real)(grad[i] * (before[j * ROWS + i] * product[i]));
            product[i] *= x[i * n + j];
        }
}

static void product_items(void *arg, int64_t begin, int64_t end)
{
    const product_call *c = arg;
    int64_t n = c->n, inner = c->inner, most = inner == 1 ? ROWS : ETUDE_MIN(COLUMNS, inner);
    double *before = etude_scratch(c->ctx, (size_t)(n * most) * sizeof(double));
    if (!before) {
        atomic_store(c->failed, 1);
        return;
    }
    int64_t item = begin;
    for (; inner == 1 && item + ROWS <= end; item += ROWS)
        products_of_rows(c, c->grad + item, c->x + item * n, c->dx + item * n, before);
    for (; item < end; item++) {
        int64_t o = item / c->parts, from = item % c->parts * COLUMNS, at = o * n * inner + from;
        products_of_columns(c, c->grad + o * inner + from, c->x + at, c->dx + at, before,
                            ETUDE_MIN(COLUMNS, inner - from));
    }
}

ETUDE_KERNEL(prod_backward, prod_backward)(etude_context *ctx, const real *grad, const real *x,
                                           real *dx, int64_t outer, int64_t n, int64_t inner)
{
    atomic_int failed = 0;
    int64_t parts = (inner + COLUMNS - 1) / COLUMNS;
    product_call c = {grad, x, dx, n, inner, parts, ctx, &failed};
    if (n > 0)
        etude_parallel_for(ctx, product_items, &c, outer * parts,
                           ETUDE_GRAIN_MATH / (n * ETUDE_MIN(COLUMNS, inner) + 1) + 1);
    return failed ? ETUDE_NO_MEMORY : ETUDE_OK;
}
