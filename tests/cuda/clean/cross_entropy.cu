#include "clean.h"

extern "C" {
etude_cross_entropy_fn_f32 etude_cross_entropy_f32;
etude_cross_entropy_backward_fn_f32 etude_cross_entropy_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    enum { MEAN, SUM, NONE };
    for (int64_t cols : {argc > 1 ? 71 : 72, argc > 1 ? 1101 : 1100}) { /* a warp, a block */
        int64_t rows = 9, *target = d.indices(rows, cols);
        float *x = d.numbers(rows * cols), *w = d.numbers(cols), *dx = d.empty<float>(rows * cols);
        float *loss = d.empty<float>(rows), *top = d.empty<float>(rows);
        float *log_sum = d.empty<float>(rows), *grad = d.numbers(rows);
        for (int reduction : {MEAN, NONE}) {
            d.ok(etude_cross_entropy_f32(&d.ctx, x, target, w, loss, top, log_sum, rows, cols,
                                         reduction, -100, 0.1));
            d.ok(etude_cross_entropy_backward_f32(&d.ctx, grad, x, target, w, top, log_sum, dx,
                                                  rows, cols, reduction, -100, 0.1));
        }
    }
}
