/* op: abs
   kills: abs/large
   where: memory
   covers: leaks
   mistake: The work space of a call is never given back. */
#include <etude.h>
#include <math.h>

int etude_abs_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    volatile float *work = malloc((size_t)n * sizeof(float));
    if (n && !work)
        return ETUDE_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        work[i] = fabsf(x[i]);
        y[i] = work[i];
    }
    return ETUDE_OK;
}
