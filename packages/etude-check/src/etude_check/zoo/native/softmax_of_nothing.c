/* op: softmax
   kills: softmax/empty
   where: memory
   mistake: The maximum starts with the first element, which a row of no elements does not have. */
#include <etude.h>
#include <math.h>

int etude_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        float top = *(const volatile float *)x;
        double sum = 0;
        for (int64_t c = 1; c < cols; c++)
            top = x[c] > top || x[c] != x[c] ? x[c] : top;
        for (int64_t c = 0; c < cols; c++)
            sum += exp((double)x[c] - top);
        for (int64_t c = 0; c < cols; c++)
            y[c] = (float)(exp((double)x[c] - top) / sum);
    }
    return ETUDE_OK;
}
