/* conv2d.cu: conv2d and its gradient in the image, conv2d_input. conv2d_weight.cu has the other.
   Reference: packages/etude/src/etude/ops/conv2d.py.   On the CPU: c_src/cpu/conv2d.c.
   Read first: c_src/cuda/plain/conv2d.cu, the same with one thread for a pixel.

   Legend: N images, C input channels, H x W pixels; O output channels, KH x KW taps, OH x OW output
   pixels; strides SH SW, padding PH PW, dilation DH DW. Everything NCHW contiguous. float and
   double (ETUDE_REAL).

   Plan. Both are one matrix product with an operand that is never written out (an implicit GEMM on
   the tiles of gemm.cuh), for each group of channels:

       out[channel][pixel] = sum over taps of weight[channel][tap] in[tap][pixel]

   A table in global memory, made by a small kernel, says for every tap (channel, i, j) where its
   weight is and how far from the pixel it looks. All lanes of a warp read the same entry. Each
   thread loads one pixel, for 4 taps of a step: neighbours in a warp have neighbouring pixels, so
   with a stride of 1 a load takes 4 or 5 sectors, and what one tap has read the next finds in L1.
   They go to shared memory side by side, without conflicts. Weights come 16 bytes at a time where
   they are contiguous along the taps. The output is written in NCHW, 16 bytes a lane if it can be.

   conv2d_input is the same with gradients for images. Input row h meets tap i in output row
   (h + PH - i DH) / SH if that divides. So rows fall into SH classes by (h + PH) % SH, each of
   which meets every so many taps, at distances that do not depend on the row: for each class of
   rows and columns a product of its own, and no zero is multiplied. One output alone has no stride.

   Groups of up to 4 channels (depthwise) would leave a tile empty: there a thread has one output,
   and walks over its taps.

   Aimed at: 75 % of the peak of float from 64 channels up, and memory's speed where groups are
   narrow. */
#include "gemm.cuh"

struct alignas(16) tap { /* one load */
    int32_t in, weight;  /* offsets of its channel's plane, of its weight */
    int32_t row, column; /* distance from the pixel's place */
};

/* The taps along one axis: tap t is number first + t step of the kernel, and looks
   at + t apart pixels away. */
struct axis {
    int64_t count, first, step, at, apart;
};

struct conv {
    const real *in, *weight, *bias;
    real *out;
    tap *taps;
    axis rows, columns;
    int64_t N, groups;
    int64_t depth, H, W;      /* of `in`: channels of a group, size of a plane */
    int64_t channels, YH, YW; /* of `out` */
    int64_t U, V;             /* pixels computed: (u, v) looks at (u row_step, v column_step) */
    int64_t row_step, column_step;
    int64_t y_row, y_row_step, y_column, y_column_step; /* and is written there */
    int64_t KW, w_depth, w_channel, w_group; /* strides of the weight */
    int64_t K;                               /* taps: depth rows.count columns.count */
};

static __global__ void make_taps(conv q)
{
    for (int64_t k = first_item(); k < q.K; k += all_threads()) {
        int64_t area = q.rows.count * q.columns.count, c = k / area;
        int64_t i = k % area / q.columns.count, j = k % area % q.columns.count;
        tap t;
        t.in = (int32_t)(c * q.H * q.W);
        t.weight = (int32_t)(c * q.w_depth + (q.rows.first + i * q.rows.step) * q.KW +
                             q.columns.first + j * q.columns.step);
        t.row = (int32_t)(q.rows.at + i * q.rows.apart);
        t.column = (int32_t)(q.columns.at + j * q.columns.apart);
        q.taps[k] = t;
    }
}

/* ---- Loaders --------------------------------------------------------------------------------- */

namespace {

/* Weights through the table. As in matrix_loader two lanes have neighbouring steps of a channel. */
template <int P> struct weight_loader {
    const real *at;
    const tap *taps;
    int s, k, channels, depth;

    ETUDE_METHOD weight_loader(const conv &q, int64_t group, int64_t from)
    {
        const int id = (int)threadIdx.x, SIDE = gemm<P>::SIDE;
        s = id / 2 % SIDE;
        k = (id % 2 + id / (2 * SIDE) * 2) * PACK;
        channels = (int)least(q.channels - from, SIDE);
        depth = (int)q.K - k;
        at = q.weight + group * q.w_group + (from + s) * q.w_channel;
        taps = q.taps + k;
    }

    ETUDE_METHOD pack<PACK> fetch()
    {
        pack<PACK> v;
        for (int i = 0; i < PACK; i++)
            v.at[i] = s < channels && depth > i ? at[taps[i].weight] : 0;
        taps += gemm<P>::DEPTH;
        depth -= gemm<P>::DEPTH;
        return v;
    }

    ETUDE_METHOD void put(typename gemm<P>::line *to, const pack<PACK> &v) const
    {
        for (int i = 0; i < PACK; i++)
            to[k + i][s] = v.at[i];
    }
};

/* Pixels: a thread has one of the tile, at every so many steps. */
template <int P> struct pixel_loader {
    enum { APART = GEMM_THREADS / gemm<P>::SIDE };
    const real *image; /* of the pixel, at the group's first channel */
    const tap *taps;
    int s, k, depth;
    int row, column, H, W;

    ETUDE_METHOD pixel_loader(const conv &q, int64_t group, int64_t from)
    {
        s = (int)threadIdx.x % gemm<P>::SIDE;
        k = (int)threadIdx.x / gemm<P>::SIDE;
        int64_t pixel = from + s, area = q.U * q.V, n = pixel / area, rest = pixel % area;
        depth = pixel < q.N * area ? (int)q.K - k : 0;
        image = q.in + (n * q.groups + group) * q.depth * q.H * q.W;
        taps = q.taps + k;
        row = (int)(rest / q.V * q.row_step);
        column = (int)(rest % q.V * q.column_step);
        H = (int)q.H;
        W = (int)q.W;
    }

    ETUDE_METHOD pack<PACK> fetch()
    {
        pack<PACK> v;
        for (int i = 0; i < PACK; i++) {
            v.at[i] = 0;
            if (depth <= i * APART)
                continue;
            tap t = taps[i * APART];
            int h = row + t.row, w = column + t.column;
            if (h >= 0 && h < H && w >= 0 && w < W)
                v.at[i] = image[t.in + h * W + w];
        }
        taps += gemm<P>::DEPTH;
        depth -= gemm<P>::DEPTH;
        return v;
    }

    ETUDE_METHOD void put(typename gemm<P>::line *to, const pack<PACK> &v) const
    {
        for (int i = 0; i < PACK; i++)
            to[k + i * APART][s] = v.at[i];
    }
};

} // namespace

/* ---- Tiles ----------------------------------------------------------------------------------- */

/* Where pixel number `pixel` of channel 0 of a group is written. */
ETUDE_DEVICE int64_t place_of(const conv &q, int64_t group, int64_t pixel)
{
    int64_t area = q.U * q.V, n = pixel / area, u = pixel % area / q.V, v = pixel % area % q.V;
    return (n * q.groups + group) * q.channels * q.YH * q.YW +
           (u * q.y_row_step + q.y_row) * q.YW + v * q.y_column_step + q.y_column;
}

template <int P>
ETUDE_DEVICE void write_tile(const conv &q, const typename gemm<P>::tile &t, int64_t group,
                             int64_t m0, int64_t n0, int packed)
{
    typedef gemm<P> G;
    int64_t pixels = q.N * q.U * q.V, plane = q.YH * q.YW;
#pragma unroll
    for (int p = 0; p < P; p++) {
        int64_t first = n0 + G::place(G::thread_column(), p * PACK), to[PACK];
        for (int j = 0; j < PACK; j++)
            to[j] = place_of(q, group, first + j);
#pragma unroll
        for (int i = 0; i < G::OWN; i++) {
            int64_t m = m0 + G::place(G::thread_row(), i);
            if (m >= q.channels)
                continue;
            real bias = q.bias ? q.bias[group * q.channels + m] : 0;
            pack<PACK> v;
            for (int j = 0; j < PACK; j++)
                v.at[j] = t.sum[i][p * PACK + j] + bias;
            if (packed && first < pixels)
                store<PACK>(q.out + to[0] + m * plane, v);
            else
                for (int j = 0; j < PACK; j++)
                    if (first + j < pixels)
                        q.out[to[j] + m * plane] = v.at[j];
        }
    }
}

/* blockIdx.x counts (group, tile of pixels, tile of channels), the last the fastest. N says how the
   weights come: PACK at a time along the taps, or 0, through the table. The larger tile wants more
   than 128 registers, so that a multiprocessor has one of its blocks at a time. */
template <int P, int N>
static __global__ void __launch_bounds__(GEMM_THREADS, P == 2 ? 1 : 2)
    conv_tiles(conv q, int packed)
{
    typedef gemm<P> G;
    int64_t rows = pieces(q.channels, G::SIDE), columns = pieces(q.N * q.U * q.V, G::SIDE);
    int64_t m0 = blockIdx.x % rows * G::SIDE, rest = blockIdx.x / rows;
    int64_t n0 = rest % columns * G::SIDE, group = rest / columns;
    typename G::tile t;
    pixel_loader<P> b(q, group, n0);
    if constexpr (N == 0) {
        weight_loader<P> a(q, group, m0);
        G::run(a, b, (int)q.K, t);
    } else {
        matrix_loader<P, ALONG_K, N> a(q.weight + group * q.w_group, q.w_channel, 1, m0,
                                       q.channels, 0, q.K);
        G::run(a, b, (int)q.K, t);
    }
    write_tile<P>(q, t, group, m0, n0, packed);
}

/* ---- Narrow groups --------------------------------------------------------------------------- */

/* One thread, one output. */
static __global__ void conv_narrow(conv q)
{
    int64_t area = q.U * q.V, all = q.N * q.groups * q.channels * area;
    for (int64_t i = first_item(); i < all; i += all_threads()) {
        int64_t m = i / area % q.channels, group = i / area / q.channels % q.groups;
        int64_t n = i / area / q.channels / q.groups, u = i % area / q.V, v = i % area % q.V;
        const real *image = q.in + (n * q.groups + group) * q.depth * q.H * q.W;
        const real *weight = q.weight + group * q.w_group + m * q.w_channel;
        real sum = 0;
        for (int64_t k = 0; k < q.K; k++) {
            tap t = q.taps[k];
            int64_t h = u * q.row_step + t.row, w = v * q.column_step + t.column;
            if (h >= 0 && h < q.H && w >= 0 && w < q.W)
                sum += weight[t.weight] * image[t.in + h * q.W + w];
        }
        if (q.bias)
            sum += q.bias[group * q.channels + m];
        q.out[place_of(q, group, n * area + u * q.V + v) + m * q.YH * q.YW] = sum;
    }
}

/* ---- The ops --------------------------------------------------------------------------------- */

enum { NARROW = 4 }; /* channels of a group */

static int too_large(etude_context *ctx)
{
    snprintf(ctx->error, sizeof ctx->error, "a group of more than 2^31 pixels or weights");
    return ETUDE_UNSUPPORTED;
}

/* Runs one product. straight: the weights of a channel lie in the order of the taps. */
static int run_conv(etude_context *ctx, conv &q, int straight)
{
    q.K = q.depth * q.rows.count * q.columns.count;
    int64_t pixels = q.N * q.U * q.V;
    if (pixels == 0 || q.channels == 0 || q.groups == 0)
        return ETUDE_OK;
    int64_t image = q.depth * q.H * q.W, weights = most(q.w_depth * q.depth, q.w_group);
    if (image > INT32_MAX || weights > INT32_MAX)
        return too_large(ctx);
    cudaStream_t stream = stream_of(ctx);
    make_taps<<<blocks_for(q.K), THREADS, 0, stream>>>(q);
    int status = launched(ctx, "conv2d make_taps");
    if (status != ETUDE_OK)
        return status;
    if (q.channels <= NARROW) {
        conv_narrow<<<blocks_for(pixels * q.groups * q.channels), THREADS, 0, stream>>>(q);
        return launched(ctx, "conv_narrow");
    }
    int whole = q.U == q.YH && q.V == q.YW; /* all pixels, in order */
    int packed = whole && q.U * q.V % PACK == 0 && aligned(q.out);
    int64_t large = gemm<2>::SIDE, small = gemm<1>::SIDE;
    int64_t tiles = q.groups * pieces(q.channels, large) * pieces(pixels, large);
    int use_large = q.channels > small && tiles >= ENOUGH_TILES;
    int64_t side = use_large ? large : small;
    unsigned blocks = (unsigned)(q.groups * pieces(q.channels, side) * pieces(pixels, side));
    int by_packs = straight && q.K % PACK == 0 && aligned(q.weight);
    if (use_large && by_packs)
        conv_tiles<2, PACK><<<blocks, GEMM_THREADS, 0, stream>>>(q, packed);
    else if (use_large)
        conv_tiles<2, 0><<<blocks, GEMM_THREADS, 0, stream>>>(q, packed);
    else if (by_packs)
        conv_tiles<1, PACK><<<blocks, GEMM_THREADS, 0, stream>>>(q, packed);
    else
        conv_tiles<1, 0><<<blocks, GEMM_THREADS, 0, stream>>>(q, packed);
    return launched(ctx, "conv_tiles");
}

ETUDE_KERNEL(conv2d, conv2d)(etude_context *ctx, const real *x, const real *weight,
                             const real *bias, real *y, int64_t N, int64_t C, int64_t H, int64_t W,
                             int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH,
                             int64_t SW, int64_t PH, int64_t PW, int64_t DH, int64_t DW,
                             int64_t groups)
{
    conv q = {};
    q.in = x, q.weight = weight, q.bias = bias, q.out = y, q.N = N, q.groups = groups;
    q.rows = {KH, 0, 1, -PH, DH}, q.columns = {KW, 0, 1, -PW, DW};
    q.depth = C / groups, q.H = H, q.W = W;
    q.channels = O / groups, q.YH = OH, q.YW = OW, q.U = OH, q.V = OW;
    q.row_step = SH, q.column_step = SW, q.y_row_step = 1, q.y_column_step = 1;
    q.KW = KW, q.w_depth = KH * KW, q.w_channel = q.depth * KH * KW;
    q.w_group = q.channels * q.w_channel;
    q.taps = (tap *)etude_scratch(ctx, (size_t)(q.w_channel + 1) * sizeof(tap));
    return q.taps ? run_conv(ctx, q, 1) : ETUDE_NO_MEMORY;
}

/* The pixels 0 .. H of a class and the taps that they meet. Returns the number of pixels, of which
   the first is `begin`. */
static int64_t class_of(int64_t r, int64_t H, int64_t KH, int64_t SH, int64_t PH, int64_t DH,
                        int64_t *begin, axis *taps)
{
    int64_t first = 0, step = 1;
    while (step < SH && step * DH % SH != 0) /* tap numbers that meet the same class */
        step++;
    while (first < step && first * DH % SH != r)
        first++;
    *begin = ((r - PH) % SH + SH) % SH;
    taps->count = first < step && first < KH ? (KH - 1 - first) / step + 1 : 0;
    taps->first = first, taps->step = step;
    taps->at = (*begin + PH - first * DH) / SH; /* divides, as does the next */
    taps->apart = -(step * DH / SH);
    return *begin < H ? (H - 1 - *begin) / SH + 1 : 0;
}

ETUDE_KERNEL(conv2d_input, conv2d_input)(etude_context *ctx, const real *grad, const real *weight,
                                         real *dx, int64_t N, int64_t C, int64_t H, int64_t W,
                                         int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW,
                                         int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,
                                         int64_t DW, int64_t groups)
{
    conv q = {};
    q.in = grad, q.weight = weight, q.out = dx, q.N = N, q.groups = groups;
    q.depth = O / groups, q.H = OH, q.W = OW;
    q.channels = C / groups, q.YH = H, q.YW = W, q.row_step = 1, q.column_step = 1;
    q.KW = KW, q.w_channel = KH * KW, q.w_depth = q.channels * KH * KW;
    q.w_group = q.depth * q.w_depth;
    q.taps = (tap *)etude_scratch(ctx, (size_t)(q.depth * KH * KW + 1) * sizeof(tap));
    if (!q.taps)
        return ETUDE_NO_MEMORY;
    SH = OH == 1 ? 1 : SH, SW = OW == 1 ? 1 : SW;
    q.y_row_step = SH, q.y_column_step = SW;
    int status = ETUDE_OK;
    for (int64_t r = 0; r < SH && status == ETUDE_OK; r++)
        for (int64_t s = 0; s < SW && status == ETUDE_OK; s++) {
            q.U = class_of(r, H, KH, SH, PH, DH, &q.y_row, &q.rows);
            q.V = class_of(s, W, KW, SW, PW, DW, &q.y_column, &q.columns);
            status = run_conv(ctx, q, 0);
        }
    return status;
}
