/* tail.h: what follows a convolution at once, done on lines that it has just written, while they
   are in the cache of a core: y = relu((y - mean) scale + bias + add), each part only if asked for.

   The context says what follows (etude_tail of etude.h). It is the formula of batch_norm_eval, add
   and relu, operation by operation, so the bits are those of the three calls. What is gained is
   three walks over the result, and that threads share this part of a small image too. */
#ifndef ETUDE_TAIL_H
#define ETUDE_TAIL_H

#include "channel_scale.h"

/* The scale of each of C channels, where a norm follows. */
static inline void tail_scales(const etude_tail *t, int64_t C, real *scale)
{
    for (int64_t k = 0; t->mean && k < C; k++)
        scale[k] = channel_scale((const real *)t->weight, (const real *)t->var, k, (real)t->eps);
}

/* Numbers at .. at + n of the result, all of them of channel k. */
static inline void tail_run(const etude_tail *t, const real *scales, int64_t k, real *y, int64_t at,
                            int64_t n)
{
    const real *add = (const real *)t->add;
    y += at;
    if (t->mean) {
        real mean = ((const real *)t->mean)[k], scale = scales[k];
        real bias = t->bias ? ((const real *)t->bias)[k] : 0;
        if (add)
            ETUDE_SIMD for (int64_t i = 0; i < n; i++) y[i] =
                (y[i] - mean) * scale + bias + add[at + i];
        else
            ETUDE_SIMD for (int64_t i = 0; i < n; i++) y[i] = (y[i] - mean) * scale + bias;
    } else if (add)
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) y[i] += add[at + i];
    if (t->relu)
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i];
}

#endif
