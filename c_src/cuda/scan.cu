/* scan.cu: cumsum, running totals along an axis.
   Reference: packages/etude/src/etude/ops/scan.py. On the CPU: c_src/cpu/scan.c.
   x, y: outer x n x inner, along n.

   Plan. That of scan.cuh. Floats add up in double and each total is rounded once; int64 wraps, as
   in NumPy. ETUDE_REAL is 32 or 64. */
#include "scan.cuh"

#if !defined(ETUDE_INT) || ETUDE_INT == 64

#if defined(ETUDE_INT)
typedef uint64_t total_type; /* wraps */
#else
typedef double total_type;
#endif

ETUDE_KERNEL(scan, cumsum)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                           int64_t inner)
{
    size_t bytes = bytes_of_scan(outer, n, inner);
    void *scratch = bytes ? etude_scratch(ctx, bytes) : NULL;
    if (bytes && !scratch)
        return ETUDE_NO_MEMORY;
    return scan<running_sum<total_type>>(ctx, "cumsum", outer, n, inner, scratch, x, y);
}

#endif
