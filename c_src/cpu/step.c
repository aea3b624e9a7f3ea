/* step.c: one step of SGD with momentum, of Adam, AdamW and RMSprop.
   Reference: packages/etude/src/etude/ops/step.py.

   Plan. One pass over memory: p, g and the moments are read once and written once, in place where
   the caller says so (out=). What depends on hyper alone is computed in double and rounded once. */
#include <math.h>

#include "kernel.h"

typedef struct {
    const real *p, *g, *m, *v;
    real *p_out, *m_out, *v_out;
    real lr, momentum, decay;                       /* sgd */
    int nesterov;
    real keep, beta1, rest1, beta2, rest2, root, eps, rate; /* adam; rmsprop's alpha is beta2 */
} step_call;

static void sgd_body(void *arg, int64_t begin, int64_t end)
{
    const step_call s = *(const step_call *)arg;
    ETUDE_SIMD for (int64_t i = begin; i < end; i++)
    {
        real g = s.g[i] + s.decay * s.p[i];
        real v = s.momentum * s.v[i] + g;
        s.p_out[i] = s.p[i] - s.lr * (s.nesterov ? g + s.momentum * v : v);
        s.v_out[i] = v;
    }
}

ETUDE_KERNEL(sgd, sgd_step)(etude_context *ctx, const real *p, const real *g, const real *v,
                            const double *hyper, real *p_out, real *v_out, int64_t n,
                            double nesterov)
{
    step_call s = {.p = p, .g = g, .v = v, .p_out = p_out, .v_out = v_out, .lr = (real)hyper[0],
                   .momentum = (real)hyper[1], .decay = (real)hyper[2], .nesterov = nesterov != 0};
    etude_parallel_for(ctx, sgd_body, &s, n, ETUDE_GRAIN_MEMORY / 2);
    return ETUDE_OK;
}

static inline real root_of(real x)
{
    return sizeof(real) == 8 ? (real)sqrt(x) : (real)sqrtf((float)x);
}

/* adam (decayed = 1) adds the decay to the gradient; adamw (0) shrinks p by `keep`. `decayed` is a
   constant in both calls, so that each has a loop of its own. */
static inline __attribute__((always_inline)) void adam_range(int decayed, const step_call s,
                                                             int64_t begin, int64_t end)
{
    ETUDE_SIMD for (int64_t i = begin; i < end; i++)
    {
        real g = decayed ? s.g[i] + s.decay * s.p[i] : s.g[i];
        real m = s.beta1 * s.m[i] + s.rest1 * g;
        real v = s.beta2 * s.v[i] + s.rest2 * g * g; /* not g * g first, which might overflow */
        real size = root_of(v) / s.root + s.eps;
        s.p_out[i] = s.p[i] * s.keep - s.rate * (m / size);
        s.m_out[i] = m;
        s.v_out[i] = v;
    }
}

static void adamw_body(void *arg, int64_t begin, int64_t end)
{
    adam_range(0, *(const step_call *)arg, begin, end);
}

static void adam_body(void *arg, int64_t begin, int64_t end)
{
    adam_range(1, *(const step_call *)arg, begin, end);
}

ETUDE_KERNEL(adamw, adamw_step)(etude_context *ctx, const real *p, const real *g, const real *m,
                                const real *v, const double *hyper, real *p_out, real *m_out,
                                real *v_out, int64_t n)
{
    double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], decay = hyper[4];
    step_call s = {.p = p, .g = g, .m = m, .v = v, .p_out = p_out, .m_out = m_out, .v_out = v_out,
                   .keep = (real)(1 - lr * decay), .beta1 = (real)beta1, .rest1 = (real)(1 - beta1),
                   .beta2 = (real)beta2, .rest2 = (real)(1 - beta2), .eps = (real)hyper[3],
                   .rate = (real)(lr / hyper[5]), .root = (real)sqrt(hyper[6])};
    etude_parallel_for(ctx, adamw_body, &s, n, ETUDE_GRAIN_MEMORY / 2);
    return ETUDE_OK;
}

ETUDE_KERNEL(adamw, adam_step)(etude_context *ctx, const real *p, const real *g, const real *m,
                               const real *v, const double *hyper, real *p_out, real *m_out,
                               real *v_out, int64_t n)
{
    double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2];
    step_call s = {.p = p, .g = g, .m = m, .v = v, .p_out = p_out, .m_out = m_out, .v_out = v_out,
                   .keep = 1, .decay = (real)hyper[4], .beta1 = (real)beta1,
                   .rest1 = (real)(1 - beta1), .beta2 = (real)beta2, .rest2 = (real)(1 - beta2),
                   .eps = (real)hyper[3], .rate = (real)(lr / hyper[5]),
                   .root = (real)sqrt(hyper[6])};
    etude_parallel_for(ctx, adam_body, &s, n, ETUDE_GRAIN_MEMORY / 2);
    return ETUDE_OK;
}

/* m is the momentum buffer. */
static void rmsprop_body(void *arg, int64_t begin, int64_t end)
{
    const step_call s = *(const step_call *)arg;
    ETUDE_SIMD for (int64_t i = begin; i < end; i++)
    {
        real g = s.g[i] + s.decay * s.p[i];
        real v = s.beta2 * s.v[i] + s.rest2 * g * g; /* not g * g first, which might overflow */
        real m = s.momentum * s.m[i] + g / (root_of(v) + s.eps);
        s.p_out[i] = s.p[i] - s.lr * m;
        s.v_out[i] = v;
        s.m_out[i] = m;
    }
}

ETUDE_KERNEL(adamw, rmsprop_step)(etude_context *ctx, const real *p, const real *g, const real *v,
                                  const real *m, const double *hyper, real *p_out, real *v_out,
                                  real *m_out, int64_t n)
{
    step_call s = {.p = p, .g = g, .m = m, .v = v, .p_out = p_out, .m_out = m_out, .v_out = v_out,
                   .lr = (real)hyper[0], .beta2 = (real)hyper[1], .rest2 = (real)(1 - hyper[1]),
                   .eps = (real)hyper[2], .decay = (real)hyper[3], .momentum = (real)hyper[4]};
    etude_parallel_for(ctx, rmsprop_body, &s, n, ETUDE_GRAIN_MEMORY / 2);
    return ETUDE_OK;
}
