#include "clean.h"

extern "C" {
etude_conv2d_fn_f32 etude_conv2d_f32;
etude_conv2d_input_fn_f32 etude_conv2d_input_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t C = argc > 1 ? 5 : 8, O = 8, H = argc > 1 ? 7 : 8, W = H;
    float *x = d.numbers(2 * C * H * W), *w = d.numbers(O * C * 9), *b = d.numbers(O);
    float *y = d.empty<float>(2 * O * H * W), *dx = d.empty<float>(2 * C * H * W);
    d.ok(etude_conv2d_f32(&d.ctx, x, w, b, y, 2, C, H, W, O, 3, 3, H, W, 1, 1, 1, 1, 1, 1, 1));
    d.ok(etude_conv2d_input_f32(&d.ctx, y, w, dx, 2, C, H, W, O, 3, 3, H, W, 1, 1, 1, 1, 1, 1, 1));
    /* stride 2; then a group for each channel */
    int64_t h = (H - 1) / 2 + 1;
    d.ok(etude_conv2d_f32(&d.ctx, x, w, b, y, 2, C, H, W, O, 3, 3, h, h, 2, 2, 1, 1, 1, 1, 1));
    d.ok(etude_conv2d_input_f32(&d.ctx, y, w, dx, 2, C, H, W, O, 3, 3, h, h, 2, 2, 1, 1, 1, 1, 1));
    d.ok(etude_conv2d_f32(&d.ctx, x, w, b, y, 2, C, H, W, C, 3, 3, H, W, 1, 1, 1, 1, 1, 1, C));
    d.ok(etude_conv2d_input_f32(&d.ctx, y, w, dx, 2, C, H, W, C, 3, 3, H, W, 1, 1, 1, 1, 1, 1, C));
}
