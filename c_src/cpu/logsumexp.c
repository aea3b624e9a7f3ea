/* logsumexp.c: log sum exp over one axis.
   Reference: `logsumexp` in packages/etude/src/etude/ops/reduce.py. x: outer x n x inner.

   Plan. inner = 1: as in softmax.c, blocks of rows stay in L1, and one loop takes the exponentials
   of a whole block. inner > 1: COLUMNS columns at a time, with their maxima and sums in L1, in two
   passes down the rows; the sums are doubles, as in var.c. Bound by the exponential. An infinite
   maximum is not subtracted, since infinity less infinity is NaN: exp then gives 0 or infinity, and
   the logarithm of that is minus or plus infinity, as it should be. NaN stays NaN. */
#include "rows.h"

enum { COLUMNS = 256 };

typedef struct {
    const real *x;
    real *y;
    int64_t n, inner, parts;
} lse_call;

static inline int is_finite(real x)
{
    return absolute(x) < INFINITY;
}

static void lse_rows(void *arg, int64_t begin, int64_t end)
{
    const lse_call *c = arg;
    int64_t n = c->n, step = rows_in_block(n);
    real top[ETUDE_BLOCK], sum[ETUDE_BLOCK], log_sum[ETUDE_BLOCK];
    for (int64_t r = begin; r < end; r += step) {
        int64_t rows = ETUDE_MIN(step, end - r);
        const real *x = c->x + r * n;
        block_log_sum(x, rows, n, top, sum);
        for (int64_t k = 0; k < rows; k++)
            if (!is_finite(top[k])) {
                top[k] = sum[k] = 0;
                for (int64_t j = 0; j < n; j++)
                    sum[k] += v_exp(x[k * n + j]);
            }
        block_logs(sum, log_sum, rows);
        for (int64_t k = 0; k < rows; k++)
            c->y[r + k] = top[k] + log_sum[k];
    }
}

static void lse_columns(void *arg, int64_t begin, int64_t end)
{
    const lse_call *c = arg;
    int64_t inner = c->inner;
    for (int64_t item = begin; item < end; item++) {
        int64_t o = item / c->parts, from = item % c->parts * COLUMNS;
        int64_t cols = ETUDE_MIN(COLUMNS, inner - from);
        const real *x = c->x + o * c->n * inner + from;
        real *y = c->y + o * inner + from, top[COLUMNS];
        double sum[COLUMNS];
        for (int64_t i = 0; i < cols; i++)
            top[i] = -INFINITY, sum[i] = 0;
        for (int64_t j = 0; j < c->n; j++)
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++)
            {
                real v = x[j * inner + i];
                top[i] = v > top[i] ? v : top[i];
            }
        for (int64_t i = 0; i < cols; i++)
            top[i] = is_finite(top[i]) ? top[i] : 0;
        for (int64_t j = 0; j < c->n; j++)
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++) sum[i] +=
                v_exp(x[j * inner + i] - top[i]);
        ETUDE_SIMD for (int64_t i = 0; i < cols; i++) y[i] = top[i] + v_log((real)sum[i]);
    }
}

ETUDE_KERNEL(reduce, logsumexp)(etude_context *ctx, const real *x, real *y, int64_t outer,
                                int64_t n, int64_t inner)
{
    lse_call c = {x, y, n, inner, (inner + COLUMNS - 1) / COLUMNS};
    if (inner == 1)
        etude_parallel_for(ctx, lse_rows, &c, outer, rows_grain(n));
    else
        etude_parallel_for(ctx, lse_columns, &c, outer * c.parts,
                           ETUDE_GRAIN_MATH / (n * ETUDE_MIN(COLUMNS, inner) + 1) + 1);
    return ETUDE_OK;
}
