/* pointwise.h: how kernels with several broadcast operands walk them.

   Geometry: three dimensions, that is size[0] x size[1] rows of size[2] elements. Along a row an
   operand has stride 0 (one value for the whole row) or 1. So `run` needs no strides in its inner
   loops: it has one for each pattern of zeros and ones. Threads share the rows, or the elements of
   the only row. */
#ifndef ETUDE_POINTWISE_H
#define ETUDE_POINTWISE_H

#include "kernel.h"

enum { MOST_OPERANDS = 4 };

/* n elements from p[0], p[1], ... into p[operands - 1]; step[k] is 0 or 1 for each input. */
typedef void pointwise_run(char *const *p, const int64_t *step, int64_t n);

typedef struct {
    pointwise_run *run;
    int operands;                          /* the output is the last */
    char *p[MOST_OPERANDS];
    size_t item[MOST_OPERANDS];            /* bytes of an element */
    const int64_t *stride[MOST_OPERANDS];  /* [3] each, in elements; none for the output */
    const int64_t *size;                   /* [3] */
} pointwise;

static void pointwise_rows(void *arg, int64_t begin, int64_t end)
{
    const pointwise *c = arg;
    int last = c->operands - 1;
    char *p[MOST_OPERANDS];
    int64_t step[MOST_OPERANDS];
    for (int k = 0; k < last; k++)
        step[k] = c->stride[k][2];
    for (int64_t row = begin; row < end; row++) {
        int64_t i = row / c->size[1], j = row % c->size[1];
        for (int k = 0; k < last; k++)
            p[k] = c->p[k] + (i * c->stride[k][0] + j * c->stride[k][1]) * (int64_t)c->item[k];
        p[last] = c->p[last] + row * c->size[2] * (int64_t)c->item[last];
        c->run(p, step, c->size[2]);
    }
}

static void pointwise_columns(void *arg, int64_t begin, int64_t end)
{
    const pointwise *c = arg;
    int last = c->operands - 1;
    char *p[MOST_OPERANDS];
    int64_t step[MOST_OPERANDS];
    for (int k = 0; k < last; k++) {
        step[k] = c->stride[k][2];
        p[k] = c->p[k] + begin * step[k] * (int64_t)c->item[k];
    }
    p[last] = c->p[last] + begin * (int64_t)c->item[last];
    c->run(p, step, end - begin);
}

static inline int pointwise_all(etude_context *ctx, pointwise *c)
{
    int64_t rows = c->size[0] * c->size[1], cols = c->size[2];
    if (rows == 1)
        etude_parallel_for(ctx, pointwise_columns, c, cols, ETUDE_GRAIN_MEMORY);
    else if (cols > 0)
        etude_parallel_for(ctx, pointwise_rows, c, rows,
                           (ETUDE_GRAIN_MEMORY + cols - 1) / cols);
    return ETUDE_OK;
}

#endif
