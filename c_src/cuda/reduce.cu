/* reduce.cu: sum, mean, prod, amax and amin over one axis, argmax and argmin.
   Reference: packages/etude/src/etude/ops/reduce.py. On the CPU: c_src/cpu/reduce.c.
   x: outer x n x inner; y: outer x inner.

   Plan. That of reduce.cuh; here stands what is joined. Sums and products run in double, which also
   keeps a sum within range that float would leave; int64 wraps, as in NumPy. ETUDE_REAL is 32 or
   64; argmax and argmin are compiled for ETUDE_INT too, the others for int64.

   A NaN counts as the largest element, and as the smallest too; of equal elements argmax and argmin
   take the first. */
#include "reduce.cuh"

#if defined(ETUDE_INT)
#define IS_NAN(v) false
#define LOWEST INT64_MIN
#define HIGHEST INT64_MAX
typedef uint64_t wide_of_real; /* wraps */
#else
#define IS_NAN(v) ((v) != (v))
#define LOWEST -INFINITY
#define HIGHEST INFINITY
typedef double wide_of_real;
#endif

#define REDUCE(op, made)                                                                          \
    ETUDE_KERNEL(reduce, op)(etude_context * ctx, const real *x, real *y, int64_t outer,          \
                             int64_t n, int64_t inner)                                            \
    {                                                                                             \
        return reduce(ctx, #op, made, outer, n, inner, y, x);                                     \
    }

#if !defined(ETUDE_INT) || ETUDE_INT == 64

namespace {

struct sum_of {
    typedef wide_of_real wide;
    ETUDE_METHOD wide start() const { return 0; }
    ETUDE_METHOD wide of(int64_t, int64_t, real v) const { return (wide)v; }
    ETUDE_METHOD wide join(wide a, wide b) const { return a + b; }
    ETUDE_METHOD real result(wide a) const { return (real)a; }
};

struct product_of {
    typedef wide_of_real wide;
    ETUDE_METHOD wide start() const { return 1; }
    ETUDE_METHOD wide of(int64_t, int64_t, real v) const { return (wide)v; }
    ETUDE_METHOD wide join(wide a, wide b) const { return a * b; }
    ETUDE_METHOD real result(wide a) const { return (real)a; }
};

struct largest_of {
    typedef real wide;
    ETUDE_METHOD wide start() const { return (real)LOWEST; }
    ETUDE_METHOD wide of(int64_t, int64_t, real v) const { return v; }
    ETUDE_METHOD wide join(wide a, wide b) const { return b > a || IS_NAN(b) ? b : a; }
    ETUDE_METHOD real result(wide a) const { return a; }
};

struct smallest_of {
    typedef real wide;
    ETUDE_METHOD wide start() const { return (real)HIGHEST; }
    ETUDE_METHOD wide of(int64_t, int64_t, real v) const { return v; }
    ETUDE_METHOD wide join(wide a, wide b) const { return b < a || IS_NAN(b) ? b : a; }
    ETUDE_METHOD real result(wide a) const { return a; }
};

} // namespace

REDUCE(sum, sum_of{})
REDUCE(prod, product_of{})
REDUCE(amax, largest_of{})
REDUCE(amin, smallest_of{})

#endif

#if !defined(ETUDE_INT)

namespace {

struct mean_of : sum_of {
    double count;
    explicit mean_of(int64_t n) : count((double)n) {}
    ETUDE_METHOD real result(wide a) const { return (real)(a / count); }
};

} // namespace

REDUCE(mean, mean_of(n))

#endif

/* ---- argmax and argmin ----------------------------------------------------------------------- */

/* An element and its place; -1 where there is none. */
struct placed {
#if defined(ETUDE_INT)
    int64_t value;
#else
    real value;
#endif
    int64_t at;
};

ETUDE_DEVICE placed from_above(placed x, int apart)
{
    return {__shfl_down_sync(EVERY_LANE, x.value, apart),
            __shfl_down_sync(EVERY_LANE, x.at, apart)};
}

namespace {

/* LEAST asks for the smallest instead of the largest. */
template <bool LEAST> struct place_of {
    typedef placed wide;

    ETUDE_METHOD bool beats(wide a, wide b) const
    {
        return (LEAST ? a.value < b.value : a.value > b.value) ||
               (IS_NAN(a.value) && !IS_NAN(b.value));
    }
    ETUDE_METHOD wide start() const { return {0, -1}; }
    ETUDE_METHOD wide of(int64_t, int64_t j, real v) const { return {v, j}; }
    ETUDE_METHOD wide join(wide a, wide b) const
    {
        if (a.at < 0 || b.at < 0)
            return a.at < 0 ? b : a;
        if (beats(a, b) || beats(b, a))
            return beats(a, b) ? a : b;
        return a.at < b.at ? a : b;
    }
    ETUDE_METHOD int64_t result(wide a) const { return a.at; }
};

} // namespace

#define ARGREDUCE(op, made)                                                                       \
    ETUDE_KERNEL(argreduce, op)(etude_context * ctx, const real *x, int64_t *y, int64_t outer,    \
                                int64_t n, int64_t inner)                                         \
    {                                                                                             \
        return reduce(ctx, #op, made, outer, n, inner, y, x);                                     \
    }

ARGREDUCE(argmax, place_of<false>{})
ARGREDUCE(argmin, place_of<true>{})
