/* matmul.cu, plain: matmul and linear with one thread for an element of C, to be read before the
   fast ones.

   It refuses to be fast: no tiles, nothing shared, nothing kept in registers but one sum. Each
   number of A is asked for n times and each of B m times, two loads for one multiply-add, so the
   multipliers wait for memory. It is right in every case, NaN and empty matrices included, and it
   is checked as the fast one is:

       etude check --source c_src/cuda/plain/matmul.cu

   Reference: packages/etude/src/etude/ops/matmul.py.   Fast: c_src/cuda/matmul.cu.
   On the CPU: c_src/cpu/plain/matmul.c.   float and double (ETUDE_REAL).

   Legend: a stack of s < batch products. A m x k, B k x n, each at any strides, counted in
   elements: a transposed matrix is the same memory with a_row and a_col exchanged, and one matrix
   under the whole stack has a batch stride of 0. C m x n, contiguous. bias n, or NULL. */
#include "../kernel.cuh"

struct product {
    int64_t batch, m, n, k;
    const real *a, *b, *bias;
    real *c;
    int64_t a_batch, a_row, a_col, b_batch, b_row, b_col;
};

/* C[s][i][j] = sum_p A[s][i][p] B[s][p][j] + bias[j].   Thread number s m n + i n + j has that
   element. Neighbours in a warp have neighbouring j: where B's rows are contiguous their loads of B
   lie side by side (32 floats are 4 sectors of 32 bytes), and all of them want the same number of
   A. The guard is the loop's condition: the last block has more threads than there are elements. */
static __global__ void matmul_elements(product g)
{
    int64_t elements = g.batch * g.m * g.n;
    for (int64_t at = first_item(); at < elements; at += all_threads()) {
        int64_t s = at / (g.m * g.n), i = at / g.n % g.m, j = at % g.n;
        const real *row = g.a + s * g.a_batch + i * g.a_row;
        const real *column = g.b + s * g.b_batch + j * g.b_col;
        real sum = 0;
        for (int64_t p = 0; p < g.k; p++)
            sum += row[p * g.a_col] * column[p * g.b_row];
        g.c[at] = g.bias ? sum + g.bias[j] : sum;
    }
}

ETUDE_KERNEL(matmul, matmul)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    if (batch * m * n == 0) /* a grid has at least one block */
        return ETUDE_OK;
    product g = {batch, m, n, k, a, b, bias, c, a_batch, a_row, a_col, b_batch, b_row, b_col};
    matmul_elements<<<blocks_for(batch * m * n), THREADS, 0, stream_of(ctx)>>>(g);
    return launched(ctx, "matmul_elements");
}

/* The weight of a linear layer is n x k, so y = x weight^T + bias. The caller says the transpose
   with strides, and what is left to do is the same. */
ETUDE_KERNEL(matmul, linear)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    return ETUDE_NAME(matmul)(ctx, a, b, bias, c, batch, m, n, k, a_batch, a_row, a_col, b_batch,
                              b_row, b_col);
}
