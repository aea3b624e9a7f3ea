/* op: sigmoid
   kills: sigmoid/tail
   where: index
   covers: tail skipped
   mistake: The unrolled loop does 8 at a time, and there is no second loop for the rest. */
#include <etude.h>
#include <math.h>

int etude_sigmoid_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i + 8 <= n; i += 8)
        for (int64_t j = i; j < i + 8; j++) {
            double e = exp(-fabs((double)x[j]));
            y[j] = (float)((x[j] >= 0 || x[j] != x[j] ? 1 : e) / (1 + e));
        }
    return ETUDE_OK;
}
