/* pool2d.cu: max_pool2d, avg_pool2d, adaptive_avg_pool2d and their gradients.
   Reference: packages/etude/src/etude/ops/pool2d.py.   On the CPU: c_src/cpu/pool2d.c.

   Legend: planes = N * C planes of H x W pixels; KH x KW windows, strides SH SW, padding PH PW,
   dilation DH DW, OH x OW outputs. index says where in its plane of H * W pixels the maximum
   stands. The last windows may stick out behind the padding (ceil_mode). float and double
   (ETUDE_REAL).

   Plan. One thread for an output, or in the gradients of means for a pixel, which asks the windows
   around it: nobody adds to another's number. Neighbours in a warp have neighbours in a line, so a
   tap's load takes 4 sectors with a stride of 1 and 8 with 2, where the next tap finds the rest in
   L1. Large bins (a mean over the whole image) have a warp each. Nothing is shared.
   The gradient of the maximum does not know the windows, only where they found it. A block has a
   plane and takes its outputs 256 at a time; those that go to the same pixel take turns, the first
   output first: each claims a slot for its pixel in shared memory with atomicMin, of integers, so
   that the order is always the same, and the smallest may add. Windows that do not overlap need one
   turn.
   Bound by memory: 80 % of its bandwidth aimed at, half of that in the gradient of the maximum. */
#include "rows.cuh"

struct pool {
    const real *x, *grad;
    real *y, *dx;
    int64_t *index;
    const int64_t *from;
    int64_t planes, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW;
    int count_include_pad; /* in means */
    wide divisor;          /* of all means; NaN: each window has its own */
};

/* ---- The maximum ----------------------------------------------------------------------------- */

/* The first tap at or behind 0 of a window that begins at `from`, taps being `step` apart. */
ETUDE_DEVICE int64_t first_inside(int64_t from, int64_t step)
{
    return from < 0 ? from + (step - 1 - from) / step * step : from;
}

/* The first of equal values wins, and a NaN over everything before it. */
static __global__ void max_pool(pool q)
{
    int64_t outputs = q.planes * q.OH * q.OW;
    for (int64_t i = first_item(); i < outputs; i += all_threads()) {
        const real *x = q.x + i / (q.OH * q.OW) * q.H * q.W;
        int64_t top = i / q.OW % q.OH * q.SH - q.PH, left = i % q.OW * q.SW - q.PW;
        int64_t h0 = first_inside(top, q.DH), h1 = least(q.H, top + q.KH * q.DH);
        int64_t w0 = first_inside(left, q.DW), w1 = least(q.W, left + q.KW * q.DW);
        int64_t where = h0 * q.W + w0;
        real best = x[where];
        for (int64_t h = h0; h < h1; h += q.DH)
            for (int64_t w = w0; w < w1; w += q.DW) {
                real v = x[h * q.W + w];
                if (!(v <= best) && best == best) {
                    best = v;
                    where = h * q.W + w;
                }
            }
        q.y[i] = best;
        q.index[i] = where;
    }
}

ETUDE_KERNEL(pool2d, max_pool2d)(etude_context *ctx, const real *x, real *y, int64_t *index,
                                 int64_t planes, int64_t H, int64_t W, int64_t OH, int64_t OW,
                                 int64_t KH, int64_t KW, int64_t SH, int64_t SW, int64_t PH,
                                 int64_t PW, int64_t DH, int64_t DW)
{
    pool q = {};
    q.x = x, q.y = y, q.index = index, q.planes = planes, q.H = H, q.W = W, q.OH = OH, q.OW = OW;
    q.KH = KH, q.KW = KW, q.SH = SH, q.SW = SW, q.PH = PH, q.PW = PW, q.DH = DH, q.DW = DW;
    if (planes * OH * OW == 0)
        return ETUDE_OK;
    max_pool<<<blocks_for(planes * OH * OW), THREADS, 0, stream_of(ctx)>>>(q);
    return launched(ctx, "max_pool");
}

enum { SLOTS = 2048 }; /* for claims; pixels share them by their number */

/* blockIdx.x is the plane, whose dx is 0 so far. wrong counts indices out of range. */
static __global__ void max_pool_backward(pool q, int *wrong)
{
    __shared__ int claims[SLOTS];
    int64_t outputs = q.OH * q.OW, pixels = q.H * q.W;
    const real *grad = q.grad + blockIdx.x * outputs;
    const int64_t *from = q.from + blockIdx.x * outputs;
    real *dx = q.dx + blockIdx.x * pixels;
    for (int i = (int)threadIdx.x; i < SLOTS; i += (int)blockDim.x)
        claims[i] = INT32_MAX;
    __syncthreads();
    for (int64_t base = 0; base < outputs; base += blockDim.x) {
        int64_t i = base + threadIdx.x, pixel = i < outputs ? from[i] : 0;
        int waits = i < outputs, mine = (int)threadIdx.x;
        if (pixel < 0 || pixel >= pixels) {
            atomicAdd(wrong, 1);
            waits = 0;
            pixel = 0;
        }
        int *slot = claims + pixel % SLOTS;
        while (__syncthreads_or(waits)) {
            if (waits)
                atomicMin(slot, mine);
            __syncthreads();
            int first = waits && *slot == mine;
            __syncthreads();
            if (first) {
                dx[pixel] += grad[i];
                *slot = INT32_MAX;
                waits = 0;
            }
        }
    }
}

ETUDE_KERNEL(pool2d_backward, max_pool2d_backward)(etude_context *ctx, const real *grad,
                                                   const int64_t *index, real *dx, int64_t planes,
                                                   int64_t H, int64_t W, int64_t OH, int64_t OW)
{
    pool q = {};
    q.grad = grad, q.from = index, q.dx = dx, q.planes = planes, q.H = H, q.W = W;
    q.OH = OH, q.OW = OW;
    int status = filled(ctx, "max_pool2d_backward", dx, 0, (size_t)(planes * H * W) * sizeof(real));
    if (status != ETUDE_OK || planes * OH * OW == 0)
        return status;
    int *wrong = (int *)etude_scratch(ctx, sizeof *wrong), found = 0;
    if (!wrong)
        return ETUDE_NO_MEMORY;
    status = filled(ctx, "max_pool2d_backward", wrong, 0, sizeof *wrong);
    if (status != ETUDE_OK)
        return status;
    max_pool_backward<<<(unsigned)planes, THREADS, 0, stream_of(ctx)>>>(q, wrong);
    status = launched(ctx, "max_pool_backward");
    if (status == ETUDE_OK)
        status = fetch(ctx, "max_pool_backward", &found, wrong, sizeof found);
    return status == ETUDE_OK && found ? ETUDE_BAD_INDEX : status;
}

/* ---- Means ----------------------------------------------------------------------------------- */

/* How many pixels of a window count along one axis, which begins at `from`. */
ETUDE_DEVICE int64_t counted(const pool &q, int64_t from, int64_t K, int64_t n, int64_t P)
{
    int64_t around = q.count_include_pad ? P : 0;
    return least(from + K, n + around) - most(from, -around);
}

/* What the window of output (h, w) is divided by. */
ETUDE_DEVICE wide divisor(const pool &q, int64_t h, int64_t w)
{
    if (q.divisor == q.divisor)
        return q.divisor;
    return (wide)(counted(q, h * q.SH - q.PH, q.KH, q.H, q.PH) *
                  counted(q, w * q.SW - q.PW, q.KW, q.W, q.PW));
}

static __global__ void avg_pool(pool q)
{
    int64_t outputs = q.planes * q.OH * q.OW;
    for (int64_t i = first_item(); i < outputs; i += all_threads()) {
        const real *x = q.x + i / (q.OH * q.OW) * q.H * q.W;
        int64_t oh = i / q.OW % q.OH, ow = i % q.OW;
        int64_t top = oh * q.SH - q.PH, left = ow * q.SW - q.PW;
        int64_t h1 = least(q.H, top + q.KH), w1 = least(q.W, left + q.KW);
        wide sum = 0;
        for (int64_t h = most(0, top); h < h1; h++)
            for (int64_t w = most(0, left); w < w1; w++)
                sum += x[h * q.W + w];
        q.y[i] = (real)(sum / divisor(q, oh, ow));
    }
}

/* Of a pixel at `at`: the first output whose window has it, and the last. */
ETUDE_DEVICE int64_t first_window(int64_t at, int64_t K, int64_t S, int64_t P)
{
    int64_t before = at + P - K + 1; /* o S is at least this */
    return before > 0 ? (before + S - 1) / S : 0;
}

ETUDE_DEVICE int64_t last_window(int64_t at, int64_t S, int64_t P, int64_t count)
{
    return least((at + P) / S, count - 1);
}

static __global__ void avg_pool_backward(pool q)
{
    int64_t pixels = q.planes * q.H * q.W;
    for (int64_t i = first_item(); i < pixels; i += all_threads()) {
        const real *grad = q.grad + i / (q.H * q.W) * q.OH * q.OW;
        int64_t h = i / q.W % q.H, w = i % q.W;
        int64_t h1 = last_window(h, q.SH, q.PH, q.OH), w1 = last_window(w, q.SW, q.PW, q.OW);
        wide sum = 0;
        for (int64_t oh = first_window(h, q.KH, q.SH, q.PH); oh <= h1; oh++)
            for (int64_t ow = first_window(w, q.KW, q.SW, q.PW); ow <= w1; ow++)
                sum += grad[oh * q.OW + ow] / divisor(q, oh, ow);
        q.dx[i] = (real)sum;
    }
}

ETUDE_KERNEL(avg_pool2d, avg_pool2d)(etude_context *ctx, const real *x, real *y, int64_t planes,
                                     int64_t H, int64_t W, int64_t OH, int64_t OW, int64_t KH,
                                     int64_t KW, int64_t SH, int64_t SW, int64_t PH, int64_t PW,
                                     double count_include_pad, double divisor_override)
{
    pool q = {};
    q.x = x, q.y = y, q.planes = planes, q.H = H, q.W = W, q.OH = OH, q.OW = OW, q.KH = KH;
    q.KW = KW, q.SH = SH, q.SW = SW, q.PH = PH, q.PW = PW;
    q.count_include_pad = count_include_pad != 0, q.divisor = divisor_override;
    if (planes * OH * OW == 0)
        return ETUDE_OK;
    avg_pool<<<blocks_for(planes * OH * OW), THREADS, 0, stream_of(ctx)>>>(q);
    return launched(ctx, "avg_pool");
}

ETUDE_KERNEL(avg_pool2d, avg_pool2d_backward)(etude_context *ctx, const real *grad, real *dx,
                                              int64_t planes, int64_t H, int64_t W, int64_t OH,
                                              int64_t OW, int64_t KH, int64_t KW, int64_t SH,
                                              int64_t SW, int64_t PH, int64_t PW,
                                              double count_include_pad, double divisor_override)
{
    pool q = {};
    q.grad = grad, q.dx = dx, q.planes = planes, q.H = H, q.W = W, q.OH = OH, q.OW = OW;
    q.KH = KH, q.KW = KW, q.SH = SH, q.SW = SW, q.PH = PH, q.PW = PW;
    q.count_include_pad = count_include_pad != 0, q.divisor = divisor_override;
    if (planes * H * W == 0)
        return ETUDE_OK;
    avg_pool_backward<<<blocks_for(planes * H * W), THREADS, 0, stream_of(ctx)>>>(q);
    return launched(ctx, "avg_pool_backward");
}

/* ---- Bins ------------------------------------------------------------------------------------ */

/* Bin i of `count` runs from i size / count, rounded down, to (i + 1) size / count, rounded up. */
ETUDE_DEVICE int64_t bin_begin(int64_t i, int64_t size, int64_t count)
{
    return i * size / count;
}

ETUDE_DEVICE int64_t bin_end(int64_t i, int64_t size, int64_t count)
{
    return ((i + 1) * size + count - 1) / count;
}

/* The mean of a bin, of which this thread adds up every `lanes`-th pixel; lanes is 1 or a warp. */
static __global__ void adaptive_pool(pool q, int lanes)
{
    int64_t outputs = q.planes * q.OH * q.OW;
    int lane = lanes == 1 ? 0 : lane_of_warp();
    for (int64_t i = first_item() / lanes; i < outputs; i += all_threads() / lanes) {
        const real *x = q.x + i / (q.OH * q.OW) * q.H * q.W;
        int64_t oh = i / q.OW % q.OH, ow = i % q.OW;
        int64_t h0 = bin_begin(oh, q.H, q.OH), h1 = bin_end(oh, q.H, q.OH);
        int64_t w0 = bin_begin(ow, q.W, q.OW), width = bin_end(ow, q.W, q.OW) - w0;
        int64_t count = (h1 - h0) * width;
        wide sum = 0;
        for (int64_t k = lane; k < count; k += lanes)
            sum += x[(h0 + k / width) * q.W + w0 + k % width];
        if (lanes > 1)
            sum = warp_sum(sum);
        if (lane == 0)
            q.y[i] = (real)(sum / (wide)count);
    }
}

/* A pixel is in the bins from at count / size on, up to the last that begins at or before it. */
static __global__ void adaptive_pool_backward(pool q)
{
    int64_t pixels = q.planes * q.H * q.W;
    for (int64_t i = first_item(); i < pixels; i += all_threads()) {
        const real *grad = q.grad + i / (q.H * q.W) * q.OH * q.OW;
        int64_t h = i / q.W % q.H, w = i % q.W;
        wide sum = 0;
        for (int64_t oh = h * q.OH / q.H; oh < q.OH && bin_begin(oh, q.H, q.OH) <= h; oh++)
            for (int64_t ow = w * q.OW / q.W; ow < q.OW && bin_begin(ow, q.W, q.OW) <= w; ow++) {
                int64_t rows = bin_end(oh, q.H, q.OH) - bin_begin(oh, q.H, q.OH);
                int64_t columns = bin_end(ow, q.W, q.OW) - bin_begin(ow, q.W, q.OW);
                sum += grad[oh * q.OW + ow] / (wide)(rows * columns);
            }
        q.dx[i] = (real)sum;
    }
}

ETUDE_KERNEL(adaptive_pool2d, adaptive_avg_pool2d)(etude_context *ctx, const real *x, real *y,
                                                   int64_t planes, int64_t H, int64_t W, int64_t OH,
                                                   int64_t OW)
{
    pool q = {};
    q.x = x, q.y = y, q.planes = planes, q.H = H, q.W = W, q.OH = OH, q.OW = OW;
    int64_t outputs = planes * OH * OW;
    if (outputs == 0)
        return ETUDE_OK;
    int lanes = H * W / (OH * OW) >= WARP ? (int)WARP : 1;
    adaptive_pool<<<blocks_for(outputs * lanes), THREADS, 0, stream_of(ctx)>>>(q, lanes);
    return launched(ctx, "adaptive_pool");
}

ETUDE_KERNEL(adaptive_pool2d, adaptive_avg_pool2d_backward)(etude_context *ctx, const real *grad,
                                                            real *dx, int64_t planes, int64_t H,
                                                            int64_t W, int64_t OH, int64_t OW)
{
    pool q = {};
    q.grad = grad, q.dx = dx, q.planes = planes, q.H = H, q.W = W, q.OH = OH, q.OW = OW;
    if (planes * H * W == 0)
        return ETUDE_OK;
    adaptive_pool_backward<<<blocks_for(planes * H * W), THREADS, 0, stream_of(ctx)>>>(q);
    return launched(ctx, "adaptive_pool_backward");
}
