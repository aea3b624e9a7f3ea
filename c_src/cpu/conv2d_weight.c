/* conv2d_weight.c: the gradient of conv2d in its weight.

   Reference: `conv2d_weight` in packages/etude/src/etude/ops/conv2d.py.
   Read first: `conv2d_weight` in c_src/cpu/plain/conv2d.c, the same as plain loops.

   Legend: as in conv2d.c.

   Plan. dw[tap][o] = sum_pixel x[tap][pixel] grad[pixel][o], tap = (c, i, j): a product taps x O on
   the tiles of gemm.h, vectors along O. A tile of MR taps walks along the pixels; every number of x
   that it needs is at (place of the tap) + (place of the pixel) in the canvas (canvas.h), and none
   of it is rearranged. grad is transposed into L1, a panel of about KC pixels x NR at a time. Where
   an image has fewer pixels, a panel takes several images.
   With few output channels, vectors go along the pixels instead (conv2d_weight_lines.h).
   The images are summed in shares. Their number depends on the sizes and not on the threads, so
   that results do not either. A share is a task; where that makes too few tasks, it is cut along
   the channels. The sums of the shares are then added in order. While products are made, x and grad
   of the next images are asked of memory, a few lines with each tile.

   Expected, of the peak of a core: 80 to 85 % from 32 channels up. */
#include "canvas.h"
#include "conv2d_weight_lines.h"
#include "gemm.h"
#include "hands.h"

enum {
    MOST_SHARES = 16,        /* of the images, each with sums of its own */
    SHARE_NUMBERS = 1 << 20, /* at most in the sums of all shares, if there are several */
    LINE = 64 / sizeof(real) /* numbers in a line of cache */
};

/* The images of a panel, one block of their channels, and what their products are added to. */
typedef struct {
    const real *image, *grad; /* canvases, image_size apart, and G O pixels apart */
    int64_t images, taps;
    real *panel, *sums;       /* taps x OP */
    int first;                /* nothing is in sums yet */
} portion;

/* What is asked of memory while the products are made: x and grad of the images to come. */
typedef struct {
    const real *x, *x_end, *grad, *grad_end;
    int64_t lines; /* of cache, with each tile */
} lookahead;

typedef struct weight_plan {
    int64_t N, G, C, H, W, O, OP, KH, KW, OH, OW, SH, SW; /* C and O of one group */
    const real *grad, *x;
    canvas view;            /* one image, one block of channels */
    int64_t shares, blocks; /* of images, of channels */
    int64_t images;         /* in a panel */
    int lines;              /* vectors go along the pixels: conv2d_weight_lines.h */
    vectors whole, last;    /* then: of all lines of the images of a panel */
    void (*products)(const struct weight_plan *, const portion *, lookahead *);
    int64_t slots, slot_size;
    int64_t image_size;     /* from image to image of a panel */
    int64_t *place, *pixel; /* of each tap, of each pixel of a panel */
    real *sums;             /* shares x G x taps x OP */
    real *space;
    real *dw;
    hand *hands;
} weight_plan;

/* Asks memory for some of it. */
static void look_ahead(lookahead *next)
{
    for (int64_t i = 0; i < next->lines; i++) {
        if (next->x < next->x_end)
            __builtin_prefetch(next->x, 0, 2), next->x += LINE;
        else if (next->grad < next->grad_end)
            __builtin_prefetch(next->grad, 0, 2), next->grad += LINE;
    }
}

/* Vectors in a line of grad, where they go along it. */
static int64_t in_line(const weight_plan *q)
{
    return ceil_ratio(q->OW, VL);
}

/* How many parts the pixels of so many images are cut into. */
static int64_t cuts_of(const weight_plan *q, int64_t images)
{
    return q->lines ? ceil_ratio(images * q->OH * in_line(q), LINES_STEPS)
                    : ceil_ratio(images * q->OH * q->OW, KC);
}

/* sums[tap][o] += pixels p0 .. p0 + kc; all channels of grad. */
static void weight_panel(const weight_plan *q, portion w, int64_t p0, int64_t kc, int first,
                         lookahead *next)
{
    int64_t pixels = q->OH * q->OW, tiles = ceil_ratio(w.taps, MR);
    for (int64_t o = 0; o < q->O; o += NR) {
        int64_t width = ETUDE_MIN(NR, q->O - o);
        int nv = gemm_vectors(width);
        for (int64_t p = p0; p < p0 + kc;) { /* the part of one image after the other */
            int64_t n = p / pixels, part = ETUDE_MIN(p0 + kc, (n + 1) * pixels) - p;
            gemm_pack(w.panel + (p - p0) * nv * VL,
                      w.grad + (n * q->G * q->O + o) * pixels + p % pixels, 1, pixels, part,
                      width, nv * VL);
            p += part;
        }
        for (int64_t t = 0; t < tiles; t++) {
            int64_t tap = gemm_cut(w.taps, tiles, t), mr = gemm_cut(w.taps, tiles, t + 1) - tap;
            const real *rows[MR];
            for (int64_t i = 0; i < mr; i++)
                rows[i] = w.image + q->place[tap + i];
            real *c = w.sums + tap * q->OP + o;
            gemm_places_tiles[mr - 1][nv - 1](kc, rows, q->pixel + p0, w.panel,
                                              first ? gemm_zeros : c, first ? 0 : q->OP, c, q->OP);
            look_ahead(next);
        }
    }
}

static void products(const weight_plan *q, const portion *w, lookahead *next)
{
    int64_t depth = w->images * q->OH * q->OW, cuts = cuts_of(q, w->images);
    for (int64_t d = 0; d < cuts; d++) {
        int64_t p0 = gemm_cut(depth, cuts, d), kc = gemm_cut(depth, cuts, d + 1) - p0;
        weight_panel(q, *w, p0, kc, w->first && d == 0, next);
    }
}

/* The same with vectors along the pixels. */
static void lines_panel(const weight_plan *q, const portion *w, weight_job job, lookahead *next)
{
    int64_t high = ceil_ratio(q->O, LINES_MR), wide = ceil_ratio(w->taps, LINES_NT);
    int64_t pixels = q->OH * q->OW;
    for (int64_t h = 0; h < high; h++) {
        int64_t o = gemm_cut(q->O, high, h), mr = gemm_cut(q->O, high, h + 1) - o;
        const real *grad = w->grad + o * pixels;
        weight_pack(w->panel, grad, pixels, mr, job.whole, fresh_lanes(VL));
        weight_pack(w->panel + job.whole.count * mr * VL, grad, pixels, mr, job.last,
                    fresh_lanes(job.fresh));
        for (int64_t t = 0; t < wide; t++) {
            int64_t tap = gemm_cut(w->taps, wide, t), nt = gemm_cut(w->taps, wide, t + 1) - tap;
            job.place = q->place + tap;
            job.sums = w->sums + tap * q->OP + o;
            weight_tiles[mr - 1][nt - 1](&job);
            look_ahead(next);
        }
    }
}

static void lines_products(const weight_plan *q, const portion *w, lookahead *next)
{
    weight_job job = {.fresh = q->OW % VL, .image = w->image, .panel = w->panel, .ldsums = q->OP};
    int64_t cuts = cuts_of(q, w->images);
    if (w->first)
        memset(w->sums, 0, (size_t)(w->taps * q->OP) * sizeof(real));
    for (int64_t d = 0; d < cuts; d++) {
        job.whole = vectors_part(q->whole, q->images, w->images, cuts, d);
        job.last = vectors_part(q->last, q->images, w->images, cuts, d);
        lines_panel(q, w, job, next);
    }
}

/* Where a task begins and ends: images, and channels of a group. */
typedef struct {
    int64_t share, g, c0, c1, begin, end;
} range;

static range range_of(const weight_plan *q, int64_t task)
{
    int64_t block = task % q->blocks, g = task / q->blocks % q->G, share = task / q->blocks / q->G;
    return (range){share, g, gemm_cut(q->C, q->blocks, block), gemm_cut(q->C, q->blocks, block + 1),
                   gemm_cut(q->N, q->shares, share), gemm_cut(q->N, q->shares, share + 1)};
}

/* The images from n on: those of a panel where they lie together, or else the first of them. */
static lookahead ahead_of(const weight_plan *q, const range *r, int64_t n)
{
    int64_t images = r->c1 - r->c0 < q->G * q->C ? 1 : ETUDE_MIN(q->images, r->end - n);
    int64_t area = q->H * q->W, pixels = q->OH * q->OW, taps = (r->c1 - r->c0) * q->KH * q->KW;
    const real *x = q->x + ((n * q->G + r->g) * q->C + r->c0) * area;
    const real *grad = q->grad + (n * q->G + r->g) * q->O * pixels;
    int64_t of_x = images * (r->c1 - r->c0) * area, of_grad = images * q->O * pixels;
    int64_t tiles = cuts_of(q, q->images);
    if (q->lines)
        tiles *= ceil_ratio(q->O, LINES_MR) * ceil_ratio(taps, LINES_NT);
    else
        tiles *= ceil_ratio(q->O, NR) * ceil_ratio(taps, MR);
    return (lookahead){x, x + of_x, grad, grad + of_grad, ceil_ratio(of_x + of_grad, LINE * tiles)};
}

/* What follows: more images of the task, or the first of the next one. Another thread may take that;
   it is then asked for in vain. */
static lookahead next_images(const weight_plan *q, const range *r, int64_t task, int64_t n)
{
    if (n < r->end)
        return ahead_of(q, r, n);
    if (task + 1 >= q->shares * q->G * q->blocks)
        return (lookahead){0};
    range after = range_of(q, task + 1);
    return ahead_of(q, &after, after.begin);
}

/* One share of the images, one group, one block of its channels. */
static void weight_task(weight_plan *q, int64_t task, real *space)
{
    range r = range_of(q, task);
    int64_t area = q->KH * q->KW;
    canvas view = q->view;
    view.C = r.c1 - r.c0;
    portion w = {.taps = view.C * area};
    w.panel = space + q->images * q->image_size * view.copied;
    w.sums = q->sums + ((r.share * q->G + r.g) * q->C + r.c0) * area * q->OP;
    for (int64_t n = r.begin; n < r.end; n += q->images) {
        w.images = ETUDE_MIN(q->images, r.end - n), w.first = n == r.begin;
        w.grad = q->grad + (n * q->G + r.g) * q->O * q->OH * q->OW;
        for (int64_t i = w.images - 1; i >= 0; i--)
            w.image = paint(&view, space + i * q->image_size,
                            q->x + (((n + i) * q->G + r.g) * q->C + r.c0) * q->H * q->W, 0);
        lookahead next = next_images(q, &r, task, n + w.images);
        q->products(q, &w, &next);
    }
}

static void weight_body(void *arg, int64_t begin, int64_t end)
{
    weight_plan *q = arg;
    for (int64_t slot = begin; slot < end; slot++) {
        int64_t task, empty = 0;
        while ((task = next_task(q->hands, q->slots, slot, &empty)) >= 0)
            weight_task(q, task, q->space + slot * q->slot_size);
    }
}

/* dw[o][tap] of one group for one block of NR taps: the sums of the shares, in order, transposed.
   item = group * blocks + block. */
static void weight_sum(void *arg, int64_t begin, int64_t end)
{
    const weight_plan *q = arg;
    int64_t taps = q->C * q->KH * q->KW, blocks = ceil_ratio(taps, NR);
    for (int64_t item = begin; item < end; item++) {
        int64_t g = item / blocks, t0 = item % blocks * NR, rows = ETUDE_MIN(NR, taps - t0);
        for (int64_t o0 = 0; o0 < q->O; o0 += VL) {
            real sum[NR * VL];
            for (int64_t i = 0; i < rows; i++) {
                const real *from = q->sums + (g * taps + t0 + i) * q->OP + o0;
                vec total = *(const vec *)from;
                for (int64_t share = 1; share < q->shares; share++)
                    total += *(const vec *)(from + share * q->G * taps * q->OP);
                *(vec *)(sum + i * VL) = total;
            }
            gemm_transpose(q->dw + (g * q->O + o0) * taps + t0, taps, sum, VL, rows,
                           ETUDE_MIN(VL, q->O - o0));
        }
    }
}

/* Where the vectors of all lines are. */
static void place_lines(weight_plan *q)
{
    int64_t all = q->images * q->OH, whole = all * (q->OW / VL), last = q->OW % VL ? all : 0;
    int64_t *image = q->pixel, *grad = image + whole + last;
    q->whole = (vectors){image, grad, whole};
    q->last = (vectors){image + whole, grad + whole, last};
    for (int64_t i = 0; i < all; i++) {
        int64_t n = i / q->OH, h = i % q->OH;
        int64_t x = n * q->image_size + h * q->SH * q->view.line;
        int64_t g = (n * q->G * q->O * q->OH + h) * q->OW;
        for (int64_t w = 0; w + VL <= q->OW; w += VL)
            *image++ = x + w, *grad++ = g + w;
        if (last)
            q->pixel[whole + i] = x + q->OW - VL, q->pixel[2 * whole + last + i] = g + q->OW - VL;
    }
}

/* Where every tap and every pixel is in the canvas. */
static void place_all(weight_plan *q, int64_t channels, int64_t DH, int64_t DW)
{
    int64_t *place = q->place, *pixel = q->pixel;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < q->KH; i++)
            for (int64_t j = 0; j < q->KW; j++)
                *place++ = c * q->view.plane + i * DH * q->view.line + j * DW;
    if (q->lines) {
        place_lines(q);
        return;
    }
    for (int64_t n = 0; n < q->images; n++)
        for (int64_t h = 0; h < q->OH; h++)
            for (int64_t w = 0; w < q->OW; w++)
                *pixel++ = n * q->image_size + h * q->SH * q->view.line + w * q->SW;
}

/* Whether vectors along the pixels take less time: the numbers that either way computes, wanted or
   not. It depends on the sizes of one image alone. */
static int along_lines(const weight_plan *q)
{
    int64_t gain = q->OP == VL ? CONV_WEIGHT_ONE : CONV_WEIGHT_MORE;
    return 100 * in_line(q) * VL * q->O < gain * q->OW * q->OP;
}

/* How many tasks there are, and what each holds. Shares and images depend on the sizes alone. */
static void share_out(etude_context *ctx, weight_plan *q)
{
    int64_t taps = q->C * q->KH * q->KW, pixels = q->OH * q->OW;
    int64_t most = SHARE_NUMBERS / (q->G * taps * q->OP);
    q->shares = ETUDE_MIN(q->N, ETUDE_MAX(1, ETUDE_MIN(MOST_SHARES, most)));
    int64_t room = q->lines ? LINES_STEPS / (q->OH * in_line(q)) : KC / pixels;
    q->images = ETUDE_MIN(ETUDE_MAX(1, room), ceil_ratio(q->N, q->shares));
    int64_t work = q->N * q->G * q->O * pixels * taps;
    q->slots = work < GEMM_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    q->blocks = ETUDE_MIN(q->C, ceil_ratio(2 * q->slots, q->shares * q->G));
    if (q->slots == 1)
        q->blocks = 1;
}

ETUDE_KERNEL(conv2d_weight, conv2d_weight)(etude_context *ctx, const real *grad, const real *x,
                                           real *dw, int64_t N, int64_t C, int64_t H, int64_t W,
                                           int64_t O, int64_t KH, int64_t KW, int64_t OH,
                                           int64_t OW, int64_t SH, int64_t SW, int64_t PH,
                                           int64_t PW, int64_t DH, int64_t DW, int64_t groups)
{
    int64_t taps = C / groups * KH * KW;
    if (O == 0 || taps == 0)
        return ETUDE_OK;
    if (N == 0 || OH == 0 || OW == 0) {
        memset(dw, 0, (size_t)(O * taps) * sizeof(real));
        return ETUDE_OK;
    }
    SH = stride_between(OH, SH), SW = stride_between(OW, SW);
    weight_plan q = {.N = N, .G = groups, .C = C / groups, .H = H, .W = W, .O = O / groups,
                     .OP = round_up(O / groups, VL), .KH = KH, .KW = KW, .OH = OH, .OW = OW,
                     .SH = SH, .SW = SW, .grad = grad, .x = x, .dw = dw};
    q.lines = SW == 1 && OW >= VL && along_lines(&q);
    q.products = q.lines ? lines_products : products;
    share_out(ctx, &q);
    int64_t rows = (OH - 1) * SH + (KH - 1) * DH + 1, line = (OW - 1) * SW + (KW - 1) * DW + 1;
    int64_t channels = ceil_ratio(q.C, q.blocks);
    q.view = make_canvas(channels, H, W, -PH, -PW, rows, rows, line, 0);
    q.image_size = q.view.copied ? canvas_size(&q.view) : C * H * W;

    int64_t depth = q.images * OH * OW, panel = ETUDE_MIN(depth, KC) * NR;
    if (q.lines)
        panel = (LINES_STEPS + 1) * LINES_MR * VL; /* whole and last are cut each for itself */
    q.slot_size = round_up(q.images * q.image_size * q.view.copied + panel, 64);
    int64_t sums = round_up(q.shares * groups * taps * q.OP, 64);
    size_t bytes = (size_t)(sums + q.slots * q.slot_size) * sizeof(real);
    int64_t places = q.lines ? 2 * q.images * OH * in_line(&q) : depth;
    int64_t numbers = channels * KH * KW + places;
    size_t hands = (size_t)q.slots * sizeof(hand);
    char *space = etude_scratch(ctx, hands + bytes + (size_t)numbers * sizeof(int64_t));
    if (!space)
        return ETUDE_NO_MEMORY;
    q.hands = (hand *)space;
    q.sums = (real *)(space += hands);
    q.space = q.sums + sums;
    q.place = (int64_t *)(space + bytes);
    q.pixel = q.place + channels * KH * KW;
    place_all(&q, channels, DH, DW);
    deal(q.hands, q.slots, q.shares * q.G * q.blocks);
    if (q.slots > 1)
        etude_parallel_for(ctx, weight_body, &q, q.slots, 1);
    else
        weight_body(&q, 0, 1);
    etude_parallel_for(ctx, weight_sum, &q, groups * ceil_ratio(taps, NR),
                       ETUDE_GRAIN_MEMORY / (q.O * q.shares * NR) + 1);
    return ETUDE_OK;
}
