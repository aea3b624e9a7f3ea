/* map.c: one number in, one number out; and the backward ops of maps, which take two arrays of one
   shape (class "equal" in the table).
   Reference: packages/etude/src/etude/ops/map.py;
   of silu:   packages/etude/src/etude/ops/activation.py.

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

#define MAP_KERNEL(op, grain)                                                                     \
    ETUDE_KERNEL(map, op)(etude_context *ctx, const real *x, real *y, int64_t n, double a,        \
                          double b)                                                               \
    {                                                                                             \
        (void)a, (void)b;                                                                         \
        return map(ctx, op##_run, x, NULL, y, n, grain);                                          \
    }

#define MAP(op, grain, value)                                                                     \
    LOOP(op, value)                                                                               \
    MAP_KERNEL(op, grain)

#define EQUAL(op, value)                                                                          \
    LOOP2(op, value)                                                                              \
    ETUDE_KERNEL(equal, op)(etude_context *ctx, const real *x, const real *y, real *z, int64_t n, \
                            double a)                                                             \
    {                                                                                             \
        (void)a;                                                                                  \
        return map(ctx, op##_run, x, y, z, n, ETUDE_GRAIN_MEMORY);                                \
    }

#if !defined(ETUDE_INT)
#include "trig.h"
#include "vmath.h"

enum { BLOCK = 256 }; /* numbers looked over for rare ones before they are computed */

MAP(neg, ETUDE_GRAIN_MEMORY, -v)
MAP(relu, ETUDE_GRAIN_MEMORY, v < 0 ? 0 : v) /* NaN stays */
MAP(sqrt, ETUDE_GRAIN_MATH, sizeof(real) == 8 ? sqrt(v) : sqrtf(v))
MAP(erf, ETUDE_GRAIN_MATH, v_erf(v))
MAP(abs, ETUDE_GRAIN_MEMORY, absolute(v))
MAP(sign, ETUDE_GRAIN_MEMORY, v > 0 ? 1 : v < 0 ? -1 : v == 0 ? 0 : v) /* NaN stays */
MAP(square, ETUDE_GRAIN_MEMORY, v *v)
MAP(reciprocal, ETUDE_GRAIN_MEMORY, 1 / v)
MAP(rsqrt, ETUDE_GRAIN_MATH, v_rsqrt(v))
MAP(expm1, ETUDE_GRAIN_MATH, v_expm1_of_all(v))
MAP(log1p, ETUDE_GRAIN_MATH, v_log1p(v))

/* Numbers that are special, or whose result is, are rare, and asked for block by block: blocks
   without one take a shorter formula, which gives the same bits. */
#define MOSTLY_ORDINARY(op, ordinary, value, short_value)                                         \
    static void op##_run(const real *x, const real *y, real *z, int64_t n)                        \
    {                                                                                             \
        (void)y;                                                                                  \
        for (int64_t from = 0; from < n; from += BLOCK) {                                         \
            int64_t to = ETUDE_MIN(n, from + BLOCK);                                              \
            int rare = 0;                                                                         \
            ETUDE_PRAGMA(omp simd reduction(| : rare)) for (int64_t i = from; i < to; i++)        \
                rare |= !ordinary(x[i]);                                                          \
            if (rare)                                                                             \
                ETUDE_SIMD for (int64_t i = from; i < to; i++) z[i] = value(x[i]);                \
            else                                                                                  \
                ETUDE_SIMD for (int64_t i = from; i < to; i++) z[i] = short_value(x[i]);          \
        }                                                                                         \
    }                                                                                             \
    MAP_KERNEL(op, ETUDE_GRAIN_MATH)

MOSTLY_ORDINARY(log, is_ordinary, v_log, v_log_of_ordinary)
MOSTLY_ORDINARY(exp, has_ordinary_exp, v_exp, v_exp_of_ordinary)

/* Some functions are a long chain of steps that wait for each other. A processor looks so many
   instructions ahead, and works on as many numbers as it finds there. So a block goes through the
   first half of the chain, and then through the second: three quarters of the time, the same bits.
   HALVED is a map; HALVED2 has the gradient v, times the function of w. */
#define TWO_LOOPS(name, of, function, factor)                                                     \
    static void name##_run(const real *x, const real *y, real *z, int64_t n)                      \
    {                                                                                             \
        (void)y;                                                                                  \
        real half[BLOCK];                                                                         \
        for (int64_t from = 0; from < n; from += BLOCK) {                                         \
            int64_t count = ETUDE_MIN(n - from, BLOCK);                                           \
            ETUDE_SIMD for (int64_t i = 0; i < count; i++) half[i] =                              \
                function##_half(of[from + i]);                                                    \
            ETUDE_SIMD for (int64_t i = 0; i < count; i++) z[from + i] =                          \
                factor function##_from(of[from + i], half[i]);                                    \
        }                                                                                         \
    }

#define HALVED(name, function) TWO_LOOPS(name, x, function, )
#define HALVED2(name, function) TWO_LOOPS(name, y, function, x[from + i] *)

HALVED(tanh, v_tanh)
HALVED(sigmoid, v_sigmoid)
HALVED(silu, v_silu)
HALVED(gelu_tanh, v_gelu_tanh)
HALVED2(gelu_tanh_backward, v_gelu_tanh_slope)
MAP_KERNEL(tanh, ETUDE_GRAIN_MATH)
MAP_KERNEL(sigmoid, ETUDE_GRAIN_MATH)
MAP_KERNEL(silu, ETUDE_GRAIN_MATH)

/* Where angles are too large for trig.h, the C library has the last word. */
#define ANGLE(op, value, library)                                                                 \
    static void op##_run(const real *x, const real *y, real *z, int64_t n)                        \
    {                                                                                             \
        (void)y;                                                                                  \
        for (int64_t from = 0; from < n; from += BLOCK) {                                   \
            int64_t to = ETUDE_MIN(n, from + BLOCK), count = to - from;                     \
            real given[BLOCK]; /* z may be x */                                             \
            memcpy(given, x + from, (size_t)count * sizeof(real));                                \
            int large = 0;                                                                        \
            ETUDE_PRAGMA(omp simd reduction(| : large)) for (int64_t i = 0; i < count; i++)       \
                large |= !(absolute(given[i]) <= (real)TRIG_MOST);                                \
            ETUDE_SIMD for (int64_t i = 0; i < count; i++) z[from + i] = value(given[i]);         \
            for (int64_t i = 0; large && i < count; i++)                                          \
                if (!(absolute(given[i]) <= (real)TRIG_MOST))                                     \
                    z[from + i] = (real)library(given[i]);                                        \
        }                                                                                         \
    }                                                                                             \
    MAP_KERNEL(op, ETUDE_GRAIN_MATH)

ANGLE(sin, sine, sin)
ANGLE(cos, cosine, cos)

LOOP(gelu, v_gelu(v))
LOOP2(gelu_backward, v * v_gelu_slope(w))

/* a is the attribute `approximate`: 0 none, 1 tanh */
ETUDE_KERNEL(map, gelu)(etude_context *ctx, const real *x, real *y, int64_t n, double a, double b)
{
    (void)b;
    return map(ctx, a == 0 ? gelu_run : gelu_tanh_run, x, NULL, y, n, ETUDE_GRAIN_MATH);
}

ETUDE_KERNEL(equal, gelu_backward)(etude_context *ctx, const real *x, const real *y, real *z,
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
MAP(abs, ETUDE_GRAIN_MEMORY, v < 0 ? (real)(0 - (uint64_t)v) : v)
MAP(sign, ETUDE_GRAIN_MEMORY, (v > 0) - (v < 0))
MAP(square, ETUDE_GRAIN_MEMORY, (real)((uint64_t)v * (uint64_t)v))

#endif
