#include "clean.h"

extern "C" {
etude_conv2d_weight_fn_f32 etude_conv2d_weight_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t C = argc > 1 ? 5 : 8, O = 8, H = argc > 1 ? 7 : 8, W = H, N = 12;
    float *x = d.numbers(N * C * H * W), *grad = d.numbers(N * O * H * W);
    float *dw = d.empty<float>(O * C * 9);
    d.ok(etude_conv2d_weight_f32(&d.ctx, grad, x, dw, N, C, H, W, O, 3, 3, H, W, 1, 1, 1, 1, 1, 1,
                                 1)); /* cut along the pixels */
    d.ok(etude_conv2d_weight_f32(&d.ctx, grad, x, dw, 2, C, H, W, C, 3, 3, H, W, 1, 1, 1, 1, 1, 1,
                                 C)); /* a group for each channel */
}
