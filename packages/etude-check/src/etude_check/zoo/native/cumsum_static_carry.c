/* op: cumsum
   kills: cumsum/tail
   where: memory
   covers: first result
   mistake: The running total is static and is not set back: right in the first call only. */
#include <etude.h>

int etude_cumsum_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                     int64_t inner)
{
    (void)ctx;
    static double total = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            if (o || i)
                total = 0;
            for (int64_t j = 0; j < n; j++) {
                int64_t at = (o * n + j) * inner + i;
                total += x[at];
                y[at] = (float)total;
            }
        }
    return ETUDE_OK;
}
