#include "clean.h"

extern "C" {
etude_rows_fn_f32 etude_softmax_f32, etude_log_softmax_f32;
etude_rows_backward_fn_f32 etude_softmax_backward_f32, etude_log_softmax_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t rows = 9, cols = argc > 1 ? 45 : 128, wide = argc > 1 ? 2501 : 4096;
    float *x = d.numbers(rows * wide), *g = d.numbers(rows * wide), *y = d.empty<float>(rows * wide);
    float *dx = d.empty<float>(rows * wide);
    d.ok(etude_softmax_f32(&d.ctx, x, y, rows, cols));
    d.ok(etude_softmax_backward_f32(&d.ctx, g, y, dx, rows, cols));
    d.ok(etude_log_softmax_f32(&d.ctx, x, y, 2, wide));
    d.ok(etude_log_softmax_backward_f32(&d.ctx, g, y, dx, 2, wide));
}
