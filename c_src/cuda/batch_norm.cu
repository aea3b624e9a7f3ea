/* batch_norm.cu: normalisation of each channel, in training and in evaluation, and the gradient.
   Reference: packages/etude/src/etude/ops/batch_norm.py.   On the CPU: c_src/cpu/batch_norm.c.
   x, y, grad, dx: N x C x inner, where inner is the pixels of an image, or 1; all others: C. float
   and double (ETUDE_REAL).

   Plan. Three kernels. The first makes two sums for each channel, in parts whose number depends on
   the sizes alone: forward of x - shift and (x - shift)^2, where the shift is the channel's first
   number; one walk over memory is enough for mean and variance then, since the shift is never far
   from the mean, and in double nothing is lost. Backward of grad and grad (x - mean). With
   inner > 1 a block has a run of pixels; with inner = 1 it has 32 channels side by side
   (columns.cuh). The second kernel adds the parts up, in order, one thread for a channel, and
   leaves four numbers for each. The third is a map over all elements, in double: the numbers of a
   channel come from L1.
   Neighbours in a warp read neighbours: 4 sectors a load, no conflicts.
   Bound by memory: 12 bytes an element forward, 20 backward, 8 in evaluation; 80 % of its bandwidth
   aimed at. */
#include "columns.cuh"

/* What the map needs of a channel: y = (x - mean) scale + bias, and in backward
   dx = scale (grad - share - (x - mean) slope). */
struct channel {
    wide mean, scale, bias; /* or share */
    wide slope;
};

struct norm_call {
    const real *grad, *x, *weight, *bias, *mean_in, *var_in;
    real *y, *mean, *var, *dweight, *dbias; /* y is dx in backward */
    wide *sums;                             /* parts x 2 x C */
    channel *channels;                      /* C */
    int64_t N, C, inner, parts;
    wide eps;
};

/* ---- Sums ------------------------------------------------------------------------------------ */

namespace {

struct moment_terms {
    const real *x;
    int64_t C, inner;

    ETUDE_METHOD void add_at(int64_t at, int64_t c, wide &first, wide &second) const
    {
        wide d = (wide)x[at] - x[c * inner];
        first += d;
        second += d * d;
    }
    ETUDE_METHOD void add(int64_t n, int64_t c, wide &first, wide &second) const
    {
        add_at(n * C + c, c, first, second); /* inner is 1 */
    }
};

struct gradient_terms {
    const real *grad, *x, *mean;
    int64_t C, inner;

    ETUDE_METHOD void add_at(int64_t at, int64_t c, wide &first, wide &second) const
    {
        wide g = grad[at];
        first += g;
        second += g * ((wide)x[at] - mean[c]);
    }
    ETUDE_METHOD void add(int64_t n, int64_t c, wide &first, wide &second) const
    {
        add_at(n * C + c, c, first, second);
    }
};

} // namespace

/* The two sums of a channel, blockIdx.x, over one part of its N inner numbers, blockIdx.y. */
template <class Terms>
static __global__ void add_channels(Terms terms, wide *sums, int64_t N, int64_t C, int64_t inner)
{
    int64_t c = blockIdx.x, part = blockIdx.y, count = N * inner;
    int64_t step = pieces(count, gridDim.y), begin = part * step, end = least(count, begin + step);
    int64_t n = (begin + threadIdx.x) / inner, i = (begin + threadIdx.x) % inner;
    wide first = 0, second = 0;
    for (int64_t k = begin + threadIdx.x; k < end; k += blockDim.x) {
        terms.add_at((n * C + c) * inner + i, c, first, second);
        i += blockDim.x;
        if (i >= inner) {
            n += i / inner;
            i %= inner;
        }
    }
    first = block_sum(first);
    second = block_sum(second);
    if (threadIdx.x == 0) {
        sums[part * 2 * C + c] = first;
        sums[(part * 2 + 1) * C + c] = second;
    }
}

static int64_t norm_parts(int64_t N, int64_t C, int64_t inner)
{
    if (inner == 1)
        return column_parts(N);
    int64_t blocks = pieces(1024, most(C, 1)); /* a few for every multiprocessor */
    return most(1, least(blocks, pieces(N * inner, 8 * THREADS)));
}

template <class Terms>
static int run_sums(etude_context *ctx, const char *name, Terms terms, const norm_call &c)
{
    if (c.N * c.inner == 0)
        return filled(ctx, name, c.sums, 0, (size_t)(c.parts * 2 * c.C) * sizeof(wide));
    if (c.inner == 1)
        return run_columns(ctx, name, terms, c.sums, c.N, c.C);
    dim3 grid((unsigned)c.C, (unsigned)c.parts);
    add_channels<Terms><<<grid, THREADS, 0, stream_of(ctx)>>>(terms, c.sums, c.N, c.C, c.inner);
    return launched(ctx, name);
}

/* ---- Channels -------------------------------------------------------------------------------- */

static __global__ void finish_forward(norm_call c)
{
    wide count = (wide)(c.N * c.inner);
    for (int64_t k = first_item(); k < c.C; k += all_threads()) {
        wide first = column_total(c.sums, c.parts, 0, k, c.C) / count;
        wide second = column_total(c.sums, c.parts, 1, k, c.C) / count;
        wide mean = count > 0 ? c.x[k * c.inner] + first : first; /* NaN: nothing to average */
        wide var = second - first * first;
        var = var < 0 ? 0 : var;
        c.mean[k] = (real)mean;
        c.var[k] = (real)var;
        c.channels[k] = {mean, (c.weight ? c.weight[k] : 1) / sqrt_of(var + c.eps),
                         c.bias ? (wide)c.bias[k] : 0, 0};
    }
}

static __global__ void finish_backward(norm_call c)
{
    wide count = (wide)(c.N * c.inner);
    for (int64_t k = first_item(); k < c.C; k += all_threads()) {
        wide of_g = column_total(c.sums, c.parts, 0, k, c.C);
        wide of_gx = column_total(c.sums, c.parts, 1, k, c.C);
        wide rstd = 1 / sqrt_of(c.var_in[k] + c.eps), dweight = of_gx * rstd;
        c.dweight[k] = (real)dweight;
        c.dbias[k] = (real)of_g;
        c.channels[k] = {c.mean_in[k], c.weight ? c.weight[k] * rstd : rstd, of_g / count,
                         dweight / count * rstd};
    }
}

static __global__ void finish_eval(norm_call c)
{
    for (int64_t k = first_item(); k < c.C; k += all_threads())
        c.channels[k] = {c.mean_in[k], (c.weight ? c.weight[k] : 1) / sqrt_of(c.var_in[k] + c.eps),
                         c.bias ? (wide)c.bias[k] : 0, 0};
}

/* ---- The map --------------------------------------------------------------------------------- */

/* N numbers at a time, all of one channel: either N is 1 or it divides inner. */
template <int N> ETUDE_DEVICE void map_elements(const norm_call &c)
{
    int64_t all = c.N * c.C * c.inner;
    for (int64_t i = first_item() * N; i < all; i += all_threads() * N) {
        channel k = c.channels[i / c.inner % c.C];
        pack<N> v = load<N>(c.x + i);
        if (c.grad) {
            pack<N> g = load<N>(c.grad + i);
            for (int j = 0; j < N; j++)
                v.at[j] = (real)(k.scale * (g.at[j] - k.bias - (v.at[j] - k.mean) * k.slope));
        } else
            for (int j = 0; j < N; j++)
                v.at[j] = (real)((v.at[j] - k.mean) * k.scale + k.bias);
        store<N>(c.y + i, v);
    }
}

static __global__ void batch_norm_map(norm_call c, int packed)
{
    if (packed)
        map_elements<PACK>(c);
    else
        map_elements<1>(c);
}

static int run_map(etude_context *ctx, const norm_call &c)
{
    int64_t all = c.N * c.C * c.inner;
    if (all == 0)
        return ETUDE_OK;
    int packed = c.inner % PACK == 0 && aligned(c.x) && aligned(c.grad) && aligned(c.y);
    int64_t items = packed ? all / PACK : all;
    batch_norm_map<<<blocks_for(items), THREADS, 0, stream_of(ctx)>>>(c, packed);
    return launched(ctx, "batch_norm_map");
}

/* ---- The ops --------------------------------------------------------------------------------- */

/* Finds room for channels and sums. */
static int take_scratch(etude_context *ctx, norm_call *c, int64_t parts)
{
    c->parts = parts;
    size_t channels = (size_t)c->C * sizeof(channel);
    char *room = (char *)etude_scratch(ctx, channels + (size_t)(parts * 2 * c->C) * sizeof(wide));
    c->channels = (channel *)room;
    c->sums = (wide *)(room + channels);
    return room ? ETUDE_OK : ETUDE_NO_MEMORY;
}

ETUDE_KERNEL(batch_norm, batch_norm)(etude_context *ctx, const real *x, const real *weight,
                                     const real *bias, real *y, real *mean, real *var, int64_t N,
                                     int64_t C, int64_t inner, double eps)
{
    if (C == 0)
        return ETUDE_OK;
    norm_call c = {};
    c.x = x, c.weight = weight, c.bias = bias, c.y = y, c.mean = mean, c.var = var;
    c.N = N, c.C = C, c.inner = inner, c.eps = eps;
    int status = take_scratch(ctx, &c, norm_parts(N, C, inner));
    if (status == ETUDE_OK)
        status = run_sums(ctx, "batch_norm sums", moment_terms{x, C, inner}, c);
    if (status != ETUDE_OK)
        return status;
    finish_forward<<<blocks_for(C), THREADS, 0, stream_of(ctx)>>>(c);
    status = launched(ctx, "batch_norm finish_forward");
    return status == ETUDE_OK ? run_map(ctx, c) : status;
}

ETUDE_KERNEL(batch_norm_backward, batch_norm_backward)(etude_context *ctx, const real *grad,
                                                       const real *x, const real *weight,
                                                       const real *mean, const real *var, real *dx,
                                                       real *dweight, real *dbias, int64_t N,
                                                       int64_t C, int64_t inner, double eps)
{
    if (C == 0)
        return ETUDE_OK;
    norm_call c = {};
    c.grad = grad, c.x = x, c.weight = weight, c.mean_in = mean, c.var_in = var, c.y = dx;
    c.dweight = dweight, c.dbias = dbias, c.N = N, c.C = C, c.inner = inner, c.eps = eps;
    int status = take_scratch(ctx, &c, norm_parts(N, C, inner));
    if (status == ETUDE_OK)
        status = run_sums(ctx, "batch_norm_backward sums", gradient_terms{grad, x, mean, C, inner},
                          c);
    if (status != ETUDE_OK)
        return status;
    finish_backward<<<blocks_for(C), THREADS, 0, stream_of(ctx)>>>(c);
    status = launched(ctx, "batch_norm finish_backward");
    return status == ETUDE_OK ? run_map(ctx, c) : status;
}

ETUDE_KERNEL(batch_norm_eval, batch_norm_eval)(etude_context *ctx, const real *x, const real *mean,
                                               const real *var, const real *weight,
                                               const real *bias, real *y, int64_t N, int64_t C,
                                               int64_t inner, double eps)
{
    if (C == 0)
        return ETUDE_OK;
    norm_call c = {};
    c.x = x, c.weight = weight, c.bias = bias, c.y = y, c.mean_in = mean, c.var_in = var;
    c.N = N, c.C = C, c.inner = inner, c.eps = eps;
    int status = take_scratch(ctx, &c, 0);
    if (status != ETUDE_OK)
        return status;
    finish_eval<<<blocks_for(C), THREADS, 0, stream_of(ctx)>>>(c);
    status = launched(ctx, "batch_norm finish_eval");
    return status == ETUDE_OK ? run_map(ctx, c) : status;
}
