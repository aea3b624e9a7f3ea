/* tail.h: what follows a convolution at once, done on lines that it has just written, while they
   are in the cache of a core: y = relu((y - mean) scale + bias + add), each part only if asked for.

   The context says what follows (etude_tail of etude.h). It is the formula of batch_norm_eval, add
   and relu, operation by operation, so the bits are those of the three calls. What is gained is
   walks over the whole result, and that threads share this part of a small image too. A linear has
   one kind of tail, a relu, and does it itself (relu_part of matmul.c). */
#ifndef ETUDE_TAIL_H
#define ETUDE_TAIL_H

#include "channel_scale.h"
#include "gemm.h"

/* The scale of each of C channels, where a norm follows. */
static inline void tail_scales(const etude_tail *t, int64_t C, real *scale)
{
    for (int64_t k = 0; t->mean && k < C; k++)
        scale[k] = channel_scale((const real *)t->weight, (const real *)t->var, k, (real)t->eps);
}

/* y[0 .. n-1]; which parts there are is known where this is inlined, so each kind is one loop. */
GEMM_INLINE void tail_loop(int norm, int add, int relu, real *y, const real *other, real mean,
                           real scale, real bias, int64_t n)
{
    ETUDE_SIMD for (int64_t i = 0; i < n; i++)
    {
        real v = norm ? (y[i] - mean) * scale + bias : y[i];
        v = add ? v + other[i] : v;
        y[i] = relu && v < 0 ? 0 : v;
    }
}

/* Numbers at .. at + n of the result, all of them of channel k. */
static inline void tail_run(const etude_tail *t, const real *scales, int64_t k, real *result,
                            int64_t at, int64_t n)
{
    real *y = result + at, mean = 0, scale = 0, bias = 0;
    const real *other = t->add ? (const real *)t->add + at : NULL;
    if (t->mean) {
        mean = ((const real *)t->mean)[k], scale = scales[k];
        bias = t->bias ? ((const real *)t->bias)[k] : 0;
    }
    switch (4 * (t->mean != NULL) + 2 * (other != NULL) + (t->relu != 0)) {
    case 7: tail_loop(1, 1, 1, y, other, mean, scale, bias, n); break;
    case 6: tail_loop(1, 1, 0, y, other, mean, scale, bias, n); break;
    case 5: tail_loop(1, 0, 1, y, other, mean, scale, bias, n); break;
    case 4: tail_loop(1, 0, 0, y, other, mean, scale, bias, n); break;
    case 3: tail_loop(0, 1, 1, y, other, mean, scale, bias, n); break;
    case 2: tail_loop(0, 1, 0, y, other, mean, scale, bias, n); break;
    case 1: tail_loop(0, 0, 1, y, other, mean, scale, bias, n); break;
    }
}

#endif
