/* batch_norm.c: normalisation of each channel, in training and in evaluation, and the gradient.
   Reference: packages/etude/src/etude/ops/batch_norm.py.
   x, y, grad, dx: N x C x inner, where inner is the pixels of an image, or 1; all others: C.

   Plan. An item of work is a few channels side by side, N runs of memory, and three passes over
   them: sum, sum of squared deviations, result. inner > 1: as many channels as make a run of RUN
   numbers, mostly one; while a run is read, the next is asked of memory. inner = 1: COLUMNS
   channels. Evaluation takes memory in order. inner numbers are added up in real, and their sums in
   double, in order, so results do not depend on threads. Bound by memory. */
#include "channel_scale.h"
#include "sums.h"

enum {
    COLUMNS = 64,            /* channels in an item where inner is 1, and at most elsewhere */
    RUN = 512,               /* numbers of a run, at least, if there are channels enough */
    LINE = 64 / sizeof(real) /* numbers in a line of cache */
};

typedef struct {
    const real *grad, *x, *weight, *bias, *mean_in, *var_in;
    real *y, *mean, *var, *dweight, *dbias; /* y is dx in backward */
    int64_t N, C, inner;
    real eps;
} norm_call;

/* What an item covers: `channels` channels from `first` on, `run` numbers together per sample. */
typedef struct {
    int64_t first, channels, run;
} part;

/* Channels in an item. */
static int64_t width_of(const norm_call *c)
{
    return c->inner == 1 ? COLUMNS : ETUDE_MIN(COLUMNS, RUN / ETUDE_MAX(1, c->inner) + 1);
}

static part part_of(const norm_call *c, int64_t item)
{
    int64_t width = width_of(c), first = item * width;
    int64_t channels = ETUDE_MIN(width, c->C - first);
    return (part){first, channels, channels * c->inner};
}

static inline int norm_items(etude_context *ctx, etude_body *body, norm_call *c)
{
    int64_t width = width_of(c), items = (c->C + width - 1) / width;
    int64_t work = c->N * c->inner * ETUDE_MIN(width, c->C);
    etude_parallel_for(ctx, body, c, items, ETUDE_GRAIN_MEMORY / ETUDE_MAX(work, 1) + 1);
    return ETUDE_OK;
}

/* Asks memory for the run of the next sample, to read or to write it: it lies in another page,
   where the machine's own prefetch does not follow. Where inner is 1, runs are too short. */
static inline void ask_for(const real *run, int64_t n, int write)
{
    for (int64_t i = 0; i < ETUDE_MIN(n, ETUDE_BLOCK); i += LINE) {
        if (write)
            __builtin_prefetch(run + i, 1);
        else
            __builtin_prefetch(run + i, 0);
    }
}

/* y = (x - mean) scale + bias for the channels of a part. */
static void write_part(const norm_call *c, part p, const real *mean, const real *scale)
{
    real bias[COLUMNS] = {0};
    for (int64_t k = 0; c->bias && k < p.channels; k++)
        bias[k] = c->bias[p.first + k];
    for (int64_t n = 0; n < c->N; n++) {
        int64_t at = (n * c->C + p.first) * c->inner;
        const real *x = c->x + at;
        real *y = c->y + at;
        if (c->inner > 1 && n + 1 < c->N)
            ask_for(y + c->C * c->inner, p.run, 1);
        if (c->inner == 1)
            ETUDE_SIMD for (int64_t i = 0; i < p.run; i++) y[i] =
                (x[i] - mean[i]) * scale[i] + bias[i];
        else
            for (int64_t k = 0; k < p.channels; k++, x += c->inner, y += c->inner)
                ETUDE_SIMD for (int64_t i = 0; i < c->inner; i++) y[i] =
                    (x[i] - mean[k]) * scale[k] + bias[k];
    }
}

/* total[k] = the sum of x, or where mean is given of (x - mean)^2, over channel k of a part */
static void sum_part(const norm_call *c, part p, const real *mean, double *total)
{
    int64_t step = c->C * c->inner;
    const real *x = c->x + p.first * c->inner;
    memset(total, 0, COLUMNS * sizeof *total);
    for (int64_t n = 0; n < c->N; n++, x += step) {
        if (!mean && c->inner > 1 && n + 1 < c->N)
            ask_for(x + step, p.run, 0);
        if (c->inner > 1)
            for (int64_t k = 0; k < p.channels; k++)
                total[k] += mean ? row_squares(x + k * c->inner, mean[k], c->inner)
                                 : row_sum(x + k * c->inner, c->inner);
        else if (mean)
            ETUDE_SIMD for (int64_t i = 0; i < p.run; i++)
                total[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
        else
            ETUDE_SIMD for (int64_t i = 0; i < p.run; i++) total[i] += x[i];
    }
}

/* A channel whose squares leave the range of float. */
static void wide_channel(const norm_call *c, int64_t k)
{
    double count = (double)(c->N * c->inner), mean = 0, var = 0;
    int64_t first = k * c->inner, step = c->C * c->inner;
    for (int64_t n = 0; n < c->N; n++)
        mean += wide_sum(c->x + n * step + first, c->inner, 1) / count;
    for (int64_t n = 0; n < c->N; n++)
        var += wide_squares(c->x + n * step + first, mean, c->inner, 1) / count;
    double scale = (c->weight ? c->weight[k] : 1) / sqrt(var + c->eps);
    for (int64_t n = 0; n < c->N; n++)
        for (int64_t i = n * step + first; i < n * step + first + c->inner; i++)
            c->y[i] = (real)((c->x[i] - mean) * scale + (c->bias ? c->bias[k] : 0));
    c->mean[k] = (real)mean;
    c->var[k] = (real)var;
}

static void forward_items(void *arg, int64_t begin, int64_t end)
{
    const norm_call *c = arg;
    double total[COLUMNS], count = (double)(c->N * c->inner);
    real scale[COLUMNS];
    for (int64_t item = begin; item < end; item++) {
        part p = part_of(c, item);
        real *mean = c->mean + p.first, *var = c->var + p.first;
        sum_part(c, p, NULL, total);
        for (int64_t k = 0; k < p.channels; k++)
            mean[k] = (real)(total[k] / count);
        sum_part(c, p, mean, total);
        for (int64_t k = 0; k < p.channels; k++) {
            var[k] = (real)(total[k] / count);
            scale[k] = (c->weight ? c->weight[p.first + k] : 1) / deviation(var[k], c->eps);
        }
        write_part(c, p, mean, scale);
        for (int64_t k = 0; k < p.channels; k++)
            if (count > 0 && squares_lost(var[k] + c->eps))
                wide_channel(c, p.first + k);
    }
}

ETUDE_KERNEL(batch_norm, batch_norm)(etude_context *ctx, const real *x, const real *weight,
                                     const real *bias, real *y, real *mean, real *var, int64_t N,
                                     int64_t C, int64_t inner, double eps)
{
    norm_call c = {.x = x, .weight = weight, .bias = bias, .y = y, .mean = mean, .var = var,
                   .N = N, .C = C, .inner = inner, .eps = (real)eps};
    return norm_items(ctx, forward_items, &c);
}

/* In evaluation no item needs a whole channel, so planes go in the order of memory. Where inner is
   1 a plane is one sample of all channels. `mean` in the call is that given, var the scales. */
static void eval_planes(void *arg, int64_t begin, int64_t end)
{
    const norm_call *c = arg;
    int64_t k = c->inner == 1 ? 0 : begin % c->C, run = c->inner == 1 ? c->C : c->inner;
    for (int64_t plane = begin; plane < end; plane++) {
        const real *x = c->x + plane * run, *mean = c->mean_in + k, *scale = c->var_in + k;
        real *y = c->y + plane * run, bias = c->bias && c->inner > 1 ? c->bias[k] : 0;
        if (c->inner > 1)
            ETUDE_SIMD for (int64_t i = 0; i < run; i++) y[i] = (x[i] - mean[0]) * scale[0] + bias;
        else if (c->bias)
            ETUDE_SIMD for (int64_t i = 0; i < run; i++) y[i] =
                (x[i] - mean[i]) * scale[i] + c->bias[i];
        else
            ETUDE_SIMD for (int64_t i = 0; i < run; i++) y[i] = (x[i] - mean[i]) * scale[i];
        k = c->inner == 1 || k + 1 == c->C ? 0 : k + 1;
    }
}

ETUDE_KERNEL(batch_norm_eval, batch_norm_eval)(etude_context *ctx, const real *x, const real *mean,
                                               const real *var, const real *weight,
                                               const real *bias, real *y, int64_t N, int64_t C,
                                               int64_t inner, double eps)
{
    real *scale = etude_scratch(ctx, (size_t)(C + 1) * sizeof(real));
    if (!scale)
        return ETUDE_NO_MEMORY;
    for (int64_t k = 0; k < C; k++)
        scale[k] = channel_scale(weight, var, k, (real)eps);
    norm_call c = {.x = x, .weight = weight, .bias = bias, .y = y, .mean_in = mean,
                   .var_in = scale, .N = N, .C = C, .inner = inner};
    int64_t run = inner == 1 ? C : inner;
    etude_parallel_for(ctx, eval_planes, &c, inner == 1 ? N : N * C,
                       ETUDE_GRAIN_MEMORY / ETUDE_MAX(run, 1) + 1);
    return ETUDE_OK;
}

/* Adds the sums of grad and of grad (x - mean) over n numbers to of_g and of_gx, block by block. */
static void add_run(const real *grad, const real *x, real mean, int64_t n, double *of_g,
                    double *of_gx)
{
    for (int64_t from = 0; from < n; from += ETUDE_BLOCK) {
        int64_t to = ETUDE_MIN(n, from + ETUDE_BLOCK);
        real g = 0, gx = 0;
        ETUDE_PRAGMA(omp simd reduction(+ : g, gx)) for (int64_t i = from; i < to; i++)
        {
            g += grad[i];
            gx += grad[i] * (x[i] - mean);
        }
        *of_g += g;
        *of_gx += gx;
    }
}

/* Of channel k of a part: the sum of grad, and of grad (x - mean). */
static void sum_gradients(const norm_call *c, part p, const real *mean, double *of_g,
                          double *of_gx)
{
    int64_t step = c->C * c->inner;
    const real *grad = c->grad + p.first * c->inner, *x = c->x + p.first * c->inner;
    for (int64_t n = 0; n < c->N; n++, grad += step, x += step) {
        if (c->inner > 1 && n + 1 < c->N) {
            ask_for(grad + step, p.run, 0);
            ask_for(x + step, p.run, 0);
        }
        if (c->inner == 1)
            ETUDE_SIMD for (int64_t i = 0; i < p.run; i++)
            {
                of_g[i] += grad[i];
                of_gx[i] += grad[i] * (x[i] - mean[i]);
            }
        for (int64_t k = 0; c->inner > 1 && k < p.channels; k++)
            add_run(grad + k * c->inner, x + k * c->inner, mean[k], c->inner, of_g + k, of_gx + k);
    }
}

/* dx = scale (grad - share - (x - mean) slope) */
static void write_gradient(const norm_call *c, part p, const real *mean, const real *scale,
                           const real *share, const real *slope)
{
    for (int64_t n = 0; n < c->N; n++) {
        int64_t at = (n * c->C + p.first) * c->inner;
        const real *grad = c->grad + at, *x = c->x + at;
        real *dx = c->y + at;
        if (c->inner > 1 && n + 1 < c->N)
            ask_for(dx + c->C * c->inner, p.run, 1);
        if (c->inner == 1)
            ETUDE_SIMD for (int64_t i = 0; i < p.run; i++) dx[i] =
                scale[i] * (grad[i] - share[i] - (x[i] - mean[i]) * slope[i]);
        else
            for (int64_t k = 0; k < p.channels;
                 k++, grad += c->inner, x += c->inner, dx += c->inner)
                ETUDE_SIMD for (int64_t i = 0; i < c->inner; i++) dx[i] =
                    scale[k] * (grad[i] - share[k] - (x[i] - mean[k]) * slope[k]);
    }
}

static void backward_items(void *arg, int64_t begin, int64_t end)
{
    const norm_call *c = arg;
    real count = (real)(c->N * c->inner);
    for (int64_t item = begin; item < end; item++) {
        part p = part_of(c, item);
        double of_g[COLUMNS] = {0}, of_gx[COLUMNS] = {0};
        real scale[COLUMNS], share[COLUMNS], slope[COLUMNS];
        const real *mean = c->mean_in + p.first;
        sum_gradients(c, p, mean, of_g, of_gx);
        for (int64_t k = 0; k < p.channels; k++) {
            real rstd = 1 / deviation(c->var_in[p.first + k], c->eps);
            real dweight = (real)of_gx[k] * rstd, dbias = (real)of_g[k];
            c->dweight[p.first + k] = dweight;
            c->dbias[p.first + k] = dbias;
            scale[k] = c->weight ? c->weight[p.first + k] * rstd : rstd;
            share[k] = dbias / count;
            slope[k] = dweight / count * rstd;
        }
        write_gradient(c, p, mean, scale, share, slope);
    }
}

ETUDE_KERNEL(batch_norm_backward, batch_norm_backward)(etude_context *ctx, const real *grad,
                                                       const real *x, const real *weight,
                                                       const real *mean, const real *var, real *dx,
                                                       real *dweight, real *dbias, int64_t N,
                                                       int64_t C, int64_t inner, double eps)
{
    norm_call c = {.grad = grad, .x = x, .weight = weight, .mean_in = mean, .var_in = var, .y = dx,
                   .dweight = dweight, .dbias = dbias, .N = N, .C = C, .inner = inner,
                   .eps = (real)eps};
    return norm_items(ctx, backward_items, &c);
}
