#include "clean.h"

extern "C" {
etude_conv2d_fn_f32 etude_conv2d_f32;
etude_conv2d_input_fn_f32 etude_conv2d_input_f32;
}

/* Two images of C x H x W and O kernels of KH x KW, and the steps in rows and columns. */
struct geometry {
    int64_t C, H, W, O, KH, KW, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
};

static int64_t outputs(int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation)
{
    return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

/* The convolution, and the gradient of its images. */
static void both(Device &d, const geometry &g, bool with_bias = true)
{
    int64_t OH = outputs(g.H, g.KH, g.stride_h, g.pad_h, g.dilation_h);
    int64_t OW = outputs(g.W, g.KW, g.stride_w, g.pad_w, g.dilation_w);
    float *x = d.numbers(2 * g.C * g.H * g.W), *w = d.numbers(g.O * g.C / g.groups * g.KH * g.KW);
    float *b = with_bias ? d.numbers(g.O) : NULL, *y = d.empty<float>(2 * g.O * OH * OW);
    float *dx = d.empty<float>(2 * g.C * g.H * g.W);
    d.ok(etude_conv2d_f32(&d.ctx, x, w, b, y, 2, g.C, g.H, g.W, g.O, g.KH, g.KW, OH, OW, g.stride_h,
                          g.stride_w, g.pad_h, g.pad_w, g.dilation_h, g.dilation_w, g.groups));
    d.ok(etude_conv2d_input_f32(&d.ctx, y, w, dx, 2, g.C, g.H, g.W, g.O, g.KH, g.KW, OH, OW,
                                g.stride_h, g.stride_w, g.pad_h, g.pad_w, g.dilation_h,
                                g.dilation_w, g.groups));
}

int main(int argc, char **)
{
    Device d;
    int64_t C = argc > 1 ? 5 : 8, H = argc > 1 ? 7 : 8, W = H;
    both(d, {C, H, W, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1});
    both(d, {C, H, W, 8, 3, 3, 2, 2, 1, 1, 1, 1, 1}, false);
    both(d, {C, H, W, C, 3, 3, 1, 1, 1, 1, 1, 1, C}); /* a group for each channel */
    if (argc > 1) {
        both(d, {12, 9, 11, 10, 3, 2, 2, 1, 1, 2, 1, 2, 2}); /* two groups, nothing square */
        both(d, {4, 9, 11, 6, 3, 2, 1, 1, 1, 1, 1, 1, 2}); /* of few channels each */
        both(d, {3, 9, 11, 2, 3, 2, 1, 2, 1, 2, 2, 1, 1});
        both(d, {6, 9, 11, 70, 1, 1, 9, 9, 0, 0, 1, 1, 1}); /* most pixels are skipped */
        both(d, {3, 96, 100, 68, 1, 1, 1, 1, 0, 0, 1, 1, 1}); /* large tiles */
    } else
        both(d, {4, 96, 100, 68, 1, 1, 1, 1, 0, 0, 1, 1, 1});
}
