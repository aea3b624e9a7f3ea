/* pool2d.c: max_pool2d and its gradient.

   Counterpart: packages/etude/src/etude/ops/pool2d.py.

   Legend: planes = N * C planes of H x W pixels; KH x KW windows, strides SH SW, padding PH PW,
   OH x OW outputs. index says where in its plane of H * W pixels the maximum stands.

   Plan. Windows are clipped to the plane instead of padding it; planes are independent. The first
   of equal values wins, and a NaN over everything before it: take x if it is not <= best, unless
   best is NaN. Selects instead of branches, since which one wins is not predictable. */
#include "kernel.h"

typedef struct {
    const real *x, *grad;
    real *y, *dx;
    int64_t *index;
    const int64_t *from;
    int64_t H, W, OH, OW, KH, KW, SH, SW, PH, PW;
} pool;

/* Planes begin .. end. */
static void pool_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    for (int64_t line = begin * q->OH; line < end * q->OH; line++) {
        const real *x = q->x + line / q->OH * q->H * q->W;
        real *y = q->y + line * q->OW;
        int64_t *index = q->index + line * q->OW;
        int64_t top = line % q->OH * q->SH - q->PH;
        int64_t h0 = ETUDE_MAX(0, top), h1 = ETUDE_MIN(q->H, top + q->KH);
        for (int64_t o = 0; o < q->OW; o++) {
            int64_t left = o * q->SW - q->PW;
            int64_t w0 = ETUDE_MAX(0, left), w1 = ETUDE_MIN(q->W, left + q->KW);
            int64_t where = h0 * q->W + w0;
            real best = x[where];
            for (int64_t h = h0; h < h1; h++)
                for (int64_t w = w0; w < w1; w++) {
                    real candidate = x[h * q->W + w];
                    int larger = !(candidate <= best) && best == best;
                    best = larger ? candidate : best;
                    where = larger ? h * q->W + w : where;
                }
            y[o] = best;
            index[o] = where;
        }
    }
}

int ETUDE_NAME(max_pool2d)(etude_context *ctx, const real *x, real *y, int64_t *index,
                           int64_t planes, int64_t H, int64_t W, int64_t OH, int64_t OW, int64_t KH,
                           int64_t KW, int64_t SH, int64_t SW, int64_t PH, int64_t PW)
{
    pool q = {.x = x, .y = y, .index = index, .H = H, .W = W, .OH = OH, .OW = OW, .KH = KH,
              .KW = KW, .SH = SH, .SW = SW, .PH = PH, .PW = PW};
    int64_t work = ETUDE_MAX(1, OH * OW * KH * KW);
    etude_parallel_for(ctx, pool_body, &q, planes, ETUDE_MAX(1, ETUDE_GRAIN_MEMORY / work));
    return ETUDE_OK;
}

static void pool_backward_body(void *arg, int64_t begin, int64_t end)
{
    const pool *q = arg;
    int64_t pixels = q->H * q->W, outputs = q->OH * q->OW;
    for (int64_t plane = begin; plane < end; plane++) {
        const real *grad = q->grad + plane * outputs;
        const int64_t *from = q->from + plane * outputs;
        real *dx = q->dx + plane * pixels;
        for (int64_t i = 0; i < pixels; i++)
            dx[i] = 0;
        for (int64_t i = 0; i < outputs; i++)
            dx[from[i]] += grad[i];
    }
}

int ETUDE_NAME(max_pool2d_backward)(etude_context *ctx, const real *grad, const int64_t *index,
                                    real *dx, int64_t planes, int64_t H, int64_t W, int64_t OH,
                                    int64_t OW)
{
    pool q = {.grad = grad, .from = index, .dx = dx, .H = H, .W = W, .OH = OH, .OW = OW};
    for (int64_t i = 0; i < planes * OH * OW; i++)
        if (index[i] < 0 || index[i] >= H * W)
            return ETUDE_BAD_INDEX;
    int64_t work = ETUDE_MAX(1, H * W + 2 * OH * OW);
    etude_parallel_for(ctx, pool_backward_body, &q, planes,
                       ETUDE_MAX(1, ETUDE_GRAIN_MEMORY / work));
    return ETUDE_OK;
}
