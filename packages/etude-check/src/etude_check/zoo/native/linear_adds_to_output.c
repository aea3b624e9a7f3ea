/* op: linear
   kills: linear/tail
   where: memory
   covers: adds to output
   mistake: The products are added to c, which nobody has set to zero. */
#include <etude.h>

int etude_linear_f32(etude_context *ctx, const float *a, const float *b, const float *bias,
                     float *c, int64_t batch, int64_t m, int64_t n, int64_t k, int64_t a_batch,
                     int64_t a_row, int64_t a_col, int64_t b_batch, int64_t b_row, int64_t b_col)
{
    (void)ctx;
    for (int64_t s = 0; s < batch; s++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                float sum = bias ? bias[j] : 0;
                for (int64_t q = 0; q < k; q++)
                    sum += a[s * a_batch + i * a_row + q * a_col]
                           * b[s * b_batch + q * b_row + j * b_col];
                c[(s * m + i) * n + j] += sum;
            }
    return ETUDE_OK;
}
