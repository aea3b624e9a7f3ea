/* select.cu: where and lerp, three broadcast operands.
   Reference: packages/etude/src/etude/ops/select.py. On the CPU: c_src/cpu/select.c. The walk over
   rows is pointwise.cuh's; both are bound by memory. ETUDE_REAL is 32 or 64; where is compiled for
   ETUDE_INT too. */
#include "pointwise.cuh"

namespace {

struct where_of {
    __device__ real operator()(uint8_t condition, real v, real w) const
    {
        return condition ? v : w; /* both have been read: no branch */
    }
};

} // namespace

ETUDE_KERNEL(select, where)(etude_context *ctx, const uint8_t *condition, const real *x,
                            const real *y, real *z, const int64_t size[3], const int64_t cs[3],
                            const int64_t xs[3], const int64_t ys[3])
{
    return pointwise(ctx, "where", where_of{}, size, z, operand_of(condition, cs),
                     operand_of(x, xs), operand_of(y, ys));
}

#if !defined(ETUDE_INT)

namespace {

struct lerp_of {
    __device__ real operator()(real v, real end, real weight) const
    {
        real whole = v + weight * (end - v);
        real half = v / 2 + weight * (end / 2 - v / 2); /* where the difference overflows */
        return whole - whole == 0 || weight - weight != 0 ? whole : 2 * half;
    }
};

} // namespace

ETUDE_KERNEL(ternary, lerp)(etude_context *ctx, const real *x, const real *y, const real *w,
                            real *z, const int64_t size[3], const int64_t xs[3],
                            const int64_t ys[3], const int64_t ws[3])
{
    return pointwise(ctx, "lerp", lerp_of{}, size, z, operand_of(x, xs), operand_of(y, ys),
                     operand_of(w, ws));
}

#endif
