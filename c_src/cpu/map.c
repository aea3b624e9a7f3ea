/* map.c: one number in, one number out, and the backward ops of maps (class "equal").
   Reference: packages/etude/src/etude/ops/map.py.

   Plan. Memory is contiguous, so each op is one loop over a range of it that the compiler
   vectorises; the mathematics is in vmath.h. neg, relu and their like run at the speed of memory;
   exp and tanh compute for about as long as the loads and stores take. */
#include "kernel.h"

typedef struct {
    void (*run)(const real *x, const real *y, real *z, int64_t n);
    const real *x, *y;
    real *z;
} map_call;

static void map_body(void *arg, int64_t begin, int64_t end)
{
    const map_call *c = arg;
    c->run(c->x + begin, c->y ? c->y + begin : NULL, c->z + begin, end - begin);
}

static inline int map(etude_context *ctx, void (*run)(const real *, const real *, real *, int64_t),
               const real *x, const real *y, real *z, int64_t n, int64_t grain)
{
    map_call c = {run, x, y, z};
    etude_parallel_for(ctx, map_body, &c, n, grain);
    return ETUDE_OK;
}

/* name_run computes a range: v is x[i], and in an equal op also w is y[i]. */
#define LOOP(name, value)                                                                         \
    static void name##_run(const real *x, const real *y, real *z, int64_t n)                      \
    {                                                                                             \
        (void)y;                                                                                  \
        ETUDE_SIMD for (int64_t i = 0; i < n; i++)                                                \
        {                                                                                         \
            real v = x[i];                                                                        \
            z[i] = value;                                                                         \
        }                                                                                         \
    }

#define LOOP2(name, value)                                                                        \
    static void name##_run(const real *x, const real *y, real *z, int64_t n)                      \
    {                                                                                             \
        ETUDE_SIMD for (int64_t i = 0; i < n; i++)                                                \
        {                                                                                         \
            real v = x[i], w = y[i];                                                              \
            z[i] = value;                                                                         \
        }                                                                                         \
    }

#define MAP(op, grain, value)                                                                     \
    LOOP(op, value)                                                                               \
    int ETUDE_NAME(op)(etude_context * ctx, const real *x, real *y, int64_t n, double a,          \
                       double b)                                                                  \
    {                                                                                             \
        (void)a, (void)b;                                                                         \
        return map(ctx, op##_run, x, NULL, y, n, grain);                                          \
    }

#define EQUAL(op, value)                                                                          \
    LOOP2(op, value)                                                                              \
    int ETUDE_NAME(op)(etude_context * ctx, const real *x, const real *y, real *z, int64_t n,     \
                       double a)                                                                  \
    {                                                                                             \
        (void)a;                                                                                  \
        return map(ctx, op##_run, x, y, z, n, ETUDE_GRAIN_MEMORY);                                \
    }

#if !defined(ETUDE_INT)
#include "vmath.h"

MAP(neg, ETUDE_GRAIN_MEMORY, -v)
MAP(relu, ETUDE_GRAIN_MEMORY, v < 0 ? 0 : v) /* NaN stays */
MAP(exp, ETUDE_GRAIN_MATH, v_exp(v))
MAP(log, ETUDE_GRAIN_MATH, v_log(v))
MAP(sqrt, ETUDE_GRAIN_MATH, sizeof(real) == 8 ? sqrt(v) : sqrtf(v))
MAP(tanh, ETUDE_GRAIN_MATH, v_tanh(v))
MAP(sigmoid, ETUDE_GRAIN_MATH, v_sigmoid(v))
MAP(erf, ETUDE_GRAIN_MATH, v_erf(v))

LOOP(gelu, v_gelu(v))
LOOP(gelu_tanh, v_gelu_tanh(v))
LOOP2(gelu_backward, v * v_gelu_slope(w))
LOOP2(gelu_tanh_backward, v * v_gelu_tanh_slope(w))

/* a: approximate, 0 none, 1 tanh */
int ETUDE_NAME(gelu)(etude_context *ctx, const real *x, real *y, int64_t n, double a, double b)
{
    (void)b;
    return map(ctx, a == 0 ? gelu_run : gelu_tanh_run, x, NULL, y, n, ETUDE_GRAIN_MATH);
}

int ETUDE_NAME(gelu_backward)(etude_context *ctx, const real *x, const real *y, real *z,
                              int64_t n, double a)
{
    return map(ctx, a == 0 ? gelu_backward_run : gelu_tanh_backward_run, x, y, z, n,
               ETUDE_GRAIN_MATH);
}

/* v is the gradient, w the saved output */
EQUAL(relu_backward, w > 0 ? v : 0)
EQUAL(tanh_backward, v * (1 - w * w))
EQUAL(sigmoid_backward, v * w * (1 - w))

#elif ETUDE_INT == 64

MAP(neg, ETUDE_GRAIN_MEMORY, (real)(0 - (uint64_t)v)) /* wraps, as in NumPy */
MAP(relu, ETUDE_GRAIN_MEMORY, v < 0 ? 0 : v)

#endif
