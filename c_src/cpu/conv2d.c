/* conv2d.c: conv2d and its gradient in the image, conv2d_input. conv2d_weight.c has the other one.

   Reference: packages/etude/src/etude/ops/conv2d.py.
   Read first: c_src/cpu/plain/conv2d.c, the same as plain loops.

   Legend: N images, C input channels and O output channels of each of G groups, H x W pixels;
   KH x KW taps, OH x OW output pixels; strides SH SW, padding PH PW, dilation DH DW. All arrays
   contiguous, NCHW.

   Plan. Both are products of a matrix of weights and a matrix of what the taps see, which is never
   written out as a whole (an implicit GEMM on the tiles of gemm.h):

       conv2d         y[o][pixel] = sum_tap w[o][tap] x[tap][pixel]        tap = (c, i, j)
                      O x pixels, vectors along the pixels of the NCHW output, so that nothing is
                      rearranged at the end. The tile reads x[tap] where it lies in the canvas
                      (canvas.h), by one place a tap; there it is one contiguous run for all pixels.
       conv2d_input   the same, with the gradient for the image and the other channels summed over.
                      With a stride, one such product for each remainder of a pixel's position, from
                      one canvas, so that no zero is multiplied; a line is put together at the end.

   Threads share images, groups, and the lines of an image where there are few. Each output is one
   chain of sums in an order that the sizes fix.

   Expected: TODO */
#include <stdatomic.h>

#include "canvas.h"

static int64_t ceil_ratio(int64_t n, int64_t by) /* by > 0 */
{
    return n > 0 ? (n + by - 1) / by : -(-n / by);
}

/* One axis of the plan. In conv2d all pixels form one class, which meets every tap. In conv2d_input
   pixel r + u S meets tap i only if S divides r + P - i D, in pixel u + (r + P - i D) / S of grad: so
   there is a class for each r < S. */
typedef struct {
    int64_t pixels;       /* r, r + S, r + 2 S, ... */
    int64_t taps, before; /* how many, and how many the classes before it have */
} class;

typedef struct {
    int64_t N, G, C, H, W, O, KH, KW; /* C and O of one group */
    const real *x, *bias;
    real *y;               /* N x G x O x YH x YW */
    int64_t YH, YW, row_step, column_step; /* so many classes of rows, of columns */

    class *rows, *columns;
    int64_t *row_tap, *column_tap; /* the taps of the kernel, class by class */
    int64_t *row;          /* of the canvas, for each of row_tap */
    canvas view;           /* of one task; its copies are those of column_tap */
    int64_t top;           /* the image row of the canvas's row 0 in the first task */
    int64_t *place, *w_place; /* of each tap of each class, in the canvas and in the weights */

    const real *weight;    /* of one group; then by these strides */
    int64_t w_O, w_C;
    real *packed;          /* weights: group, class, depth, tile */
    const real *start;     /* G x O x NR, the bias repeated; NULL without one */
    int64_t parts, lines;  /* tasks of an image, and the most lines of a class in one */
    int64_t slots, slot_size, canvas_size;
    real *space;
    atomic_llong next;
} conv;

/* Where the taps of a class begin in `place`, and how many there are. */
static int64_t class_taps(const conv *q, int64_t r, int64_t s, int64_t *taps)
{
    const class *rows = &q->rows[r], *columns = &q->columns[s];
    *taps = q->C * rows->taps * columns->taps;
    return q->C * (rows->before * q->KW + rows->taps * columns->before);
}

static int64_t depths_of(int64_t taps)
{
    return ETUDE_MAX(1, ceil_ratio(taps, CONV_KC));
}

/* Packs tile t of the weights of group g, for every class and depth; item = g * tiles + t. */
static void pack_weights(void *arg, int64_t begin, int64_t end)
{
    const conv *q = arg;
    int64_t tiles = ceil_ratio(q->O, MR), all = q->C * q->KH * q->KW;
    for (int64_t item = begin; item < end; item++) {
        int64_t g = item / tiles, t = item % tiles, taps;
        int64_t o = gemm_cut(q->O, tiles, t), mr = gemm_cut(q->O, tiles, t + 1) - o;
        const real *weight = q->weight + g * q->O * all + o * q->w_O;
        for (int64_t k = 0; k < q->row_step * q->column_step; k++) {
            int64_t first = class_taps(q, k / q->column_step, k % q->column_step, &taps);
            for (int64_t d = 0, depths = depths_of(taps); d < depths; d++) {
                int64_t p0 = first + gemm_cut(taps, depths, d);
                int64_t p1 = first + gemm_cut(taps, depths, d + 1);
                real *to = q->packed + q->O * (g * all + p0) + o * (p1 - p0);
                for (int64_t p = p0; p < p1; p++)
                    for (int64_t i = 0; i < mr; i++)
                        *to++ = weight[q->w_place[p] + i * q->w_O];
            }
        }
    }
}

/* y[o][pixel] of one class for `pixels` pixels of an image that is in the canvas. */
static void class_product(const conv *q, int64_t g, int64_t r, int64_t s, const real *image,
                          int64_t pixels, real *y, int64_t ldy)
{
    int64_t taps, first = class_taps(q, r, s, &taps), depths = depths_of(taps);
    int64_t tiles = ceil_ratio(q->O, MR), all = q->C * q->KH * q->KW;
    for (int64_t d = 0; d < depths; d++) {
        int64_t p0 = first + gemm_cut(taps, depths, d);
        int64_t kc = first + gemm_cut(taps, depths, d + 1) - p0;
        for (int64_t pixel = 0; pixel < pixels; pixel += NR) {
            int64_t width = ETUDE_MIN(NR, pixels - pixel);
            gemm_b b = {image + pixel, q->place + p0};
            for (int64_t t = 0; t < tiles; t++) {
                int64_t o = gemm_cut(q->O, tiles, t), mr = gemm_cut(q->O, tiles, t + 1) - o;
                real *c = y + o * ldy + pixel;
                gemm_a a = {.a = q->packed + q->O * (g * all + p0) + o * kc, .packed = 1};
                const real *start = q->start ? q->start + (g * q->O + o) * NR : gemm_zeros;
                gemm_tile((int)mr, width, kc, a, b, d ? c : start, d ? ldy : q->start ? NR : 0, c,
                          ldy);
            }
        }
    }
}

/* One line of y from the lines that its classes of columns have, `line[s]`. */
static void join_line(const conv *q, real *y, const real *const *line)
{
    int64_t v = 0;
    if (q->column_step == 2) {
        for (; 2 * (v + QUAD) <= q->YW; v += QUAD)
            gemm_in_turns(y + 2 * v, *(const quad *)(line[0] + v), *(const quad *)(line[1] + v));
    }
    for (int64_t s = 0; s < q->column_step; s++)
        for (int64_t i = v; i < q->columns[s].pixels; i++)
            y[s + i * q->column_step] = line[s][i];
}

/* The lines of y of row class r from line u0 on, from what its classes of columns have beside. */
static void join(const conv *q, real *y, int64_t r, int64_t u0, int64_t lines, const real *beside)
{
    const real *line[q->column_step];
    for (int64_t o = 0; o < q->O; o++)
        for (int64_t u = 0; u < lines; u++) {
            int64_t h = r + (u0 + u) * q->row_step;
            const real *from = beside;
            for (int64_t s = 0; s < q->column_step; s++) {
                int64_t V = q->columns[s].pixels;
                line[s] = from + (o * lines + u) * V;
                from += q->O * lines * V;
            }
            join_line(q, y + (o * q->YH + h) * q->YW, line);
        }
}

/* A task: of one group of one image, lines u0 .. u1 of every class. */
static void conv_task(const conv *q, int64_t task, real *space)
{
    int64_t plane = task / q->parts, part = task % q->parts, g = plane % q->G; /* n * G + g */
    int64_t all = ceil_ratio(q->YH, q->row_step);
    int64_t u0 = gemm_cut(all, q->parts, part), u1 = gemm_cut(all, q->parts, part + 1);
    real *image = space, *beside = space + q->canvas_size;
    real *y = q->y + plane * q->O * q->YH * q->YW;
    int direct = q->row_step == 1 && q->column_step == 1;

    paint(&q->view, image, q->x + plane * q->C * q->H * q->W, q->top + u0 * q->view.SH);
    for (int64_t r = 0; r < q->row_step; r++) {
        int64_t lines = ETUDE_MIN(u1, q->rows[r].pixels) - u0;
        if (lines <= 0)
            continue;
        real *to = direct ? y + u0 * q->YW : beside;
        for (int64_t s = 0; s < q->column_step; s++) {
            int64_t pixels = lines * q->columns[s].pixels;
            class_product(q, g, r, s, image, pixels, to, direct ? q->YH * q->YW : pixels);
            to += q->O * pixels;
        }
        if (!direct)
            join(q, y, r, u0, lines, beside);
    }
}

static void conv_body(void *arg, int64_t begin, int64_t end)
{
    conv *q = arg;
    for (int64_t slot = begin; slot < end; slot++) {
        int64_t task;
        while ((task = atomic_fetch_add(&q->next, 1)) < q->N * q->G * q->parts)
            conv_task(q, task, q->space + slot * q->slot_size);
    }
}

/* ---- The plan -------------------------------------------------------------------------------- */

/* Where tap i meets pixel 0 of its class, in the image: conv2d, and the way back. */
static int64_t meets(int back, int64_t i, int64_t S, int64_t P, int64_t D)
{
    return back ? ceil_ratio(P - i * D, S) : i * D - P;
}

/* The classes of n pixels, and class by class the K taps and where they meet. */
static void divide(int back, class *classes, int64_t *tap, int64_t *at, int64_t n, int64_t K,
                   int64_t S, int64_t P, int64_t D)
{
    int64_t count = 0, step = back ? S : 1;
    for (int64_t r = 0; r < step; r++) {
        classes[r] = (class){.pixels = r < n ? (n - r + step - 1) / step : 0, .before = count};
        for (int64_t i = 0; i < K; i++)
            if ((r + P - i * D) % step == 0) {
                tap[count] = i;
                at[count++] = meets(back, i, S, P, D);
            }
        classes[r].taps = count - classes[r].before;
    }
}

/* How many tasks: so few lines that their canvas stays in cache, and a task for every thread. */
static void share_out(etude_context *ctx, conv *q, int64_t width)
{
    int64_t all = ceil_ratio(q->YH, q->row_step), line = q->C * q->view.SH * q->KW * width;
    int64_t work = q->N * q->G * q->O * q->C * q->KH * q->KW * all * width;
    q->slots = work < GEMM_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    q->parts = all * line * (int64_t)sizeof(real) / CONV_CANVAS + 1;
    if (q->N * q->G < 4 * q->slots) /* few images: the same number of tasks for every thread */
        q->parts = round_up(q->parts, q->slots);
    q->parts = ETUDE_MIN(q->parts, all);
    q->lines = ceil_ratio(all, q->parts);
}

/* What the tasks look up, one array after the other; returns how many numbers that takes. */
static int64_t give_out(conv *q, int64_t *at)
{
    int64_t taps = q->C * q->KH * q->KW, *begin = at;
    q->rows = (class *)at, at += q->row_step * (int64_t)(sizeof(class) / sizeof *at);
    q->columns = (class *)at, at += q->column_step * (int64_t)(sizeof(class) / sizeof *at);
    q->row_tap = at, at += q->KH;
    q->row = at, at += q->KH;
    q->column_tap = at, at += q->KW;
    q->view.shift = at, at += q->KW;
    q->view.width = at, at += q->KW;
    q->view.at = at, at += q->KW;
    q->view.used = at, at += q->view.SH;
    q->place = at, at += taps;
    q->w_place = at, at += taps;
    return at - begin;
}

/* Fills them in. */
static void look_up(conv *q, int back, int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,
                    int64_t DW)
{
    divide(back, q->rows, q->row_tap, q->row, q->YH, q->KH, SH, PH, DH);
    divide(back, q->columns, q->column_tap, q->view.shift, q->YW, q->KW, SW, PW, DW);
    memset(q->view.used, 0, (size_t)q->view.SH * sizeof(int64_t));
    for (int64_t i = 0; i < q->KH; i++) {
        q->row[i] -= q->top;
        q->view.used[q->row[i] % q->view.SH] = 1;
    }
    for (int64_t s = 0; s < q->column_step; s++)
        for (int64_t j = 0; j < q->columns[s].taps; j++)
            q->view.width[q->columns[s].before + j] = q->columns[s].pixels;
    lay_out(&q->view);

    int64_t *place = q->place, *w_place = q->w_place;
    for (int64_t k = 0; k < q->row_step * q->column_step; k++) {
        const class *rows = &q->rows[k / q->column_step], *columns = &q->columns[k % q->column_step];
        for (int64_t c = 0; c < q->C; c++)
            for (int64_t i = rows->before; i < rows->before + rows->taps; i++)
                for (int64_t j = columns->before; j < columns->before + columns->taps; j++) {
                    *place++ = canvas_place(&q->view, c, q->row[i], j);
                    *w_place++ = c * q->w_C + q->row_tap[i] * q->KW + q->column_tap[j];
                }
    }
}

/* conv2d, or with `back` conv2d_input: x is grad then. */
static int run_conv(etude_context *ctx, conv *q, int back, int64_t SH, int64_t SW, int64_t PH,
                    int64_t PW, int64_t DH, int64_t DW)
{
    int64_t taps = q->C * q->KH * q->KW, tiles = ceil_ratio(q->O, MR);
    q->row_step = back ? SH : 1, q->column_step = back ? SW : 1;
    q->view = (canvas){.C = q->C, .H = q->H, .W = q->W, .SH = back ? 1 : SH, .SW = back ? 1 : SW,
                       .copies = q->KW};
    int64_t low = meets(back, 0, SH, PH, DH), high = meets(back, q->KH - 1, SH, PH, DH);
    q->top = ETUDE_MIN(low, high);
    int64_t width = ceil_ratio(q->YW, q->column_step);
    share_out(ctx, q, width);
    q->view.rows = q->lines + (ETUDE_MAX(low, high) - q->top) / q->view.SH;

    int direct = q->row_step == 1 && q->column_step == 1;
    q->canvas_size = canvas_bound(&q->view, width);
    q->slot_size = q->canvas_size;
    if (!direct)
        q->slot_size += round_up(q->O * q->lines * (width * q->column_step) + NR, 64);
    int64_t weights = round_up(q->G * q->O * taps, 64), starts = q->bias ? q->G * q->O * NR : 0;
    size_t bytes = (size_t)(q->slots * q->slot_size + weights + starts) * sizeof(real);
    size_t look = (size_t)give_out(q, NULL) * sizeof(int64_t);
    char *space = etude_scratch(ctx, bytes + look);
    if (!space)
        return ETUDE_NO_MEMORY;
    q->space = (real *)space;
    q->packed = q->space + q->slots * q->slot_size;
    real *start = q->packed + weights;
    for (int64_t i = 0; i < starts; i++)
        start[i] = q->bias[i / NR];
    q->start = q->bias ? start : NULL;
    give_out(q, (int64_t *)(space + bytes));
    look_up(q, back, SH, SW, PH, PW, DH, DW);
    atomic_init(&q->next, 0);
    etude_parallel_for(ctx, pack_weights, q, q->G * tiles,
                       ETUDE_GRAIN_MEMORY / (MR * taps + 1) + 1);
    if (q->slots > 1)
        etude_parallel_for(ctx, conv_body, q, q->slots, 1);
    else
        conv_body(q, 0, 1);
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
              .w_C = KH * KW};
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
