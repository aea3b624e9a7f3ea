/* conv2d_weight.cu: the gradient of conv2d in its weight.
   Reference: `conv2d_weight` in packages/etude/src/etude/ops/conv2d.py.
   On the CPU: c_src/cpu/conv2d_weight.c.
   Read first: `conv2d_weight` in c_src/cuda/plain/conv2d.cu, the same with one thread for a weight.

   Legend: as in conv2d.cu. float and double (ETUDE_REAL).

   Plan. dw[o][tap] = sum over pixels of grad[o][pixel] x[tap][pixel], tap = (c, i, j): a product
   O x taps on the tiles of gemm.cuh, for each group, as deep as there are pixels in all images. So
   there are few tiles and they are deep: the pixels are cut into parts, each with sums of its own,
   which then add up in order (gemm.cuh says how many).
   grad is contiguous along the pixels: 16 bytes a lane where a plane is made of whole packs. A warp
   reads x for 8 pixels side by side and 4 taps, 32 bytes each with a stride of 1: 4 to 8 sectors.
   In shared memory these 32 numbers go to 32 banks.
   Groups of up to 4 output channels (depthwise) would leave a tile empty: there a block has one
   weight, and its threads share the pixels.

   Aimed at: 65 % of the peak of float from 64 channels up; finding the pixel of every step costs a
   tenth. */
#include "gemm.cuh"
#include "rows.cuh"

struct weight_call {
    const real *grad, *x;
    real *dw;
    int64_t N, C, H, W, O, KH, KW, OH, OW, SH, SW, PH, PW, DH, DW, groups;
    int64_t K, pixels;     /* taps of a channel, pixels of all images */
    int64_t parts, length; /* of the pixels */
};

/* ---- Loaders --------------------------------------------------------------------------------- */

namespace {

/* Where a pixel is: its image, and its place in the plane. */
struct place {
    int image, at;
};

ETUDE_DEVICE place advance(place p, int by, int plane)
{
    p.at += by;
    if (p.at >= plane) {
        p.image += p.at / plane;
        p.at %= plane;
    }
    return p;
}

/* Gradients, along the pixels. With N = PACK planes are made of whole packs and aligned. */
template <int P, int N> struct grad_loader {
    const real *at; /* of this thread's channel, image 0 */
    int64_t image;  /* from one image to the next */
    place pixel;
    int plane, s, k, channels, depth;

    ETUDE_METHOD grad_loader(const weight_call &q, int64_t group, int64_t from, int64_t begin,
                             int64_t end)
    {
        const int id = (int)threadIdx.x, SIDE = gemm<P>::SIDE;
        int64_t per_group = q.O / q.groups;
        s = id / 2 % SIDE;
        k = (id % 2 + id / (2 * SIDE) * 2) * PACK;
        plane = (int)(q.OH * q.OW);
        image = q.O * plane;
        at = q.grad + (group * per_group + from + s) * plane;
        channels = (int)least(per_group - from, SIDE);
        depth = (int)(end - begin) - k;
        pixel = advance({0, 0}, (int)begin + k, plane);
    }

    ETUDE_METHOD pack<PACK> fetch()
    {
        pack<PACK> v;
        if (N == PACK && s < channels && depth > 0)
            v = load<PACK>(at + pixel.image * image + pixel.at);
        else
            for (int i = 0; i < PACK; i++) {
                v.at[i] = 0;
                if (N == 1 && s < channels && depth > i) {
                    place p = advance(pixel, i, plane);
                    v.at[i] = at[p.image * image + p.at];
                }
            }
        pixel = advance(pixel, gemm<P>::DEPTH, plane);
        depth -= gemm<P>::DEPTH;
        return v;
    }

    ETUDE_METHOD void put(typename gemm<P>::line *to, const pack<PACK> &v) const
    {
        for (int i = 0; i < PACK; i++)
            to[k + i][s] = v.at[i];
    }
};

/* What a tap sees: a thread has every 32nd tap of the tile, and every 8th pixel. */
template <int P> struct window_loader {
    enum { TAPS = gemm<P>::SIDE / 32, PIXELS = gemm<P>::DEPTH / 8 };
    const weight_call &q;
    const real *x;    /* image 0, channel 0 of the group */
    int corner[TAPS]; /* of the tap, from the pixel's place on: plane, row and column */
    int row[TAPS], column[TAPS];
    int s, k, pixel, end;

    ETUDE_METHOD window_loader(const weight_call &q, int64_t group, int64_t from, int64_t begin,
                               int64_t end)
        : q(q), end((int)end)
    {
        s = (int)threadIdx.x / WARP * 4 + lane_of_warp() / 8;
        k = lane_of_warp() % 8;
        pixel = (int)begin + k;
        x = q.x + group * (q.C / q.groups) * q.H * q.W;
        for (int t = 0; t < TAPS; t++) {
            int64_t n = from + s + 32 * t, area = q.KH * q.KW;
            row[t] = (int)(n % area / q.KW * q.DH - q.PH);
            column[t] = (int)(n % area % q.KW * q.DW - q.PW);
            corner[t] = (int)(n / area * q.H * q.W + row[t] * q.W + column[t]);
            if (n >= q.K) /* behind the last tap: always outside */
                row[t] = INT32_MIN / 2;
        }
    }

    ETUDE_METHOD pack<PACK> fetch()
    {
        pack<PACK> v;
#pragma unroll
        for (int d = 0; d < PIXELS; d++) {
            int p = pixel + 8 * d, OW = (int)q.OW, plane = (int)q.OH * OW;
            int n = p / plane, h = p % plane / OW * (int)q.SH, w = p % OW * (int)q.SW;
            const real *from = x + n * (q.C * q.H * q.W) + (h * (int)q.W + w);
#pragma unroll
            for (int t = 0; t < TAPS; t++) {
                int above = h + row[t], left = w + column[t];
                int inside = p < end && above >= 0 && above < q.H && left >= 0 && left < q.W;
                v.at[d * TAPS + t] = inside ? from[corner[t]] : 0;
            }
        }
        pixel += gemm<P>::DEPTH;
        return v;
    }

    ETUDE_METHOD void put(typename gemm<P>::line *to, const pack<PACK> &v) const
    {
#pragma unroll
        for (int d = 0; d < PIXELS; d++)
#pragma unroll
            for (int t = 0; t < TAPS; t++)
                to[k + 8 * d][s + 32 * t] = v.at[d * TAPS + t];
    }
};

} // namespace

/* ---- Tiles ----------------------------------------------------------------------------------- */

/* blockIdx.x counts (group, part, tile of channels, tile of taps), the last the fastest. The larger
   tile wants more than 128 registers, so that a multiprocessor has one of its blocks at a time. */
template <int P, int N>
static __global__ void __launch_bounds__(GEMM_THREADS, P == 2 ? 1 : 2)
    conv_weight_tiles(weight_call q)
{
    typedef gemm<P> G;
    int64_t channels = q.O / q.groups;
    int64_t columns = pieces(q.K, G::SIDE), rows = pieces(channels, G::SIDE);
    int64_t n0 = blockIdx.x % columns * G::SIDE, rest = blockIdx.x / columns;
    int64_t m0 = rest % rows * G::SIDE, part = rest / rows % q.parts;
    int64_t group = rest / rows / q.parts;
    int64_t begin = part * q.length, end = least(q.pixels, begin + q.length);

    grad_loader<P, N> a(q, group, m0, begin, end);
    window_loader<P> b(q, group, n0, begin, end);
    typename G::tile t;
    G::run(a, b, (int)(end - begin), t);

    real *dw = q.dw + (part * q.O + group * channels) * q.K;
#pragma unroll
    for (int i = 0; i < G::OWN; i++) {
        int64_t o = m0 + G::place(G::thread_row(), i);
#pragma unroll
        for (int j = 0; j < G::OWN; j++) {
            int64_t n = n0 + G::place(G::thread_column(), j);
            if (o < channels && n < q.K)
                dw[o * q.K + n] = t.sum[i][j];
        }
    }
}

/* ---- Narrow groups --------------------------------------------------------------------------- */

/* One block, one weight: number blockIdx.x of dw. */
static __global__ void conv_weight_narrow(weight_call q)
{
    int64_t o = blockIdx.x / q.K, n = blockIdx.x % q.K, plane = q.OH * q.OW;
    int64_t c = o / (q.O / q.groups) * (q.C / q.groups) + n / (q.KH * q.KW);
    int64_t row = n / q.KW % q.KH * q.DH - q.PH, column = n % q.KW * q.DW - q.PW;
    wide sum = 0;
    for (int64_t p = threadIdx.x; p < q.pixels; p += blockDim.x) {
        int64_t image = p / plane, at = p % plane;
        int64_t h = at / q.OW * q.SH + row, w = at % q.OW * q.SW + column;
        real seen = 0;
        if (h >= 0 && h < q.H && w >= 0 && w < q.W)
            seen = q.x[((image * q.C + c) * q.H + h) * q.W + w];
        sum += (wide)q.grad[(image * q.O + o) * plane + at] * seen;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        q.dw[blockIdx.x] = (real)sum;
}

/* ---- The op ---------------------------------------------------------------------------------- */

enum { NARROW = 4 }; /* output channels of a group */

static int run_weight_tiles(etude_context *ctx, weight_call q)
{
    real *dw = q.dw;
    int64_t channels = q.O / q.groups, large = gemm<2>::SIDE, small = gemm<1>::SIDE;
    int use_large = channels > small && q.K > small;
    int64_t side = use_large ? large : small;
    int64_t tiles = q.groups * pieces(channels, side) * pieces(q.K, side);
    q.parts = parts_of_k(tiles, q.pixels);
    q.length = part_length(q.pixels, q.parts);
    if (q.parts > 1) {
        q.dw = (real *)etude_scratch(ctx, (size_t)(q.parts * q.O * q.K) * sizeof(real));
        if (!q.dw)
            return ETUDE_NO_MEMORY;
    }
    unsigned blocks = (unsigned)(tiles * q.parts);
    cudaStream_t stream = stream_of(ctx);
    int packed = q.OH * q.OW % PACK == 0 && aligned(q.grad);
    if (use_large && packed)
        conv_weight_tiles<2, PACK><<<blocks, GEMM_THREADS, 0, stream>>>(q);
    else if (use_large)
        conv_weight_tiles<2, 1><<<blocks, GEMM_THREADS, 0, stream>>>(q);
    else if (packed)
        conv_weight_tiles<1, PACK><<<blocks, GEMM_THREADS, 0, stream>>>(q);
    else
        conv_weight_tiles<1, 1><<<blocks, GEMM_THREADS, 0, stream>>>(q);
    int status = launched(ctx, "conv_weight_tiles");
    if (q.parts == 1 || status != ETUDE_OK)
        return status;
    int64_t all = q.O * q.K;
    add_parts<<<blocks_for(all), THREADS, 0, stream>>>(q.dw, NULL, dw, q.parts, all, 1, 1);
    return launched(ctx, "add_parts");
}

ETUDE_KERNEL(conv2d_weight, conv2d_weight)(etude_context *ctx, const real *grad, const real *x,
                                           real *dw, int64_t N, int64_t C, int64_t H, int64_t W,
                                           int64_t O, int64_t KH, int64_t KW, int64_t OH,
                                           int64_t OW, int64_t SH, int64_t SW, int64_t PH,
                                           int64_t PW, int64_t DH, int64_t DW, int64_t groups)
{
    weight_call q = {grad, x, dw, N, C, H, W, O, KH, KW, OH, OW, SH, SW, PH, PW, DH, DW, groups,
                     C / groups * KH * KW, N * OH * OW, 1, 0};
    if (O == 0 || q.K == 0)
        return ETUDE_OK;
    if (q.pixels > INT32_MAX || C * H * W > INT32_MAX / 2) {
        snprintf(ctx->error, sizeof ctx->error, "more than 2^31 pixels, or 2^30 in an image");
        return ETUDE_UNSUPPORTED;
    }
    if (q.pixels == 0)
        return filled(ctx, "conv2d_weight", dw, 0, (size_t)(O * q.K) * sizeof(real));
    if (O / groups > NARROW)
        return run_weight_tiles(ctx, q);
    conv_weight_narrow<<<(unsigned)(O * q.K), THREADS, 0, stream_of(ctx)>>>(q);
    return launched(ctx, "conv_weight_narrow");
}
