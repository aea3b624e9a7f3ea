/* conv2d_weight.c: the gradient of conv2d in its weight.

   Reference: `conv2d_weight` in packages/etude/src/etude/ops/conv2d.py.
   Read first: `conv2d_weight` in c_src/cpu/plain/conv2d.c, the same as plain loops.

   Legend: as in conv2d.c.

   Plan. dw[tap][o] = sum_pixel x[tap][pixel] grad[pixel][o], tap = (c, i, j): a product taps x O on
   the tiles of gemm.h, vectors along O. The tile reads x through MR pointers into the padded image
   (canvas.h) and copies none of it; grad is transposed into L1, a panel of about KC pixels x NR at
   a time.
   The images are summed in groups. Their number depends on the sizes and not on the threads, so
   that results do not either. A group is a task; where that makes too few tasks, it is cut along
   the channels. The sums of the groups are then added in order.

   Expected: 80 to 85 % of the peak of all cores from 64 channels up; with fewer output channels
   than a vector holds, only the share of the vector that they fill is of use. */
#include <stdatomic.h>

#include "canvas.h"
#include "gemm.h"

enum {
    MOST_GROUPS = 16,        /* of images, each with sums of its own */
    GROUP_NUMBERS = 1 << 20  /* at most in the sums of all groups, if there are several */
};

typedef struct {
    int64_t N, C, H, W, O, KH, KW, OH, OW, SH, SW;
    const real *grad, *x;
    canvas view;           /* one image, one block of channels */
    int64_t groups, blocks; /* of images, of channels */
    int64_t columns;       /* O rounded up to vectors */
    int64_t lines;         /* of output in a panel: about KC pixels */
    int64_t slots, slot_size, canvas_size;
    int64_t *offset;       /* of each tap in the canvas */
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
    int64_t tiles = (taps + MR - 1) / MR, jump = q->SH * q->view.line;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t tap = gemm_cut(taps, tiles, t), mr = gemm_cut(taps, tiles, t + 1) - tap;
        const real *rows[MR];
        for (int64_t i = 0; i < mr; i++)
            rows[i] = image + h0 * jump + q->offset[tap + i];
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
    real *panel = image + q->canvas_size;
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

/* dw[o][tap] for blocks of NR taps: the sums of the groups, in order, transposed. */
static void weight_sum(void *arg, int64_t begin, int64_t end)
{
    const weight_plan *q = arg;
    int64_t taps = q->C * q->KH * q->KW;
    for (int64_t t0 = begin * NR; t0 < ETUDE_MIN(taps, end * NR); t0 += NR)
        for (int64_t o0 = 0; o0 < q->O; o0 += VL) {
            vec sum[NR];
            int64_t rows = ETUDE_MIN(NR, taps - t0), columns = ETUDE_MIN(VL, q->O - o0);
            for (int64_t i = 0; i < rows; i++) {
                const real *from = q->sums + (t0 + i) * q->columns + o0;
                sum[i] = *(const vec *)from;
                for (int64_t g = 1; g < q->groups; g++)
                    sum[i] += *(const vec *)(from + g * taps * q->columns);
            }
            for (int64_t o = 0; o < columns; o++)
                for (int64_t i = 0; i < rows; i++)
                    q->dw[(o0 + o) * taps + t0 + i] = sum[i][o];
        }
}

ETUDE_KERNEL(conv2d_weight, conv2d_weight)(etude_context *ctx, const real *grad, const real *x,
                                           real *dw, int64_t N, int64_t C, int64_t H, int64_t W,
                                           int64_t O, int64_t KH, int64_t KW, int64_t OH,
                                           int64_t OW, int64_t SH, int64_t SW, int64_t PH,
                                           int64_t PW, int64_t DH, int64_t DW, int64_t groups)
{
    if (DH != 1 || DW != 1 || groups != 1)
        return only_dense(ctx);
    int64_t taps = C * KH * KW;
    if (O == 0 || taps == 0)
        return ETUDE_OK;
    if (N == 0 || OH == 0 || OW == 0) {
        memset(dw, 0, (size_t)(O * taps) * sizeof(real));
        return ETUDE_OK;
    }
    SH = stride_between(OH, SH), SW = stride_between(OW, SW);
    weight_plan q = {.N = N, .C = C, .H = H, .W = W, .O = O, .KH = KH, .KW = KW, .OH = OH,
                     .OW = OW, .SH = SH, .SW = SW, .grad = grad, .x = x, .dw = dw};
    q.columns = round_up(O, VL);
    q.groups = ETUDE_MIN(N, ETUDE_MAX(1, ETUDE_MIN(MOST_GROUPS,
                                                   GROUP_NUMBERS / (taps * q.columns))));
    int64_t work = N * O * OH * OW * taps;
    q.slots = work < GEMM_WORK ? 1 : ETUDE_MAX(1, ctx->threads);
    q.blocks = ETUDE_MIN(C, (2 * q.slots + q.groups - 1) / q.groups);
    if (q.slots == 1)
        q.blocks = 1;
    q.lines = ETUDE_MAX(1, ETUDE_MIN(OH, KC / OW));
    q.view = make_canvas((OH - 1) * SH + KH, (OW - 1) * SW + KW, PH, PW, SW);
    int64_t channels = (C + q.blocks - 1) / q.blocks;
    q.canvas_size = round_up(channels * q.view.rows * q.view.line, 64);
    q.slot_size = q.canvas_size + round_up(q.lines * OW * NR, 64);
    int64_t sums = round_up(q.groups * taps * q.columns, 64);
    size_t bytes = (size_t)(sums + q.slots * q.slot_size) * sizeof(real);
    char *space = etude_scratch(ctx, bytes + (size_t)taps * sizeof(int64_t));
    if (!space)
        return ETUDE_NO_MEMORY;
    q.sums = (real *)space;
    q.space = q.sums + sums;
    q.offset = (int64_t *)(space + bytes);
    tap_offsets(&q.view, channels, KH, KW, q.offset);
    atomic_init(&q.next, 0);
    if (q.slots > 1)
        etude_parallel_for(ctx, weight_body, &q, q.slots, 1);
    else
        weight_body(&q, 0, 1);
    etude_parallel_for(ctx, weight_sum, &q, (taps + NR - 1) / NR,
                       ETUDE_GRAIN_MEMORY / (O * q.groups * NR) + 1);
    return ETUDE_OK;
}
