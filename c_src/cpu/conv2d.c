/* conv2d.c: conv2d and its gradient in the image, conv2d_input. conv2d_weight.c has the other one.

   Reference: packages/etude/src/etude/ops/conv2d.py.
   Read first: c_src/cpu/plain/conv2d.c, the same as plain loops.

   Legend: N images, C input channels and O output channels of each of G groups, H x W pixels;
   KH x KW taps, OH x OW output pixels; strides SH SW, padding PH PW, dilation DH DW. All arrays
   contiguous, NCHW. OP is O rounded up to whole vectors.

   Plan. Both are products of a matrix of what the taps see, which is never written out (an implicit
   GEMM), and a matrix of weights, on the tiles of gemm.h:

       conv2d         y[pixel][o] = sum_tap x[pixel][tap] w[tap][o]        tap = (c, i, j)
                      pixels x O, vectors along O. The weights are packed, KC taps x NR channels to
                      a panel that stays in L1. A tile of MR pixels walks along the taps; every number
                      of x that it needs is at (place of the pixel) + (place of the tap) in the
                      canvas (canvas.h), so nothing is rearranged for any stride or dilation.
                      The result is pixels x OP in L2; it is transposed into NCHW at the end.
       conv2d_input   the same, with the gradient for the image and its channels summed over. With a
                      stride, one such product for each remainder of a pixel's position, so that no
                      zero is multiplied.

   Where vectors fit the lines of the result they go along the pixels instead (conv2d_lines.h): then
   nothing is transposed. `choose` says which way, for conv2d and conv2d_input alike.
   Memory is asked for what comes next: the image of the next task, and the place of the result.

   What follows in a replay (a norm, a sum, a relu) is done by each task on its own lines: tail.h.
   A frozen program (etude_keep) keeps the packed weights from run to run, and what tasks look up:
   it stays in the cache of each core.
   Threads share images, groups, and the lines of an image where there are few. Each output is one
   chain of sums in an order that the sizes fix.

   Expected, of the peak of a core: 75 to 85 % from 16 channels and 9 taps up, either way; 65 % for
   three channels. */
#include "canvas.h"
#include "conv2d_lines.h"
#include "gemm.h"
#include "tail.h"

/* n taps whose weights follow each other; one may have few neighbours, so it is packed by hand. */
static void pack_run(const conv *q, real *to, const real *weight, int64_t n, int64_t width,
                     int64_t padded)
{
    if (n > 1) {
        gemm_pack(to, weight, 1, q->w_O, n, width, padded);
        return;
    }
    for (int64_t i = 0; i < padded; i++)
        to[i] = i < width ? weight[i * q->w_O] : 0;
}

/* Packs panel j of the weights of group g, for every class and depth; item = g * panels + j. */
static void pack_weights(void *arg, int64_t begin, int64_t end)
{
    const conv *q = arg;
    int64_t panels = ceil_ratio(q->O, NR), area = q->KH * q->KW, all = q->C * area;
    int64_t together = q->row_step * q->column_step > 1 ? 1 : q->w_C == area ? all : area;
    for (int64_t item = begin; item < end; item++) {
        int64_t g = item / panels, o = item % panels * NR, taps;
        int64_t width = ETUDE_MIN(NR, q->O - o), padded = gemm_vectors(width) * VL;
        const real *weight = q->weight + g * q->O * all + o * q->w_O;
        for (int64_t k = 0; k < q->row_step * q->column_step; k++) {
            int64_t first = class_taps(q, k / q->column_step, k % q->column_step, &taps);
            for (int64_t d = 0, depths = depths_of(taps); d < depths; d++) {
                int64_t p0 = first + gemm_cut(taps, depths, d);
                int64_t p1 = first + gemm_cut(taps, depths, d + 1);
                real *to = q->packed + q->OP * (g * all + p0) + o * (p1 - p0);
                for (int64_t p = p0, n; p < p1; p += n, to += n * padded) {
                    n = ETUDE_MIN(p1, first + ((p - first) / together + 1) * together) - p;
                    pack_run(q, to, weight + q->w_place[p], n, width, padded);
                }
            }
        }
    }
}

/* y[pixel][o] += the taps p0 .. p0 + kc of `pixels` pixels, for one panel of weights. `out` is
   where the result will go, asked of memory with the tile that is the last to change it; or NULL. */
static void run_product(const conv *q, const real *image, int64_t pixels, int64_t p0, int64_t kc,
                        const real *panel, int nv, const real *from, real *y, int64_t ldy,
                        const real *out, lookahead *next)
{
    int64_t tiles = ceil_ratio(pixels, MR);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i0 = gemm_cut(pixels, tiles, t), mr = gemm_cut(pixels, tiles, t + 1) - i0;
        const real *rows[MR];
        for (int64_t i = 0; i < mr; i++)
            rows[i] = image + q->pixel[i0 + i];
        real *c = y + i0 * ldy;
        gemm_places_tiles[mr - 1][nv - 1](kc, rows, q->place + p0, panel, from ? from : c,
                                          from ? 0 : ldy, c, ldy);
        look_ahead(next);
        for (int64_t j = 0; out && j < nv * VL; j++)
            __builtin_prefetch(out + j * q->YH * q->YW + i0, 1);
    }
}

/* y[pixel][o] for `lines` lines of class (r, s): one run of pixels, or a run for each line where
   the pixels of other classes lie between. */
static void class_product(const conv *q, int64_t g, int64_t r, int64_t s, const real *image,
                          int64_t lines, real *y, const real *out, lookahead *next)
{
    int64_t taps, first = class_taps(q, r, s, &taps), depths = depths_of(taps);
    int64_t all = q->C * q->KH * q->KW, V = q->columns[s].pixels, runs = lines;
    int64_t line_y = q->row_step * q->YW * q->OP;
    y += (r * q->YW + s) * q->OP;
    int one = q->row_step == 1 && q->column_step == 1;
    if (one)
        V *= lines, runs = 1;
    for (int64_t d = 0; d < depths; d++) {
        int64_t p0 = first + gemm_cut(taps, depths, d);
        int64_t kc = first + gemm_cut(taps, depths, d + 1) - p0;
        const real *packed = q->packed + q->OP * (g * all + p0);
        for (int64_t o = 0; o < q->OP; o += NR) {
            int nv = gemm_vectors(ETUDE_MIN(NR, q->OP - o));
            for (int64_t run = 0; run < runs; run++)
                run_product(q, image + run * q->SH * q->view.line, V, p0, kc, packed + o * kc, nv,
                            d ? NULL : q->start + g * q->OP + o, y + run * line_y + o,
                            q->column_step * q->OP,
                            one && d == depths - 1 ? out + o * q->YH * q->YW : NULL, next);
        }
    }
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

/* What follows, on lines u0 .. u1 of the channels of one group of one image; of conv2d alone, where
   all pixels are of one class. */
static void tail_task(const conv *q, int64_t plane, int64_t u0, int64_t u1)
{
    int64_t first = plane % q->G * q->O, area = q->YH * q->YW, begin = plane * q->O * area;
    for (int64_t o = 0; o < q->O; o++)
        tail_run(q->tail, q->scales, first + o, q->y, begin + o * area + u0 * q->YW,
                 (u1 - u0) * q->YW);
}

/* A task: lines u0 .. u1 of every class, of one group of one image. */
static void conv_task(const conv *q, int64_t task, real *space)
{
    int64_t plane = task / q->parts, part = task % q->parts, g = plane % q->G; /* n * G + g */
    int64_t all = ceil_ratio(q->YH, q->row_step);
    int64_t u0 = gemm_cut(all, q->parts, part), u1 = gemm_cut(all, q->parts, part + 1);
    int64_t size = q->C * q->H * q->W, last = q->N * q->G * size;
    int64_t from = (plane + 1) * size + part * size / q->parts;
    const real *x = q->x + plane * size;
    lookahead next = {q->x + ETUDE_MIN(last, from), q->x + ETUDE_MIN(last, from + size / q->parts),
                      q->fetch};
    real *y = q->y + plane * q->O * q->YH * q->YW;
    if (q->lines) {
        lines_task(q, g, x, u0, u1, space, y, &next);
        if (q->tail)
            tail_task(q, plane, u0, u1);
        return;
    }
    real *beside = space + canvas_size(&q->view);
    const real *image = paint(&q->view, space, x, u0 * q->SH);
    int64_t begin = u0 * q->row_step * q->YW, end = ETUDE_MIN(u1 * q->row_step, q->YH) * q->YW;
    y += begin;
    for (int64_t r = 0; r < q->row_step; r++)
        for (int64_t s = 0; s < q->column_step; s++)
            class_product(q, g, r, s, image, ETUDE_MIN(u1, q->rows[r].pixels) - u0, beside, y,
                          &next);

    for (int64_t i = 0; i < end - begin; i += NR)
        gemm_transpose(y + i, q->YH * q->YW, beside + i * q->OP, q->OP,
                       ETUDE_MIN(NR, end - begin - i), q->O);
    if (q->tail)
        tail_task(q, plane, u0, u1);
}

static void conv_body(void *arg, int64_t begin, int64_t end)
{
    conv *q = arg;
    for (int64_t slot = begin; slot < end; slot++) {
        int64_t task, empty = 0;
        while ((task = next_task(q->hands, q->slots, slot, &empty)) >= 0)
            conv_task(q, task, q->space + slot * q->slot_size);
    }
}

/* ---- The plan -------------------------------------------------------------------------------- */

/* Where tap i meets pixel 0 of its class, in the image: conv2d, and the way back. */
static int64_t meets(int back, int64_t i, int64_t S, int64_t P, int64_t D)
{
    return back ? ceil_ratio(P - i * D, S) : i * D - P;
}

/* The classes of n pixels, and class by class the K taps and where they are in a canvas that begins
   at `origin`. */
static void divide(int back, class *classes, int64_t *tap, int64_t *at, int64_t origin, int64_t n,
                   int64_t K, int64_t S, int64_t P, int64_t D)
{
    int64_t count = 0, step = back ? S : 1;
    for (int64_t r = 0; r < step; r++) {
        classes[r] = (class){.pixels = r < n ? ceil_ratio(n - r, step) : 0, .before = count};
        for (int64_t i = 0; i < K; i++)
            if ((r + P - i * D) % step == 0) {
                tap[count] = i;
                at[count++] = meets(back, i, S, P, D) - origin;
            }
        classes[r].taps = count - classes[r].before;
    }
}

/* Fills in what the tasks look up. */
static void place_all(conv *q)
{
    int64_t *place = q->place, *w_place = q->w_place;
    for (int64_t k = 0; k < q->row_step * q->column_step; k++) {
        const class *rows = &q->rows[k / q->column_step];
        const class *columns = &q->columns[k % q->column_step];
        int64_t area = rows->taps * columns->taps;
        for (int64_t i = rows->before; i < rows->before + rows->taps; i++)
            for (int64_t j = columns->before; j < columns->before + columns->taps; j++) {
                int64_t column = q->wrapped ? j * q->column_plane : q->column[j];
                *place++ = q->row[i] * q->view.line + column;
                *w_place++ = q->row_tap[i] * q->KW + q->column_tap[j];
            }
        for (int64_t n = (q->C - 1) * area; n > 0; n--, place++, w_place++) {
            *place = place[-area] + q->view.plane; /* the same tap of the next channel */
            *w_place = w_place[-area] + q->w_C;
        }
    }
    int64_t width = q->columns[0].pixels;
    if (q->lines)
        place_vectors(q);
    else
        for (int64_t u = 0, i = 0; u < q->height; u++)
            for (int64_t v = 0; v < width; v++)
                q->pixel[i++] = u * q->SH * q->view.line + v * q->SW;
}

/* The arrays of it, one after the other; returns how many numbers that takes. */
static int64_t give_out(conv *q, int64_t *at)
{
    int64_t taps = q->C * q->KH * q->KW, width = ceil_ratio(q->YW, q->column_step), *begin = at;
    int64_t vectors = vectors_of(q, q->flat, q->height, width);
    q->rows = (class *)at, at += q->row_step * (int64_t)(sizeof(class) / sizeof *at);
    q->columns = (class *)at, at += q->column_step * (int64_t)(sizeof(class) / sizeof *at);
    q->row_tap = at, at += q->KH;
    q->row = at, at += q->KH;
    q->column_tap = at, at += q->KW;
    q->column = at, at += q->KW;
    q->place = at, at += taps;
    q->w_place = at, at += taps;
    q->pixel = at, at += q->lines ? 2 * vectors : q->height * width;
    return at - begin;
}

/* How many tasks: so few lines that what a task holds stays in L2, and a task for every thread. */
static void share_out(etude_context *ctx, conv *q)
{
    int64_t all = ceil_ratio(q->YH, q->row_step);
    int64_t result = q->lines && !q->flat ? 0 : q->row_step * q->YW * q->OP;
    int64_t line = q->C * (q->wrapped ? q->KW : q->SH) * q->view.line + result;
    int64_t work = q->N * q->G * q->O * q->C * q->KH * q->KW * all * (q->YW / q->column_step);
    q->slots = work < GEMM_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    q->parts = all * line * (int64_t)sizeof(real) / CONV_TASK + 1;
    if (q->N * q->G < 4 * q->slots) /* few images: the same number of tasks for every thread */
        q->parts = round_up(q->parts, q->slots);
    q->parts = ETUDE_MIN(q->parts, all);
    q->height = ceil_ratio(all, q->parts);
}

/* Whether a vector holds several whole lines, and y has lines as long as x. With longer lines the
   images of a wrapped canvas crowd L1: 5 to 10 % slower than flat at 28 x 28. */
static int wraps(const conv *q, int64_t width)
{
    return q->column_step * q->row_step * q->SH * q->SW == 1 && q->W == width && width < VL &&
           VL % width == 0;
}

/* Which way the vectors go: along the pixels, unless that computes too many numbers that nobody
   wants. It depends on the sizes of one image alone. */
static void choose(conv *q, int64_t width)
{
    int64_t all = ceil_ratio(q->YH, q->row_step), area = q->KH * q->KW;
    int64_t flat = vectors_of(q, 1, all, width), as_lines = vectors_of(q, 0, all, width);
    q->flat = q->column_step > 1 || width < VL || 8 * flat < 7 * as_lines ||
              (width % VL && depths_of(q->C * area) > 1); /* an overlap would be added to twice */
    q->wrapped = wraps(q, width);
    q->flat = q->flat && !q->wrapped;
    int64_t numbers = vectors_of(q, q->flat, all, width) * VL * q->O;
    int64_t limit = (q->flat ? 100 : CONV_LINES_GAIN) * q->OP * all * width;
    /* A weight of each channel, half a page apart: they would share a few sets of L1. */
    int apart = area == 1 && q->w_C * (int64_t)sizeof(real) >= 2048;
    q->lines = q->SW == 1 && !apart && 100 * numbers < limit;
    q->wrapped = q->wrapped && q->lines;
}

/* conv2d, or with `back` conv2d_input: x is grad then. */
static int run_conv(etude_context *ctx, conv *q, int back, int64_t SH, int64_t SW, int64_t PH,
                    int64_t PW, int64_t DH, int64_t DW)
{
    int64_t taps = q->C * q->KH * q->KW;
    if (q->KH * q->KW == 1 && PH + PW == 0 && q->H == q->YH && q->W == q->YW &&
        q->H * q->W % VL == 0) {
        q->H = q->YH = q->H * q->W / VL; /* no pixel meets another: any lines will do */
        q->W = q->YW = VL;
    }
    q->OP = round_up(q->O, VL);
    q->row_step = back ? SH : 1, q->column_step = back ? SW : 1;
    q->SH = back ? 1 : SH, q->SW = back ? 1 : SW;
    int64_t top = meets(back, back ? q->KH - 1 : 0, SH, PH, DH);
    int64_t left = meets(back, back ? q->KW - 1 : 0, SW, PW, DW);
    int64_t tall = meets(back, back ? 0 : q->KH - 1, SH, PH, DH) - top + 1;
    int64_t wide = meets(back, back ? 0 : q->KW - 1, SW, PW, DW) - left + 1;
    int64_t width = ceil_ratio(q->YW, q->column_step);
    q->view.line = (width - 1) * q->SW + wide;
    choose(q, width);
    if (q->wrapped)
        q->view.line = q->W;
    share_out(ctx, q);
    q->view = make_canvas(q->C, q->H, q->W, top, left,
                          (ceil_ratio(q->YH, q->row_step) - 1) * q->SH + tall,
                          (q->height - 1) * q->SH + tall, q->view.line,
                          q->lines && (q->flat || q->wrapped));
    if (q->wrapped)
        widen(q, wide);

    int64_t beside = q->height * q->row_step * q->YW * q->OP;
    if (q->lines)
        beside = lines_space(q, width);
    q->slot_size = canvas_size(&q->view) + round_up(beside, 64);
    int64_t weights = q->lines ? 0 : round_up(q->G * q->OP * taps, 64);
    int64_t starts = round_up(q->G * q->OP, 64);
    int64_t scales = q->tail && q->tail->mean ? round_up(q->G * q->O, 64) : 0;
    size_t bytes = (size_t)(q->slots * q->slot_size + starts + scales) * sizeof(real);
    size_t hands = (size_t)q->slots * sizeof(hand), packed = (size_t)weights * sizeof(real);
    size_t lasting = packed + (size_t)give_out(q, NULL) * sizeof(int64_t);
    etude_kept *kept = etude_keep(ctx, q->weight, lasting);
    char *space = etude_scratch(ctx, hands + bytes + (kept ? 0 : lasting));
    if (!space)
        return ETUDE_NO_MEMORY;
    q->hands = (hand *)space;
    q->space = (real *)(space + hands);
    q->start = q->space + q->slots * q->slot_size;
    q->scales = q->start + starts;
    if (q->tail)
        tail_scales(q->tail, q->G * q->O, q->scales);
    char *last = kept ? kept->memory : space + hands + bytes;
    q->packed = (real *)last;
    give_out(q, (int64_t *)(last + packed));
    for (int64_t i = 0; i < q->G * q->OP; i++) {
        int64_t g = i / q->OP, o = i % q->OP;
        q->start[i] = q->bias && o < q->O ? q->bias[g * q->O + o] : 0;
    }
    /* With more threads tasks have fewer lines, and what is kept of another height is no use. */
    int filled = kept && kept->filled == 1 + q->height;
    if (!filled) {
        divide(back, q->rows, q->row_tap, q->row, top, q->YH, q->KH, SH, PH, DH);
        divide(back, q->columns, q->column_tap, q->column, left, q->YW, q->KW, SW, PW, DW);
        place_all(q);
    }

    int64_t tiles = q->lines ? lines_tiles_of(q, width)
                             : ceil_ratio(q->height * q->YW, MR) * ceil_ratio(q->O, NR);
    tiles *= depths_of(taps);
    q->fetch = ceil_ratio(q->C * q->H * q->W, LINE * q->parts * tiles);

    deal(q->hands, q->slots, q->N * q->G * q->parts);
    if (!q->lines && !filled)
        etude_parallel_for(ctx, pack_weights, q, q->G * ceil_ratio(q->O, NR),
                           ETUDE_GRAIN_MEMORY / (NR * taps + 1) + 1);
    if (kept)
        kept->filled = (int32_t)(1 + q->height);
    if (q->slots > 1)
        etude_parallel_for(ctx, conv_body, q, q->slots, 1);
    else
        conv_body(q, 0, 1);
    if (q->tail)
        q->tail->done = 1;
    return ETUDE_OK;
}

/* ---- The kernels ----------------------------------------------------------------------------- */

ETUDE_KERNEL(conv2d, conv2d)(etude_context *ctx, const real *x, const real *weight,
                             const real *bias, real *y, int64_t N, int64_t C, int64_t H, int64_t W,
                             int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH,
                             int64_t SW, int64_t PH, int64_t PW, int64_t DH, int64_t DW,
                             int64_t groups)
{
    if (N == 0 || O == 0)
        return ETUDE_OK;
    if (C == 0 || KH == 0 || KW == 0) {
        for (int64_t i = 0; i < N * O * OH * OW; i++)
            y[i] = bias ? bias[i / (OH * OW) % O] : 0;
        return ETUDE_OK;
    }
    C /= groups, O /= groups;
    conv q = {.N = N, .G = groups, .C = C, .H = H, .W = W, .O = O, .KH = KH, .KW = KW, .x = x,
              .bias = bias, .y = y, .YH = OH, .YW = OW, .weight = weight, .w_O = C * KH * KW,
              .w_C = KH * KW, .tail = ctx->tail};
    return run_conv(ctx, &q, 0, stride_between(OH, SH), stride_between(OW, SW), PH, PW, DH, DW);
}

ETUDE_KERNEL(conv2d_input, conv2d_input)(etude_context *ctx, const real *grad, const real *weight,
                                         real *dx, int64_t N, int64_t C, int64_t H, int64_t W,
                                         int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW,
                                         int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,
                                         int64_t DW, int64_t groups)
{
    if (N == 0 || C == 0 || H == 0 || W == 0)
        return ETUDE_OK;
    if (O == 0 || KH == 0 || KW == 0) {
        memset(dx, 0, (size_t)(N * C * H * W) * sizeof(real));
        return ETUDE_OK;
    }
    C /= groups, O /= groups;
    conv q = {.N = N, .G = groups, .C = O, .H = OH, .W = OW, .O = C, .KH = KH, .KW = KW,
              .x = grad, .y = dx, .YH = H, .YW = W, .weight = weight, .w_O = KH * KW,
              .w_C = C * KH * KW};
    return run_conv(ctx, &q, 1, stride_between(OH, SH), stride_between(OW, SW), PH, PW, DH, DW);
}
