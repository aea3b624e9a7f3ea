#include "clean.h"

extern "C" {
etude_rms_norm_fn_f32 etude_rms_norm_f32;
etude_rms_norm_backward_fn_f32 etude_rms_norm_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    for (int64_t cols : {argc > 1 ? 71 : 72, argc > 1 ? 1101 : 1100}) { /* a warp, a block */
        int64_t rows = 9;
        float *x = d.numbers(rows * cols), *w = d.numbers(cols), *y = d.empty<float>(rows * cols);
        float *rstd = d.empty<float>(rows), *dw = d.empty<float>(cols);
        d.ok(etude_rms_norm_f32(&d.ctx, x, w, y, rstd, rows, cols, 1e-5));
        d.ok(etude_rms_norm_backward_f32(&d.ctx, x, x, w, rstd, y, dw, rows, cols));
        d.ok(etude_rms_norm_f32(&d.ctx, x, NULL, y, rstd, rows, cols, 1e-5));
        d.ok(etude_rms_norm_backward_f32(&d.ctx, x, x, NULL, rstd, y, dw, rows, cols));
        float *huge = d.scaled(rows * cols, 1e30f), *tiny = d.scaled(rows * cols, 1e-30f);
        for (float *some : {huge, tiny})
            d.ok(etude_rms_norm_f32(&d.ctx, some, w, y, rstd, rows, cols, 0));
    }
}
