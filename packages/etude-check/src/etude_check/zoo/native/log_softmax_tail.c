/* op: log_softmax
   kills: log_softmax/tail
   where: index
   covers: tail skipped
   mistake: The sum of a row goes in steps of 4 and leaves out the last cols % 4 terms. */
#include <etude.h>
#include <math.h>

int etude_log_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        float top = x[0];
        double total = 0;
        for (int64_t c = 1; c < cols; c++)
            top = x[c] > top || x[c] != x[c] ? x[c] : top;
        for (int64_t c = 0; c + 4 <= cols || c == 0; c += 4)
            for (int64_t j = c; j < c + 4 && j < cols; j++)
                total += exp((double)x[j] - top);
        for (int64_t c = 0; c < cols; c++)
            y[c] = (float)((double)x[c] - top - log(total));
    }
    return ETUDE_OK;
}
