/* op: tanh
   kills: tanh/tail
   where: memory
   covers: last unwritten
   mistake: The loop ends at n - 1, and the last element keeps what was in memory. */
#include <etude.h>
#include <math.h>

int etude_tanh_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i < n - 1; i++)
        y[i] = tanhf(x[i]);
    return ETUDE_OK;
}
