/* canvas.h: the padded copy of an image that conv2d.c and conv2d_weight.c read.

   Its columns are sorted by their remainder modulo the stride SW, so that the pixels one tap of the
   kernel sees along a line of the output are contiguous for any stride:

       canvas[c][row][column % SW][column / SW]

   Reference: `windows` in packages/etude/src/etude/ops/conv2d.py, which does it with strides. */
#ifndef ETUDE_CANVAS_H
#define ETUDE_CANVAS_H

#include <stdio.h>
#include <string.h>

#include "kernel.h"

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Kernels whose taps lie apart, or see only some of the channels, are left to the reference. */
static int only_dense(etude_context *ctx)
{
    snprintf(ctx->error, sizeof ctx->error, "dilation or groups");
    return ETUDE_UNSUPPORTED;
}

typedef struct {
    int64_t rows, columns; /* of the image as the taps see it, padding included */
    int64_t top, left;     /* how much of it is padding; negative: so much is cut off */
    int64_t phases, phase; /* SW, and how many columns have one remainder */
    int64_t line;          /* phases * phase */
} canvas;

/* The stride between so many outputs. One alone takes none: 1 will do, whatever was given. */
static inline int64_t stride_between(int64_t outputs, int64_t stride)
{
    return outputs == 1 ? 1 : stride;
}

static canvas make_canvas(int64_t rows, int64_t columns, int64_t top, int64_t left, int64_t SW)
{
    int64_t phase = (columns + SW - 1) / SW;
    return (canvas){rows, columns, top, left, SW, phase, SW * phase};
}

/* Fills `to` with lines first .. first + rows of the padded planes of x, which are H x W. */
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
                for (int64_t f = 0; f < v->phases; f++) {
                    int64_t q = (begin - f + v->phases - 1) / v->phases;
                    for (int64_t w = q * v->phases + f; w < end; w += v->phases, q++)
                        to[f * v->phase + q] = from[w];
                }
        }
}

/* Where each tap (c, i, j) of output pixel (0, 0) is; pixel (h, w) is h * SH * line + w further. */
static void tap_offsets(const canvas *v, int64_t C, int64_t KH, int64_t KW, int64_t *offset)
{
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < KH; i++)
            for (int64_t j = 0; j < KW; j++)
                *offset++ = (c * v->rows + i) * v->line + j % v->phases * v->phase + j / v->phases;
}

#endif
