/* binary.cu: arithmetic on two broadcast operands.
   Reference: packages/etude/src/etude/ops/binary.py. On the CPU: c_src/cpu/binary.c. The walk over
   rows is pointwise.cuh's.

   Plan. All ops but pow, floor_divide and remainder are bound by memory. int64 has all but div, and
   wraps around where a result is too large, as in NumPy; where there is no result, as in 1 // 0, the
   kernel sets a flag, for which the host waits. ETUDE_REAL is 32 or 64. */
#include "pointwise.cuh"

#define ENTRY(op)                                                                                 \
    ETUDE_KERNEL(binary, op)(etude_context * ctx, const real *x, const real *y, real *z,          \
                             const int64_t size[3], const int64_t xs[3], const int64_t ys[3])     \
    {                                                                                             \
        return pointwise(ctx, #op, op##_pair{}, size, z, operand_of(x, xs), operand_of(y, ys));   \
    }

/* `value` is z[i], computed from v, which is x[i], and from w, which is y[i]. */
#define BINARY(op, value)                                                                         \
    namespace {                                                                                   \
    struct op##_pair {                                                                            \
        __device__ real operator()(real v, real w) const { return value; }                        \
    };                                                                                            \
    }                                                                                             \
    ENTRY(op)

#if !defined(ETUDE_INT)

BINARY(add, v + w)
BINARY(sub, v - w)
BINARY(mul, v *w)
BINARY(div, v / w)
BINARY(maximum, v >= w || v != v ? v : w) /* NaN if either is */
BINARY(minimum, v <= w || v != v ? v : w)

/* ---- Powers: some exponents are fast and exact, and most calls have one of them -------------- */

ETUDE_DEVICE real power(real v, real w)
{
    return sizeof(real) == 8 ? (real)pow(v, w) : (real)powf((float)v, (float)w);
}

ETUDE_DEVICE real root(real v) /* v^(1/2) as pow defines it: +0 at -0, infinity at -infinity */
{
    real y = sqrt_of(v) + 0;
    return v == -INFINITY ? (real)INFINITY : y;
}

namespace {

struct pow_pair {
    __device__ real operator()(real v, real w) const
    {
        if (w == 2)
            return v * v;
        if (w == (real)0.5)
            return root(v);
        if (w == 3)
            return v * v * v;
        if (w == -1)
            return 1 / v;
        if (w == (real)-0.5)
            return 1 / root(v);
        return power(v, w);
    }
};

} // namespace

ENTRY(pow)

/* ---- Python's // and %, in which the remainder has the sign of y ----------------------------- */

ETUDE_DEVICE real truncated(real v, real w) /* the remainder with the sign of v */
{
    return sizeof(real) == 8 ? (real)fmod(v, w) : (real)fmodf((float)v, (float)w);
}

ETUDE_DEVICE real zero_like(real v) /* 0 with the sign of v */
{
    return (real)copysign(0.0, (double)v);
}

namespace {

struct floor_divide_pair {
    __device__ real operator()(real v, real w) const
    {
        if (w == 0)
            return v / w;
        real m = truncated(v, w), z = (v - m) / w; /* whole, but for rounding */
        if (m != 0 && (w < 0) != (m < 0))
            z -= 1;
        if (z == 0)
            return zero_like(v / w);
        real low = sizeof(real) == 8 ? (real)floor(z) : (real)floorf((float)z);
        return z - low > (real)0.5 ? low + 1 : low;
    }
};

struct remainder_pair {
    __device__ real operator()(real v, real w) const
    {
        real m = truncated(v, w);
        if (m == 0)
            return zero_like(w);
        return (w < 0) != (m < 0) ? m + w : m;
    }
};

} // namespace

ENTRY(floor_divide)
ENTRY(remainder)

#elif ETUDE_INT == 64

BINARY(add, (real)((uint64_t)v + (uint64_t)w))
BINARY(sub, (real)((uint64_t)v - (uint64_t)w))
BINARY(mul, (real)((uint64_t)v * (uint64_t)w))
BINARY(maximum, v > w ? v : w)
BINARY(minimum, v < w ? v : w)

/* ---- Powers and quotients of whole numbers --------------------------------------------------- */

ETUDE_DEVICE real power(real v, real w) /* w >= 0; by squaring, bit by bit of w */
{
    uint64_t z = 1, square = (uint64_t)v;
    for (uint64_t left = (uint64_t)w; left; left >>= 1) {
        z *= left & 1 ? square : 1;
        square *= square;
    }
    return (real)z;
}

ETUDE_DEVICE real floored(real v, real w) /* w is not 0; -2^63 / -1 wraps */
{
    if (w == -1)
        return (real)(0 - (uint64_t)v);
    real z = v / w;
    return z - (z * w != v && (v < 0) != (w < 0));
}

ETUDE_DEVICE real remaining(real v, real w)
{
    if (w == -1)
        return 0;
    real m = v % w;
    return m != 0 && (m < 0) != (w < 0) ? m + w : m;
}

/* `refused` says for which w there is no `value`. */
#define WHOLE(op, value, refused)                                                                 \
    namespace {                                                                                   \
    struct op##_pair {                                                                            \
        int *flag;                                                                                \
        __device__ real operator()(real v, real w) const                                          \
        {                                                                                         \
            if (refused) {                                                                        \
                atomicOr(flag, 1);                                                                \
                return 0;                                                                         \
            }                                                                                     \
            return value;                                                                         \
        }                                                                                         \
    };                                                                                            \
    }                                                                                             \
    ETUDE_KERNEL(binary, op)(etude_context * ctx, const real *x, const real *y, real *z,          \
                             const int64_t size[3], const int64_t xs[3], const int64_t ys[3])     \
    {                                                                                             \
        int *flag = (int *)etude_scratch(ctx, FLAG);                                              \
        if (!flag)                                                                                \
            return ETUDE_NO_MEMORY;                                                               \
        int status = filled(ctx, #op, flag, 0, sizeof *flag);                                     \
        if (status == ETUDE_OK)                                                                   \
            status = pointwise(ctx, #op, op##_pair{flag}, size, z, operand_of(x, xs),             \
                               operand_of(y, ys));                                                \
        return status != ETUDE_OK ? status : check_ended(ctx, #op, flag);                         \
    }

WHOLE(pow, power(v, w), w < 0)
WHOLE(floor_divide, floored(v, w), w == 0)
WHOLE(remainder, remaining(v, w), w == 0)

#endif
