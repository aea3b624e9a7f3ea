#include "clean.h"

extern "C" {
etude_norm_fn_f32 etude_layer_norm_f32;
etude_norm_backward_fn_f32 etude_layer_norm_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t rows = argc > 1 ? 37 : 64, cols = argc > 1 ? 45 : 64, n = rows * cols;
    float *x = d.numbers(n), *g = d.numbers(n), *w = d.numbers(cols), *b = d.numbers(cols);
    float *y = d.empty<float>(n), *mean = d.empty<float>(rows), *rstd = d.empty<float>(rows);
    float *dw = d.empty<float>(cols), *db = d.empty<float>(cols);
    d.ok(etude_layer_norm_f32(&d.ctx, x, w, b, y, mean, rstd, rows, cols, 1e-5));
    d.ok(etude_layer_norm_backward_f32(&d.ctx, g, x, w, mean, rstd, y, dw, db, rows, cols));
}
