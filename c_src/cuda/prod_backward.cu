/* prod_backward.cu: the gradient of a product, dx[j] = grad times the product of all others.
   Reference: `prod_backward` in packages/etude/src/etude/ops/reduce.py. On the CPU:
   c_src/cpu/prod_backward.c. x, dx: outer x n x inner; grad: outer x inner.

   Plan. Nothing is divided, since a factor may be 0. A scan (scan.cuh) makes the products of what
   stands before each element, another those of what stands behind, over a copy of x that runs
   backwards; a third launch multiplies both with grad. Products are doubles in scratch memory: that
   of many floats may leave the range of float on the way. All of it is bound by memory, 60 bytes a
   float. ETUDE_REAL is 32 or 64. */
#include "scan.cuh"

struct product_shape {
    int64_t outer, n, inner;
};

namespace {

struct running_product {
    typedef double total;
    static ETUDE_METHOD double none() { return 1; }
    static ETUDE_METHOD double join(double before, double v) { return before * v; }
};

} // namespace

/* y[o][j][i] = x[o][n - 1 - j][i] */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    turned_around(product_shape s, const real *x, double *y)
{
    for_each(s.outer, s.n, s.inner, [&](int64_t o, int64_t j, int64_t i) {
        y[(o * s.n + j) * s.inner + i] = x[(o * s.n + s.n - 1 - j) * s.inner + i];
    });
}

/* upto[o][j][i] is the product of elements 0 .. j, and from[o][j][i] that of the last j + 1. */
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    products_of_others(product_shape s, const real *grad, const double *upto, const double *from,
                       real *dx)
{
    for_each(s.outer, s.n, s.inner, [&](int64_t o, int64_t j, int64_t i) {
        int64_t row = o * s.n * s.inner + i, behind = s.n - 1 - j;
        double before = j > 0 ? upto[row + (j - 1) * s.inner] : 1;
        double after = behind > 0 ? from[row + (behind - 1) * s.inner] : 1;
        dx[row + j * s.inner] = (real)(grad[o * s.inner + i] * (before * after));
    });
}

ETUDE_KERNEL(prod_backward, prod_backward)(etude_context *ctx, const real *grad, const real *x,
                                           real *dx, int64_t outer, int64_t n, int64_t inner)
{
    const char *op = "prod_backward";
    int64_t count = outer * n * inner;
    product_shape s = {outer, n, inner};
    if (count == 0)
        return ETUDE_OK;
    size_t products = (size_t)count * sizeof(double), totals = bytes_of_scan(outer, n, inner);
    double *upto = (double *)etude_scratch(ctx, 2 * products + totals);
    if (!upto)
        return ETUDE_NO_MEMORY;
    double *from = upto + count;
    walk_shape walk = walk_of(outer, n, inner);
    turned_around<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, x, from);
    int status = launched(ctx, op);
    if (status == ETUDE_OK)
        status = scan<running_product>(ctx, op, outer, n, inner, from + count, from, from);
    if (status == ETUDE_OK)
        status = scan<running_product>(ctx, op, outer, n, inner, from + count, x, upto);
    if (status != ETUDE_OK)
        return status;
    products_of_others<<<walk.grid, walk.tile, 0, stream_of(ctx)>>>(s, grad, upto, from, dx);
    return launched(ctx, op);
}
