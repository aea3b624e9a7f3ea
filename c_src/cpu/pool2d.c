/* pool2d.c: max_pool2d, avg_pool2d, adaptive_avg_pool2d and their gradients.

   Reference: packages/etude/src/etude/ops/pool2d.py.

   Legend: planes = N * C planes of H x W pixels; KH x KW windows, strides SH SW, padding PH PW,
   dilation DH DW, OH x OW outputs. index says where in its plane of H * W pixels the maximum
   stands. The last windows may stick out behind the padding (ceil_mode).

   Plan. Windows are clipped to the plane, which is not padded; planes are independent. Four windows
   of a line are reduced side by side in a vector, because which pixel wins is random and a branch
   on it would be mispredicted; the last four of a line overlap those before them. Clipped windows
   go one by one, and so do lines of fewer than four. The first of equal values wins, and a NaN
   wins over everything before it: x is taken if it is not <= best, unless best is NaN already.
   Windows of 2 x 2 that fill the plane, or all of it but a last line and column, are the usual ones
   and have loops of their own: eight or four of them at a time are two loads of a line, sorted into
   left and right pixels by shuffles. Memory is then the limit.
   Means are added up a line of output at a time, tap by tap of the window, so that the loops run
   along memory; their gradients walk the same windows the other way. */
#include <stdatomic.h>
#include <string.h>

#include "kernel.h"

typedef struct {
    const real *x, *grad;
    real *y, *dx;
    int64_t *index;
    const int64_t *from;
    int64_t H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW;
    int count_include_pad; /* in means */
    double divisor;        /* of all means; NaN: each window has its own */
    atomic_int outside;    /* whether an index points out of its plane */
} pool;

enum { LANES = 4, COLUMNS = 512, STEP = 64 / sizeof(real) };
typedef real lanes __attribute__((vector_size(LANES * sizeof(real))));
typedef real_bits lane_bits __attribute__((vector_size(LANES * sizeof(real))));

/* The first tap at or behind 0 of a window that begins at `from`, taps being `step` apart. */
static int64_t first_inside(int64_t from, int64_t step)
{
    return from < 0 ? from + (step - 1 - from) / step * step : from;
}

/* Windows o .. o + LANES of a line of output, all inside of the plane; their lines are h0 .. h1,
   DH apart. */
static void four_windows(const pool *q, const real *x, int64_t h0, int64_t h1, int64_t o, real *y,
                         int64_t *index)
{
    int64_t corner = h0 * q->W + o * q->SW - q->PW;
    lanes best = {0};
    lane_bits where = {0}; /* counted from the corner of the window */
    for (int64_t h = 0; h < h1 - h0; h += q->DH)
        for (int64_t w = h * q->W; w < h * q->W + q->KW * q->DW; w += q->DW) {
            const real *tap = x + corner + w;
            lanes found = {tap[0], tap[q->SW], tap[2 * q->SW], tap[3 * q->SW]};
            lane_bits larger = ~(found <= best) & (best == best);
            if (w == 0)
                larger = ~(lane_bits){0};
            best = (lanes)((larger & (lane_bits)found) | (~larger & (lane_bits)best));
            where = (larger & (real_bits)w) | (~larger & where);
        }
    for (int i = 0; i < LANES; i++) {
        y[o + i] = best[i];
        index[o + i] = corner + i * q->SW + where[i];
    }
}

/* Window o, clipped to the columns of the plane. */
static void one_window(const pool *q, const real *x, int64_t h0, int64_t h1, int64_t o, real *y,
                       int64_t *index)
{
    int64_t left = o * q->SW - q->PW;
    int64_t w0 = first_inside(left, q->DW), w1 = ETUDE_MIN(q->W, left + q->KW * q->DW);
    int64_t best = h0 * q->W + w0;
    for (int64_t h = h0; h < h1; h += q->DH)
        for (int64_t w = h * q->W + w0; w < h * q->W + w1; w += q->DW)
            if (!(x[w] <= x[best]) && x[best] == x[best])
                best = w;
    y[o] = x[best];
    index[o] = best;
}

/* ---- Windows of 2 x 2, side by side ---------------------------------------------------------- */

static int side_by_side(const pool *q)
{
    return q->KH == 2 && q->KW == 2 && q->SH == 2 && q->SW == 2 && q->PH == 0 && q->PW == 0 &&
           q->DH == 1 && q->DW == 1 && 2 * q->OH <= q->H && 2 * q->OW <= q->W && q->OW >= 4;
}

#ifdef __clang__
#define SHUFFLE(n, x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE(n, x, y, ...) __builtin_shuffle(x, y, (bits##n){__VA_ARGS__})
#endif

/* A line of OW >= n windows, n at a time: the last n overlap those before them. `top` is the upper
   left pixel of the first window and W a line of the plane. LEFT and RIGHT are where the left and
   right pixels are in two vectors of a line; LOW and HIGH tell each number of a vector twice.

   max_line_<n>    as four_windows does it; `corner` is where `top` is in its plane
   mean_line_<n>   sums begin at 0 and go tap by tap, as those of avg_body
   spread_line_<n> each number of grad by the divisor, to the four pixels of its window */
#define WINDOWS(n, LEFT, RIGHT, LOW, HIGH)                                                        \
    typedef real reals##n __attribute__((vector_size(n * sizeof(real)), aligned(sizeof(real)),    \
                                         may_alias));                                             \
    typedef real_bits bits##n __attribute__((vector_size(n * sizeof(real))));                     \
    typedef int64_t places##n __attribute__((vector_size(n * 8), aligned(8), may_alias));         \
    static void max_line_##n(const real *top, int64_t W, int64_t corner, int64_t OW, real *y,     \
                             int64_t *index)                                                      \
    {                                                                                             \
        places##n first;                                                                          \
        for (int i = 0; i < n; i++)                                                               \
            first[i] = corner + 2 * i;                                                            \
        for (int64_t o = 0; o < OW; o += n) {                                                     \
            reals##n best = {0};                                                                  \
            bits##n where = {0};                                                                  \
            o = ETUDE_MIN(o, OW - n);                                                             \
            for (int h = 0; h < 2; h++) {                                                         \
                const reals##n *line = (const reals##n *)(top + h * W + 2 * o);                   \
                reals##n left = SHUFFLE(n, line[0], line[1], LEFT);                               \
                reals##n right = SHUFFLE(n, line[0], line[1], RIGHT);                             \
                bits##n larger = h ? ~(left <= best) & (best == best) : ~(bits##n){0};            \
                best = (reals##n)((larger & (bits##n)left) | (~larger & (bits##n)best));          \
                where = (larger & (real_bits)(h * W)) | (~larger & where);                        \
                larger = ~(right <= best) & (best == best);                                       \
                best = (reals##n)((larger & (bits##n)right) | (~larger & (bits##n)best));         \
                where = (larger & (real_bits)(h * W + 1)) | (~larger & where);                    \
            }                                                                                     \
            *(reals##n *)(y + o) = best;                                                          \
            *(places##n *)(index + o) =                                                           \
                first + 2 * o + __builtin_convertvector(where, places##n);                        \
        }                                                                                         \
    }                                                                                             \
    static void mean_line_##n(const real *top, int64_t W, real divisor, int64_t OW, real *y)      \
    {                                                                                             \
        for (int64_t o = 0; o < OW; o += n) {                                                     \
            reals##n sum = {0};                                                                   \
            o = ETUDE_MIN(o, OW - n);                                                             \
            for (int h = 0; h < 2; h++) {                                                         \
                const reals##n *line = (const reals##n *)(top + h * W + 2 * o);                   \
                sum += SHUFFLE(n, line[0], line[1], LEFT);                                        \
                sum += SHUFFLE(n, line[0], line[1], RIGHT);                                       \
            }                                                                                     \
            *(reals##n *)(y + o) = sum / divisor;                                                 \
        }                                                                                         \
    }                                                                                             \
    static void spread_line_##n(const real *grad, int64_t W, real divisor, int64_t OW, real *top) \
    {                                                                                             \
        for (int64_t o = 0; o < OW; o += n) {                                                     \
            o = ETUDE_MIN(o, OW - n);                                                             \
            reals##n share = *(const reals##n *)(grad + o) / divisor + (reals##n){0};             \
            for (int h = 0; h < 2; h++) {                                                         \
                reals##n *line = (reals##n *)(top + h * W + 2 * o);                               \
                line[0] = SHUFFLE(n, share, share, LOW);                                          \
                line[1] = SHUFFLE(n, share, share, HIGH);                                         \
            }                                                                                     \
        }                                                                                         \
    }

/* The least windows in a line that goes eight at a time. It is never so where eight numbers are
   more than a register: GCC then moves them one by one. */
#define WIDE (8 * sizeof(real) <= ETUDE_VECTOR_BYTES ? 8 : INT64_MAX)

#define PLACES(...) __VA_ARGS__
WINDOWS(8, PLACES(0, 2, 4, 6, 8, 10, 12, 14), PLACES(1, 3, 5, 7, 9, 11, 13, 15),
        PLACES(0, 0, 1, 1, 2, 2, 3, 3), PLACES(4, 4, 5, 5, 6, 6, 7, 7))
WINDOWS(4, PLACES(0, 2, 4, 6), PLACES(1, 3, 5, 7), PLACES(0, 0, 1, 1), PLACES(2, 2, 3, 3))

static void max_side_by_side(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    for (int64_t line = begin * q->OH; line < end * q->OH; line++) {
        int64_t corner = line % q->OH * 2 * q->W;
        const real *top = q->x + line / q->OH * q->H * q->W + corner;
        real *y = q->y + line * q->OW;
        (q->OW < WIDE ? max_line_4 : max_line_8)(top, q->W, corner, q->OW, y,
                                              q->index + line * q->OW);
    }
}

static void mean_side_by_side(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    real by = q->divisor == q->divisor ? (real)q->divisor : 4;
    for (int64_t line = begin * q->OH; line < end * q->OH; line++) {
        const real *top = q->x + (line / q->OH * q->H + line % q->OH * 2) * q->W;
        (q->OW < WIDE ? mean_line_4 : mean_line_8)(top, q->W, by, q->OW, q->y + line * q->OW);
    }
}

/* Pixels in no window get 0. */
static void spread_side_by_side(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    real by = q->divisor == q->divisor ? (real)q->divisor : 4;
    for (int64_t plane = begin; plane < end; plane++) {
        real *top = q->dx + plane * q->H * q->W;
        for (int64_t row = 0; row < q->OH; row++, top += 2 * q->W) {
            const real *grad = q->grad + (plane * q->OH + row) * q->OW;
            (q->OW < WIDE ? spread_line_4 : spread_line_8)(grad, q->W, by, q->OW, top);
            for (int64_t w = 2 * q->OW; w < q->W; w++)
                top[w] = top[q->W + w] = 0;
        }
        memset(top, 0, (size_t)((q->H - 2 * q->OH) * q->W) * sizeof(real));
    }
}

/* ---- Windows of any size --------------------------------------------------------------------- */

/* Planes begin .. end. */
static void pool_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    int64_t reach = q->DW * (q->KW - 1) + 1, room = q->W + q->PW - reach;
    int64_t inside = ETUDE_MIN(q->OW, (q->PW + q->SW - 1) / q->SW); /* first window not clipped */
    int64_t after = room < 0 ? 0 : ETUDE_MIN(q->OW, room / q->SW + 1); /* first clipped again */
    for (int64_t line = begin * q->OH; line < end * q->OH; line++) {
        const real *x = q->x + line / q->OH * q->H * q->W;
        real *y = q->y + line * q->OW;
        int64_t *index = q->index + line * q->OW, o = 0;
        int64_t top = line % q->OH * q->SH - q->PH;
        int64_t h0 = first_inside(top, q->DH), h1 = ETUDE_MIN(q->H, top + q->KH * q->DH);
        for (; o < inside; o++)
            one_window(q, x, h0, h1, o, y, index);
        if (after - inside >= LANES)
            for (; o < after; o += LANES) {
                o = ETUDE_MIN(o, after - LANES);
                four_windows(q, x, h0, h1, o, y, index);
            }
        for (; o < q->OW; o++)
            one_window(q, x, h0, h1, o, y, index);
    }
}

ETUDE_KERNEL(pool2d, max_pool2d)(etude_context *ctx, const real *x, real *y, int64_t *index,
                                 int64_t planes, int64_t H, int64_t W, int64_t OH, int64_t OW,
                                 int64_t KH, int64_t KW, int64_t SH, int64_t SW, int64_t PH,
                                 int64_t PW, int64_t DH, int64_t DW)
{
    pool q = {.x = x, .y = y, .index = index, .H = H, .W = W, .OH = OH, .OW = OW, .KH = KH,
              .KW = KW, .SH = SH, .SW = SW, .PH = PH, .PW = PW, .DH = DH, .DW = DW};
    int64_t work = ETUDE_MAX(1, OH * OW * KH * KW);
    etude_parallel_for(ctx, side_by_side(&q) ? max_side_by_side : pool_body, &q, planes,
                       ETUDE_MAX(1, ETUDE_GRAIN_MEMORY / work));
    return ETUDE_OK;
}

static void pool_backward_body(void *arg, int64_t begin, int64_t end)
{
    pool *q = arg;
    int64_t pixels = q->H * q->W, outputs = q->OH * q->OW;
    for (int64_t plane = begin; plane < end; plane++) {
        const real *grad = q->grad + plane * outputs;
        const int64_t *from = q->from + plane * outputs;
        real *dx = q->dx + plane * pixels;
        uint64_t outside = 0; /* its top bit: an index is below 0, or above the last pixel */
        for (int64_t i = 0; i < outputs; i++)
            outside |= (uint64_t)from[i] | ((uint64_t)pixels - 1 - (uint64_t)from[i]);
        if (outside >> 63) {
            atomic_store(&q->outside, 1);
            return;
        }
        memset(dx, 0, (size_t)pixels * sizeof(real));
        for (int64_t i = 0; i < outputs; i++)
            dx[from[i]] += grad[i];
    }
}

ETUDE_KERNEL(pool2d_backward, max_pool2d_backward)(etude_context *ctx, const real *grad,
                                                   const int64_t *index, real *dx, int64_t planes,
                                                   int64_t H, int64_t W, int64_t OH, int64_t OW)
{
    pool q = {.grad = grad, .from = index, .dx = dx, .H = H, .W = W, .OH = OH, .OW = OW};
    int64_t work = ETUDE_MAX(1, H * W + 2 * OH * OW);
    atomic_init(&q.outside, 0);
    etude_parallel_for(ctx, pool_backward_body, &q, planes,
                       ETUDE_MAX(1, ETUDE_GRAIN_MEMORY / work));
    return atomic_load(&q.outside) ? ETUDE_BAD_INDEX : ETUDE_OK;
}

/* ---- Means ----------------------------------------------------------------------------------- */

enum { SHARES = 256 }; /* outputs whose gradients are divided before they are added up */

/* The outputs o0 .. o1: those for which column w of the window lies inside of the plane. */
static void tap_inside(const pool *q, int64_t w, int64_t *o0, int64_t *o1)
{
    int64_t first = q->PW - w, last = q->W - 1 + q->PW - w; /* o SW is first .. last */
    *o0 = first > 0 ? (first + q->SW - 1) / q->SW : 0;
    *o1 = last < 0 ? 0 : ETUDE_MIN(q->OW, last / q->SW + 1);
}

/* How many pixels of a window count along one axis, which begins at `from`. */
static int64_t counted(const pool *q, int64_t from, int64_t K, int64_t n, int64_t P)
{
    int64_t around = q->count_include_pad ? P : 0;
    return ETUDE_MIN(from + K, n + around) - ETUDE_MAX(from, -around);
}

/* What the window at line `top` and output o is divided by. */
static real divisor(const pool *q, int64_t top, int64_t o)
{
    if (q->divisor == q->divisor)
        return (real)q->divisor;
    return (real)(counted(q, top, q->KH, q->H, q->PH) *
                  counted(q, o * q->SW - q->PW, q->KW, q->W, q->PW));
}

static void avg_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    for (int64_t line = begin * q->OH; line < end * q->OH; line++) {
        const real *x = q->x + line / q->OH * q->H * q->W;
        real *y = q->y + line * q->OW;
        int64_t top = line % q->OH * q->SH - q->PH, o0, o1;
        int64_t h0 = ETUDE_MAX(0, top), h1 = ETUDE_MIN(q->H, top + q->KH);
        for (int64_t o = 0; o < q->OW; o++)
            y[o] = 0;
        for (int64_t h = h0; h < h1; h++)
            for (int64_t w = 0; w < q->KW; w++) {
                const real *tap = x + h * q->W;
                tap_inside(q, w, &o0, &o1);
                for (int64_t o = o0; o < o1; o++)
                    y[o] += tap[o * q->SW + w - q->PW];
            }
        for (int64_t o = 0; o < q->OW; o++)
            y[o] /= divisor(q, top, o);
    }
}

/* Gives outputs from .. from + SHARES of a line of grad back to the pixels of their windows. */
static void spread_means(const pool *q, const real *grad, int64_t line, int64_t from, real *dx)
{
    real share[SHARES];
    int64_t to = ETUDE_MIN(q->OW, from + SHARES), top = line * q->SH - q->PH, o0, o1;
    int64_t h0 = ETUDE_MAX(0, top), h1 = ETUDE_MIN(q->H, top + q->KH);
    for (int64_t o = from; o < to; o++)
        share[o - from] = grad[o] / divisor(q, top, o);
    for (int64_t h = h0; h < h1; h++)
        for (int64_t w = 0; w < q->KW; w++) {
            real *tap = dx + h * q->W;
            tap_inside(q, w, &o0, &o1);
            for (int64_t o = ETUDE_MAX(o0, from); o < ETUDE_MIN(o1, to); o++)
                tap[o * q->SW + w - q->PW] += share[o - from];
        }
}

static void avg_backward_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    for (int64_t plane = begin; plane < end; plane++) {
        real *dx = q->dx + plane * q->H * q->W;
        for (int64_t i = 0; i < q->H * q->W; i++)
            dx[i] = 0;
        for (int64_t line = 0; line < q->OH; line++)
            for (int64_t from = 0; from < q->OW; from += SHARES)
                spread_means(q, q->grad + (plane * q->OH + line) * q->OW, line, from, dx);
    }
}

static int pool_planes(etude_context *ctx, etude_body *body, pool *q, int64_t planes, int64_t work)
{
    etude_parallel_for(ctx, body, q, planes,
                       ETUDE_MAX(1, ETUDE_GRAIN_MEMORY / ETUDE_MAX(work, 1)));
    return ETUDE_OK;
}

ETUDE_KERNEL(avg_pool2d, avg_pool2d)(etude_context *ctx, const real *x, real *y, int64_t planes,
                                     int64_t H, int64_t W, int64_t OH, int64_t OW, int64_t KH,
                                     int64_t KW, int64_t SH, int64_t SW, int64_t PH, int64_t PW,
                                     double count_include_pad, double divisor_override)
{
    pool q = {.x = x, .y = y, .H = H, .W = W, .OH = OH, .OW = OW, .KH = KH, .KW = KW, .SH = SH,
              .SW = SW, .PH = PH, .PW = PW, .DH = 1, .DW = 1,
              .count_include_pad = count_include_pad != 0, .divisor = divisor_override};
    return pool_planes(ctx, side_by_side(&q) ? mean_side_by_side : avg_body, &q, planes,
                       OH * OW * KH * KW);
}

ETUDE_KERNEL(avg_pool2d, avg_pool2d_backward)(etude_context *ctx, const real *grad, real *dx,
                                              int64_t planes, int64_t H, int64_t W, int64_t OH,
                                              int64_t OW, int64_t KH, int64_t KW, int64_t SH,
                                              int64_t SW, int64_t PH, int64_t PW,
                                              double count_include_pad, double divisor_override)
{
    pool q = {.grad = grad, .dx = dx, .H = H, .W = W, .OH = OH, .OW = OW, .KH = KH, .KW = KW,
              .SH = SH, .SW = SW, .PH = PH, .PW = PW, .DH = 1, .DW = 1,
              .count_include_pad = count_include_pad != 0, .divisor = divisor_override};
    return pool_planes(ctx, side_by_side(&q) ? spread_side_by_side : avg_backward_body, &q, planes,
                       H * W + OH * OW * KH * KW);
}

/* Bin i of `count` runs from i size / count, rounded down, to (i + 1) size / count, rounded up. */
static int64_t bin_begin(int64_t i, int64_t size, int64_t count)
{
    return i * size / count;
}

static int64_t bin_end(int64_t i, int64_t size, int64_t count)
{
    return ((i + 1) * size + count - 1) / count;
}

/* The lines of a row of bins add up first, column by column along memory, for COLUMNS columns of
   the image; then those of each bin. */
static void adaptive_line(const pool *q, const real *x, int64_t h0, int64_t h1, real *y)
{
    real column[COLUMNS];
    for (int64_t o = 0; o < q->OW; o++)
        y[o] = 0;
    for (int64_t from = 0, o = 0; from < q->W; from += COLUMNS) {
        int64_t to = ETUDE_MIN(from + COLUMNS, q->W);
        for (int64_t w = from; w < to; w++)
            column[w - from] = x[h0 * q->W + w];
        for (int64_t h = h0 + 1; h < h1; h++)
            ETUDE_SIMD for (int64_t w = from; w < to; w++) column[w - from] += x[h * q->W + w];
        for (; o > 0 && bin_end(o - 1, q->W, q->OW) > from; o--) /* bins that began before */
            ;
        for (; o < q->OW && bin_begin(o, q->W, q->OW) < to; o++) {
            int64_t w0 = ETUDE_MAX(from, bin_begin(o, q->W, q->OW));
            int64_t w1 = ETUDE_MIN(to, bin_end(o, q->W, q->OW));
            real sum = 0;
            for (int64_t w = w0; w < w1; w++)
                sum += column[w - from];
            y[o] += sum;
        }
    }
    for (int64_t o = 0; o < q->OW; o++) {
        int64_t w0 = bin_begin(o, q->W, q->OW), w1 = bin_end(o, q->W, q->OW);
        y[o] /= (real)((h1 - h0) * (w1 - w0));
    }
}

static void adaptive_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    for (int64_t plane = begin; plane < end; plane++)
        for (int64_t i = 0; i < q->OH; i++)
            adaptive_line(q, q->x + plane * q->H * q->W, bin_begin(i, q->H, q->OH),
                          bin_end(i, q->H, q->OH), q->y + (plane * q->OH + i) * q->OW);
}

/* A walk over the same bins, which divides once and not for each of them. */
typedef struct {
    int64_t i, count, begin, end;
    int64_t step, over, rest; /* size = step count + over; (i + 1) size leaves rest */
} bins;

static bins first_bin(int64_t size, int64_t count)
{
    int64_t step = size / count, over = size % count;
    return (bins){0, count, 0, step + (over != 0), step, over, over};
}

static bins next_bin(bins b)
{
    b.i++;
    b.begin = b.end - (b.rest != 0);
    b.rest += b.over;
    int carry = b.rest >= b.count;
    b.rest -= carry ? b.count : 0;
    b.end = b.begin + b.step + carry + (b.rest != 0);
    return b;
}

/* Columns from .. to of what a row of bins gives each of its `lines` lines. The bins begin at b;
   the first that ends behind `to` is returned, because the columns behind need it again. Columns
   that no bin has reached are written STEP at a time. That is a few too many, which the next bin
   writes again. */
static bins spread_bins(bins b, const real *grad, int64_t lines, int64_t from, int64_t to,
                        real line[COLUMNS + STEP])
{
    bins left = b;
    for (int64_t w = from; b.i < b.count && b.begin < to; b = next_bin(b)) {
        real share = grad[b.i] / (real)(lines * (b.end - b.begin));
        int64_t end = ETUDE_MIN(to, b.end);
        for (int64_t shared = ETUDE_MAX(from, b.begin); shared < ETUDE_MIN(w, end); shared++)
            line[shared - from] += share;
        for (; w < end; w += STEP)
            for (int i = 0; i < STEP; i++)
                line[w - from + i] = share;
        w = end;
        if (b.end <= to)
            left = next_bin(b);
    }
    return left;
}

/* The gradient of the mean of a plane. */
static void spread_whole(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    int64_t pixels = q->H * q->W;
    for (int64_t plane = begin; plane < end; plane++) {
        real share = q->grad[plane] / (real)pixels + 0;
        for (int64_t i = 0; i < pixels; i++)
            q->dx[plane * pixels + i] = share;
    }
}

/* The lines that a row of bins has to itself are written once, and so never cleared. A sum begins
   at 0, which makes 0 of -0. */
static void adaptive_backward_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    real line[COLUMNS + STEP];
    for (int64_t plane = begin; plane < end; plane++) {
        const real *grad = q->grad + plane * q->OH * q->OW;
        bins across = first_bin(q->W, q->OW), left = across;
        for (int64_t from = 0; from < q->W; from += COLUMNS, across = left) {
            real *dx = q->dx + plane * q->H * q->W + from;
            int64_t count = ETUDE_MIN(COLUMNS, q->W - from), written = 0;
            for (bins down = first_bin(q->H, q->OH); down.i < q->OH; down = next_bin(down)) {
                left = spread_bins(across, grad + down.i * q->OW, down.end - down.begin, from,
                                   from + count, line);
                int64_t h = down.begin;
                for (; h < written; h++)
                    ETUDE_SIMD for (int64_t w = 0; w < count; w++) dx[h * q->W + w] += line[w];
                for (; h < down.end; h++)
                    ETUDE_SIMD for (int64_t w = 0; w < count; w++) dx[h * q->W + w] = line[w] + 0;
                written = down.end;
            }
        }
    }
}

ETUDE_KERNEL(adaptive_pool2d, adaptive_avg_pool2d)(etude_context *ctx, const real *x, real *y,
                                                   int64_t planes, int64_t H, int64_t W, int64_t OH,
                                                   int64_t OW)
{
    pool q = {.x = x, .y = y, .H = H, .W = W, .OH = OH, .OW = OW};
    return pool_planes(ctx, adaptive_body, &q, planes, H * W);
}

ETUDE_KERNEL(adaptive_pool2d, adaptive_avg_pool2d_backward)(etude_context *ctx, const real *grad,
                                                            real *dx, int64_t planes, int64_t H,
                                                            int64_t W, int64_t OH, int64_t OW)
{
    pool q = {.grad = grad, .dx = dx, .H = H, .W = W, .OH = OH, .OW = OW};
    return pool_planes(ctx, OH == 1 && OW == 1 ? spread_whole : adaptive_backward_body, &q, planes,
                       2 * H * W);
}
