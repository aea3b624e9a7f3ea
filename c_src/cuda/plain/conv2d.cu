/* conv2d.cu, plain: conv2d and its gradients in the image and in the weight, one thread for a
   number of the result, to be read before the fast ones.

   It refuses to be fast: no matrix product, nothing shared. Each thread walks over all that its
   number is made of, so every pixel is asked for again by every output channel. It is right in
   every case, and it is checked as the fast one is:

       etude check --source c_src/cuda/plain/conv2d.cu

   Reference: packages/etude/src/etude/ops/conv2d.py.
   Fast: c_src/cuda/conv2d.cu (conv2d, conv2d_input) and c_src/cuda/conv2d_weight.cu.
   On the CPU: c_src/cpu/plain/conv2d.c.   float and double (ETUDE_REAL).

   Legend: N images, C input channels, H x W pixels; O output channels, KH x KW taps, OH x OW output
   pixels; strides SH SW, padding PH PW, dilation DH DW. The channels fall into groups: output
   channel o sees the CG = C / groups input channels from o / (O / groups) CG on. All arrays
   contiguous:
       x, dx  N x C x H x W      weight, dw  O x CG x KH x KW     y, grad  N x O x OH x OW
   Everywhere below output pixel (h, w) meets tap (i, j) at input pixel
       (row, column) = (h SH + i DH - PH, w SW + j DW - PW)
   which lies outside of the image, in the padding of zeros, where it is negative or too large.

   On the CPU conv2d_input lets each output pixel give to the pixels it was made of. Here two
   threads could then give to one pixel at once, so each pixel asks instead: which output pixels saw
   me? */
#include "../kernel.cuh"

struct geometry {
    int64_t N, C, H, W, O, KH, KW, OH, OW, SH, SW, PH, PW, DH, DW, groups;
};

/* y[n][o][h][w] = bias[o] + sum_{c,i,j} x[n][first + c][row][column] weight[o][c][i][j]. Neighbours
   in a warp have neighbouring w: their pixels lie side by side, their weight is the same. */
static __global__ void conv2d_pixel(geometry g, const real *x, const real *weight,
                                    const real *bias, real *y)
{
    int64_t pixels = g.N * g.O * g.OH * g.OW, CG = g.C / g.groups;
    for (int64_t at = first_item(); at < pixels; at += all_threads()) {
        int64_t w = at % g.OW, h = at / g.OW % g.OH, o = at / g.OW / g.OH % g.O;
        int64_t n = at / g.OW / g.OH / g.O, first = o / (g.O / g.groups) * CG;
        real sum = 0;
        for (int64_t c = 0; c < CG; c++) {
            const real *plane = x + (n * g.C + first + c) * g.H * g.W;
            const real *taps = weight + (o * CG + c) * g.KH * g.KW;
            for (int64_t i = 0; i < g.KH; i++)
                for (int64_t j = 0; j < g.KW; j++) {
                    int64_t row = h * g.SH + i * g.DH - g.PH, column = w * g.SW + j * g.DW - g.PW;
                    if (row >= 0 && row < g.H && column >= 0 && column < g.W)
                        sum += taps[i * g.KW + j] * plane[row * g.W + column];
                }
        }
        y[at] = bias ? sum + bias[o] : sum;
    }
}

/* dx[n][channel][row][column] = sum of grad[n][o][h][w] weight[o][c][i][j] over the output channels
   o of its group and all taps (i, j) for which h SH = row + PH - i DH has a whole h that exists,
   and w too. */
static __global__ void conv2d_input_pixel(geometry g, const real *grad, const real *weight,
                                          real *dx)
{
    int64_t pixels = g.N * g.C * g.H * g.W, CG = g.C / g.groups, OG = g.O / g.groups;
    for (int64_t at = first_item(); at < pixels; at += all_threads()) {
        int64_t column = at % g.W, row = at / g.W % g.H, channel = at / g.W / g.H % g.C;
        int64_t n = at / g.W / g.H / g.C, c = channel % CG, first = channel / CG * OG;
        real sum = 0;
        for (int64_t o = first; o < first + OG; o++) {
            const real *from = grad + (n * g.O + o) * g.OH * g.OW;
            const real *taps = weight + (o * CG + c) * g.KH * g.KW;
            for (int64_t i = 0; i < g.KH; i++)
                for (int64_t j = 0; j < g.KW; j++) {
                    int64_t top = row + g.PH - i * g.DH, left = column + g.PW - j * g.DW;
                    if (top < 0 || left < 0 || top % g.SH != 0 || left % g.SW != 0)
                        continue;
                    int64_t h = top / g.SH, w = left / g.SW;
                    if (h < g.OH && w < g.OW)
                        sum += taps[i * g.KW + j] * from[h * g.OW + w];
                }
        }
        dx[at] = sum;
    }
}

/* dw[o][c][i][j] = sum_{n,h,w} grad[n][o][h][w] x[n][first + c][row][column]: what the tap saw in
   every image and at every place, weighted by grad. There are many places, so the sum is double. */
static __global__ void conv2d_weight_tap(geometry g, const real *grad, const real *x, real *dw)
{
    int64_t CG = g.C / g.groups, taps = g.O * CG * g.KH * g.KW;
    for (int64_t at = first_item(); at < taps; at += all_threads()) {
        int64_t j = at % g.KW, i = at / g.KW % g.KH, c = at / g.KW / g.KH % CG;
        int64_t o = at / g.KW / g.KH / CG, first = o / (g.O / g.groups) * CG;
        double sum = 0;
        for (int64_t n = 0; n < g.N; n++) {
            const real *from = grad + (n * g.O + o) * g.OH * g.OW;
            const real *plane = x + (n * g.C + first + c) * g.H * g.W;
            for (int64_t h = 0; h < g.OH; h++)
                for (int64_t w = 0; w < g.OW; w++) {
                    int64_t row = h * g.SH + i * g.DH - g.PH, column = w * g.SW + j * g.DW - g.PW;
                    int inside = row >= 0 && row < g.H && column >= 0 && column < g.W;
                    real seen = inside ? plane[row * g.W + column] : 0;
                    sum += (double)from[h * g.OW + w] * seen;
                }
        }
        dw[at] = (real)sum;
    }
}

ETUDE_KERNEL(conv2d, conv2d)(etude_context *ctx, const real *x, const real *weight,
                             const real *bias, real *y, int64_t N, int64_t C, int64_t H, int64_t W,
                             int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH,
                             int64_t SW, int64_t PH, int64_t PW, int64_t DH, int64_t DW,
                             int64_t groups)
{
    geometry g = {N, C, H, W, O, KH, KW, OH, OW, SH, SW, PH, PW, DH, DW, groups};
    conv2d_pixel<<<blocks_for(N * O * OH * OW), THREADS, 0, stream_of(ctx)>>>(g, x, weight, bias,
                                                                              y);
    return launched(ctx, "conv2d_pixel");
}

ETUDE_KERNEL(conv2d_input, conv2d_input)(etude_context *ctx, const real *grad, const real *weight,
                                         real *dx, int64_t N, int64_t C, int64_t H, int64_t W,
                                         int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW,
                                         int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,
                                         int64_t DW, int64_t groups)
{
    geometry g = {N, C, H, W, O, KH, KW, OH, OW, SH, SW, PH, PW, DH, DW, groups};
    conv2d_input_pixel<<<blocks_for(N * C * H * W), THREADS, 0, stream_of(ctx)>>>(g, grad, weight,
                                                                                  dx);
    return launched(ctx, "conv2d_input_pixel");
}

ETUDE_KERNEL(conv2d_weight, conv2d_weight)(etude_context *ctx, const real *grad, const real *x,
                                           real *dw, int64_t N, int64_t C, int64_t H, int64_t W,
                                           int64_t O, int64_t KH, int64_t KW, int64_t OH,
                                           int64_t OW, int64_t SH, int64_t SW, int64_t PH,
                                           int64_t PW, int64_t DH, int64_t DW, int64_t groups)
{
    geometry g = {N, C, H, W, O, KH, KW, OH, OW, SH, SW, PH, PW, DH, DW, groups};
    int64_t taps = O * (C / groups) * KH * KW;
    conv2d_weight_tap<<<blocks_for(taps), THREADS, 0, stream_of(ctx)>>>(g, grad, x, dw);
    return launched(ctx, "conv2d_weight_tap");
}
