/* op: amax
   kills: amax/tail
   where: index
   covers: tail skipped
   mistake: Eight lanes run down the axis together, and the elements behind the last whole vector are
     not looked at. */
#include <etude.h>

int etude_amax_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                   int64_t inner)
{
    (void)ctx;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const float *row = x + o * n * inner + i;
            float top = row[0];
            for (int64_t j = 0; j < (n < 8 ? n : n / 8 * 8); j++)
                top = top != top || row[j * inner] <= top ? top : row[j * inner];
            y[o * inner + i] = top;
        }
    return ETUDE_OK;
}
