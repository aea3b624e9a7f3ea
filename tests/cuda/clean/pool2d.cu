#include "clean.h"

extern "C" {
etude_pool2d_fn_f32 etude_max_pool2d_f32;
etude_pool2d_backward_fn_f32 etude_max_pool2d_backward_f32;
etude_avg_pool2d_fn_f32 etude_avg_pool2d_f32, etude_avg_pool2d_backward_f32;
etude_adaptive_pool2d_fn_f32 etude_adaptive_avg_pool2d_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t planes = 6, H = argc > 1 ? 9 : 32, O = H / 2;
    float *x = d.numbers(planes * H * H), *y = d.empty<float>(planes * O * O);
    float *dx = d.empty<float>(planes * H * H);
    int64_t *index = d.empty<int64_t>(planes * O * O);
    d.ok(etude_max_pool2d_f32(&d.ctx, x, y, index, planes, H, H, O, O, 2, 2, 2, 2, 0, 0, 1, 1));
    d.ok(etude_max_pool2d_backward_f32(&d.ctx, y, index, dx, planes, H, H, O, O));
    d.ok(etude_avg_pool2d_f32(&d.ctx, x, y, planes, H, H, O, O, 2, 2, 2, 2, 0, 0, 1, NAN));
    d.ok(etude_avg_pool2d_backward_f32(&d.ctx, y, dx, planes, H, H, O, O, 2, 2, 2, 2, 0, 0, 1, NAN));
    d.ok(etude_adaptive_avg_pool2d_f32(&d.ctx, x, y, planes, H, H, 3, 3));
}
