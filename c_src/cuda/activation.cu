/* activation.cu: leaky_relu, elu, silu, softplus and clamp.
   Reference: packages/etude/src/etude/ops/activation.py. On the CPU: c_src/cpu/activation.c.

   Plan. As in map.cu: arrays are contiguous, pointwise.cuh walks them 16 bytes at a time, and the
   mathematics is in math.cuh. All are bound by memory. a and b are the attributes of the op. NaN
   stays NaN. ETUDE_REAL is 32 or 64; clamp is compiled for ETUDE_INT too, for int64. */
#include "pointwise.cuh"
#if !defined(ETUDE_INT)
#include "math.cuh"
#endif

#if !defined(ETUDE_INT) || ETUDE_INT == 64

/* `value` is y[i], computed from v, which is x[i], and from a and b; these are the attributes, as
   `first` and `second` say. */
#define ACTIVATION(op, value, first, second)                                                      \
    namespace {                                                                                   \
    struct op##_map {                                                                             \
        real a, b;                                                                                \
        __device__ real operator()(real v) const { return value; }                                \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(map, op)(etude_context * ctx, const real *x, real *y, int64_t n, double a,       \
                          double b)                                                               \
    {                                                                                             \
        return each(ctx, #op, op##_map{first, second}, n, y, x);                                  \
    }

#if !defined(ETUDE_INT)

ETUDE_DEVICE real elu_of(real v, real alpha)
{
    real below = alpha * expm1_of(v > 0 ? 0 : v); /* -0 stays -0 */
    return v > 0 ? v : v <= 0 ? below : v;
}

ETUDE_DEVICE real softplus_of(real v, real beta, real threshold)
{
    real z = v * beta;
    real y = ((z > 0 ? z : 0) + log1p_of(exp_of(-abs_of(z)))) / beta;
    return z > threshold ? v : y;
}

ACTIVATION(leaky_relu, v > 0 ? v : v * a, (real)a, (real)b)
ACTIVATION(elu, elu_of(v, a), (real)a, (real)b)
ACTIVATION(silu, v *sigmoid_of(v), (real)a, (real)b)
ACTIVATION(softplus, softplus_of(v, a, b), (real)a, (real)b)

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
ETUDE_DEVICE real clamp_of(real v, real low, real high)
{
    v = v < low ? low : v;
    return v > high ? high : v;
}

ACTIVATION(clamp, clamp_of(v, a, b), LEAST(a), MOST(b))

#endif
