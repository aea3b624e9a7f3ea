#include "clean.h"

extern "C" {
etude_conv2d_weight_fn_f32 etude_conv2d_weight_f32;
}

/* The gradient of O kernels of 3 x 3 over N images of C x H x H, padded by 1. */
static void square(Device &d, int64_t N, int64_t C, int64_t H, int64_t O, int64_t groups)
{
    float *x = d.numbers(N * C * H * H), *grad = d.numbers(N * O * H * H);
    float *dw = d.empty<float>(O * C / groups * 9);
    d.ok(etude_conv2d_weight_f32(&d.ctx, grad, x, dw, N, C, H, H, O, 3, 3, H, H, 1, 1, 1, 1, 1, 1,
                                 groups));
}

/* The same with two groups of 5 kernels, and nothing square. */
static void oblong(Device &d, int64_t O)
{
    int64_t C = 12, H = 9, W = 11, OH = (H + 2 - 2 - 1) / 2 + 1, OW = W + 4 - 2 - 1 + 1;
    float *x = d.numbers(2 * C * H * W), *grad = d.numbers(2 * O * OH * OW);
    float *dw = d.empty<float>(O * C / 2 * 6);
    d.ok(etude_conv2d_weight_f32(&d.ctx, grad, x, dw, 2, C, H, W, O, 3, 2, OH, OW, 2, 1, 1, 2, 1, 2,
                                 2));
}

int main(int argc, char **)
{
    Device d;
    int64_t C = argc > 1 ? 5 : 8, H = argc > 1 ? 7 : 8;
    square(d, 12, C, H, 8, 1);          /* cut along the pixels */
    square(d, 2, C, H, C, C);           /* a group for each channel */
    if (argc > 1) {
        oblong(d, 10);
        oblong(d, 4);           /* two kernels of a group */
        square(d, 2, 8, 3, 68, 1); /* large tiles; planes that are smaller than a step */
        square(d, 2, 8, 4, 68, 1); /* by packs */
        square(d, 1, 8, 6, 8, 1);  /* by packs, the last step is not whole */
    }
}
