/* activation.c: leaky_relu, elu, softplus and clamp.
   Reference: packages/etude/src/etude/ops/activation.py, whose silu is in map.c.

   Plan. As in map.c: memory is contiguous, each op is one loop that the compiler vectorises, and
   the mathematics is in vmath.h. leaky_relu and clamp run at the speed of memory; the others
   compute for about as long as the loads and stores take. a and b are the attributes of the op. NaN
   stays NaN. clamp is compiled for ETUDE_INT too. */
#include <math.h>

#include "kernel.h"
#if !defined(ETUDE_INT)
#include "vmath.h"
#endif

#if !defined(ETUDE_INT) || ETUDE_INT == 64

typedef struct {
    void (*run)(const real *x, real *y, int64_t n, real a, real b);
    const real *x;
    real *y;
    real a, b;
} activation_call;

static void activation_body(void *arg, int64_t begin, int64_t end)
{
    const activation_call *c = arg;
    c->run(c->x + begin, c->y + begin, end - begin, c->a, c->b);
}

/* `value` is y[i], computed from v, which is x[i], and from a and b; these are the attributes, as
   `first` and `second` say. */
#define ACTIVATION(op, grain, value, first, second)                                               \
    static void op##_run(const real *x, real *y, int64_t n, real a, real b)                       \
    {                                                                                             \
        (void)a, (void)b;                                                                         \
        ETUDE_SIMD for (int64_t i = 0; i < n; i++)                                                \
        {                                                                                         \
            real v = x[i];                                                                        \
            y[i] = value;                                                                         \
        }                                                                                         \
    }                                                                                             \
    ETUDE_KERNEL(map, op)(etude_context *ctx, const real *x, real *y, int64_t n, double a,        \
                          double b)                                                               \
    {                                                                                             \
        (void)a, (void)b;                                                                         \
        activation_call c = {op##_run, x, y, first, second};                                      \
        etude_parallel_for(ctx, activation_body, &c, n, grain);                                   \
        return ETUDE_OK;                                                                          \
    }

#if !defined(ETUDE_INT)

ACTIVATION(leaky_relu, ETUDE_GRAIN_MEMORY, v > 0 ? v : v * a, (real)a, 0)
ACTIVATION(elu, ETUDE_GRAIN_MATH, v_elu(v, a), (real)a, 0)
ACTIVATION(softplus, ETUDE_GRAIN_MATH, v_softplus(v, a, b), (real)a, (real)b)

#define LEAST(bound) (real)(bound)
#define MOST(bound) (real)(bound)

#else

/* A whole number for a bound, which is a double: the nearest that keeps what the bound keeps. NaN
   bounds nothing. */
static real whole(double bound, real none)
{
    if (bound != bound)
        return none;
    return bound >= 0x1p63 ? INT64_MAX : bound < -0x1p63 ? INT64_MIN : (real)bound;
}

#define LEAST(bound) whole(ceil(bound), INT64_MIN)
#define MOST(bound) whole(floor(bound), INT64_MAX)

#endif

/* NaN compares false: as a bound it bounds nothing, and as v it stays. */
ACTIVATION(clamp, ETUDE_GRAIN_MEMORY, (v < a ? a : v) > b ? b : v < a ? a : v, LEAST(a), MOST(b))

#endif
