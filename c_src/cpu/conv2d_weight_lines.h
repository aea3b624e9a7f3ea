/* conv2d_weight_lines.h: the product of conv2d_weight.c with vectors along the pixels.

       sums[tap][o] += sum_pixel image[place of the tap + place of the pixel] grad[o][pixel]

   Plan. A tile is mr output channels x nt taps, and each of its sums is a vector of partial sums in
   a register. A step reads the same vector of pixels of mr channels of grad and of nt taps of the
   canvas, for mr nt multiply-adds, so no number is repeated and nothing is transposed. The vectors
   of grad that a row of tiles reads are first put together into a panel: where they lie, they are
   a power of two apart, and would share a few sets of L1. At the end of the panel the lanes are
   added up, always in the same order.
   Where a line is no whole number of vectors, its last vector begins so early that it ends with the
   line. The lanes that were seen before are set to zero in both operands: zero times NaN is NaN.

   Expected, of the peak of a core: 75 % at 16 channels and lines of 32. Of the time, the steps take
   three quarters, at the peak; a tenth goes into the lanes, the rest into canvas and panel. */
#ifndef ETUDE_CONV2D_WEIGHT_LINES_H
#define ETUDE_CONV2D_WEIGHT_LINES_H

#include "gemm.h"

enum {
    LINES_MR = CONV_WEIGHT_MR,
    LINES_NT = CONV_WEIGHT_NT,
    LINES_STEPS = KC * NR / (LINES_MR * VL) /* vectors of each channel: a panel stays in L1 */
};

/* Where vectors of pixels are in the canvas and in grad. */
typedef struct {
    const int64_t *image, *grad;
    int64_t count;
} vectors;

/* Part d of `cuts`, of those vectors that lie in the first `images` images of `all`. */
static inline vectors vectors_part(vectors v, int64_t all, int64_t images, int64_t cuts, int64_t d)
{
    int64_t count = v.count / all * images, first = gemm_cut(count, cuts, d);
    return (vectors){v.image + first, v.grad + first, gemm_cut(count, cuts, d + 1) - first};
}

typedef struct {
    vectors whole, last; /* the last of each line, of which `fresh` lanes count */
    int64_t fresh;
    const real *image, *panel;
    const int64_t *place; /* of each tap */
    real *sums;           /* taps x channels, lines `ldsums` apart */
    int64_t ldsums;
} weight_job;

typedef void weight_tile(const weight_job *job);

typedef real_bits weight_mask __attribute__((vector_size(ETUDE_VECTOR_BYTES)));

/* The last `fresh` lanes. */
GEMM_INLINE weight_mask fresh_lanes(int64_t fresh)
{
    weight_mask mask;
    for (int i = 0; i < VL; i++)
        mask[i] = i >= VL - fresh ? -1 : 0;
    return mask;
}

GEMM_INLINE vec fresh_of(vec x, weight_mask mask)
{
    return (vec)((weight_mask)x & mask);
}

/* mr channels of grad, ldg apart, vector by vector: panel[vector][channel][lane]. */
static void weight_pack(real *panel, const real *grad, int64_t ldg, int64_t mr, vectors at,
                        weight_mask mask)
{
    for (int64_t p = 0; p < at.count; p++)
        for (int64_t i = 0; i < mr; i++, panel += VL)
            *(vec *)panel = fresh_of(*(const vec *)(grad + i * ldg + at.grad[p]), mask);
}

/* The lanes of a vector, added up to four, or with double to two. */
GEMM_INLINE quad fold(vec x)
{
    quad part[VL / QUAD];
    memcpy(part, &x, sizeof x);
    GEMM_UNROLL for (int n = VL / QUAD / 2; n > 0; n /= 2)
        GEMM_UNROLL for (int i = 0; i < n; i++)
            part[i] += part[i + n];
    return part[0];
}

/* Adds the lanes of column t of a tile up, and to the sums of that tap. */
GEMM_INLINE void add_sums(int mr, int t, vec acc[LINES_MR][LINES_NT], const weight_job *job)
{
    real *to = job->sums + t * job->ldsums;
    GEMM_UNROLL for (int i = 0; i < mr; i += QUAD)
    {
        real folded[QUAD * QUAD] = {0}, turned[QUAD * QUAD];
        GEMM_UNROLL for (int k = 0; k < QUAD; k++)
            if (i + k < mr)
                *(quad *)(folded + k * QUAD) = fold(acc[i + k][t]);
        gemm_transpose_quad(turned, QUAD, folded, QUAD);
        quad total = *(const quad *)turned;
        GEMM_UNROLL for (int k = 1; k < QUAD; k++)
            total += *(const quad *)(turned + k * QUAD);
        if (i + QUAD <= mr)
            *(quad *)(to + i) += total;
        else
            GEMM_UNROLL for (int k = 0; k < mr - i; k++)
                to[i + k] += total[k];
    }
}

GEMM_INLINE void weight_steps(int mr, int nt, int masked, const int64_t *pixel, int64_t count,
                              const real *panel, weight_mask mask, const weight_job *job,
                              vec acc[LINES_MR][LINES_NT])
{
    const real *image[LINES_NT];
    GEMM_UNROLL for (int t = 0; t < nt; t++)
        image[t] = job->image + job->place[t];
    for (int64_t p = 0; p < count; p++, panel += mr * VL) {
        int64_t at = pixel[p];
        vec row[LINES_NT];
        GEMM_UNROLL for (int t = 0; t < nt; t++)
        {
            row[t] = *(const vec *)(image[t] + at);
            if (masked)
                row[t] = fresh_of(row[t], mask);
        }
        GEMM_UNROLL for (int i = 0; i < mr; i++)
        {
            /* volatile, or GCC reads it again for each product */
            vec g = *(const volatile vec *)(panel + i * VL);
            GEMM_UNROLL for (int t = 0; t < nt; t++)
                acc[i][t] = GEMM_FUSED(g, row[t], acc[i][t]);
        }
    }
}

GEMM_INLINE void weight_lines_body(int mr, int nt, const weight_job *job)
{
    vec acc[LINES_MR][LINES_NT];
    GEMM_UNROLL for (int i = 0; i < mr; i++)
        GEMM_UNROLL for (int t = 0; t < nt; t++)
            acc[i][t] = (vec){0};
    weight_steps(mr, nt, 0, job->whole.image, job->whole.count, job->panel, (weight_mask){0}, job,
                 acc);
    if (job->last.count)
        weight_steps(mr, nt, 1, job->last.image, job->last.count,
                     job->panel + job->whole.count * mr * VL, fresh_lanes(job->fresh), job, acc);
    GEMM_UNROLL for (int t = 0; t < nt; t++)
        add_sums(mr, t, acc, job);
}

#define WEIGHT_INSTANCE(mr, nt)                                                                   \
    static void weight_##mr##x##nt(const weight_job *job) { weight_lines_body(mr, nt, job); }
#define WEIGHT_ENTRY(mr, nt) [mr - 1][nt - 1] = weight_##mr##x##nt,
CONV_WEIGHT_TILES(WEIGHT_INSTANCE)
static weight_tile *const weight_tiles[LINES_MR][LINES_NT] = {CONV_WEIGHT_TILES(WEIGHT_ENTRY)};

#endif
