#include "clean.h"

extern "C" {
etude_rows_fn_f32 etude_softmax_f32, etude_log_softmax_f32;
etude_rows_backward_fn_f32 etude_softmax_backward_f32, etude_log_softmax_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    for (int64_t cols : {argc > 1 ? 71 : 72, argc > 1 ? 1101 : 1100}) { /* a warp, a block */
        int64_t rows = 5;
        float *x = d.numbers(rows * cols), *y = d.empty<float>(rows * cols);
        d.ok(etude_softmax_f32(&d.ctx, x, y, rows, cols));
        d.ok(etude_softmax_f32(&d.ctx, y, y, rows, cols)); /* in place */
        d.ok(etude_softmax_backward_f32(&d.ctx, x, y, y, rows, cols));
        d.ok(etude_log_softmax_f32(&d.ctx, x, y, rows, cols));
        d.ok(etude_log_softmax_backward_f32(&d.ctx, x, y, y, rows, cols));
        d.ok(etude_log_softmax_f32(&d.ctx, d.specials(rows * cols), y, rows, cols));
        float *steep = d.scaled(rows * cols, 500); /* exp of these overflows */
        d.ok(etude_softmax_f32(&d.ctx, steep, y, rows, cols));
    }
}
