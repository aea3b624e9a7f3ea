/* op: matmul
   kills: matmul/tail
   where: index
   covers: k below unroll
   mistake: The loop over k is unrolled by 4 without a loop for the rest: nothing is added for k < 4. */
#include <etude.h>

int etude_matmul_f32(etude_context *ctx, const float *a, const float *b, const float *bias,
                     float *c, int64_t batch, int64_t m, int64_t n, int64_t k, int64_t a_batch,
                     int64_t a_row, int64_t a_col, int64_t b_batch, int64_t b_row, int64_t b_col)
{
    (void)ctx;
    for (int64_t s = 0; s < batch; s++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = bias ? bias[j] : 0;
                for (int64_t p = 0; p + 4 <= k; p += 4)
                    for (int64_t q = p; q < p + 4; q++)
                        sum += (double)a[s * a_batch + i * a_row + q * a_col]
                               * b[s * b_batch + q * b_row + j * b_col];
                c[(s * m + i) * n + j] = (float)sum;
            }
    return ETUDE_OK;
}
