#include "clean.h"

extern "C" {
etude_pool2d_fn_f32 etude_max_pool2d_f32;
etude_pool2d_backward_fn_f32 etude_max_pool2d_backward_f32;
etude_avg_pool2d_fn_f32 etude_avg_pool2d_f32, etude_avg_pool2d_backward_f32;
etude_adaptive_pool2d_fn_f32 etude_adaptive_avg_pool2d_f32, etude_adaptive_avg_pool2d_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t planes = 3, H = argc > 1 ? 11 : 16, W = H + 1, OH = (H - 1) / 2 + 1;
    int64_t OW = (W - 1) / 2 + 1, outputs = planes * OH * OW, pixels = planes * H * W;
    float *x = d.numbers(pixels), *y = d.empty<float>(outputs), *dx = d.empty<float>(pixels);
    int64_t *index = d.empty<int64_t>(outputs);
    d.ok(etude_max_pool2d_f32(&d.ctx, x, y, index, planes, H, W, OH, OW, 3, 3, 2, 2, 1, 1, 1, 1));
    d.ok(etude_max_pool2d_backward_f32(&d.ctx, y, index, dx, planes, H, W, OH, OW));
    for (int padding_counts : {0, 1}) {
        d.ok(etude_avg_pool2d_f32(&d.ctx, x, y, planes, H, W, OH, OW, 3, 3, 2, 2, 1, 1,
                                  padding_counts, NAN));
        d.ok(etude_avg_pool2d_backward_f32(&d.ctx, y, dx, planes, H, W, OH, OW, 3, 3, 2, 2, 1, 1,
                                           padding_counts, NAN));
    }
    d.ok(etude_avg_pool2d_f32(&d.ctx, x, y, planes, H, W, OH, OW, 3, 3, 2, 2, 1, 1, 1, 7));
    for (int64_t bins : {1, 3}) { /* a warp or a thread for a bin */
        d.ok(etude_adaptive_avg_pool2d_f32(&d.ctx, x, y, planes, H, W, bins, bins));
        d.ok(etude_adaptive_avg_pool2d_backward_f32(&d.ctx, y, dx, planes, H, W, bins, bins));
    }
    if (argc > 1) { /* dilated windows on NaN, infinities and ties, nothing square */
        d.ok(etude_max_pool2d_f32(&d.ctx, d.specials(pixels), y, index, planes, H, W, 4, 5, 2, 3, 3,
                                  2, 1, 1, 3, 2));
        d.ok(etude_avg_pool2d_f32(&d.ctx, x, y, planes, H, W, 4, 6, 4, 2, 3, 2, 2, 1, 0, NAN));
        d.ok(etude_avg_pool2d_backward_f32(&d.ctx, y, dx, planes, H, W, 4, 3, 5, 4, 2, 3, 0, 0, 1,
                                           NAN));
        d.ok(etude_adaptive_avg_pool2d_f32(&d.ctx, x, y, planes, H, W, 4, 5));
        d.ok(etude_adaptive_avg_pool2d_backward_f32(&d.ctx, y, dx, planes, H, W, 4, 5));
        /* many outputs for one pixel, pixels that share a slot, indices that are out of range */
        float *grad = d.numbers(2 * 600), *sums = d.empty<float>(2 * 60 * 61);
        std::vector<int64_t> from(2 * 600);
        for (size_t i = 0; i < from.size(); i++)
            from[i] = i % 3 * 1024 + i % 7;
        d.ok(etude_max_pool2d_backward_f32(&d.ctx, grad, d.given(from), sums, 2, 60, 61, 20, 30));
        from[7] = -1, from[9] = from[600] = 60 * 61;
        d.ok(etude_max_pool2d_backward_f32(&d.ctx, grad, d.given(from), sums, 2, 60, 61, 20, 30),
             ETUDE_BAD_INDEX);
    }
}
