/* logical.cu: and, or, not on bools, and whether all or any along an axis hold.
   Reference: packages/etude/src/etude/ops/logical.py. On the CPU: c_src/cpu/logical.c. Compiled for
   bools alone (ETUDE_INT = 8).

   Plan. A bool is a byte, 0 or 1, so these are bit operations on bytes, 16 at a time, bound by
   memory: pointwise.cuh walks broadcast operands, reduce.cuh rows and columns. */
#include "reduce.cuh"

#if defined(ETUDE_INT) && ETUDE_INT == 8

#define LOGICAL(op, sign)                                                                         \
    namespace {                                                                                   \
    struct op##_pair {                                                                            \
        __device__ real operator()(real v, real w) const { return (real)(v sign w); }             \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(binary, op)(etude_context * ctx, const real *x, const real *y, real *z,          \
                             const int64_t size[3], const int64_t xs[3], const int64_t ys[3])     \
    {                                                                                             \
        return pointwise(ctx, #op, op##_pair{}, size, z, operand_of(x, xs), operand_of(y, ys));   \
    }

LOGICAL(logical_and, &)
LOGICAL(logical_or, |)

namespace {

struct not_map {
    __device__ real operator()(real v) const { return v ^ 1; }
};

} // namespace

ETUDE_KERNEL(map, logical_not)(etude_context *ctx, const real *x, real *y, int64_t n, double,
                               double)
{
    return each(ctx, "logical_not", not_map{}, n, y, x);
}

/* `nothing` is the result over no elements; joined with any v it gives that v. */
#define REDUCED(op, sign, nothing)                                                                \
    namespace {                                                                                   \
    struct op##_of {                                                                              \
        typedef int wide;                                                                         \
        ETUDE_METHOD wide start() const { return nothing; }                                       \
        ETUDE_METHOD wide of(int64_t, int64_t, real v) const { return v; }                        \
        ETUDE_METHOD wide join(wide a, wide b) const { return a sign b; }                         \
        ETUDE_METHOD real result(wide a) const { return (real)a; }                                \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(reduce, op)(etude_context * ctx, const real *x, real *y, int64_t outer,          \
                             int64_t n, int64_t inner)                                            \
    {                                                                                             \
        return reduce(ctx, #op, op##_of{}, outer, n, inner, y, x);                                \
    }

REDUCED(all, &, 1)
REDUCED(any, |, 0)

#endif
