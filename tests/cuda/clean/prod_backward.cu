#include "clean.h"

extern "C" {
etude_prod_backward_fn_f32 etude_prod_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64, long_row = argc > 1 ? 5001 : 8192;
    float *x = d.numbers(long_row), *grad = d.numbers(n), *dx = d.empty<float>(long_row);
    d.ok(etude_prod_backward_f32(&d.ctx, grad, x, dx, n, n, 1));
    d.ok(etude_prod_backward_f32(&d.ctx, grad, x, dx, 1, n, n));
    d.ok(etude_prod_backward_f32(&d.ctx, grad, x, dx, 1, long_row, 1)); /* two segments */
}
