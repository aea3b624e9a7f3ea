/* matmul.c, plain: matmul and linear as three loops, to be read before the fast ones.

   It refuses to be fast: no blocks, no vectors, no threads. Even on one core it takes 40 to 70
   times as long as the fast one (512 x 512 float32, a core with AVX-512, November 2026). It is
   right in every case, NaN and empty matrices included, and it is checked as the fast one is:

       etude check --source c_src/cpu/plain/matmul.c                              float32
       CFLAGS=-DETUDE_REAL=64 etude check --source c_src/cpu/plain/matmul.c       float64

   Reference: packages/etude/src/etude/ops/matmul.py.   Fast: c_src/cpu/matmul.c.

   Legend: a stack of s < batch products. A m x k, B k x n, each at any strides, counted in
   elements: a transposed matrix is the same memory with a_row and a_col exchanged, and one matrix
   under the whole stack has a batch stride of 0. C m x n, contiguous. bias n, or NULL. */
#include "../kernel.h"

/* C[s][i][j] = sum_p A[s][i][p] B[s][p][j] + bias[j].   Threads would each take some of the rows i:
   no two of them write the same element. */
ETUDE_KERNEL(matmul, matmul)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    (void)ctx;
    for (int64_t s = 0; s < batch; s++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                real sum = 0;
                for (int64_t p = 0; p < k; p++)
                    sum += a[s * a_batch + i * a_row + p * a_col] *
                           b[s * b_batch + p * b_row + j * b_col];
                c[(s * m + i) * n + j] = bias ? sum + bias[j] : sum;
            }
    return ETUDE_OK;
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
