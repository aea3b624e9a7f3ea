/* compare.c: two broadcast operands, a bool out.
   Reference: packages/etude/src/etude/ops/compare.py. The walk over rows is pointwise.h's.
   Compiled for ETUDE_INT too: labels and masks are compared as well as floats. */
#include "pointwise.h"

#define COMPARE(op, sign)                                                                         \
    static inline __attribute__((always_inline)) void op##_steps(                                 \
        const real *x, const real *y, uint8_t *z, int64_t xs, int64_t ys, int64_t n)              \
    {                                                                                             \
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = x[i * xs] sign y[i * ys];               \
    }                                                                                             \
    static void op##_run(char *const *p, const int64_t *step, int64_t n)                          \
    {                                                                                             \
        const real *x = (const real *)p[0], *y = (const real *)p[1];                              \
        uint8_t *z = (uint8_t *)p[2];                                                             \
        if (step[0] && step[1])                                                                   \
            op##_steps(x, y, z, 1, 1, n);                                                         \
        else if (step[0])                                                                         \
            op##_steps(x, y, z, 1, 0, n);                                                         \
        else if (step[1])                                                                         \
            op##_steps(x, y, z, 0, 1, n);                                                         \
        else                                                                                      \
            op##_steps(x, y, z, 0, 0, n);                                                         \
    }                                                                                             \
    ETUDE_KERNEL(compare, op)(etude_context *ctx, const real *x, const real *y, uint8_t *z,       \
                              const int64_t size[3], const int64_t xs[3], const int64_t ys[3])    \
    {                                                                                             \
        pointwise c = {op##_run, 3, {(char *)x, (char *)y, (char *)z},                            \
                       {sizeof *x, sizeof *y, sizeof *z}, {xs, ys}, size};                        \
        return pointwise_all(ctx, &c);                                                            \
    }

COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)
