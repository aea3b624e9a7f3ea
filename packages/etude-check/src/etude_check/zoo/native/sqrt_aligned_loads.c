/* op: sqrt
   kills: sqrt/tail
   where: index
   covers: offset ignored
   mistake: The address is rounded down to a multiple of 32 for aligned loads: an array that starts
     in between is read from before its start. */
#include <etude.h>
#include <math.h>

int etude_sqrt_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    volatile const float *from = (volatile const float *)((uintptr_t)x & ~(uintptr_t)31);
    for (int64_t i = 0; i < n; i++)
        y[i] = sqrtf(from[i]);
    return ETUDE_OK;
}
