/* triangle.c: tril and triu, one side of a diagonal of each matrix, zeros on the other.
   Reference: packages/etude/src/etude/ops/triangle.py.   x, y: batch x m x n.

   Plan. A row is a copied run beside a run of zeros; row r keeps the columns c <= r + diagonal in
   tril and c >= r + diagonal in triu. Bound by memory; threads share the rows. Compiled for
   ETUDE_INT too: masks are triangles of bools. */
#include <string.h>

#include "kernel.h"

typedef struct {
    const real *x;
    real *y;
    int64_t m, n, diagonal;
    int upper;
} triangle_call;

static void triangle_rows(void *arg, int64_t begin, int64_t end)
{
    const triangle_call *c = arg;
    int64_t n = c->n;
    for (int64_t row = begin; row < end; row++) {
        int64_t cut = row % c->m + c->diagonal + !c->upper; /* where the sides meet */
        cut = ETUDE_MAX(0, ETUDE_MIN(cut, n));
        int64_t kept = c->upper ? cut : 0, zeros = c->upper ? 0 : cut;
        int64_t length = c->upper ? n - cut : cut;
        real *y = c->y + row * n;
        memcpy(y + kept, c->x + row * n + kept, (size_t)length * sizeof(real));
        memset(y + zeros, 0, (size_t)(n - length) * sizeof(real));
    }
}

static int triangle(etude_context *ctx, const real *x, real *y, int64_t batch, int64_t m,
                    int64_t n, double diagonal, int upper)
{
    double most = (double)(m + n); /* a diagonal beyond it keeps all or nothing */
    diagonal = diagonal < -most ? -most : diagonal > most ? most : diagonal;
    triangle_call c = {x, y, m, n, (int64_t)diagonal, upper};
    etude_parallel_for(ctx, triangle_rows, &c, batch * m,
                       ETUDE_GRAIN_MEMORY / ETUDE_MAX(n, 1) + 1);
    return ETUDE_OK;
}

ETUDE_KERNEL(triangle, tril)(etude_context *ctx, const real *x, real *y, int64_t batch, int64_t m,
                             int64_t n, double diagonal)
{
    return triangle(ctx, x, y, batch, m, n, diagonal, 0);
}

ETUDE_KERNEL(triangle, triu)(etude_context *ctx, const real *x, real *y, int64_t batch, int64_t m,
                             int64_t n, double diagonal)
{
    return triangle(ctx, x, y, batch, m, n, diagonal, 1);
}
