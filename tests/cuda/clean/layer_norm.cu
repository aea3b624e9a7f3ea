#include "clean.h"

extern "C" {
etude_norm_fn_f32 etude_layer_norm_f32;
etude_norm_backward_fn_f32 etude_layer_norm_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    for (int64_t cols : {argc > 1 ? 71 : 72, argc > 1 ? 1101 : 1100}) { /* a warp, a block */
        int64_t rows = 9;
        float *x = d.numbers(rows * cols), *w = d.numbers(cols), *b = d.numbers(cols);
        float *y = d.empty<float>(rows * cols), *mean = d.empty<float>(rows);
        float *rstd = d.empty<float>(rows), *dw = d.empty<float>(cols), *db = d.empty<float>(cols);
        d.ok(etude_layer_norm_f32(&d.ctx, x, w, b, y, mean, rstd, rows, cols, 1e-5));
        d.ok(etude_layer_norm_f32(&d.ctx, x, NULL, NULL, y, mean, rstd, rows, cols, 1e-5));
        d.ok(etude_layer_norm_backward_f32(&d.ctx, x, x, w, mean, rstd, y, dw, db, rows, cols));
        d.ok(etude_layer_norm_backward_f32(&d.ctx, x, x, NULL, mean, rstd, y, dw, db, rows, cols));
        float *huge = d.scaled(rows * cols, 1e30f), *tiny = d.scaled(rows * cols, 1e-30f);
        for (float *some : {huge, tiny})
            d.ok(etude_layer_norm_f32(&d.ctx, some, w, b, y, mean, rstd, rows, cols, 0));
    }
}
