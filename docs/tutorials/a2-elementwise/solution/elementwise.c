/* Assignment A2 in C: a file that may answer the question "sigmoid" instead of elementwise.py. */
#include "etude.h"
#include <math.h>

/* y[i] = 1 / (1 + exp(-x[i])) for n floats. a and b mean nothing here. */
int etude_sigmoid_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++) {
        float small = expf(-fabsf(x[i]));
        y[i] = x[i] >= 0 ? 1 / (1 + small) : small / (1 + small);
    }
    return ETUDE_OK;
    /* END SOLUTION */
}
