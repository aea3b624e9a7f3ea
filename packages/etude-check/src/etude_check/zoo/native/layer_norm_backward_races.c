/* op: layer_norm_backward
   kills: layer_norm_backward/threads
   where: parallel
   covers: non-atomic reduction
   mistake: Rows are shared out among the threads, and all of them add to dweight and dbias, which
     belong to every row. */
#include <etude.h>

struct work {
    const float *grad, *x, *weight, *mean, *rstd;
    float *dx;
    volatile float *dweight, *dbias;
    int64_t cols;
};

static void some(void *arg, int64_t begin, int64_t end)
{
    struct work *w = arg;
    int64_t n = w->cols;
    for (int64_t r = begin; r < end; r++) {
        const float *g = w->grad + r * n, *x = w->x + r * n;
        double one = 0, two = 0;
        for (int64_t c = 0; c < n; c++) {
            double h = ((double)x[c] - w->mean[r]) * w->rstd[r];
            double scaled = w->weight ? (double)g[c] * w->weight[c] : g[c];
            one += scaled;
            two += scaled * h;
            w->dweight[c] += (float)(g[c] * h);
            w->dbias[c] += g[c];
        }
        for (int64_t c = 0; c < n; c++) {
            double h = ((double)x[c] - w->mean[r]) * w->rstd[r];
            double scaled = w->weight ? (double)g[c] * w->weight[c] : g[c];
            w->dx[r * n + c] = (float)(w->rstd[r] * (scaled - one / n - h * two / n));
        }
    }
}

int etude_layer_norm_backward_f32(etude_context *ctx, const float *grad, const float *x,
                                  const float *weight, const float *mean, const float *rstd,
                                  float *dx, float *dweight, float *dbias, int64_t rows,
                                  int64_t cols)
{
    struct work w = {grad, x, weight, mean, rstd, dx, dweight, dbias, cols};
    for (int64_t c = 0; c < cols; c++)
        dweight[c] = dbias[c] = 0;
    etude_parallel_for(ctx, some, &w, rows, 8);
    return ETUDE_OK;
}
