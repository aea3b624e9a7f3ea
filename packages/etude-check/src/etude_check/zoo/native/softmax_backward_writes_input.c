/* op: softmax_backward
   kills: softmax_backward/tail
   where: memory
   covers: writes input
   mistake: grad y is stored in the memory of grad on the way, which belongs to the caller. */
#include <etude.h>

int etude_softmax_backward_f32(etude_context *ctx, const float *grad, const float *y, float *dx,
                               int64_t rows, int64_t cols)
{
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, grad += cols, y += cols, dx += cols) {
        float *work = (float *)grad;
        double total = 0;
        for (int64_t c = 0; c < cols; c++) {
            dx[c] = grad[c];
            work[c] = grad[c] * y[c];
            total += work[c];
        }
        for (int64_t c = 0; c < cols; c++)
            dx[c] = (float)(y[c] * (dx[c] - total));
    }
    return ETUDE_OK;
}
