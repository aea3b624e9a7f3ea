/* Assignment A2 in C: a file that may answer the question "exp" instead of elementwise.py. */
#include "etude.h"
#include <math.h>

/* y[i] = exp(x[i]) for n floats. */
int etude_exp_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++)
        y[i] = expf(x[i]);
    return ETUDE_OK;
    /* END SOLUTION */
}
