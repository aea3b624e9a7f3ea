/* attention.cu: scaled dot-product attention and its gradient, without the L x S matrix of scores.
   Reference: packages/etude/src/etude/ops/attention.py.   On the CPU: c_src/cpu/attention.c.

   Legend: batch problems, each of L queries and S keys; a query or a key has D numbers, a value E.
   For each problem, contiguous: query L x D, key S x D, value S x E, y and grad L x E, top
   and log_sum L. float and double (ETUDE_REAL).

   Plan (Dao et al. 2022, FlashAttention). A block has SIDE = 64 queries (float) and walks over the
   keys, 64 at a time, in two products. The scores of a tile are the product of gemm.cuh with P = 1,
   4 x 4 of them in each thread's registers, and go to shared memory. There 4 threads for each query
   turn them into exponentials, keeping the maximum so far and the sum; where the maximum grows,
   what was added up before shrinks in proportion (the online softmax). The second product, tile by
   values, stays in registers: 4 x 4 numbers of y in each thread, 64 columns a block, with the
   values coming through two buffers of shared memory, 16 keys at a time. More columns are other
   blocks, which make the scores again.
   Only top and log_sum = log sum exp(score - top) are kept, from which backward makes the
   probabilities again: apart, because their sum rounds log_sum away under a mask of -1e9.
   Backward: one kernel, run three times, for dquery, dkey and dvalue. A block has 64 rows of the
   result and adds up all that belongs to them, so that nobody adds to another's number: the scores
   are made three times instead of once, and every run gives the same bits.

   Loads are of 16 bytes where D and E are made of whole packs; as in gemm.cuh a warp brings 16 rows
   of 32 bytes, or one of 512. Shared memory is read without conflicts: a tile's rows are 68 floats
   apart, and a warp reads 8 of them, 16 bytes each. 43 KB of it, 2 blocks a multiprocessor.
   With is_causal a query sees the keys up to its own place, and tiles in which no query sees a key
   are left out. A mask has for each score a bool (true: the key takes part) or a number to add, at
   strides that are 0 where it is broadcast. A query that sees no key has y = 0, top = 0 and
   log_sum = -infinity; one with a score of NaN or infinity is NaN.

   Aimed at: 45 % of the peak of float forward, 40 % of it backward by the multiplications done. */
#include "gemm.cuh"
#include "rows.cuh"

struct attention_mask {
    int64_t kind; /* 0 none, 1 bool, 2 real */
    const void *at;
    /* Problem `which` of the batch finds its mask at which / count * outer + which % count * inner,
       and from there score (l, s) at l * row + s * column. */
    int64_t count, outer, inner;
    int64_t row, column;
};

struct attention_call {
    attention_mask mask;
    const real *query, *key, *value, *grad, *y_in, *top_in, *log_sum_in;
    real *y, *top, *log_sum, *delta;
    int64_t batch, L, S, D, E;
    int causal;
    real scale;
};

enum {
    SIDE = gemm<1>::SIDE,        /* queries and keys of a tile, columns of the result in a block */
    SHARE = GEMM_THREADS / SIDE  /* threads that have a query's scores in shared memory */
};

typedef gemm<1>::line tile_row;

/* ---- Scores ---------------------------------------------------------------------------------- */

/* What query l makes of its product with key s of problem `which`. */
ETUDE_DEVICE real score(const attention_call &c, real product, int64_t which, int64_t l, int64_t s)
{
    const attention_mask &mask = c.mask;
    if (c.causal && s > l)
        return -INFINITY;
    real x = product * c.scale;
    if (mask.kind == 0)
        return x;
    int64_t at = which / mask.count * mask.outer + which % mask.count * mask.inner +
                 l * mask.row + s * mask.column;
    if (mask.kind == 1)
        return ((const uint8_t *)mask.at)[at] ? x : -INFINITY;
    return x + ((const real *)mask.at)[at];
}

ETUDE_DEVICE real finite_or_0(real x)
{
    return x - x == 0 ? x : 0;
}

/* The threads of a row of a tile in shared memory are neighbours in a warp. */
template <class T> ETUDE_DEVICE T share_sum(T x)
{
    for (int apart = SHARE / 2; apart > 0; apart /= 2)
        x += __shfl_xor_sync(EVERY_LANE, x, apart);
    return x;
}

template <class T> ETUDE_DEVICE T share_max(T x)
{
    for (int apart = SHARE / 2; apart > 0; apart /= 2) {
        T other = __shfl_xor_sync(EVERY_LANE, x, apart);
        x = other > x ? other : x;
    }
    return x;
}

/* This thread's part of a row of the tile. */
ETUDE_DEVICE real *own(tile_row *tile, int i)
{
    return tile[gemm<1>::place(gemm<1>::thread_row(), i)] +
           gemm<1>::place(gemm<1>::thread_column(), 0);
}

/* ---- A tile in shared memory times columns from global memory -------------------------------- */

/* What a thread has of SIDE x SIDE numbers: rows 16 apart, so that the 8 of a warp are on different
   banks, and a pack of columns. */
struct strip {
    real sum[PACK][PACK];
};

ETUDE_DEVICE int strip_row(int i)
{
    return gemm<1>::thread_row() + 16 * i;
}

ETUDE_DEVICE int strip_column()
{
    return gemm<1>::thread_column() * PACK;
}

/* One step of PACK columns of the tile, from `k` on, with as many rows of b. */
ETUDE_DEVICE void multiply_pack(const tile_row *tile, int k, const tile_row *b, strip &y)
{
    pack<PACK> x[PACK];
#pragma unroll
    for (int i = 0; i < PACK; i++)
        x[i] = load<PACK>(tile[strip_row(i)] + k);
#pragma unroll
    for (int s = 0; s < PACK; s++) {
        pack<PACK> v = load<PACK>(b[s] + strip_column());
#pragma unroll
        for (int i = 0; i < PACK; i++)
#pragma unroll
            for (int j = 0; j < PACK; j++)
                y.sum[i][j] += x[i].at[s] * v.at[j];
    }
}

/* y += tile b over `depth` columns of the tile, which is 0 from there on. */
template <class B> ETUDE_DEVICE void multiply_tile(const tile_row *tile, B &b, int depth, strip &y)
{
    const int DEPTH = gemm<1>::DEPTH;
    __shared__ alignas(16) tile_row bs[2][gemm<1>::DEPTH];
    b.put(bs[0], b.fetch());
    __syncthreads();
    for (int k = 0, now = 0; k < depth; k += DEPTH, now = 1 - now) {
        pack<PACK> next;
        if (k + DEPTH < depth)
            next = b.fetch();
#pragma unroll
        for (int step = 0; step < DEPTH; step += PACK)
            multiply_pack(tile, k + step, bs[now] + step, y);
        if (k + DEPTH < depth)
            b.put(bs[1 - now], next);
        __syncthreads();
    }
}

ETUDE_DEVICE void clear(strip &y)
{
#pragma unroll
    for (int i = 0; i < PACK; i++)
#pragma unroll
        for (int j = 0; j < PACK; j++)
            y.sum[i][j] = 0;
}

/* Writes rows from r0 on, of `rows`, and columns from e0 on, of `width`. */
template <int N>
ETUDE_DEVICE void write_strip(const strip &y, real *to, int64_t r0, int64_t rows, int64_t e0,
                              int64_t width)
{
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        int64_t r = r0 + strip_row(i);
        if (r >= rows)
            continue;
        int64_t e = e0 + strip_column();
        pack<PACK> v;
        for (int j = 0; j < PACK; j++)
            v.at[j] = y.sum[i][j];
        if (N == PACK && e < width)
            store<PACK>(to + r * width + e, v);
        for (int j = 0; N == 1 && j < PACK; j++)
            if (e + j < width)
                to[r * width + e + j] = v.at[j];
    }
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* One row of a tile: its scores become exponentials, top (the largest score so far) and sum take
   them in. Returns what all that was added up before shrinks by. */
ETUDE_DEVICE real take_in(real *p, int part, real &top, real &sum)
{
    real largest = top, row = 0;
    for (int i = part; i < SIDE; i += SHARE)
        largest = p[i] > largest ? p[i] : largest;
    largest = share_max(largest);
    real shift = finite_or_0(largest), shrink = exp_of(top - shift);
    for (int i = part; i < SIDE; i += SHARE) {
        p[i] = exp_of(p[i] - shift);
        row += p[i];
    }
    sum = sum * shrink + share_sum(row);
    top = largest;
    return shrink;
}

/* At least one, because top and log_sum are wanted of values without numbers too. */
static __host__ __device__ int64_t column_blocks(int64_t E)
{
    return most(1, pieces(E, SIDE));
}

/* blockIdx.x counts (problem, block of queries, block of columns), the last the fastest. */
template <int N>
static __global__ void __launch_bounds__(GEMM_THREADS, 2) attention_forward(attention_call c)
{
    typedef gemm<1> G;
    __shared__ alignas(16) tile_row tile[SIDE];
    __shared__ real shrinks[SIDE];
    int64_t columns = column_blocks(c.E), blocks = pieces(c.L, SIDE);
    int64_t e0 = blockIdx.x % columns * SIDE, which = blockIdx.x / columns / blocks;
    int l0 = (int)(blockIdx.x / columns % blocks * SIDE);
    int keys = (int)(c.causal ? least(c.S, l0 + SIDE) : c.S);
    const real *query = c.query + which * c.L * c.D, *key = c.key + which * c.S * c.D;
    const real *value = c.value + which * c.S * c.E;
    int row = (int)threadIdx.x / SHARE, part = (int)threadIdx.x % SHARE;
    real top = -INFINITY, sum = 0;
    strip y;
    clear(y);
    for (int k0 = 0; k0 < keys; k0 += SIDE) {
        matrix_loader<1, ALONG_K, N> a(query, c.D, 1, l0, c.L, 0, c.D);
        matrix_loader<1, ALONG_K, N> b(key, c.D, 1, k0, c.S, 0, c.D);
        G::tile t;
        G::run(a, b, (int)c.D, t);
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            pack<PACK> v;
            for (int j = 0; j < PACK; j++) {
                int l = l0 + G::place(G::thread_row(), i);
                int s = k0 + G::place(G::thread_column(), j);
                v.at[j] = l < c.L && s < c.S ? score(c, t.sum[i][j], which, l, s) : -INFINITY;
            }
            store<PACK>(own(tile, i), v);
        }
        __syncthreads();
        real shrink = take_in(tile[row], part, top, sum);
        if (part == 0)
            shrinks[row] = shrink;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < PACK; i++)
#pragma unroll
            for (int j = 0; j < PACK; j++)
                y.sum[i][j] *= shrinks[strip_row(i)];
        matrix_loader<1, ALONG_SIDE, N> v(value, 1, c.E, e0, c.E, k0, c.S);
        multiply_tile(tile, v, (int)least(SIDE, c.S - k0), y);
    }
    if (part == 0) {
        shrinks[row] = sum == 0 ? 0 : 1 / sum; /* 0: a query that sees nothing */
        if (e0 == 0 && l0 + row < c.L) {
            c.top[which * c.L + l0 + row] = sum == sum ? finite_or_0(top) : 0;
            c.log_sum[which * c.L + l0 + row] = log_of(sum);
        }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < PACK; i++)
#pragma unroll
        for (int j = 0; j < PACK; j++)
            y.sum[i][j] *= shrinks[strip_row(i)];
    write_strip<N>(y, c.y + which * c.L * c.E, l0, c.L, e0, c.E);
}

/* NaN stands for None: the scale of the paper. */
static real scale_of(double scale, int64_t D)
{
    return (real)(isnan(scale) ? 1 / sqrt((double)D) : scale);
}

ETUDE_KERNEL(attention, scaled_dot_product_attention)(etude_context *ctx, const real *query,
                                                      const real *key, const real *value,
                                                      const void *mask, real *y, real *top,
                                                      real *log_sum, int64_t batch, int64_t L,
                                                      int64_t S, int64_t D, int64_t E,
                                                      double causal, double scale, int64_t kind,
                                                      int64_t count, int64_t outer, int64_t inner,
                                                      int64_t row, int64_t column)
{
    if (batch * L == 0)
        return ETUDE_OK;
    attention_call c = {};
    c.mask = {kind, mask, count, outer, inner, row, column};
    c.query = query, c.key = key, c.value = value, c.y = y, c.top = top, c.log_sum = log_sum;
    c.batch = batch, c.L = L, c.S = S, c.D = D, c.E = E, c.causal = causal != 0;
    c.scale = scale_of(scale, D);
    int packed = D % PACK == 0 && E % PACK == 0 && aligned(query) && aligned(key) &&
                 aligned(value) && aligned(y);
    unsigned blocks = (unsigned)(batch * pieces(L, SIDE) * column_blocks(E));
    if (packed)
        attention_forward<PACK><<<blocks, GEMM_THREADS, 0, stream_of(ctx)>>>(c);
    else
        attention_forward<1><<<blocks, GEMM_THREADS, 0, stream_of(ctx)>>>(c);
    return launched(ctx, "attention_forward");
}

/* ---- Backward -------------------------------------------------------------------------------- */

enum { INTO_QUERY, INTO_KEY, INTO_VALUE };

/* One of the three gradients: out = weights by, where the weights are R x C, made in tiles.
   INTO_QUERY has queries for rows and keys for columns, the others have keys for rows. */
struct gradient {
    attention_call c;
    const real *left, *right;           /* whose product is the scores: R x D, C x D */
    const real *grad_left, *grad_right; /* whose product is grad value^T: R x E, C x E; NULL in
                                           INTO_VALUE, where the weights are the probabilities */
    const real *by;                     /* C x width */
    real *out;                          /* R x width */
    int64_t R, C, width;
};

/* delta[l] = sum_e grad[l][e] y[l][e] */
static __global__ void attention_delta(attention_call c)
{
    team t = my_team(c.E);
    if (t.row >= c.batch * c.L)
        return;
    const real *grad = c.grad + t.row * c.E, *y = c.y_in + t.row * c.E;
    wide sum = 0;
    for (int64_t e = t.rank; e < c.E; e += t.size)
        sum += (wide)grad[e] * y[e];
    sum = team_sum(t, sum);
    if (t.rank == 0)
        c.delta[t.row] = (real)sum;
}

/* Where element (i, j) of those that a thread has of a tile is in the matrix of scores. */
struct spot {
    int l, s;
};

template <int KIND> ETUDE_DEVICE spot spot_of(int r0, int c0, int i, int j)
{
    int r = r0 + gemm<1>::place(gemm<1>::thread_row(), i);
    int c = c0 + gemm<1>::place(gemm<1>::thread_column(), j);
    return KIND == INTO_QUERY ? spot{r, c} : spot{c, r};
}

/* The probability of a score, 0 outside of the matrix. */
ETUDE_DEVICE real probability(const gradient &g, real product, int64_t which, spot at)
{
    const attention_call &c = g.c;
    if (at.l >= c.L || at.s >= c.S)
        return 0;
    int64_t query = which * c.L + at.l;
    real log_sum = c.log_sum_in[query] == -INFINITY ? 0 : c.log_sum_in[query]; /* sees nothing */
    return exp_of(score(c, product, which, at.l, at.s) - c.top_in[query] - log_sum);
}

/* The gradient of a score. */
ETUDE_DEVICE real slope(const gradient &g, real p, real dp, int64_t which, spot at)
{
    if (at.l >= g.c.L || at.s >= g.c.S)
        return 0;
    return p * (dp - g.c.delta[which * g.c.L + at.l]) * g.c.scale;
}

/* blockIdx.x counts (problem, block of rows, block of columns), the last the fastest. */
template <int N, int KIND>
static __global__ void __launch_bounds__(GEMM_THREADS, 2) attention_gradient(gradient g)
{
    typedef gemm<1> G;
    __shared__ alignas(16) tile_row tile[SIDE];
    const int64_t D = g.c.D, E = g.c.E;
    int64_t columns = pieces(g.width, SIDE), blocks = pieces(g.R, SIDE);
    int64_t e0 = blockIdx.x % columns * SIDE, which = blockIdx.x / columns / blocks;
    int r0 = (int)(blockIdx.x / columns % blocks * SIDE);
    int begin = g.c.causal && KIND != INTO_QUERY ? r0 : 0;
    int end = (int)(g.c.causal && KIND == INTO_QUERY ? least(g.C, r0 + SIDE) : g.C);
    strip out;
    clear(out);
    for (int c0 = begin; c0 < end; c0 += SIDE) {
        G::tile t;
        matrix_loader<1, ALONG_K, N> a(g.left + which * g.R * D, D, 1, r0, g.R, 0, D);
        matrix_loader<1, ALONG_K, N> b(g.right + which * g.C * D, D, 1, c0, g.C, 0, D);
        G::run(a, b, (int)D, t);
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            pack<PACK> p;
            for (int j = 0; j < PACK; j++)
                p.at[j] = probability(g, t.sum[i][j], which, spot_of<KIND>(r0, c0, i, j));
            store<PACK>(own(tile, i), p);
        }
        if (KIND != INTO_VALUE) { /* p waits in the tile meanwhile */
            matrix_loader<1, ALONG_K, N> x(g.grad_left + which * g.R * E, E, 1, r0, g.R, 0, E);
            matrix_loader<1, ALONG_K, N> y(g.grad_right + which * g.C * E, E, 1, c0, g.C, 0, E);
            G::run(x, y, (int)E, t);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                pack<PACK> p = load<PACK>(own(tile, i));
                for (int j = 0; j < PACK; j++)
                    p.at[j] = slope(g, p.at[j], t.sum[i][j], which, spot_of<KIND>(r0, c0, i, j));
                store<PACK>(own(tile, i), p);
            }
        }
        __syncthreads();
        matrix_loader<1, ALONG_SIDE, N> by(g.by + which * g.C * g.width, 1, g.width, e0, g.width,
                                           c0, g.C);
        multiply_tile(tile, by, (int)least(SIDE, g.C - c0), out);
    }
    write_strip<N>(out, g.out + which * g.R * g.width, r0, g.R, e0, g.width);
}

template <int KIND>
static int run_gradient(etude_context *ctx, const char *name, const gradient &g, int packed)
{
    unsigned blocks = (unsigned)(g.c.batch * pieces(g.R, SIDE) * pieces(g.width, SIDE));
    if (blocks == 0)
        return ETUDE_OK;
    if (packed)
        attention_gradient<PACK, KIND><<<blocks, GEMM_THREADS, 0, stream_of(ctx)>>>(g);
    else
        attention_gradient<1, KIND><<<blocks, GEMM_THREADS, 0, stream_of(ctx)>>>(g);
    return launched(ctx, name);
}

ETUDE_KERNEL(attention_backward, attention_backward)(etude_context *ctx, const real *grad,
                                                     const real *query, const real *key,
                                                     const real *value, const void *mask,
                                                     const real *y, const real *top,
                                                     const real *log_sum, real *dquery, real *dkey,
                                                     real *dvalue, int64_t batch, int64_t L,
                                                     int64_t S, int64_t D, int64_t E,
                                                     double causal, double scale, int64_t kind,
                                                     int64_t count, int64_t outer, int64_t inner,
                                                     int64_t row, int64_t column)
{
    attention_call c = {};
    c.mask = {kind, mask, count, outer, inner, row, column};
    c.query = query, c.key = key, c.value = value, c.grad = grad, c.y_in = y, c.top_in = top;
    c.log_sum_in = log_sum, c.batch = batch, c.L = L, c.S = S, c.D = D, c.E = E;
    c.causal = causal != 0, c.scale = scale_of(scale, D);
    c.delta = (real *)etude_scratch(ctx, (size_t)(batch * L + 1) * sizeof(real));
    if (!c.delta)
        return ETUDE_NO_MEMORY;
    int status = ETUDE_OK;
    if (batch * L > 0) {
        attention_delta<<<row_blocks(batch * L, E), row_threads(E), 0, stream_of(ctx)>>>(c);
        status = launched(ctx, "attention_delta");
    }
    int packed = D % PACK == 0 && E % PACK == 0 && aligned(query) && aligned(key) &&
                 aligned(value) && aligned(grad) && aligned(dquery) && aligned(dkey) &&
                 aligned(dvalue);
    gradient into_query = {c, query, key, grad, value, key, dquery, L, S, D};
    gradient into_key = {c, key, query, value, grad, query, dkey, S, L, D};
    gradient into_value = {c, key, query, NULL, NULL, grad, dvalue, S, L, E};
    if (status == ETUDE_OK)
        status = run_gradient<INTO_QUERY>(ctx, "attention_gradient (query)", into_query, packed);
    if (status == ETUDE_OK)
        status = run_gradient<INTO_KEY>(ctx, "attention_gradient (key)", into_key, packed);
    if (status == ETUDE_OK)
        status = run_gradient<INTO_VALUE>(ctx, "attention_gradient (value)", into_value, packed);
    return status;
}
