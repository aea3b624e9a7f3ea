/* canvas.h: the padded copy of an image that conv2d.c and conv2d_weight.c read.

   A tap of the kernel sees, for all pixels of the output, a part of the image: shifted, and with a
   stride only every SH-th line and SW-th column. The canvas holds what the taps see in such an order
   that any tap sees its pixels in one contiguous run, line after line:

       canvas[column tap j][channel c][row % SH][row / SH][v]        v < width[j]
           = x[c][top + row][v * SW + shift[j]], and 0 outside of the image

   One column further is another copy, so no line carries padding; one row further is width[j]
   numbers further. That is KW copies where a full im2col would make KH * KW. Dilation is in the
   shifts and in the rows that the taps ask for.

   Reference: `windows` in packages/etude/src/etude/ops/conv2d.py, which does it with strides. */
#ifndef ETUDE_CANVAS_H
#define ETUDE_CANVAS_H

#include <string.h>

#include "gemm.h"

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* The stride between so many outputs. One alone takes none: 1 will do, whatever was given. */
static inline int64_t stride_between(int64_t outputs, int64_t stride)
{
    return outputs == 1 ? 1 : stride;
}

typedef struct {
    int64_t C, H, W;     /* planes of the image that are copied, and their size */
    int64_t SH, SW;
    int64_t rows;        /* of the canvas, for each remainder by SH */
    int64_t copies;      /* column taps */
    int64_t *shift, *width, *at; /* of each: as above; where it begins in the canvas */
    int64_t *used;       /* of each remainder by SH: does any tap see such a row? */
} canvas;

/* The numbers in one copy: whole vectors, and room behind it for one that is written too far. */
static int64_t copy_size(const canvas *v, int64_t width)
{
    return round_up(v->C * v->SH * v->rows * width + VL, VL);
}

/* The size of a canvas with lines of at most `width`; behind it there is room for a tile to read. */
static int64_t canvas_bound(const canvas *v, int64_t width)
{
    return round_up(v->copies * copy_size(v, width) + NR, 64);
}

/* Lays the copies out one behind the other. */
static void lay_out(canvas *v)
{
    int64_t at = 0;
    for (int64_t j = 0; j < v->copies; j++) {
        v->at[j] = at;
        at += copy_size(v, v->width[j]);
    }
}

/* Where the tap in channel c, row `row` and copy j of the canvas sees output pixel 0. */
static inline int64_t canvas_place(const canvas *v, int64_t c, int64_t row, int64_t j)
{
    int64_t line = (c * v->SH + row % v->SH) * v->rows + row / v->SH;
    return v->at[j] + line * v->width[j];
}

/* Lines are written in order, and in whole vectors: what one writes too much, the next puts right. */
GEMM_INLINE void copy_line(real *to, const real *from, int64_t n, int64_t step)
{
    if (step == 1)
        for (int64_t i = 0; i < n; i += VL)
            *(vec *)(to + i) = *(const vec *)(from + i);
    else if (step == 2)
        for (int64_t i = 0; i < n; i += QUAD)
            *(quad *)(to + i) = gemm_evens(*(const quad *)(from + 2 * i),
                                           *(const quad *)(from + 2 * i + QUAD));
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i * step];
}

/* Copy j of one plane, h = top + q SH being the rows of one remainder; `safe` numbers of the image
   may be read from x on. */
GEMM_INLINE void paint_lines(const canvas *v, real *to, const real *x, int64_t safe, int64_t j,
                             int64_t top, int64_t step)
{
    int64_t width = v->width[j], shift = v->shift[j];
    int64_t first = shift < 0 ? ETUDE_MIN(width, (-shift + step - 1) / step) : 0;
    int64_t last = ETUDE_MIN(width, (v->W - shift + step - 1) / step); /* columns inside */
    int64_t n = ETUDE_MAX(0, last - first), reach = (round_up(n, VL) - 1) * step + step;
    for (int64_t q = 0, h = top; q < v->rows; q++, h += v->SH, to += width) {
        int inside = h >= 0 && h < v->H && n > 0;
        int64_t begin = inside ? first : width, end = inside ? last : width;
        if (inside) {
            int64_t at = h * v->W + first * step + shift;
            if (at + reach <= safe)
                copy_line(to + first, x + at, n, step);
            else
                for (int64_t i = 0; i < n; i++)
                    to[first + i] = x[at + i * step];
        }
        for (int64_t i = 0; i < begin; i++)
            to[i] = 0;
        for (int64_t i = end; i < width; i++)
            to[i] = 0;
    }
}

/* Fills `to` from C planes of x; row 0 of the canvas is row `top` of the image. */
static void paint(const canvas *v, real *to, const real *x, int64_t top)
{
    int64_t plane = v->H * v->W;
    for (int64_t c = 0; c < v->C; c++)
        for (int64_t j = 0; j < v->copies; j++)
            for (int64_t f = 0; f < v->SH; f++) {
                real *lines = to + canvas_place(v, c, f, j);
                const real *from = x + c * plane;
                int64_t safe = (v->C - c) * plane;
                if (!v->used[f])
                    continue;
                if (v->SW == 1)
                    paint_lines(v, lines, from, safe, j, top + f, 1);
                else if (v->SW == 2)
                    paint_lines(v, lines, from, safe, j, top + f, 2);
                else
                    paint_lines(v, lines, from, safe, j, top + f, v->SW);
            }
}

#endif
