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

static inline int64_t canvas_size(const canvas *v)
{
    return v->copied ? round_up(v->C * v->plane, 64) : 0;
}

/* The canvas whose row 0 is `first` rows further down: made in `to`, or the image itself. */
static const real *paint(const canvas *v, real *to, const real *x, int64_t first)
{
    if (!v->copied)
        return x + (v->top + first) * v->W + v->left;
    int64_t begin = ETUDE_MIN(ETUDE_MAX(-v->left, 0), v->line);
    int64_t end = ETUDE_MAX(begin, ETUDE_MIN(v->line, v->W - v->left));
    real *line = to;
    for (int64_t c = 0; c < v->C; c++, x += v->H * v->W)
        for (int64_t row = 0; row < v->rows; row++, line += v->line) {
            int64_t h = v->top + first + row;
            int inside = h >= 0 && h < v->H;
            int64_t from = inside ? begin : v->line, until = inside ? end : v->line;
            for (int64_t i = 0; i < from; i++)
                line[i] = 0;
            if (inside)
                gemm_copy(line + begin, x + h * v->W + v->left + begin, end - begin);
            for (int64_t i = until; i < v->line; i++)
                line[i] = 0;
        }
    return to;
}

#endif
