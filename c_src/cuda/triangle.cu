/* triangle.cu: tril and triu, one side of a diagonal of each matrix, zeros on the other.
   Reference: packages/etude/src/etude/ops/triangle.py. On the CPU: c_src/cpu/triangle.c.
   x, y: batch x m x n.

   Plan. A block is a tile of a matrix, and a thread takes one column of every so many rows. Row r
   keeps the columns c <= r + diagonal in tril and c >= r + diagonal in triu; x is not read where
   nothing is kept. Bound by memory. ETUDE_REAL is 32 or 64; compiled for ETUDE_INT too, since masks
   are triangles of bools. */
#include "pointwise.cuh"

struct triangle_shape {
    int64_t batch, m, n, diagonal;
    bool upper;
};

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    triangle_kernel(triangle_shape s, const real *x, real *y)
{
    int64_t first_row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y;
    for (int64_t b = blockIdx.z; b < s.batch; b += gridDim.z)
        for (int64_t r = first_row; r < s.m; r += (int64_t)gridDim.y * blockDim.y)
            for (int64_t c = first_item(); c < s.n; c += all_threads()) {
                int64_t i = (b * s.m + r) * s.n + c;
                bool kept = s.upper ? c >= r + s.diagonal : c <= r + s.diagonal;
                y[i] = kept ? x[i] : (real)0;
            }
}

static int triangle(etude_context *ctx, const char *op, const real *x, real *y, int64_t batch,
                    int64_t m, int64_t n, double diagonal, bool upper)
{
    if (batch * m * n == 0)
        return ETUDE_OK;
    double far = (double)(m + n); /* a diagonal beyond it keeps all or nothing */
    diagonal = diagonal < -far ? -far : diagonal > far ? far : diagonal;
    triangle_shape s = {batch, m, n, (int64_t)diagonal, upper};
    dim3 tile = tile_of(n, m, 1);
    dim3 grid(blocks_along(n, tile.x), blocks_along(m, tile.y), blocks_along(batch, 1));
    triangle_kernel<<<grid, tile, 0, stream_of(ctx)>>>(s, x, y);
    return launched(ctx, op);
}

ETUDE_KERNEL(triangle, tril)(etude_context *ctx, const real *x, real *y, int64_t batch, int64_t m,
                             int64_t n, double diagonal)
{
    return triangle(ctx, "tril", x, y, batch, m, n, diagonal, false);
}

ETUDE_KERNEL(triangle, triu)(etude_context *ctx, const real *x, real *y, int64_t batch, int64_t m,
                             int64_t n, double diagonal)
{
    return triangle(ctx, "triu", x, y, batch, m, n, diagonal, true);
}
