/* scan.c: cumsum, running totals along an axis.
   Reference: packages/etude/src/etude/ops/scan.py.   x, y: outer x n x inner, along n.

   Plan. Each total is the one before it plus one number, in the reference's order and its dtype,
   double for floats too, so the bits are the reference's. Along a contiguous row that is a chain of
   additions, about four cycles a number; down columns it is a vector at a time, with the totals of
   COLUMNS columns in L1. Threads share outer and blocks of columns. int64 wraps, as in NumPy. */
#include "kernel.h"

#if !defined(ETUDE_INT) || ETUDE_INT == 64

enum { COLUMNS = 512 }; /* of inner, in one item of work */

typedef struct {
    const real *x;
    real *y;
    int64_t n, inner, parts;
} scan_call;

#if defined(ETUDE_INT)
typedef uint64_t total_type; /* wraps */
#else
typedef double total_type;
#endif

static inline void scan_row(const real *x, real *y, int64_t n)
{
    total_type total = (total_type)x[0];
    y[0] = x[0];
    for (int64_t j = 1; j < n; j++) {
        total += (total_type)x[j];
        y[j] = (real)total;
    }
}

static void scan_items(void *arg, int64_t begin, int64_t end)
{
    const scan_call *c = arg;
    int64_t inner = c->inner;
    for (int64_t row = begin; inner == 1 && row < end; row++)
        scan_row(c->x + row * c->n, c->y + row * c->n, c->n);
    for (int64_t item = begin; inner > 1 && item < end; item++) {
        int64_t from = item % c->parts * COLUMNS, cols = ETUDE_MIN(COLUMNS, inner - from);
        int64_t at = item / c->parts * c->n * inner + from;
        const real *x = c->x + at;
        real *y = c->y + at;
        total_type total[COLUMNS];
        for (int64_t i = 0; i < cols; i++)
            total[i] = (total_type)x[i], y[i] = x[i];
        for (int64_t j = 1; j < c->n; j++)
            ETUDE_SIMD for (int64_t i = 0; i < cols; i++)
            {
                total[i] += (total_type)x[j * inner + i];
                y[j * inner + i] = (real)total[i];
            }
    }
}

ETUDE_KERNEL(scan, cumsum)(etude_context *ctx, const real *x, real *y, int64_t outer, int64_t n,
                           int64_t inner)
{
    int64_t parts = (inner + COLUMNS - 1) / COLUMNS;
    scan_call c = {x, y, n, inner, parts};
    if (n > 0)
        etude_parallel_for(ctx, scan_items, &c, outer * parts,
                           ETUDE_GRAIN_MEMORY / (n * ETUDE_MIN(COLUMNS, inner) + 1) + 1);
    return ETUDE_OK;
}

#endif
