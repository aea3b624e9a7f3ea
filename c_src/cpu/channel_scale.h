/* channel_scale.h: the factor of a batch norm, which batch_norm.c and the tail of a convolution
   (tail.h) multiply by: weight / sqrt(var + eps), rounded in this order. */
#ifndef ETUDE_CHANNEL_SCALE_H
#define ETUDE_CHANNEL_SCALE_H

#include <math.h>

#include "kernel.h"

static inline real deviation(real var, real eps)
{
    return sizeof(real) == 8 ? (real)sqrt(var + eps) : (real)sqrtf((float)(var + eps));
}

/* Of channel k; weight may be NULL, which is 1. */
static inline real channel_scale(const real *weight, const real *var, int64_t k, real eps)
{
    return (weight ? weight[k] : 1) / deviation(var[k], eps);
}

#endif
