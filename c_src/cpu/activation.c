/* activation.c: leaky_relu, elu, silu, softplus and clamp.
   Reference: packages/etude/src/etude/ops/activation.py.

   Plan. As in map.c: memory is contiguous, each op is one loop that the compiler vectorises, and
   the mathematics is in vmath.h. leaky_relu and clamp run at the speed of memory; the others
   compute for about as long as the loads and stores take. a and b are the attributes of the op. NaN
   stays NaN. */
#include "kernel.h"
#include "vmath.h"

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

/* `value` is y[i], computed from v, which is x[i], and from a and b. */
#define ACTIVATION(op, grain, value)                                                              \
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
        activation_call c = {op##_run, x, y, (real)a, (real)b};                                   \
        etude_parallel_for(ctx, activation_body, &c, n, grain);                                   \
        return ETUDE_OK;                                                                          \
    }

VMATH real elu_of(real v, real alpha)
{
    real below = alpha * v_expm1_of_all(v > 0 ? 0 : v); /* -0 stays -0 */
    return v > 0 ? v : v <= 0 ? below : v;
}

VMATH real softplus_of(real v, real beta, real threshold)
{
    real z = v * beta;
    real y = ((z > 0 ? z : 0) + v_log1p(v_exp_below_0(-absolute(z)))) / beta;
    return z > threshold ? v : y;
}

/* NaN compares false: as a bound it bounds nothing, and as v it stays. */
VMATH real clamp_of(real v, real low, real high)
{
    v = v < low ? low : v;
    return v > high ? high : v;
}

ACTIVATION(leaky_relu, ETUDE_GRAIN_MEMORY, v > 0 ? v : v * a)
ACTIVATION(elu, ETUDE_GRAIN_MATH, elu_of(v, a))
ACTIVATION(silu, ETUDE_GRAIN_MATH, v *v_sigmoid(v))
ACTIVATION(softplus, ETUDE_GRAIN_MATH, softplus_of(v, a, b))
ACTIVATION(clamp, ETUDE_GRAIN_MEMORY, clamp_of(v, a, b))
