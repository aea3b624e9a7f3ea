/* compare.cu: two broadcast operands, a bool out.
   Reference: packages/etude/src/etude/ops/compare.py. On the CPU: c_src/cpu/compare.c.

   Plan. The walk over rows is pointwise.cuh's; bound by memory. ETUDE_REAL is 32 or 64; compiled
   for ETUDE_INT too, since labels and masks are compared as well as floats. */
#include "pointwise.cuh"

#define COMPARE(op, sign)                                                                         \
    namespace {                                                                                   \
    struct op##_pair {                                                                            \
        __device__ uint8_t operator()(real v, real w) const { return v sign w; }                  \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(compare, op)(etude_context * ctx, const real *x, const real *y, uint8_t *z,      \
                              const int64_t size[3], const int64_t xs[3], const int64_t ys[3])    \
    {                                                                                             \
        return pointwise(ctx, #op, op##_pair{}, size, z, operand_of(x, xs), operand_of(y, ys));   \
    }

COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)
