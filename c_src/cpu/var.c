/* var.c: the variance over one axis, in two passes: the mean, then squared deviations from it.
   Reference: `var` in packages/etude/src/etude/ops/reduce.py. x: outer x n x inner.

   Plan. inner = 1: sums.h along each row. inner > 1: COLUMNS columns at a time, whose sums lie in
   L1; they are doubles, because a column adds up one number after another, and in floats the
   rounding errors would grow with its length. Bound by memory. */
#include "sums.h"

enum { COLUMNS = 256 };

typedef struct {
    const real *x;
    real *y;
    int64_t n, inner, parts;
    real count; /* n - correction */
} var_call;

/* What the variance of numbers `step` apart is, where float has lost their squares. */
static real wide_var(const var_call *c, const real *x, int64_t step)
{
    double mean = wide_sum(x, c->n, step) / (double)c->n;
    return (real)(wide_squares(x, mean, c->n, step) / c->count);
}

static void var_rows(void *arg, int64_t begin, int64_t end)
{
    const var_call *c = arg;
    for (int64_t r = begin; r < end; r++) {
        const real *x = c->x + r * c->n;
        real y = row_squares(x, row_sum(x, c->n) / (real)c->n, c->n) / c->count;
        c->y[r] = overflowed(y) ? wide_var(c, x, 1) : y;
    }
}

static void var_columns(void *arg, int64_t begin, int64_t end)
{
    const var_call *c = arg;
    int64_t inner = c->inner;
    double sum[COLUMNS];
    real mean[COLUMNS];
    for (int64_t item = begin; item < end; item++) {
        int64_t o = item / c->parts, from = item % c->parts * COLUMNS;
        int64_t cols = ETUDE_MIN(COLUMNS, inner - from);
        const real *x = c->x + o * c->n * inner + from;
        real *y = c->y + o * inner + from;
        memset(sum, 0, sizeof sum);
        for (int64_t j = 0; j < c->n; j++)
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++) sum[i] += x[j * inner + i];
        for (int64_t i = 0; i < cols; i++)
            mean[i] = (real)(sum[i] / (double)c->n), sum[i] = 0;
        for (int64_t j = 0; j < c->n; j++)
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++)
            {
                real d = x[j * inner + i] - mean[i];
                sum[i] += d * d;
            }
        for (int64_t i = 0; i < cols; i++)
            y[i] = overflowed((real)sum[i]) ? wide_var(c, x + i, inner) : (real)sum[i] / c->count;
    }
}

ETUDE_KERNEL(var, var)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                       int64_t inner, double correction)
{
    var_call c = {x, y, n, inner, (inner + COLUMNS - 1) / COLUMNS, (real)((double)n - correction)};
    if (inner == 1)
        etude_parallel_for(ctx, var_rows, &c, outer, ETUDE_GRAIN_MEMORY / ETUDE_MAX(n, 1) + 1);
    else
        etude_parallel_for(ctx, var_columns, &c, outer * c.parts,
                           ETUDE_GRAIN_MEMORY / (n * ETUDE_MIN(COLUMNS, inner) + 1) + 1);
    return ETUDE_OK;
}
