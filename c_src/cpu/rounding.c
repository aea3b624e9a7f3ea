/* rounding.c: floor, ceil, round and isnan.
   Reference: packages/etude/src/etude/ops/rounding.py.

   Plan. One loop per op at the speed of memory. Rounding is one instruction where the instruction
   set has it (SSE4 and later, NEON), and a call of the C library elsewhere. */
#include <math.h>

#include "kernel.h"

typedef struct {
    const real *x;
    real *y;
    uint8_t *nan;
} rounding_call;

#define ROUNDING(op, function)                                                                    \
    static void op##_body(void *arg, int64_t begin, int64_t end)                                  \
    {                                                                                             \
        const rounding_call *c = arg;                                                             \
        ETUDE_SIMD for (int64_t i = begin; i < end; i++)                                          \
            c->y[i] = sizeof(real) == 8 ? (real)function(c->x[i])                                 \
                                        : (real)function##f((float)c->x[i]);                      \
    }                                                                                             \
    ETUDE_KERNEL(map, op)(etude_context *ctx, const real *x, real *y, int64_t n, double a,        \
                          double b)                                                               \
    {                                                                                             \
        (void)a, (void)b;                                                                         \
        rounding_call c = {.x = x, .y = y};                                                       \
        etude_parallel_for(ctx, op##_body, &c, n, ETUDE_GRAIN_MEMORY);                            \
        return ETUDE_OK;                                                                          \
    }

ROUNDING(floor, floor)
ROUNDING(ceil, ceil)
ROUNDING(round, rint) /* halves to the even neighbour */

static void isnan_body(void *arg, int64_t begin, int64_t end)
{
    const rounding_call *c = arg;
    const real *x = c->x;
    uint8_t *nan = c->nan; /* in a local, since bytes might overlap c itself */
    ETUDE_SIMD for (int64_t i = begin; i < end; i++) nan[i] = x[i] != x[i];
}

ETUDE_KERNEL(map_bool, isnan)(etude_context *ctx, const real *x, uint8_t *y, int64_t n)
{
    rounding_call c = {.x = x, .nan = y};
    etude_parallel_for(ctx, isnan_body, &c, n, ETUDE_GRAIN_MEMORY);
    return ETUDE_OK;
}
