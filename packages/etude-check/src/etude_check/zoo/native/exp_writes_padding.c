/* op: exp
   kills: exp/tail
   where: memory
   covers: writes into padding
   mistake: Whole vectors of 8 are stored, also over the end of the array. */
#include <etude.h>
#include <math.h>

int etude_exp_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i < (n + 7) / 8 * 8; i++)
        y[i] = expf(x[i < n ? i : n - 1]);
    return ETUDE_OK;
}
