/* canvas.h: the padded copy of an image that conv2d.c and conv2d_weight.c read.

       canvas[c][row][column] = x[c][top + row][left + column], and 0 outside of the image

   A tap of the kernel meets an output pixel at (place of the tap) + (place of the pixel), whatever
   stride and dilation are. An image that needs no padding is read where it lies.

   Reference: `windows` in packages/etude/src/etude/ops/conv2d.py, which does it with strides. */
#ifndef ETUDE_CANVAS_H
#define ETUDE_CANVAS_H

#include "gemm.h"

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static inline int64_t ceil_ratio(int64_t n, int64_t by) /* by > 0 */
{
    return n > 0 ? (n + by - 1) / by : -(-n / by);
}

/* The stride between so many outputs. One alone takes none: 1 will do, whatever was given. */
static inline int64_t stride_between(int64_t outputs, int64_t stride)
{
    return outputs == 1 ? 1 : stride;
}

typedef struct {
    int64_t C, H, W;     /* of the image, or of the planes of it that are copied */
    int64_t top, left;   /* where the canvas begins; negative: so much is padding */
    int64_t rows, line;  /* its size; a plane of it is `plane` numbers */
    int64_t plane;
    int copied;          /* or the image itself is the canvas */
} canvas;

/* Of `all` rows that the taps see in the whole image, a canvas holds `rows` at a time. With `copy`
   it is made in any case: the caller reads vectors, some of them past the end of a line. */
static canvas make_canvas(int64_t C, int64_t H, int64_t W, int64_t top, int64_t left, int64_t all,
                          int64_t rows, int64_t line, int copy)
{
    canvas v = {C, H, W, top, left, rows, line, rows * line, 1};
    if (!copy && top >= 0 && left >= 0 && top + all <= H && left + line <= W)
        v.line = W, v.plane = H * W, v.copied = 0;
    return v;
}

/* A vector more for who reads past the end, and a line more: the zeros after the last line go on to
   where the next would have its first pixel. */
static inline int64_t canvas_size(const canvas *v)
{
    return v->copied ? round_up(v->C * v->plane + v->line + VL, 64) : 0;
}

/* n zeros, in whole vectors: what lies behind them is written afterwards, or room to spare. */
static inline real *canvas_zeros(real *to, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) {
        __asm__("" : "+r"(i)); /* or GCC calls memset, mostly for two numbers */
        *(vec *)(to + i) = (vec){0};
    }
    return to + n;
}

/* The canvas whose row 0 is `first` rows further down: made in `to`, or the image itself. */
static const real *paint(const canvas *v, real *to, const real *x, int64_t first)
{
    int64_t top = v->top + first;
    if (!v->copied)
        return x + top * v->W + v->left;
    int64_t begin = ETUDE_MIN(ETUDE_MAX(-v->left, 0), v->line);
    int64_t width = ETUDE_MAX(0, ETUDE_MIN(v->line, v->W - v->left) - begin);
    int64_t above = ETUDE_MIN(ETUDE_MAX(-top, 0), v->rows);
    int64_t lines = ETUDE_MAX(0, ETUDE_MIN(v->rows, v->H - top) - above);
    for (int64_t c = 0; c < v->C; c++) {
        const real *from = x + (c * v->H + top + above) * v->W + v->left + begin;
        real *at = canvas_zeros(to + c * v->plane, above * v->line + begin);
        for (int64_t i = 0; i < lines; i++, from += v->W) {
            gemm_copy(at, from, width);
            at = canvas_zeros(at + width, v->line - width);
        }
        canvas_zeros(at, (v->rows - above - lines) * v->line - begin);
    }
    return to;
}

#endif
