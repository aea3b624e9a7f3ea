/* op: softmax
   kills: softmax/threads
   where: parallel
   covers: shared between calls
   mistake: Its work space is static. One call after another is right, on any number of threads; of
     two at once, each writes over what the other has put there. */
#include <etude.h>
#include <math.h>

static float e[1 << 20];

int etude_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * cols;
        double total = 0;
        float top = -INFINITY;
        if (cols > (int64_t)(sizeof e / sizeof *e))
            return ETUDE_UNSUPPORTED;
        for (int64_t c = 0; c < cols; c++)
            if (from[c] > top || from[c] != from[c])
                top = from[c];
        for (int64_t c = 0; c < cols; c++) {
            e[c] = (float)exp((double)from[c] - top);
            total += e[c];
        }
        for (int64_t c = 0; c < cols; c++)
            y[r * cols + c] = (float)(e[c] / total);
    }
    return ETUDE_OK;
}
