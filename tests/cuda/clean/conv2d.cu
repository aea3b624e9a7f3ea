#include "clean.h"

extern "C" {
etude_conv2d_fn_f32 etude_conv2d_f32;
etude_conv2d_input_fn_f32 etude_conv2d_input_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t N = 2, C = argc > 1 ? 3 : 8, H = argc > 1 ? 9 : 16, O = argc > 1 ? 5 : 16, S = 1;
    float *x = d.numbers(N * C * H * H), *w = d.numbers(O * C * 9), *bias = d.numbers(O);
    float *y = d.empty<float>(N * O * H * H);
    d.ok(etude_conv2d_f32(&d.ctx, x, w, bias, y, N, C, H, H, O, 3, 3, H, H, S, S, 1, 1, 1, 1, 1));
    d.ok(etude_conv2d_input_f32(&d.ctx, y, w, x, N, C, H, H, O, 3, 3, H, H, S, S, 1, 1, 1, 1, 1));
}
