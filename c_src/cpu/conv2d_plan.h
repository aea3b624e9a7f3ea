/* conv2d_plan.h: what conv2d.c plans, and its two ways to make a product (conv2d.c itself, with
   vectors along the channels, and conv2d_lines.h, along the pixels) look up. Legend: conv2d.c. */
#ifndef ETUDE_CONV2D_PLAN_H
#define ETUDE_CONV2D_PLAN_H

#include "canvas.h"
#include "gemm.h"
#include "hands.h"

enum { LINE = 64 / sizeof(real) }; /* numbers in a line of cache */

/* One axis of the plan. In conv2d all pixels form one class, which meets every tap. In conv2d_input
   pixel r + u S meets tap i only if S divides r + P - i D, in pixel u + (r + P - i D) / S of grad:
   so there is a class for each r < S. */
typedef struct {
    int64_t pixels;       /* r, r + S, r + 2 S, ... */
    int64_t taps, before; /* how many, and how many the classes before it have */
} class;

typedef struct {
    int64_t N, G, C, H, W, O, OP, KH, KW; /* C and O of one group */
    const real *x, *bias;
    real *y;                  /* N x G x O x YH x YW */
    int64_t YH, YW, SH, SW;   /* steps in x from pixel to pixel of y */
    int64_t row_step, column_step; /* so many classes of rows, of columns */
    int lines;                /* vectors go along the pixels of a line: conv2d_lines.h */
    int flat;                 /* there: the lines of a task are one, their margins included; */
    int wrapped;              /* or without them, in a canvas with an image for each column tap */
    int64_t column_plane;     /* wrapped: the size of such an image of one channel */
    int64_t slack;            /* wrapped: numbers beside a channel that is being copied */

    class *rows, *columns;
    int64_t *row_tap, *column_tap; /* the taps of the kernel, class by class */
    int64_t *row, *column;    /* where these are in the canvas */
    int64_t *place, *w_place; /* of each tap of each class, in the canvas and in the weights */
    int64_t *pixel;           /* of each pixel of a task (of one line, with several classes) */
    canvas view;              /* of one task */

    const real *weight;       /* of one group; then by these strides */
    int64_t w_O, w_C;
    real *packed;             /* weights: group, class, depth, panel */
    real *start;              /* G x OP: the bias, or zeros */
    etude_tail *tail;         /* what follows, on the result; or NULL */
    real *scales;             /* G x O: of the tail's norm */
    int64_t parts, height;    /* tasks of an image, and the most lines of a class in one */
    int64_t slots, slot_size;
    int64_t fetch;            /* lines of cache of the next image asked for with a tile */
    hand *hands;
    real *space;
} conv;

/* The image after this one, asked of memory a few lines of cache at a time. */
typedef struct {
    const real *x, *end;
    int64_t lines;
} lookahead;

static inline void look_ahead(lookahead *next)
{
    for (int64_t i = 0; i < next->lines && next->x < next->end; i++, next->x += LINE)
        __builtin_prefetch(next->x, 0, 2);
}

/* Where the taps of class (r, s) begin in `place`, and how many there are. */
static inline int64_t class_taps(const conv *q, int64_t r, int64_t s, int64_t *taps)
{
    const class *rows = &q->rows[r], *columns = &q->columns[s];
    *taps = q->C * rows->taps * columns->taps;
    return q->C * (rows->before * q->KW + rows->taps * columns->before);
}

static inline int64_t depths_of(int64_t taps)
{
    return ETUDE_MAX(1, ceil_ratio(taps, CONV_KC));
}

#endif
