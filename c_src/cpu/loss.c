/* loss.c: mse_loss, l1_loss and binary cross-entropy on logits.
   Reference: packages/etude/src/etude/ops/loss.py.   x, target: n; loss: n, or one number.

   Plan. One pass over memory. A reduced loss is computed in blocks of ETUDE_BLOCK elements that
   stay in L1 until they are added up, and the blocks add up pairwise (sums.h): the order depends on
   n alone. Bound by memory, except binary cross-entropy: an exponential and a logarithm. */
#include "sums.h"
#include "vmath.h"

enum { MEAN, SUM, NONE }; /* reduction */

typedef void loss_run(const real *x, const real *target, real *loss, int64_t n);

typedef struct {
    loss_run *run;
    const real *x, *target;
    real *loss; /* n of them, or the sums of blocks */
    int64_t n;
} loss_call;

static void loss_elements(void *arg, int64_t begin, int64_t end)
{
    const loss_call *c = arg;
    c->run(c->x + begin, c->target + begin, c->loss + begin, end - begin);
}

static void loss_blocks(void *arg, int64_t begin, int64_t end)
{
    const loss_call *c = arg;
    real part[ETUDE_BLOCK];
    for (int64_t b = begin; b < end; b++) {
        int64_t from = b * ETUDE_BLOCK, n = ETUDE_MIN(c->n - from, ETUDE_BLOCK);
        c->run(c->x + from, c->target + from, part, n);
        c->loss[b] = row_sum(part, n);
    }
}

static int loss_of(etude_context *ctx, loss_run *run, const real *x, const real *target,
                   real *loss, int64_t n, double reduction)
{
    loss_call c = {run, x, target, loss, n};
    if (reduction == NONE) {
        etude_parallel_for(ctx, loss_elements, &c, n, ETUDE_GRAIN_MATH);
        return ETUDE_OK;
    }
    int64_t blocks = (n + ETUDE_BLOCK - 1) / ETUDE_BLOCK;
    c.loss = etude_scratch(ctx, (size_t)(blocks + 1) * sizeof(real));
    if (!c.loss)
        return ETUDE_NO_MEMORY;
    etude_parallel_for(ctx, loss_blocks, &c, blocks, ETUDE_GRAIN_MATH / ETUDE_BLOCK);
    loss[0] = row_sum(c.loss, blocks) / (real)(reduction == MEAN ? n : 1);
    return ETUDE_OK;
}

/* `value` is loss[i], computed from v, which is x[i], and from w, which is target[i]. */
#define LOSS(op, value)                                                                           \
    static void op##_run(const real *x, const real *target, real *loss, int64_t n)                \
    {                                                                                             \
        ETUDE_SIMD for (int64_t i = 0; i < n; i++)                                                \
        {                                                                                         \
            real v = x[i], w = target[i];                                                         \
            loss[i] = value;                                                                      \
        }                                                                                         \
    }                                                                                             \
    ETUDE_KERNEL(loss, op)(etude_context *ctx, const real *x, const real *target, real *loss,     \
                           int64_t n, double reduction)                                           \
    {                                                                                             \
        return loss_of(ctx, op##_run, x, target, loss, n, reduction);                             \
    }

/* |v| times the share of the target on the other side, which is 0 for a right answer however sure:
   infinity times 0 would be NaN. */
VMATH real cross_entropy_of(real v, real w)
{
    real size = absolute(v), share = v > 0 ? 1 - w : w;
    return (share == 0 ? 0 : size * share) + v_log1p_to_1(v_exp_minus(size));
}

LOSS(mse_loss, (v - w) * (v - w))
LOSS(l1_loss, absolute(v - w))
LOSS(binary_cross_entropy_with_logits, cross_entropy_of(v, w))
