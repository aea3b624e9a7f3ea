/* rounding.cu: floor, ceil, round and isnan.
   Reference: packages/etude/src/etude/ops/rounding.py. On the CPU: c_src/cpu/rounding.c.

   Plan. One instruction an element, at the speed of memory (pointwise.cuh). ETUDE_REAL is 32 or
   64. */
#include "pointwise.cuh"

#define ROUNDING(op, function)                                                                    \
    namespace {                                                                                   \
    struct op##_map {                                                                             \
        __device__ real operator()(real v) const                                                  \
        {                                                                                         \
            return sizeof(real) == 8 ? (real)function(v) : (real)function##f((float)v);           \
        }                                                                                         \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(map, op)(etude_context * ctx, const real *x, real *y, int64_t n, double, double) \
    {                                                                                             \
        return each(ctx, #op, op##_map{}, n, y, x);                                               \
    }

ROUNDING(floor, floor)
ROUNDING(ceil, ceil)
ROUNDING(round, rint) /* halves to the even neighbour */

namespace {

struct isnan_map {
    __device__ uint8_t operator()(real v) const { return v != v; }
};

} // namespace

ETUDE_KERNEL(map_bool, isnan)(etude_context *ctx, const real *x, uint8_t *y, int64_t n)
{
    return each(ctx, "isnan", isnan_map{}, n, y, x);
}
