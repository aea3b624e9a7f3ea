/* op: rsqrt
   kills: rsqrt/empty
   where: memory
   covers: n = 0 writes
   mistake: do ... while runs its body once before it looks at n, which may be 0. */
#include <etude.h>
#include <math.h>

int etude_rsqrt_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    int64_t i = 0;
    do {
        ((volatile float *)y)[i] = (float)(1 / sqrt((double)x[i]));
    } while (++i < n);
    return ETUDE_OK;
}
