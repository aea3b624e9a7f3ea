/* conv2d.c: conv2d and its gradient in the image, conv2d_input. conv2d_weight.c has the other one.

   Reference: packages/etude/src/etude/ops/conv2d.py.
   Read first: c_src/cpu/plain/conv2d.c, the same as plain loops.

   Legend: N images, C input channels, H x W pixels; O output channels, KH x KW taps, OH x OW output
   pixels; strides SH SW, padding PH PW. Everything NCHW contiguous.

   Plan. Both are matrix products with an operand that is never written out as a whole (an implicit
   GEMM on the tiles of gemm.h). First a padded copy of the image, in cache (canvas.h). Then

     conv2d         y[o][pixel] = sum_tap w[o][tap] x[tap][pixel]        tap = (c, i, j)
                    O x pixels, vectors along the pixels of the NCHW output, so that nothing is
                    rearranged at the end. A panel of x, KC taps x NR pixels, is copied into L1.
     conv2d_input   the same, with gradients for images and flipped weights. With a stride, one such
                    product for each remainder of a pixel's position, so that no zero is multiplied.

   Threads share images, and the lines of an image where there are few. Each output is one chain of
   sums in an order that the sizes fix.

   Expected: 75 to 80 % of the peak of all cores from 64 channels up, 55 % at 16, 25 to 40 % on the
   first layers, where copying a panel costs as much as using it once. */
#include <stdatomic.h>

#include "canvas.h"
#include "gemm.h"

/* ---- conv2d: O x pixels ---------------------------------------------------------------------- */

enum { CANVAS_BYTES = 1 << 18 }; /* of a task's part of an image: stays in L2 */

/* One correlation: y[n][o][h][w] = sum_tap weight[o][tap] canvas[n][c][h SH + i][w SW + j]. */
typedef struct {
    int64_t N, C, H, W, O, KH, KW, OH, OW, SH, SW;
    int64_t top, left;
    const real *x, *bias;
    real *y;
    /* Pixel (h, w) is y[n][o][h * row_step + row][w * column_step + column], YH x YW planes. */
    int64_t YH, YW, row, row_step, column, column_step;

    canvas view;            /* of one task: what `lines` lines of output read */
    int64_t lines, parts;   /* tasks of an image */
    int64_t taps, depths;
    int64_t slots, slot_size, canvas_size;
    const real *weight;     /* of output channel 0, tap 0; then by these strides */
    int64_t w_O, w_C, w_KH, w_KW;
    real *packed;           /* weights: depth by depth, tile by tile */
    int64_t *offset, *w_offset; /* of each tap: in the canvas, in the weights */
    const real *start;      /* O x NR, the bias repeated; NULL without one */
    real *space;
    atomic_llong next;
} conv;

/* Packs tiles begin .. end of the weights, at every depth. */
static void pack_weights(void *arg, int64_t begin, int64_t end)
{
    const conv *q = arg;
    int64_t tiles = (q->O + MR - 1) / MR;
    for (int64_t t = begin; t < end; t++) {
        int64_t o = gemm_cut(q->O, tiles, t), mr = gemm_cut(q->O, tiles, t + 1) - o;
        for (int64_t d = 0; d < q->depths; d++) {
            int64_t p0 = gemm_cut(q->taps, q->depths, d), p1 = gemm_cut(q->taps, q->depths, d + 1);
            real *to = q->packed + q->O * p0 + o * (p1 - p0);
            for (int64_t p = p0; p < p1; p++) {
                const real *w = q->weight + o * q->w_O + q->w_offset[p];
                for (int64_t i = 0; i < mr; i++)
                    *to++ = w[i * q->w_O];
            }
        }
    }
}

/* Copies `copies` vectors from the image to the panel for each of kc taps, in order, because a
   later one may overwrite the end of an earlier one. One instance per number of copies keeps the
   places in registers. */
GEMM_INLINE void copy_taps(int copies, real *to, int64_t padded, const real *image,
                           const int64_t *offset, int64_t kc, const int64_t *sources,
                           const int64_t *targets)
{
    int64_t source[2 * NV + 2], target[2 * NV + 2];
    GEMM_UNROLL for (int i = 0; i < copies; i++)
        source[i] = sources[i], target[i] = targets[i];
    for (int64_t p = 0; p < kc; p++, to += padded) {
        const real *tap = image + offset[p];
        GEMM_UNROLL for (int i = 0; i < copies; i++)
            *(vec *)(to + target[i]) = *(const vec *)(tap + source[i]);
    }
}

/* Packs the panel of `width` pixels from `pixel` on, taps p0 .. p0 + kc. Copies go along the lines
   of the output in whole vectors: what one writes past the end of a line the next overwrites, and
   behind the panel and behind the image there is room for one vector. */
static void pack_pixels(const conv *q, real *to, const real *image, int64_t p0, int64_t kc,
                        int64_t pixel, int64_t width)
{
    int64_t source[NR + NV], target[NR + NV], padded = gemm_vectors(width) * VL;
    const int64_t *offset = q->offset + p0;
    int copies = 0;
    for (int64_t done = 0; done < width;) {
        int64_t h = (pixel + done) / q->OW, w = (pixel + done) % q->OW;
        int64_t run = ETUDE_MIN(width - done, q->OW - w);
        for (int64_t i = 0; i < run; i += VL, copies++) {
            source[copies] = h * q->SH * q->view.line + w + i;
            target[copies] = done + i;
        }
        done += run;
    }
    switch (copies) {
    case 1: copy_taps(1, to, padded, image, offset, kc, source, target); return;
    case 2: copy_taps(2, to, padded, image, offset, kc, source, target); return;
    case 3: copy_taps(3, to, padded, image, offset, kc, source, target); return;
    case 4: copy_taps(4, to, padded, image, offset, kc, source, target); return;
    case 5: copy_taps(5, to, padded, image, offset, kc, source, target); return;
    }
    for (int64_t p = 0; p < kc; p++, to += padded)
        for (int i = 0; i < copies; i++)
            *(vec *)(to + target[i]) = *(const vec *)(image + offset[p] + source[i]);
}

/* A task: lines h0 .. h1 of the output of one image. */
static void conv_task(const conv *q, int64_t task, real *space)
{
    int64_t n = task / q->parts, part = task % q->parts;
    int64_t h0 = gemm_cut(q->OH, q->parts, part), h1 = gemm_cut(q->OH, q->parts, part + 1);
    int64_t pixels = (h1 - h0) * q->OW, most = q->lines * q->OW;
    int direct = q->row_step == 1 && q->column_step == 1;
    real *image = space, *panel = image + q->canvas_size;
    real *beside = panel + KC * NR + VL; /* O x most, where the output is not contiguous */
    real *y = direct ? q->y + n * q->O * q->OH * q->OW + h0 * q->OW : beside;
    int64_t ldy = direct ? q->OH * q->OW : most;
    const int64_t O = q->O, tiles = (O + MR - 1) / MR;

    paint(&q->view, image, q->x + n * q->C * q->H * q->W, q->C, q->H, q->W, h0 * q->SH);
    for (int64_t d = 0; d < q->depths; d++) {
        int64_t p0 = gemm_cut(q->taps, q->depths, d), kc = gemm_cut(q->taps, q->depths, d + 1) - p0;
        for (int64_t pixel = 0; pixel < pixels; pixel += NR) {
            int64_t width = ETUDE_MIN(NR, pixels - pixel);
            pack_pixels(q, panel, image, p0, kc, pixel, width);
            for (int64_t t = 0; t < tiles; t++) {
                int64_t o = gemm_cut(O, tiles, t), mr = gemm_cut(O, tiles, t + 1) - o;
                real *c = y + o * ldy + pixel;
                gemm_a a = {.a = q->packed + O * p0 + o * kc, .packed = 1};
                const real *from = d ? c : q->start ? q->start + o * NR : gemm_zeros;
                gemm_tile((int)mr, width, kc, a, panel, from, d ? ldy : q->start ? NR : 0, c, ldy);
            }
        }
    }
    if (direct)
        return;
    for (int64_t o = 0; o < q->O; o++)
        for (int64_t i = 0; i < pixels; i++) {
            int64_t h = (h0 + i / q->OW) * q->row_step + q->row;
            int64_t w = i % q->OW * q->column_step + q->column;
            q->y[((n * q->O + o) * q->YH + h) * q->YW + w] = q->taps ? beside[o * most + i] : 0;
        }
}

static void conv_body(void *arg, int64_t begin, int64_t end)
{
    conv *q = arg;
    for (int64_t slot = begin; slot < end; slot++) {
        int64_t task;
        while ((task = atomic_fetch_add(&q->next, 1)) < q->N * q->parts)
            conv_task(q, task, q->space + slot * q->slot_size);
    }
}

/* A task is an image, or part of its lines: so few that their padded copy stays in cache, and that
   there is a task for every thread. */
static int run_conv(etude_context *ctx, conv *q)
{
    if (q->N == 0 || q->O == 0 || q->OH == 0 || q->OW == 0)
        return ETUDE_OK;
    q->taps = q->C * q->KH * q->KW;
    q->depths = (q->taps + KC - 1) / KC;
    int64_t work = q->N * q->O * q->OH * q->OW * q->taps;
    q->slots = work < GEMM_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    int64_t columns = (q->OW - 1) * q->SW + q->KW;
    int64_t line_bytes = ETUDE_MAX(1, q->C * q->SH * columns * (int64_t)sizeof(real));
    q->parts = q->OH * line_bytes / CANVAS_BYTES + 1;
    if (q->N < 4 * q->slots) /* few images: the same number of tasks for every thread */
        q->parts = round_up(q->parts, q->slots);
    q->parts = ETUDE_MIN(q->parts, q->OH);
    q->lines = (q->OH + q->parts - 1) / q->parts;
    q->view = make_canvas((q->lines - 1) * q->SH + q->KH, columns, q->top, q->left, q->SW);

    int direct = q->row_step == 1 && q->column_step == 1;
    q->canvas_size = round_up(q->C * q->view.rows * q->view.line + VL, 64);
    q->slot_size = q->canvas_size + KC * NR + VL;
    if (!direct)
        q->slot_size += q->O * q->lines * q->OW;
    q->slot_size = round_up(q->slot_size, 64);
    int64_t weights = round_up(q->O * q->taps, 64), starts = q->bias ? q->O * NR : 0;
    int64_t bytes = (q->slots * q->slot_size + weights + starts) * (int64_t)sizeof(real);
    bytes = round_up(bytes, 64);
    char *space = etude_scratch(ctx, (size_t)(bytes + 2 * q->taps * (int64_t)sizeof(int64_t)));
    if (!space)
        return ETUDE_NO_MEMORY;

    q->space = (real *)space;
    q->packed = q->space + q->slots * q->slot_size;
    real *start = q->packed + weights;
    q->offset = (int64_t *)(space + bytes);
    q->w_offset = q->offset + q->taps;
    tap_offsets(&q->view, q->C, q->KH, q->KW, q->offset);
    for (int64_t p = 0; p < q->taps; p++)
        q->w_offset[p] = p / (q->KH * q->KW) * q->w_C + p / q->KW % q->KH * q->w_KH +
                         p % q->KW * q->w_KW;
    for (int64_t i = 0; i < starts; i++)
        start[i] = q->bias[i / NR];
    q->start = q->bias ? start : NULL;
    atomic_init(&q->next, 0);
    etude_parallel_for(ctx, pack_weights, q, (q->O + MR - 1) / MR,
                       ETUDE_GRAIN_MEMORY / (MR * q->taps + 1) + 1);
    if (q->slots > 1)
        etude_parallel_for(ctx, conv_body, q, q->slots, 1);
    else
        conv_body(q, 0, 1);
    return ETUDE_OK;
}

ETUDE_KERNEL(conv2d, conv2d)(etude_context *ctx, const real *x, const real *weight,
                             const real *bias, real *y, int64_t N, int64_t C, int64_t H, int64_t W,
                             int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH,
                             int64_t SW, int64_t PH, int64_t PW, int64_t DH, int64_t DW,
                             int64_t groups)
{
    if (DH != 1 || DW != 1 || groups != 1)
        return only_dense(ctx);
    if (C == 0 || KH == 0 || KW == 0) {
        for (int64_t i = 0; i < N * O * OH * OW; i++)
            y[i] = bias ? bias[i / (OH * OW) % O] : 0;
        return ETUDE_OK;
    }
    conv q = {.N = N, .C = C, .H = H, .W = W, .O = O, .KH = KH, .KW = KW, .OH = OH, .OW = OW,
              .SH = stride_between(OH, SH), .SW = stride_between(OW, SW),
              .top = PH, .left = PW, .x = x, .bias = bias, .y = y,
              .YH = OH, .YW = OW, .row_step = 1, .column_step = 1,
              .weight = weight, .w_O = C * KH * KW, .w_C = KH * KW, .w_KH = KW, .w_KW = 1};
    return run_conv(ctx, &q);
}

/* ---- conv2d_input ---------------------------------------------------------------------------- */

/* Input row h meets tap i in output row (h + PH - i) / SH if that divides. So rows fall into SH
   classes by r = (h + PH) % SH, and a class meets only the taps i = r + SH * i'. Within it, with
   h + PH = SH * (first + u) + r, it is output row first + u - i': a correlation with the taps
   reversed. */
typedef struct {
    int64_t taps;    /* of this class */
    int64_t first;   /* smallest (h + PH - r) / SH with h >= 0 */
    int64_t pixels;  /* how many h < H there are */
    int64_t at;      /* the first of these h */
} residue;

static residue residue_class(int64_t r, int64_t H, int64_t KH, int64_t SH, int64_t PH)
{
    residue e = {.taps = r < KH ? (KH - r + SH - 1) / SH : 0,
                 .first = PH > r ? (PH - r + SH - 1) / SH : 0};
    e.at = e.first * SH + r - PH;
    e.pixels = e.at < H ? (H - e.at + SH - 1) / SH : 0;
    return e;
}

ETUDE_KERNEL(conv2d_input, conv2d_input)(etude_context *ctx, const real *grad, const real *weight,
                                         real *dx, int64_t N, int64_t C, int64_t H, int64_t W,
                                         int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW,
                                         int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,
                                         int64_t DW, int64_t groups)
{
    if (DH != 1 || DW != 1 || groups != 1)
        return only_dense(ctx);
    if (O == 0 || KH == 0 || KW == 0) {
        memset(dx, 0, (size_t)(N * C * H * W) * sizeof(real));
        return ETUDE_OK;
    }
    int status = ETUDE_OK;
    SH = stride_between(OH, SH), SW = stride_between(OW, SW);
    for (int64_t class = 0; class < SH * SW && status == ETUDE_OK; class++) {
        int64_t r = class / SW, s = class % SW;
        residue rows = residue_class(r, H, KH, SH, PH), columns = residue_class(s, W, KW, SW, PW);
        conv q = {.N = N, .C = O, .H = OH, .W = OW, .O = C, .KH = rows.taps, .KW = columns.taps,
                  .OH = rows.pixels, .OW = columns.pixels, .SH = 1, .SW = 1,
                  .top = rows.taps - 1 - rows.first, .left = columns.taps - 1 - columns.first,
                  .x = grad, .y = dx, .YH = H, .YW = W, .row = rows.at, .row_step = SH,
                  .column = columns.at, .column_step = SW,
                  .weight = weight + (r + SH * (rows.taps - 1)) * KW + s + SW * (columns.taps - 1),
                  .w_O = KH * KW, .w_C = C * KH * KW, .w_KH = -SH * KW, .w_KW = -SW};
        status = run_conv(ctx, &q);
    }
    return status;
}
