/* op: prod
   kills: prod/large
   where: memory
   mistake: The axis is copied to a buffer of 512 elements, and what does not fit is forgotten. */
#include <etude.h>

int etude_prod_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                   int64_t inner)
{
    (void)ctx;
    float work[512];
    int64_t fits = n < 512 ? n : 512;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double product = 1;
            for (int64_t j = 0; j < fits; j++)
                work[j] = x[(o * n + j) * inner + i];
            for (int64_t j = 0; j < fits; j++)
                product *= work[j];
            y[o * inner + i] = (float)product;
        }
    return ETUDE_OK;
}
