/* var.cu: the variance over one axis, in two passes: the mean, then squared deviations from it.
   Reference: `var` in packages/etude/src/etude/ops/reduce.py. On the CPU: c_src/cpu/var.c.
   x: outer x n x inner; y: outer x inner.

   Plan. Both passes are reductions (reduce.cuh), in double, so that nothing overflows and a mean
   far from 0 costs no digits. The means stay in scratch memory, in double too. The second pass
   finds most of x in the cache that the first has filled. ETUDE_REAL is 32 or 64. */
#include "reduce.cuh"

namespace {

struct mean_of {
    typedef double wide;
    double count;
    ETUDE_METHOD wide start() const { return 0; }
    ETUDE_METHOD wide of(int64_t, int64_t, real v) const { return v; }
    ETUDE_METHOD wide join(wide a, wide b) const { return a + b; }
    ETUDE_METHOD double result(wide a) const { return a / count; }
};

struct variance_of {
    typedef double wide;
    const double *mean;
    double count;
    ETUDE_METHOD wide start() const { return 0; }
    ETUDE_METHOD wide of(int64_t o, int64_t, real v) const
    {
        return (v - mean[o]) * (v - mean[o]);
    }
    ETUDE_METHOD wide join(wide a, wide b) const { return a + b; }
    ETUDE_METHOD real result(wide a) const { return (real)(a / count); }
};

} // namespace

ETUDE_KERNEL(var, var)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                       int64_t inner, double correction)
{
    if (outer * inner == 0)
        return ETUDE_OK;
    size_t segments = bytes_of_segments<mean_of>(outer, n, inner);
    size_t means = (size_t)(outer * inner) * sizeof(double);
    double *mean = (double *)etude_scratch(ctx, means + segments);
    if (!mean)
        return ETUDE_NO_MEMORY;
    void *part = mean + outer * inner;
    int status = reduce(ctx, "var", mean_of{(double)n}, outer, n, inner, part, mean, x);
    if (status)
        return status;
    variance_of squares = {mean, (double)n - correction};
    return reduce(ctx, "var", squares, outer, n, inner, part, y, x);
}
