/* logical.c: and, or, not on bools, and whether all or any along an axis hold.
   Reference: packages/etude/src/etude/ops/logical.py. Compiled for bools alone (ETUDE_INT = 8).

   Plan. A bool is a byte, 0 or 1, so these are bit operations on bytes, bound by memory; the walk
   over broadcast operands is pointwise.h's. all, any: x is outer x n x inner, y outer x inner. */
#include <string.h>

#include "pointwise.h"

#if defined(ETUDE_INT) && ETUDE_INT == 8

#define LOGICAL(op, sign)                                                                         \
    static void op##_run(char *const *p, const int64_t *step, int64_t n)                          \
    {                                                                                             \
        const real *x = (const real *)p[0], *y = (const real *)p[1];                              \
        real *z = (real *)p[2];                                                                   \
        if (step[0] && step[1])                                                                   \
            ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = x[i] sign y[i];                     \
        else                                                                                      \
            for (int64_t i = 0; i < n; i++)                                                       \
                z[i] = x[i * step[0]] sign y[i * step[1]];                                        \
    }                                                                                             \
    ETUDE_KERNEL(binary, op)(etude_context *ctx, const real *x, const real *y, real *z,           \
                             const int64_t size[3], const int64_t xs[3], const int64_t ys[3])     \
    {                                                                                             \
        pointwise c = {op##_run, 3, {(char *)x, (char *)y, (char *)z},                            \
                       {sizeof *x, sizeof *y, sizeof *z}, {xs, ys}, size};                        \
        return pointwise_all(ctx, &c);                                                            \
    }

LOGICAL(logical_and, &)
LOGICAL(logical_or, |)

typedef struct {
    const real *x;
    real *y;
    int64_t n, inner;
} logical_call;

static void not_body(void *arg, int64_t begin, int64_t end)
{
    const logical_call *c = arg;
    const real *x = c->x;
    real *y = c->y; /* in locals, since bytes might overlap c itself */
    ETUDE_SIMD for (int64_t i = begin; i < end; i++) y[i] = x[i] ^ 1;
}

ETUDE_KERNEL(map, logical_not)(etude_context *ctx, const real *x, real *y, int64_t n, double a,
                               double b)
{
    (void)a, (void)b;
    logical_call c = {.x = x, .y = y};
    etude_parallel_for(ctx, not_body, &c, n, ETUDE_GRAIN_MEMORY);
    return ETUDE_OK;
}

/* `start` is the result over no elements; combined with any x it gives that x. A row is settled by
   the first element that differs from it, and memchr looks for that. */
#define REDUCED(op, sign, start)                                                                  \
    static void op##_body(void *arg, int64_t begin, int64_t end)                                  \
    {                                                                                             \
        const logical_call *c = arg;                                                              \
        int64_t n = c->n, inner = c->inner;                                                       \
        for (int64_t o = begin; o < end; o++) {                                                   \
            const real *x = c->x + o * n * inner;                                                 \
            real *y = c->y + o * inner;                                                           \
            if (inner == 1) {                                                                     \
                y[0] = n > 0 && memchr(x, !(start), (size_t)n) ? !(start) : (start);              \
                continue;                                                                         \
            }                                                                                     \
            memset(y, start, (size_t)inner);                                                      \
            for (int64_t j = 0; j < n; j++)                                                       \
                ETUDE_SIMD for (int64_t i = 0; i < inner; i++)                                    \
                    y[i] = (real)(y[i] sign x[j * inner + i]);                                    \
        }                                                                                         \
    }                                                                                             \
    ETUDE_KERNEL(reduce, op)(etude_context *ctx, const real *x, real *y, int64_t outer,           \
                             int64_t n, int64_t inner)                                            \
    {                                                                                             \
        logical_call c = {x, y, n, inner};                                                        \
        etude_parallel_for(ctx, op##_body, &c, outer,                                             \
                           ETUDE_GRAIN_MEMORY / ETUDE_MAX(n * inner, 1) + 1);                     \
        return ETUDE_OK;                                                                          \
    }

REDUCED(all, &, 1)
REDUCED(any, |, 0)

#endif
