/* Assignment A8, the first step: the order of the loops.

   Legend: a stack of s < batch products. A m x k and B k x n at any strides, counted in elements:
   element (i, p) of A[s] is a[s a_batch + i a_row + p a_col]. C m x n, contiguous. bias: n, or
   NULL.
       C[s][i][j] = sum_p A[s][i][p] B[s][p][j] + bias[j]
   Any size may be 0. A sum of no products is 0. */
#include <etude.h>

etude_matmul_fn_f32 etude_matmul_f32;

int etude_matmul_f32(etude_context *ctx, const float *a, const float *b, const float *bias,
                     float *c, int64_t batch, int64_t m, int64_t n, int64_t k, int64_t a_batch,
                     int64_t a_row, int64_t a_col, int64_t b_batch, int64_t b_row, int64_t b_col)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    (void)ctx;
    for (int64_t s = 0; s < batch; s++)
        for (int64_t i = 0; i < m; i++) {
            float *row = c + (s * m + i) * n;
            for (int64_t j = 0; j < n; j++)
                row[j] = bias ? bias[j] : 0;
            for (int64_t p = 0; p < k; p++) {
                float left = a[s * a_batch + i * a_row + p * a_col];
                const float *right = b + s * b_batch + p * b_row;
                for (int64_t j = 0; j < n; j++)
                    row[j] += left * right[j * b_col];
            }
        }
    return ETUDE_OK;
    /* END SOLUTION */
}
