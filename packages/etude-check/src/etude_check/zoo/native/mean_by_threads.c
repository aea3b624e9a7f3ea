/* op: mean
   kills: mean/threads
   where: parallel
   covers: thread count
   mistake: Each thread adds up its share in float32 and the shares are added in the end: another
     number of threads gives other bits. */
#include <etude.h>

int etude_mean_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                   int64_t inner)
{
    int64_t threads = ctx->threads > 0 ? ctx->threads : 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const float *row = x + o * n * inner + i;
            double total = 0;
            for (int64_t t = 0; t < threads; t++) {
                float share = 0;
                for (int64_t j = n * t / threads; j < n * (t + 1) / threads; j++)
                    share += row[j * inner];
                total += share;
            }
            y[o * inner + i] = (float)(total / (double)n);
        }
    return ETUDE_OK;
}
