#include "clean.h"

extern "C" {
etude_map_fn_f32 etude_exp_f32, etude_sin_f32, etude_cos_f32, etude_sigmoid_f32, etude_gelu_f32;
etude_equal_fn_f32 etude_relu_backward_f32, etude_gelu_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 1001 : 4096;
    float *x = d.specials(n), *y = d.specials(n), *z = d.empty<float>(n);
    d.ok(etude_exp_f32(&d.ctx, x, z, n, 0, 0));
    d.ok(etude_sin_f32(&d.ctx, x, z, n, 0, 0));
    d.ok(etude_cos_f32(&d.ctx, x, z, n, 0, 0));
    d.ok(etude_sigmoid_f32(&d.ctx, x, z, n, 0, 0));
    for (int tanh : {0, 1}) {
        d.ok(etude_gelu_f32(&d.ctx, x, z, n, tanh, 0));
        d.ok(etude_gelu_backward_f32(&d.ctx, x, y, z, n, tanh));
    }
    d.ok(etude_relu_backward_f32(&d.ctx, x, y, z, n, 0));
    d.ok(etude_gelu_f32(&d.ctx, x, x, n, 1, 0));
}
