/* Assignment A7: four kernels in C, each by the contract of etude.h.

   Legend: x, y, z are arrays of float; ctx is the context, which these kernels do not need. Sizes
   may be 0. What is returned is a status, never a value. */
#include <etude.h>

/* These lines let the compiler hold each function below against its type in etude.h. */
etude_map_fn_f32 etude_leaky_relu_f32;
etude_binary_fn_f32 etude_sub_f32;
etude_reduce_fn_f32 etude_sum_f32;
etude_var_fn_f32 etude_var_f32;

/* y[i] = x[i] where x[i] > 0, and a x[i] elsewhere, for i < n. NaN stays NaN. a is the op's
   negative_slope; b means nothing here. y may be x. */
int etude_leaky_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a,
                         double b)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    (void)ctx, (void)b;
    float slope = (float)a;
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
    return ETUDE_OK;
    /* END SOLUTION */
}

/* z = x - y over size[0] x size[1] x size[2]. z is contiguous. Element (i, j, k) of x is at
   i xs[0] + j xs[1] + k xs[2], counted in elements; that of y is at its own strides, ys. A stride
   is 0 where an operand is broadcast. */
int etude_sub_f32(etude_context *ctx, const float *x, const float *y, float *z,
                  const int64_t size[3], const int64_t xs[3], const int64_t ys[3])
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    (void)ctx;
    for (int64_t i = 0; i < size[0]; i++)
        for (int64_t j = 0; j < size[1]; j++)
            for (int64_t k = 0; k < size[2]; k++)
                *z++ = x[i * xs[0] + j * xs[1] + k * xs[2]] - y[i * ys[0] + j * ys[1] + k * ys[2]];
    return ETUDE_OK;
    /* END SOLUTION */
}

/* y[o][i] = the sum over j of x[o][j][i]. x: outer x n x inner, y: outer x inner, both contiguous.
   A sum of no numbers is 0. */
int etude_sum_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                  int64_t inner)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    (void)ctx;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++)
                sum += x[(o * n + j) * inner + i];
            y[o * inner + i] = (float)sum;
        }
    return ETUDE_OK;
    /* END SOLUTION */
}

/* y[o][i] = the sum over j of (x[o][j][i] - mean)^2, divided by n - correction. mean is that of the
   n numbers. Shapes as in the sum. n - correction is above 0: other calls are refused before. */
int etude_var_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                  int64_t inner, double correction)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    (void)ctx;
    double count = (double)n - correction;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const float *column = x + o * n * inner + i;
            double sum = 0, squares = 0;
            for (int64_t j = 0; j < n; j++)
                sum += column[j * inner];
            double mean = sum / (double)n;
            for (int64_t j = 0; j < n; j++)
                squares += (column[j * inner] - mean) * (column[j * inner] - mean);
            y[o * inner + i] = (float)(squares / count);
        }
    return ETUDE_OK;
    /* END SOLUTION */
}
