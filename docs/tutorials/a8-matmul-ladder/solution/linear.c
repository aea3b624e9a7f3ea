/* Assignment A8, the fourth step: a linear layer, whose weight lies the other way.

   Legend: a stack of s < batch products. A m x k and B k x n at any strides, counted in elements:
   element (i, p) of A[s] is a[s a_batch + i a_row + p a_col]. C m x n, contiguous. bias: n, or
   NULL.
       C[s][i][j] = sum_p A[s][i][p] B[s][p][j] + bias[j]
   Any size may be 0. A sum of no products is 0. */
#include <etude.h>

etude_matmul_fn_f32 etude_linear_f32;

/* The weight of a linear layer is n x k, so b_row is 1 and b_col is k: each column of B is a run of
   memory, and so is each row of A. The kernel must be right for any other strides, too. */
int etude_linear_f32(etude_context *ctx, const float *a, const float *b, const float *bias,
                     float *c, int64_t batch, int64_t m, int64_t n, int64_t k, int64_t a_batch,
                     int64_t a_row, int64_t a_col, int64_t b_batch, int64_t b_row, int64_t b_col)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    (void)ctx;
    for (int64_t s = 0; s < batch; s++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                const float *left = a + s * a_batch + i * a_row;
                const float *right = b + s * b_batch + j * b_col;
                float sum[4] = {0, 0, 0, 0}; /* four sums that do not wait for each other */
                int64_t p = 0;
                for (; p + 4 <= k; p += 4)
                    for (int l = 0; l < 4; l++)
                        sum[l] += left[(p + l) * a_col] * right[(p + l) * b_row];
                for (; p < k; p++)
                    sum[0] += left[p * a_col] * right[p * b_row];
                float all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
                c[(s * m + i) * n + j] = bias ? all + bias[j] : all;
            }
    return ETUDE_OK;
    /* END SOLUTION */
}
