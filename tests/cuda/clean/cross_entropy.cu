#include "clean.h"

extern "C" {
etude_cross_entropy_fn_f32 etude_cross_entropy_f32;
etude_cross_entropy_backward_fn_f32 etude_cross_entropy_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t N = 33, C = argc > 1 ? 45 : 64, *target = d.indices(N, C);
    float *x = d.numbers(N * C), *weight = d.numbers(C), *loss = d.empty<float>(N);
    float *top = d.empty<float>(N), *log_sum = d.empty<float>(N), *dx = d.empty<float>(N * C);
    d.ok(etude_cross_entropy_f32(&d.ctx, x, target, weight, loss, top, log_sum, N, C, 0, -100, 0.1));
    d.ok(etude_cross_entropy_backward_f32(&d.ctx, loss, x, target, weight, top, log_sum, dx, N, C, 0,
                                          -100, 0.1));
    d.ok(etude_cross_entropy_f32(&d.ctx, x, target, NULL, loss, top, log_sum, N, C, 2, 3, 0));
}
