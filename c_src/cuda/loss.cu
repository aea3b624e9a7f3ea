/* loss.cu: mse_loss, l1_loss and binary cross-entropy on logits.
   Reference: packages/etude/src/etude/ops/loss.py. On the CPU: c_src/cpu/loss.c.
   x, target: n; loss: n, or one number.

   Plan. One pass over memory: a loss that is reduced is computed and added up in one, as a row of n
   (reduce.cuh), in double; the others are a walk over two arrays (pointwise.cuh). Bound by memory.
   ETUDE_REAL is 32 or 64. */
#include "math.cuh"
#include "reduce.cuh"

enum { MEAN, SUM, NONE }; /* reduction */

namespace {

/* F is the loss of one element; their sum is divided by `share`. */
template <class F> struct total_of {
    typedef double wide;
    F f;
    double share;
    ETUDE_METHOD wide start() const { return 0; }
    ETUDE_METHOD wide of(int64_t, int64_t, real v, real w) const { return f(v, w); }
    ETUDE_METHOD wide join(wide a, wide b) const { return a + b; }
    ETUDE_METHOD real result(wide a) const { return (real)(a / share); }
};

} // namespace

template <class F>
static int loss_of(etude_context *ctx, const char *op, F f, const real *x, const real *target,
                   real *loss, int64_t n, double reduction)
{
    if (reduction == NONE)
        return each(ctx, op, f, n, loss, x, target);
    total_of<F> total = {f, reduction == MEAN ? (double)n : 1.0};
    return reduce(ctx, op, total, 1, n, 1, loss, x, target);
}

/* `value` is loss[i], computed from v, which is x[i], and from w, which is target[i]. */
#define LOSS(op, value)                                                                           \
    namespace {                                                                                   \
    struct op##_pair {                                                                            \
        __device__ real operator()(real v, real w) const { return value; }                        \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(loss, op)(etude_context * ctx, const real *x, const real *target, real *loss,    \
                           int64_t n, double reduction)                                           \
    {                                                                                             \
        return loss_of(ctx, #op, op##_pair{}, x, target, loss, n, reduction);                     \
    }

/* |v| times the share of the target on the other side, which is 0 for a right answer however sure:
   infinity times 0 would be NaN. */
ETUDE_DEVICE real cross_entropy_of(real v, real w)
{
    real size = abs_of(v), share = v > 0 ? 1 - w : w;
    return (share == 0 ? 0 : size * share) + log1p_of(exp_of(-size));
}

LOSS(mse_loss, (v - w) * (v - w))
LOSS(l1_loss, abs_of(v - w))
LOSS(binary_cross_entropy_with_logits, cross_entropy_of(v, w))
