/* Assignment A9: softmax and layer_norm in C, forward and backward.

   Every array of two sizes is rows x cols, one row behind the other: element c of row r is
   x[r * cols + c]. There may be no rows, and in softmax no columns. Nothing has been written to an
   output before the call. A kernel that has done its work returns ETUDE_OK. */
#include "etude.h"
#include <math.h>

etude_rows_fn_f32 etude_softmax_f32;
etude_rows_backward_fn_f32 etude_softmax_backward_f32;
etude_norm_fn_f32 etude_layer_norm_f32;
etude_norm_backward_fn_f32 etude_layer_norm_backward_f32;

/* y[r][c] = exp(x[r][c]) / sum_k exp(x[r][k]), for any x. y may be the same array as x. */
int etude_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows, int64_t cols)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        float top = -INFINITY;
        for (int64_t c = 0; c < cols; c++)
            top = fmaxf(top, x[c]);
        double total = 0;
        for (int64_t c = 0; c < cols; c++) {
            y[c] = expf(x[c] - top);
            total += y[c];
        }
        float share = (float)(1 / total);
        for (int64_t c = 0; c < cols; c++)
            y[c] *= share;
    }
    return ETUDE_OK;
    /* END SOLUTION */
}

/* dx, the gradient in x, from grad, the gradient in y, and y = softmax(x) itself. */
int etude_softmax_backward_f32(etude_context *ctx, const float *grad, const float *y, float *dx,
                               int64_t rows, int64_t cols)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, grad += cols, y += cols, dx += cols) {
        double pull = 0;
        for (int64_t c = 0; c < cols; c++)
            pull += (double)grad[c] * y[c];
        for (int64_t c = 0; c < cols; c++)
            dx[c] = (float)(y[c] * (grad[c] - pull));
    }
    return ETUDE_OK;
    /* END SOLUTION */
}

/* y = (x - mean) * rstd * weight + bias, with the mean of each row and its rstd = 1 / sqrt(var +
   eps), where var is the mean of the squares of x - mean. weight, bias: cols numbers or NULL, which
   are 1 and 0. mean, rstd: rows numbers, outputs too: the backward is given them. */
int etude_layer_norm_f32(etude_context *ctx, const float *x, const float *weight,
                         const float *bias, float *y, float *mean, float *rstd, int64_t rows,
                         int64_t cols, double eps)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx;
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        double sum = 0, squares = 0;
        for (int64_t c = 0; c < cols; c++)
            sum += x[c];
        double middle = sum / cols;
        for (int64_t c = 0; c < cols; c++) {
            double away = x[c] - middle;
            squares += away * away;
        }
        double scale = 1 / sqrt(squares / cols + eps);
        for (int64_t c = 0; c < cols; c++) {
            double h = (x[c] - middle) * scale;
            y[c] = (float)(h * (weight ? weight[c] : 1) + (bias ? bias[c] : 0));
        }
        mean[r] = (float)middle;
        rstd[r] = (float)scale;
    }
    return ETUDE_OK;
    /* END SOLUTION */
}

/* The gradients in x, weight and bias. grad, x, dx: rows x cols; mean, rstd: rows, from the
   forward; weight: cols or NULL; dweight, dbias: cols, the sums over all rows, written even where
   weight is NULL. */
int etude_layer_norm_backward_f32(etude_context *ctx, const float *grad, const float *x,
                                  const float *weight, const float *mean, const float *rstd,
                                  float *dx, float *dweight, float *dbias, int64_t rows,
                                  int64_t cols)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx;
    for (int64_t c = 0; c < cols; c++)
        dweight[c] = dbias[c] = 0;
    for (int64_t r = 0; r < rows; r++, grad += cols, x += cols, dx += cols) {
        double of_g = 0, of_gh = 0;
        for (int64_t c = 0; c < cols; c++) {
            double h = ((double)x[c] - mean[r]) * rstd[r];
            double g = weight ? (double)grad[c] * weight[c] : grad[c];
            dweight[c] += (float)(grad[c] * h);
            dbias[c] += grad[c];
            of_g += g;
            of_gh += g * h;
        }
        for (int64_t c = 0; c < cols; c++) {
            double h = ((double)x[c] - mean[r]) * rstd[r];
            double g = weight ? (double)grad[c] * weight[c] : grad[c];
            dx[c] = (float)(rstd[r] * (g - of_g / cols - h * (of_gh / cols)));
        }
    }
    return ETUDE_OK;
    /* END SOLUTION */
}
