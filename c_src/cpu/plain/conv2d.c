/* conv2d.c, plain: conv2d and its gradients in the image and in the weight, as loops over every
   index of the formula, to be read before the fast ones.

   It refuses to be fast: no matrix product, no padded copy, no threads. Even on one core it
   takes 50 to 100 times as long as the fast ones (3 x 3 taps, 32 and 64 channels, float32, a core
   with AVX-512, November 2026). It is right in every case, and it is checked as the fast ones are:

       etude check --source c_src/cpu/plain/conv2d.c                              float32
       CFLAGS=-DETUDE_REAL=64 etude check --source c_src/cpu/plain/conv2d.c       float64

   Reference: packages/etude/src/etude/ops/conv2d.py.
   Fast: c_src/cpu/conv2d.c (conv2d, conv2d_input) and c_src/cpu/conv2d_weight.c.

   Legend: N images, C input channels, H x W pixels; O output channels, KH x KW taps, OH x OW output
   pixels; strides SH SW, padding PH PW, dilation DH DW. The channels fall into groups: output
   channel o sees the CG = C / groups input channels from `first` = o / (O / groups) CG on. All
   arrays contiguous:
       x, dx  N x C x H x W      weight, dw  O x CG x KH x KW     y, grad  N x O x OH x OW
   Everywhere below output pixel (h, w) meets tap (i, j) at input pixel
       (row, column) = (h SH + i DH - PH, w SW + j DW - PW)
   which lies outside of the image, in the padding of zeros, where it is negative or too large. */
#include "../kernel.h"

/* x[row][column], and 0 around it. */
static real pixel(const real *x, int64_t H, int64_t W, int64_t row, int64_t column)
{
    int inside = row >= 0 && row < H && column >= 0 && column < W;
    return inside ? x[row * W + column] : 0;
}

/* y[n][o][h][w] = bias[o] + sum_{c,i,j} x[n][first + c][row][column] weight[o][c][i][j].
   Threads would each take some of the images, or of the output channels. */
ETUDE_KERNEL(conv2d, conv2d)(etude_context *ctx, const real *x, const real *weight,
                             const real *bias, real *y, int64_t N, int64_t C, int64_t H, int64_t W,
                             int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH,
                             int64_t SW, int64_t PH, int64_t PW, int64_t DH, int64_t DW,
                             int64_t groups)
{
    (void)ctx;
    int64_t CG = C / groups;
    for (int64_t n = 0; n < N; n++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t h = 0; h < OH; h++)
                for (int64_t w = 0; w < OW; w++) {
                    real sum = 0;
                    int64_t first = o / (O / groups) * CG;
                    for (int64_t c = 0; c < CG; c++) {
                        const real *plane = x + (n * C + first + c) * H * W;
                        const real *taps = weight + (o * CG + c) * KH * KW;
                        for (int64_t i = 0; i < KH; i++)
                            for (int64_t j = 0; j < KW; j++)
                                sum += taps[i * KW + j] *
                                       pixel(plane, H, W, h * SH + i * DH - PH,
                                             w * SW + j * DW - PW);
                    }
                    y[((n * O + o) * OH + h) * OW + w] = bias ? sum + bias[o] : sum;
                }
    return ETUDE_OK;
}

/* dx[n][first + c][row][column] = sum of grad[n][o][h][w] weight[o][c][i][j] over all o, h, w, i, j
   that meet there: each output pixel gives back to the pixels it was made of. What it would give to the
   padding is dropped. Threads would each take some of the planes (n, c): two output pixels may give
   to the same input pixel. */
ETUDE_KERNEL(conv2d_input, conv2d_input)(etude_context *ctx, const real *grad, const real *weight,
                                         real *dx, int64_t N, int64_t C, int64_t H, int64_t W,
                                         int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW,
                                         int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,
                                         int64_t DW, int64_t groups)
{
    (void)ctx;
    for (int64_t i = 0; i < N * C * H * W; i++)
        dx[i] = 0;
    int64_t CG = C / groups;
    for (int64_t n = 0; n < N; n++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t c = 0; c < CG; c++) {
                int64_t first = o / (O / groups) * CG;
                real *plane = dx + (n * C + first + c) * H * W;
                const real *taps = weight + (o * CG + c) * KH * KW;
                const real *from = grad + (n * O + o) * OH * OW;
                for (int64_t h = 0; h < OH; h++)
                    for (int64_t w = 0; w < OW; w++)
                        for (int64_t i = 0; i < KH; i++)
                            for (int64_t j = 0; j < KW; j++) {
                                int64_t row = h * SH + i * DH - PH, column = w * SW + j * DW - PW;
                                if (row >= 0 && row < H && column >= 0 && column < W)
                                    plane[row * W + column] += from[h * OW + w] * taps[i * KW + j];
                            }
            }
    return ETUDE_OK;
}

/* dw[o][c][i][j] = sum_{n,h,w} grad[n][o][h][w] x[n][first + c][row][column]: what the tap saw in
   every image and at every place, weighted by grad. Threads would each take some of the taps. */
ETUDE_KERNEL(conv2d_weight, conv2d_weight)(etude_context *ctx, const real *grad, const real *x,
                                           real *dw, int64_t N, int64_t C, int64_t H, int64_t W,
                                           int64_t O, int64_t KH, int64_t KW, int64_t OH,
                                           int64_t OW, int64_t SH, int64_t SW, int64_t PH,
                                           int64_t PW, int64_t DH, int64_t DW, int64_t groups)
{
    (void)ctx;
    int64_t CG = C / groups;
    for (int64_t o = 0; o < O; o++)
        for (int64_t c = 0; c < CG; c++)
            for (int64_t i = 0; i < KH; i++)
                for (int64_t j = 0; j < KW; j++) {
                    real sum = 0;
                    int64_t first = o / (O / groups) * CG;
                    for (int64_t n = 0; n < N; n++) {
                        const real *from = grad + (n * O + o) * OH * OW;
                        const real *plane = x + (n * C + first + c) * H * W;
                        for (int64_t h = 0; h < OH; h++)
                            for (int64_t w = 0; w < OW; w++)
                                sum += from[h * OW + w] *
                                       pixel(plane, H, W, h * SH + i * DH - PH,
                                             w * SW + j * DW - PW);
                    }
                    dw[((o * CG + c) * KH + i) * KW + j] = sum;
                }
    return ETUDE_OK;
}
