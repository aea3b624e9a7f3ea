/* conv2d.c: conv2d and its two gradients, conv2d_input and conv2d_weight.

   Counterpart: packages/etude/src/etude/ops/conv2d.py.

   Legend: N images, C input channels, H x W pixels; O output channels, KH x KW taps, OH x OW output
   pixels; strides SH SW, padding PH PW. Everything NCHW contiguous.

   Plan. All three are matrix products with one operand that is never written out (an implicit
   GEMM on the tiles of gemm.h). First a padded copy of the image in cache, its columns sorted by
   their remainder modulo SW, so that the pixels a tap sees along an output line are contiguous for
   any stride:  padded[c][row][column % SW][column / SW].

     conv2d         y[o][pixel] = sum_tap w[o][tap] x[tap][pixel]       tap = (c, i, j)
                    O x pixels, vectors along the pixels of the NCHW output: nothing is rearranged at
                    the end. A panel is KC taps x NR pixels, copied from the padded image into L1.
     conv2d_input   the same with gradients for images and flipped weights; with a stride, one such
                    product for each remainder of the pixel's position, so that no zero is multiplied.
     conv2d_weight  dw[tap][o] = sum_pixel x[tap][pixel] grad[pixel][o]
                    taps x O, vectors along O: the tile reads x through MR pointers into the padded
                    image and copies none of it; grad is transposed panel by panel.

   Threads share images, and lines of an image if there are few. Each output is one chain of sums in
   an order that the sizes fix; conv2d_weight sums groups of images, as many as the sizes say.

   Expected: 85 % of peak from 64 channels up, half of it at 16, a third on one or two channels. */
#include <stdatomic.h>

#include "gemm.h"

/* ---- The padded copy of an image --------------------------------------------------------------- */

typedef struct {
    int64_t rows, columns; /* of the image as the taps see it, padding included */
    int64_t top, left;     /* how much of it is padding; negative: so much is cut off */
    int64_t phases, phase; /* SW, and the length of the columns of one remainder */
    int64_t line;          /* phases * phase */
} canvas;

static canvas make_canvas(int64_t rows, int64_t columns, int64_t top, int64_t left, int64_t SW)
{
    int64_t phase = (columns + SW - 1) / SW;
    return (canvas){rows, columns, top, left, SW, phase, SW * phase};
}

/* Lines first .. first + rows of the canvas, for each of the planes of x: H x W. */
static void paint(const canvas *v, real *to, const real *x, int64_t planes, int64_t H, int64_t W,
                  int64_t first)
{
    int64_t begin = ETUDE_MIN(ETUDE_MAX(v->left, 0), v->columns);
    int64_t end = ETUDE_MAX(begin, ETUDE_MIN(v->columns, v->left + W));
    for (int64_t c = 0; c < planes; c++, x += H * W)
        for (int64_t row = 0; row < v->rows; row++, to += v->line) {
            int64_t h = first + row - v->top;
            int inside = h >= 0 && h < H && begin < end;
            if (!inside || begin > 0 || end < v->columns)
                memset(to, 0, (size_t)v->line * sizeof(real));
            if (!inside)
                continue;
            const real *from = x + h * W - v->left;
            if (v->phases == 1)
                memcpy(to + begin, from + begin, (size_t)(end - begin) * sizeof(real));
            else
                for (int64_t w = begin; w < end; w++)
                    to[w % v->phases * v->phase + w / v->phases] = from[w];
        }
}

/* Where tap (c, i, j) of output pixel (0, 0) is; pixel (h, w) is h * SH * line + w further. */
static inline int64_t tap_offset(const canvas *v, int64_t c, int64_t i, int64_t j)
{
    return (c * v->rows + i) * v->line + j % v->phases * v->phase + j / v->phases;
}

/* ---- conv2d: O x pixels -------------------------------------------------------------------------- */

enum {
    CANVAS_BYTES = 1 << 18, /* of a task's part of an image: stays in L2 */
    SERIAL_WORK = 1 << 17   /* multiply-adds below which threads do not pay */
};

/* One correlation: y[n][o][h][w] = sum_tap weight[o][tap] x[n][c][h SH + i][w SW + j] on the canvas. */
typedef struct {
    int64_t N, C, H, W, O, KH, KW, OH, OW, SH, SW;
    int64_t top, left;
    const real *x, *bias;
    real *y;
    /* Where the pixels go: y[n][o][h * row_step + row][w * column_step + column], YH x YW planes. */
    int64_t YH, YW, row, row_step, column, column_step;

    canvas view;            /* of one task: the lines for `lines` lines of output */
    int64_t lines, parts;   /* tasks of an image */
    int64_t taps, depths;
    int64_t slots, slot_size;
    const real *weight;     /* packed: depth by depth, tile by tile */
    const int64_t *offset;  /* of each tap */
    const real *start;      /* O x NR, the bias repeated; NULL without one */
    real *space;
    atomic_llong next;
} conv;

/* The panel of `width` pixels from `pixel` on, taps p0 .. p0 + kc. Copies go along the output's lines,
   whole vectors: what one writes too much the next overwrites, so there is room for one vector
   behind the panel and behind the image. */
static void pack_pixels(const conv *q, real *to, const real *image, int64_t p0, int64_t kc,
                        int64_t pixel, int64_t width)
{
    int64_t source[NR + NV], target[NR + NV], copies = 0;
    for (int64_t done = 0; done < width;) {
        int64_t h = (pixel + done) / q->OW, w = (pixel + done) % q->OW;
        int64_t run = ETUDE_MIN(width - done, q->OW - w);
        for (int64_t i = 0; i < run; i += VL, copies++) {
            source[copies] = h * q->SH * q->view.line + w + i;
            target[copies] = done + i;
        }
        done += run;
    }
    int64_t padded = gemm_vectors(width) * VL;
    for (int64_t p = 0; p < kc; p++, to += padded) {
        const real *tap = image + q->offset[p0 + p];
        for (int64_t i = 0; i < copies; i++)
            *(vec *)(to + target[i]) = *(const vec *)(tap + source[i]);
    }
}

/* Lines h0 .. h1 of the output of one image. */
static void conv_task(const conv *q, int64_t task, real *space)
{
    int64_t n = task / q->parts, h0 = task % q->parts * q->lines;
    int64_t pixels = (ETUDE_MIN(q->OH, h0 + q->lines) - h0) * q->OW, most = q->lines * q->OW;
    int direct = q->row_step == 1 && q->column_step == 1;
    real *image = space, *panel = image + q->C * q->view.rows * q->view.line + VL;
    real *beside = panel + KC * NR + VL; /* O x most, where the output is not contiguous */
    real *y = direct ? q->y + n * q->O * q->OH * q->OW + h0 * q->OW : beside;
    int64_t ldy = direct ? q->OH * q->OW : most, tiles = (q->O + MR - 1) / MR;

    paint(&q->view, image, q->x + n * q->C * q->H * q->W, q->C, q->H, q->W, h0 * q->SH);
    for (int64_t d = 0; d < q->depths; d++) {
        int64_t p0 = gemm_cut(q->taps, q->depths, d), kc = gemm_cut(q->taps, q->depths, d + 1) - p0;
        for (int64_t pixel = 0; pixel < pixels; pixel += NR) {
            int64_t width = ETUDE_MIN(NR, pixels - pixel);
            pack_pixels(q, panel, image, p0, kc, pixel, width);
            for (int64_t t = 0; t < tiles; t++) {
                int64_t o = gemm_cut(q->O, tiles, t), mr = gemm_cut(q->O, tiles, t + 1) - o;
                real *c = y + o * ldy + pixel;
                gemm_a a = {.a = q->weight + q->O * p0 + o * kc, .packed = 1};
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

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* The weights are q->weight, O x taps. A task is an image, or so many of its lines that the padded copy
   stays in cache and every thread has one. */
static int run_conv(etude_context *ctx, conv *q)
{
    if (q->N == 0 || q->O == 0 || q->OH == 0 || q->OW == 0)
        return ETUDE_OK;
    q->taps = q->C * q->KH * q->KW;
    q->depths = (q->taps + KC - 1) / KC;
    int64_t work = q->N * q->O * q->OH * q->OW * q->taps;
    q->slots = work < 2 * SERIAL_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    int64_t columns = (q->OW - 1) * q->SW + q->KW;
    int64_t line_bytes = ETUDE_MAX(1, q->C * q->SH * columns * (int64_t)sizeof(real));
    int64_t parts = ETUDE_MAX((q->slots + q->N - 1) / q->N, q->OH * line_bytes / CANVAS_BYTES);
    q->lines = ETUDE_MAX(1, q->OH / ETUDE_MAX(1, parts));
    q->parts = (q->OH + q->lines - 1) / q->lines;
    q->view = make_canvas((q->lines - 1) * q->SH + q->KH, columns, q->top, q->left, q->SW);

    int direct = q->row_step == 1 && q->column_step == 1;
    q->slot_size = q->C * q->view.rows * q->view.line + KC * NR + 2 * VL;
    if (!direct)
        q->slot_size += q->O * q->lines * q->OW;
    q->slot_size = round_up(q->slot_size, 64);
    int64_t weights = round_up(q->O * q->taps, 64), starts = q->bias ? q->O * NR : 0;
    int64_t bytes = (q->slots * q->slot_size + weights + starts) * (int64_t)sizeof(real);
    bytes = round_up(bytes, 64);
    char *space = etude_scratch(ctx, (size_t)(bytes + q->taps * (int64_t)sizeof(int64_t)));
    if (!space)
        return ETUDE_NO_MEMORY;

    q->space = (real *)space;
    real *packed = q->space + q->slots * q->slot_size, *start = packed + weights;
    int64_t *offset = (int64_t *)(space + bytes), tiles = (q->O + MR - 1) / MR;
    for (int64_t d = 0; d < q->depths; d++)
        for (int64_t t = 0; t < tiles; t++) {
            int64_t p0 = gemm_cut(q->taps, q->depths, d);
            int64_t kc = gemm_cut(q->taps, q->depths, d + 1) - p0;
            int64_t o = gemm_cut(q->O, tiles, t), mr = gemm_cut(q->O, tiles, t + 1) - o;
            gemm_pack(packed + q->O * p0 + o * kc, q->weight + o * q->taps + p0, 1, q->taps, kc, mr,
                      mr);
        }
    for (int64_t p = 0; p < q->taps; p++)
        offset[p] = tap_offset(&q->view, p / (q->KH * q->KW), p / q->KW % q->KH, p % q->KW);
    for (int64_t i = 0; i < starts; i++)
        start[i] = q->bias[i / NR];
    q->weight = packed;
    q->offset = offset;
    q->start = q->bias ? start : NULL;
    atomic_init(&q->next, 0);
    if (q->slots > 1)
        etude_parallel_for(ctx, conv_body, q, q->slots, 1);
    else
        conv_body(q, 0, 1);
    return ETUDE_OK;
}

int ETUDE_NAME(conv2d)(etude_context *ctx, const real *x, const real *weight, const real *bias,
                       real *y, int64_t N, int64_t C, int64_t H, int64_t W, int64_t O, int64_t KH,
                       int64_t KW, int64_t OH, int64_t OW, int64_t SH, int64_t SW, int64_t PH,
                       int64_t PW)
{
    if (C == 0 || KH == 0 || KW == 0) {
        for (int64_t i = 0; i < N * O * OH * OW; i++)
            y[i] = bias ? bias[i / (OH * OW) % O] : 0;
        return ETUDE_OK;
    }
    conv q = {.N = N, .C = C, .H = H, .W = W, .O = O, .KH = KH, .KW = KW, .OH = OH, .OW = OW,
              .SH = SH, .SW = SW, .top = PH, .left = PW, .x = x, .bias = bias, .y = y,
              .YH = OH, .YW = OW, .row_step = 1, .column_step = 1, .weight = weight};
    return run_conv(ctx, &q);
}

/* ---- conv2d_input ---------------------------------------------------------------------------------- */

/* Input row h meets tap i in output row (h + PH - i) / SH if that divides. So rows fall into SH
   classes by r = (h + PH) % SH, and a class meets only the taps i = r + SH * i'. Within it, with
   h + PH = SH * (first + u) + r, output row first + u - i': a correlation with the taps reversed. */
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

int ETUDE_NAME(conv2d_input)(etude_context *ctx, const real *grad, const real *weight, real *dx,
                             int64_t N, int64_t C, int64_t H, int64_t W, int64_t O, int64_t KH,
                             int64_t KW, int64_t OH, int64_t OW, int64_t SH, int64_t SW,
                             int64_t PH, int64_t PW)
{
    if (O == 0 || KH == 0 || KW == 0) {
        memset(dx, 0, (size_t)(N * C * H * W) * sizeof(real));
        return ETUDE_OK;
    }
    real *flipped = malloc((size_t)ETUDE_MAX(1, C * O * KH * KW) * sizeof(real));
    if (!flipped)
        return ETUDE_NO_MEMORY;
    int status = ETUDE_OK;
    for (int64_t class = 0; class < SH * SW && status == ETUDE_OK; class++) {
        int64_t r = class / SW, s = class % SW;
        residue rows = residue_class(r, H, KH, SH, PH), columns = residue_class(s, W, KW, SW, PW);
        real *to = flipped;
        for (int64_t c = 0; c < C; c++)
            for (int64_t o = 0; o < O; o++)
                for (int64_t i = rows.taps - 1; i >= 0; i--)
                    for (int64_t j = columns.taps - 1; j >= 0; j--)
                        *to++ = weight[((o * C + c) * KH + r + SH * i) * KW + s + SW * j];
        conv q = {.N = N, .C = O, .H = OH, .W = OW, .O = C, .KH = rows.taps, .KW = columns.taps,
                  .OH = rows.pixels, .OW = columns.pixels, .SH = 1, .SW = 1,
                  .top = rows.taps - 1 - rows.first, .left = columns.taps - 1 - columns.first,
                  .x = grad, .y = dx, .YH = H, .YW = W, .row = rows.at, .row_step = SH,
                  .column = columns.at, .column_step = SW, .weight = flipped};
        status = run_conv(ctx, &q);
    }
    free(flipped);
    return status;
}

/* ---- conv2d_weight: taps x O ----------------------------------------------------------------------- */

enum {
    MOST_GROUPS = 16,         /* of images that are summed apart */
    GROUP_NUMBERS = 1 << 20   /* and all of their sums together, unless there is but one */
};

typedef struct {
    int64_t N, C, H, W, O, KH, KW, OH, OW, SH, SW;
    const real *grad, *x;
    canvas view;           /* one image, one block of channels */
    int64_t groups, blocks; /* of images, of channels */
    int64_t columns;       /* O rounded up to vectors */
    int64_t lines;         /* of output in a panel: about KC pixels */
    int64_t slots, slot_size;
    real *sums;            /* groups x taps x columns */
    real *space;
    real *dw;
    atomic_llong next;
} weight_plan;

/* sums[taps of channels c0 .. c1] += one image's part, one panel of output channels. */
static void weight_panel(const weight_plan *q, const real *image, real *panel, real *sums,
                         const real *grad, int64_t taps, int64_t o, int64_t h0, int64_t lines,
                         int first)
{
    int64_t width = ETUDE_MIN(NR, q->O - o), pixels = q->OH * q->OW;
    int nv = gemm_vectors(width);
    gemm_pack(panel, grad + o * pixels + h0 * q->OW, 1, pixels, lines * q->OW, width, nv * VL);
    int64_t tiles = (taps + MR - 1) / MR, jump = q->SH * q->view.line, area = q->KH * q->KW;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t tap = gemm_cut(taps, tiles, t), mr = gemm_cut(taps, tiles, t + 1) - tap;
        const real *rows[MR];
        for (int64_t i = 0; i < mr; i++) {
            int64_t p = tap + i;
            rows[i] = image + h0 * jump +
                      tap_offset(&q->view, p / area, p / q->KW % q->KH, p % q->KW);
        }
        real *c = sums + tap * q->columns + o;
        gemm_rows_tiles[mr - 1][nv - 1](q->OW, lines, jump, rows, 1, panel,
                                        first ? gemm_zeros : c, first ? 0 : q->columns, c,
                                        q->columns);
    }
}

static void weight_task(const weight_plan *q, int64_t task, real *image)
{
    int64_t g = task / q->blocks, block = task % q->blocks, area = q->KH * q->KW;
    int64_t c0 = gemm_cut(q->C, q->blocks, block), c1 = gemm_cut(q->C, q->blocks, block + 1);
    int64_t n0 = gemm_cut(q->N, q->groups, g), n1 = gemm_cut(q->N, q->groups, g + 1);
    int64_t most = (q->C + q->blocks - 1) / q->blocks;
    real *panel = image + most * q->view.rows * q->view.line;
    real *sums = q->sums + (g * q->C + c0) * area * q->columns;
    for (int64_t n = n0; n < n1; n++) {
        const real *grad = q->grad + n * q->O * q->OH * q->OW;
        paint(&q->view, image, q->x + (n * q->C + c0) * q->H * q->W, c1 - c0, q->H, q->W, 0);
        for (int64_t h = 0; h < q->OH; h += q->lines)
            for (int64_t o = 0; o < q->O; o += NR)
                weight_panel(q, image, panel, sums, grad, (c1 - c0) * area, o, h,
                             ETUDE_MIN(q->lines, q->OH - h), n == n0 && h == 0);
    }
}

static void weight_body(void *arg, int64_t begin, int64_t end)
{
    weight_plan *q = arg;
    for (int64_t slot = begin; slot < end; slot++) {
        int64_t task;
        while ((task = atomic_fetch_add(&q->next, 1)) < q->groups * q->blocks)
            weight_task(q, task, q->space + slot * q->slot_size);
    }
}

/* dw[o][tap] for some taps: the sums of the groups, in order. */
static void weight_sum(void *arg, int64_t begin, int64_t end)
{
    const weight_plan *q = arg;
    int64_t taps = q->C * q->KH * q->KW;
    for (int64_t o = 0; o < q->O; o++)
        for (int64_t tap = begin; tap < end; tap++) {
            real sum = q->sums[tap * q->columns + o];
            for (int64_t g = 1; g < q->groups; g++)
                sum += q->sums[(g * taps + tap) * q->columns + o];
            q->dw[o * taps + tap] = sum;
        }
}

int ETUDE_NAME(conv2d_weight)(etude_context *ctx, const real *grad, const real *x, real *dw,
                              int64_t N, int64_t C, int64_t H, int64_t W, int64_t O, int64_t KH,
                              int64_t KW, int64_t OH, int64_t OW, int64_t SH, int64_t SW,
                              int64_t PH, int64_t PW)
{
    int64_t taps = C * KH * KW;
    if (O == 0 || taps == 0)
        return ETUDE_OK;
    if (N == 0 || OH == 0 || OW == 0) {
        memset(dw, 0, (size_t)(O * taps) * sizeof(real));
        return ETUDE_OK;
    }
    weight_plan q = {.N = N, .C = C, .H = H, .W = W, .O = O, .KH = KH, .KW = KW, .OH = OH,
                     .OW = OW, .SH = SH, .SW = SW, .grad = grad, .x = x, .dw = dw};
    q.columns = round_up(O, VL);
    q.groups = ETUDE_MIN(N, ETUDE_MAX(1, ETUDE_MIN(MOST_GROUPS,
                                                   GROUP_NUMBERS / (taps * q.columns))));
    int64_t work = N * O * OH * OW * taps;
    q.slots = work < 2 * SERIAL_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    q.blocks = ETUDE_MIN(C, (2 * q.slots + q.groups - 1) / q.groups);
    if (q.slots == 1)
        q.blocks = 1;
    q.lines = ETUDE_MAX(1, ETUDE_MIN(OH, KC / OW));
    q.view = make_canvas((OH - 1) * SH + KH, (OW - 1) * SW + KW, PH, PW, SW);
    int64_t channels = (C + q.blocks - 1) / q.blocks;
    q.slot_size = round_up(channels * q.view.rows * q.view.line + q.lines * OW * NR, 64);
    int64_t sums = round_up(q.groups * taps * q.columns, 64);
    q.sums = etude_scratch(ctx, (size_t)(sums + q.slots * q.slot_size) * sizeof(real));
    if (!q.sums)
        return ETUDE_NO_MEMORY;
    q.space = q.sums + sums;
    atomic_init(&q.next, 0);
    if (q.slots > 1)
        etude_parallel_for(ctx, weight_body, &q, q.slots, 1);
    else
        weight_body(&q, 0, 1);
    etude_parallel_for(ctx, weight_sum, &q, taps, ETUDE_MAX(1, (1 << 15) / (O * q.groups)));
    return ETUDE_OK;
}
