#include "clean.h"

extern "C" {
etude_rms_norm_fn_f32 etude_rms_norm_f32;
etude_rms_norm_backward_fn_f32 etude_rms_norm_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t rows = argc > 1 ? 37 : 64, cols = argc > 1 ? 45 : 64, n = rows * cols;
    float *x = d.numbers(n), *g = d.numbers(n), *w = d.numbers(cols), *y = d.empty<float>(n);
    float *rstd = d.empty<float>(rows), *dw = d.empty<float>(cols);
    d.ok(etude_rms_norm_f32(&d.ctx, x, w, y, rstd, rows, cols, 1e-5));
    d.ok(etude_rms_norm_backward_f32(&d.ctx, g, x, w, rstd, y, dw, rows, cols));
}
