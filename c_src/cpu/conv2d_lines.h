/* conv2d_lines.h: the product of conv2d.c with vectors along the pixels.

   Plan. The canvas is NCHW, and so is the result: nothing is transposed and no weight is packed.
   A tile is mr channels x nv vectors of pixels, all of its sums in registers. For each tap it reads
   nv vectors of the canvas, wherever they begin, and repeats mr weights, from where they lie. Where
   the vectors of a task begin (here 8 pixels each; three taps wide, padding 1):

       as lines: the last of a line overlaps      flat: the margins are computed too

           0 x x x x x x x x x x x x 0                0 x x x x x 0
             |-------------|                            |-------------|
                   |-------------|                    0 x x x x x 0
           0 x x x x x x x x x x x x 0                   -|-------------|
             |-------------|                          0 x x x x x 0
                   |-------------|                          -|-------------|

   As lines, a tile is written into y at once. Flat, it goes to a place beside, as long as the
   canvas, and from there into y, without the margins or with a stride between the pixels.
   Wrapped, for lines of which a vector holds several: the canvas has the image of each channel once
   for each column of taps, moved by so much, with lines as long as those of y. A vector then goes
   on into the next line, and neither computes a margin nor needs a place beside.
   A tile takes all of its taps, block by block, before the next one begins: the part of y that is
   being made stays in L1.

   Expected, of the peak of a core: 80 % at 16 channels and lines of 32. */
#ifndef ETUDE_CONV2D_LINES_H
#define ETUDE_CONV2D_LINES_H

#include "conv2d_plan.h"

enum { LINES_MR = CONV_LINES_MR, LINES_NV = CONV_LINES_NV };

/* ---- A tile ---------------------------------------------------------------------------------- */

/* y[i][out[j] + lane] = start of it + sum_tap weight[w_place[tap] + i w_O] image[place[tap] +
   pixel[j] + lane], the start being start[i], or with NULL y itself. */
typedef struct {
    int64_t taps;
    const int64_t *place, *w_place;
    const real *image, *weight, *start;
    int64_t w_O;
    const int64_t *pixel, *out;
    real *y;
    int64_t ldy;
} lines_job;

typedef void lines_tile(const lines_job *job);

GEMM_INLINE void lines_body(int mr, int nv, const lines_job *job)
{
    vec acc[LINES_MR][LINES_NV];
    const real *image[LINES_NV], *weight = job->weight;
    const int64_t *place = job->place, *w_place = job->w_place, taps = job->taps, w_O = job->w_O;
    GEMM_UNROLL for (int j = 0; j < nv; j++)
        image[j] = job->image + job->pixel[j];
    GEMM_UNROLL for (int i = 0; i < mr; i++)
        GEMM_UNROLL for (int j = 0; j < nv; j++)
            acc[i][j] = (vec){0};
    for (int64_t p = 0; p < taps; p++) {
        int64_t at = place[p];
        const real *w = weight + w_place[p];
        vec row[LINES_NV];
        GEMM_UNROLL for (int j = 0; j < nv; j++)
            row[j] = *(const vec *)(image[j] + at);
        GEMM_UNROLL for (int i = 0; i < mr; i++) {
            vec repeated = gemm_repeat(w[i * w_O]);
            GEMM_UNROLL for (int j = 0; j < nv; j++)
                acc[i][j] = GEMM_FUSED(repeated, row[j], acc[i][j]);
        }
    }
    GEMM_UNROLL for (int i = 0; i < mr; i++)
        GEMM_UNROLL for (int j = 0; j < nv; j++) {
            vec *to = (vec *)(job->y + i * job->ldy + job->out[j]);
            *to = (job->start ? gemm_repeat(job->start[i]) : *to) + acc[i][j];
        }
}

#define LINES_INSTANCE(mr, nv)                                                                    \
    static void lines_##mr##x##nv(const lines_job *job) { lines_body(mr, nv, job); }
#define LINES_ENTRY(mr, nv) [mr - 1][nv - 1] = lines_##mr##x##nv,
CONV_LINES_TILES(LINES_INSTANCE)
static lines_tile *const lines_tiles[LINES_MR][LINES_NV] = {CONV_LINES_TILES(LINES_ENTRY)};

/* How many tiles the channels take, and how many the vectors then do. */
static int64_t channel_tiles(const conv *q)
{
    return ceil_ratio(q->O, LINES_MR);
}

static int64_t vector_tiles(const conv *q, int64_t vectors)
{
    int64_t tallest = ceil_ratio(q->O, channel_tiles(q));
    return ceil_ratio(vectors, ETUDE_MIN(LINES_NV, CONV_LINES_REGISTERS / (tallest + 1)));
}

/* ---- A task ---------------------------------------------------------------------------------- */

static int64_t vectors_of(const conv *q, int flat, int64_t lines, int64_t width)
{
    if (q->wrapped)
        return ceil_ratio(lines * width, VL);
    return flat ? ceil_ratio((lines - 1) * q->SH * q->view.line + width, VL)
                : lines * ceil_ratio(width, VL);
}

/* Where the vectors of a task begin, in the canvas and in what it writes. */
static void place_vectors(conv *q)
{
    int64_t width = q->columns[0].pixels, in_line = ceil_ratio(width, VL);
    int64_t vectors = vectors_of(q, q->flat, q->height, width), *out = q->pixel + vectors;
    if (q->flat || q->wrapped) {
        for (int64_t i = 0; i < vectors; i++)
            q->pixel[i] = out[i] = i * VL;
        return;
    }
    for (int64_t u = 0, i = 0; u < q->height; u++)
        for (int64_t k = 0; k < in_line; k++, i++) {
            int64_t v = ETUDE_MIN(k * VL, width - VL);
            q->pixel[i] = u * q->SH * q->view.line + v;
            out[i] = u * q->row_step * q->YW + v;
        }
}

/* Integers as wide as the numbers of a vector, which choose among them. */
typedef real_bits lanes __attribute__((vector_size(ETUDE_VECTOR_BYTES)));

/* The place in its line of each number of a vector that begins with a line. */
static lanes places_in_line(int64_t W)
{
    lanes place = {0};
    for (int i = 0; i < VL; i++)
        place[i] = (real_bits)(i % W);
    return place;
}

/* One channel of a wrapped canvas, from its lines in `at`. Moved by `shift`, a line ends with what
   the line beside it has, where zeros belong. A vector holds whole lines, so these are at the same
   places in each. */
static void wrap_channel(const conv *q, real *to, const real *at, lanes place)
{
    int64_t W = q->W, size = q->view.rows * W;
    for (int64_t j = 0; j < q->KW; j++, to += q->column_plane) {
        int64_t shift = q->column[j] + q->view.left;
        int64_t begin = shift < 0 ? 0 : ETUDE_MAX(0, W - shift);
        int64_t end = shift < 0 ? ETUDE_MIN(W, -shift) : W;
        lanes keep = (place < (real_bits)begin) | (place >= (real_bits)end);
        for (int64_t i = 0; i < size; i += VL)
            *(vec *)(to + i) = (vec)((lanes)*(const vec *)(at + shift + i) & keep);
    }
}

/* paint of canvas.h for a wrapped canvas. */
static const real *paint_wrapped(const conv *q, real *space, const real *x, int64_t first)
{
    const canvas *v = &q->view;
    int64_t top = v->top + first, above = ETUDE_MIN(ETUDE_MAX(-top, 0), v->rows);
    int64_t lines = ETUDE_MAX(0, ETUDE_MIN(v->rows, v->H - top) - above);
    real *at = space + canvas_size(v) + q->slack, *from = at + above * v->W;
    lanes place = places_in_line(q->W);
    memset(at, 0, (size_t)(v->rows * v->W) * sizeof(real));
    for (int64_t c = 0; c < v->C; c++) {
        gemm_copy(from, x + (c * v->H + top + above) * v->W, lines * v->W);
        wrap_channel(q, space + c * v->plane, at, place);
    }
    return space;
}

/* Makes room in the canvas for an image for each column of taps, `wide` from first to last. */
static void widen(conv *q, int64_t wide)
{
    int64_t left = q->view.left, right = left + wide - 1;
    q->column_plane = round_up(q->view.rows * q->W, VL);
    q->view.plane = q->KW * q->column_plane;
    q->slack = ETUDE_MAX(ETUDE_MAX(-left, right), 0);
}

/* Numbers that a task needs behind the canvas: wrapped, the lines of one channel and room to read
   past them on either side; then the place beside. */
static int64_t wrapping_space(const conv *q)
{
    return q->wrapped ? round_up(2 * q->slack + q->view.rows * q->W + VL, 64) : 0;
}

static int64_t lines_space(const conv *q, int64_t width)
{
    int64_t aside = q->flat || q->wrapped ? vectors_of(q, q->flat, q->height, width) : 0;
    return wrapping_space(q) + q->O * VL * aside;
}

/* The tiles of a task, for each block of taps. */
static int64_t lines_tiles_of(const conv *q, int64_t width)
{
    int64_t vectors = vectors_of(q, q->flat, q->height, width);
    return q->row_step * q->column_step * vector_tiles(q, vectors) * channel_tiles(q);
}

/* All channels of the `vectors` vectors of class (r, s). */
static void lines_product(const conv *q, int64_t g, int64_t r, int64_t s, const real *image,
                          int64_t vectors, real *y, int64_t ldy, lookahead *next)
{
    int64_t taps, first = class_taps(q, r, s, &taps), depths = depths_of(taps);
    int64_t runs = vector_tiles(q, vectors), tiles = channel_tiles(q);
    const int64_t *out = q->pixel + vectors_of(q, q->flat, q->height, q->columns[0].pixels);
    const real *weight = q->weight + g * q->O * q->C * q->KH * q->KW;
    for (int64_t run = 0; run < runs; run++) {
        int64_t j = gemm_cut(vectors, runs, run), nv = gemm_cut(vectors, runs, run + 1) - j;
        for (int64_t d = 0; d < depths; d++) {
            int64_t p0 = first + gemm_cut(taps, depths, d);
            lines_job job = {.taps = first + gemm_cut(taps, depths, d + 1) - p0,
                             .place = q->place + p0, .w_place = q->w_place + p0, .image = image,
                             .w_O = q->w_O, .pixel = q->pixel + j, .out = out + j, .ldy = ldy};
            for (int64_t t = 0; t < tiles; t++) {
                int64_t o = gemm_cut(q->O, tiles, t), mr = gemm_cut(q->O, tiles, t + 1) - o;
                job.weight = weight + o * q->w_O;
                job.start = d ? NULL : q->start + g * q->OP + o;
                job.y = y + o * ldy;
                lines_tiles[mr - 1][nv - 1](&job);
                look_ahead(next);
            }
        }
    }
}

/* From the place beside into y, without the margins. */
static void spread(const conv *q, const real *from, int64_t ldf, int64_t lines, int64_t width,
                   real *y)
{
    int64_t pitch = q->wrapped ? width : q->SH * q->view.line;
    for (int64_t o = 0; o < q->O; o++)
        for (int64_t u = 0; u < lines; u++) {
            const real *line = from + o * ldf + u * pitch;
            real *to = y + (o * q->YH + u * q->row_step) * q->YW;
            if (q->column_step == 1)
                gemm_copy(to, line, width);
            else
                for (int64_t v = 0; v < width; v++)
                    to[v * q->column_step] = line[v];
        }
}

/* Lines u0 .. u1 of every class of one group of one image; y is the image's first channel. */
static void lines_task(const conv *q, int64_t g, const real *x, int64_t u0, int64_t u1,
                       real *space, real *y, lookahead *next)
{
    const real *image = q->wrapped ? paint_wrapped(q, space, x, u0)
                                   : paint(&q->view, space, x, u0 * q->SH);
    real *beside = space + canvas_size(&q->view) + wrapping_space(q);
    int64_t ldf = vectors_of(q, 1, q->height, q->columns[0].pixels) * VL;
    for (int64_t r = 0; r < q->row_step; r++)
        for (int64_t s = 0; s < q->column_step; s++) {
            int64_t lines = ETUDE_MIN(u1, q->rows[r].pixels) - u0, width = q->columns[s].pixels;
            real *to = y + (r + u0 * q->row_step) * q->YW + s;
            if (lines <= 0 || width == 0)
                continue;
            int aside = q->flat || (q->wrapped && lines * width % VL);
            lines_product(q, g, r, s, image, vectors_of(q, q->flat, lines, width),
                          aside ? beside : to, aside ? ldf : q->YH * q->YW, next);
            if (aside)
                spread(q, beside, ldf, lines, width, to);
        }
}

#endif
