/* map.cu: one number in, one number out; and the backward ops of maps, which take two arrays of one
   shape (class "equal" in the table).
   Reference: packages/etude/src/etude/ops/map.py. On the CPU: c_src/cpu/map.c.

   Plan. Arrays are contiguous, and pointwise.cuh walks them 16 bytes at a time; the mathematics is
   in math.cuh. All are bound by memory: exp and tanh take some 20 instructions, which a card has
   done before the next number is there. ETUDE_REAL is 32 or 64. */
#include "pointwise.cuh"
#if !defined(ETUDE_INT)
#include "math.cuh"
#endif

/* `value` is y[i], computed from v, which is x[i]. */
#define MAP(op, value)                                                                            \
    namespace {                                                                                   \
    struct op##_map {                                                                             \
        __device__ real operator()(real v) const { return value; }                                \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(map, op)(etude_context * ctx, const real *x, real *y, int64_t n, double, double) \
    {                                                                                             \
        return each(ctx, #op, op##_map{}, n, y, x);                                               \
    }

/* `value` is z[i], computed from v, which is x[i], and from w, which is y[i]. */
#define EQUAL(op, value)                                                                          \
    namespace {                                                                                   \
    struct op##_map {                                                                             \
        __device__ real operator()(real v, real w) const { return value; }                        \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(equal, op)(etude_context * ctx, const real *x, const real *y, real *z,           \
                            int64_t n, double)                                                    \
    {                                                                                             \
        return each(ctx, #op, op##_map{}, n, z, x, y);                                            \
    }

#if !defined(ETUDE_INT)

MAP(neg, -v)
MAP(relu, v < 0 ? 0 : v) /* NaN stays */
MAP(exp, exp_of(v))
MAP(log, log_of(v))
MAP(sqrt, sqrt_of(v))
MAP(tanh, tanh_of(v))
MAP(sigmoid, sigmoid_of(v))
MAP(erf, erf_of(v))
MAP(abs, abs_of(v))
MAP(sign, v > 0 ? 1 : v < 0 ? -1 : v == 0 ? 0 : v) /* NaN stays */
MAP(square, v *v)
MAP(reciprocal, 1 / v)
MAP(rsqrt, 1 / sqrt_of(v))
MAP(expm1, expm1_of(v))
MAP(log1p, log1p_of(v))
MAP(sin, sin_of(v))
MAP(cos, cos_of(v))

/* v is the gradient, w the saved output */
EQUAL(relu_backward, w > 0 ? v : 0)
EQUAL(tanh_backward, v * (1 - w * w))
EQUAL(sigmoid_backward, v *w *(1 - w))

namespace {

struct gelu_map {
    __device__ real operator()(real v) const { return v * phi_of(v); }
};

struct gelu_tanh_map {
    __device__ real operator()(real v) const { return v * sigmoid_of(gelu_bend(within_60(v))); }
};

struct gelu_backward_map {
    __device__ real operator()(real v, real w) const { return v * gelu_slope(w); }
};

struct gelu_tanh_backward_map {
    __device__ real operator()(real v, real w) const { return v * gelu_tanh_slope(w); }
};

} // namespace

/* a is the attribute `approximate`: 0 none, 1 tanh */
ETUDE_KERNEL(map, gelu)(etude_context *ctx, const real *x, real *y, int64_t n, double a, double)
{
    return a == 0 ? each(ctx, "gelu", gelu_map{}, n, y, x)
                  : each(ctx, "gelu", gelu_tanh_map{}, n, y, x);
}

ETUDE_KERNEL(equal, gelu_backward)(etude_context *ctx, const real *x, const real *y, real *z,
                                   int64_t n, double a)
{
    return a == 0 ? each(ctx, "gelu_backward", gelu_backward_map{}, n, z, x, y)
                  : each(ctx, "gelu_backward", gelu_tanh_backward_map{}, n, z, x, y);
}

#elif ETUDE_INT == 64

MAP(neg, (real)(0 - (uint64_t)v)) /* wraps, as in NumPy */
MAP(relu, v < 0 ? 0 : v)
MAP(abs, v < 0 ? (real)(0 - (uint64_t)v) : v)
MAP(sign, (v > 0) - (v < 0))
MAP(square, (real)((uint64_t)v * (uint64_t)v))

#endif
