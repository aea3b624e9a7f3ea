/* select.c: where and lerp, three broadcast operands.
   Reference: packages/etude/src/etude/ops/select.py. The walk over rows is pointwise.h's.
   Both are bound by memory. where is compiled for ETUDE_INT too. */
#include "pointwise.h"

/* One loop for each of eight patterns: an operand runs along the row, or is one value for it. */
#define RUN(op)                                                                                   \
    static void op##_run(char *const *p, const int64_t *step, int64_t n)                          \
    {                                                                                             \
        switch (step[0] * 4 + step[1] * 2 + step[2]) {                                            \
        case 0: op##_steps(p, 0, 0, 0, n); break;                                                 \
        case 1: op##_steps(p, 0, 0, 1, n); break;                                                 \
        case 2: op##_steps(p, 0, 1, 0, n); break;                                                 \
        case 3: op##_steps(p, 0, 1, 1, n); break;                                                 \
        case 4: op##_steps(p, 1, 0, 0, n); break;                                                 \
        case 5: op##_steps(p, 1, 0, 1, n); break;                                                 \
        case 6: op##_steps(p, 1, 1, 0, n); break;                                                 \
        default: op##_steps(p, 1, 1, 1, n);                                                       \
        }                                                                                         \
    }

static inline __attribute__((always_inline)) void
where_steps(char *const *p, int64_t cs, int64_t xs, int64_t ys, int64_t n)
{
    const uint8_t *condition = (const uint8_t *)p[0];
    const real *x = (const real *)p[1], *y = (const real *)p[2];
    real *z = (real *)p[3];
    ETUDE_SIMD for (int64_t i = 0; i < n; i++)
    {
        real v = x[i * xs], w = y[i * ys]; /* both are read: no branch, no masked load */
        z[i] = condition[i * cs] ? v : w;
    }
}

RUN(where)

ETUDE_KERNEL(select, where)(etude_context *ctx, const uint8_t *condition, const real *x,
                            const real *y, real *z, const int64_t size[3], const int64_t cs[3],
                            const int64_t xs[3], const int64_t ys[3])
{
    pointwise c = {where_run, 4, {(char *)condition, (char *)x, (char *)y, (char *)z},
                   {sizeof *condition, sizeof *x, sizeof *y, sizeof *z}, {cs, xs, ys}, size};
    return pointwise_all(ctx, &c);
}

#if !defined(ETUDE_INT)

static inline __attribute__((always_inline)) void
lerp_steps(char *const *p, int64_t xs, int64_t ys, int64_t ws, int64_t n)
{
    const real *x = (const real *)p[0], *y = (const real *)p[1], *w = (const real *)p[2];
    real *z = (real *)p[3];
    ETUDE_SIMD for (int64_t i = 0; i < n; i++)
    {
        real v = x[i * xs], end = y[i * ys], weight = w[i * ws];
        real whole = v + weight * (end - v);
        real half = v / 2 + weight * (end / 2 - v / 2); /* where the difference overflows */
        z[i] = ((whole - whole == 0) | (weight - weight != 0)) ? whole : 2 * half;
    }
}

RUN(lerp)

ETUDE_KERNEL(ternary, lerp)(etude_context *ctx, const real *x, const real *y, const real *w,
                            real *z, const int64_t size[3], const int64_t xs[3],
                            const int64_t ys[3], const int64_t ws[3])
{
    pointwise c = {lerp_run, 4, {(char *)x, (char *)y, (char *)w, (char *)z},
                   {sizeof *x, sizeof *y, sizeof *w, sizeof *z}, {xs, ys, ws}, size};
    return pointwise_all(ctx, &c);
}

#endif
