#include "clean.h"

extern "C" {
etude_conv2d_weight_fn_f32 etude_conv2d_weight_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t N = 2, C = argc > 1 ? 3 : 8, H = argc > 1 ? 9 : 16, O = argc > 1 ? 5 : 16, S = 1;
    float *x = d.numbers(N * C * H * H), *g = d.numbers(N * O * H * H);
    float *dw = d.empty<float>(O * C * 9);
    d.ok(etude_conv2d_weight_f32(&d.ctx, g, x, dw, N, C, H, H, O, 3, 3, H, H, S, S, 1, 1, 1, 1, 1));
}
