/* attention.c: scaled dot-product attention and its gradient, without the L x S matrix of scores.
   Reference: packages/etude/src/etude/ops/attention.py.

   Legend: batch problems, each of L queries and S keys; a query or a key has D numbers, a value E.
   For each problem, contiguous: query L x D, key S x D, value S x E, y and grad L x E, top
   and log_sum L.

   Plan (Dao et al. 2022, FlashAttention). Scores live in a tile of QUERIES x KEYS that stays in L2
   between two small matrix products (gemm.h). Forward: an item of work is a block of queries. It
   walks the keys, keeping for each query the maximum so far and the sum of exponentials; where the
   maximum grows, what was added up before shrinks in proportion (the online softmax). Only that
   maximum, top, and log_sum = log sum exp(score - top) are kept, from which backward makes the
   probabilities again: apart, because their sum rounds log_sum away under a mask of -1e9. Backward:
   an item is one of the batch, because all its queries add to dkey and dvalue. The order of all
   sums depends on the sizes alone. With is_causal a query sees the keys up to its own place, and
   blocks in which no query sees a key are left out, about half of them. A mask has for each score a
   bool (true: the key takes part) or a number to add, at strides that are 0 where it is broadcast.
   A query that sees no key has y = 0, top = 0 and log_sum = -infinity; one with a score of NaN or
   infinity is NaN. */
#include <math.h>
#include <stdatomic.h>

#include "gemm.h"
#include "rows.h"

enum { QUERIES = 60, KEYS = 128 }; /* of a tile; QUERIES is a multiple of most MR */

typedef struct {
    int64_t kind; /* 0 none, 1 bool, 2 real */
    const void *at;
    /* Problem `which` of the batch finds its mask at which / count * outer + which % count * inner,
       and from there score (l, s) at l * row + s * column. */
    int64_t count, outer, inner;
    int64_t row, column;
} attention_mask;

typedef struct {
    etude_context *ctx;
    attention_mask mask;
    const real *query, *key, *value, *grad, *y_in, *top_in, *log_sum_in;
    real *y, *top, *log_sum, *dquery, *dkey, *dvalue;
    int64_t L, S, D, E, blocks; /* blocks of queries */
    int causal;
    real scale;
    atomic_int *failed; /* no memory */
} attention_call;

/* ---- Products of blocks ---------------------------------------------------------------------- */

/* How many numbers n packed columns of depth k take: n is rounded up to whole vectors. */
static int64_t packed_size(int64_t n, int64_t k)
{
    return (n + VL - 1) / VL * VL * k;
}

/* Packs B, k x n at the strides row and column, panel after panel (gemm.h). Returns the end. */
static real *pack_panels(real *to, const real *b, int64_t row, int64_t column, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += NR) {
        int64_t width = ETUDE_MIN(NR, n - j);
        gemm_pack(to + j * k, b + j * column, row, column, k, width, gemm_vectors(width) * VL);
    }
    return to + packed_size(n, k);
}

/* C = A B, or C += A B where `add` says so. A is m x k at the strides row and step, B is packed,
   and C is m x n with its rows `ldc` apart. */
static void multiply(int add, int64_t m, int64_t n, int64_t k, const real *a, int64_t row,
                     int64_t step, const real *panels, real *c, int64_t ldc)
{
    int64_t tiles = (m + MR - 1) / MR;
    for (int64_t j = 0; j < n; j += NR)
        for (int64_t t = 0; t < tiles; t++) {
            int64_t i = gemm_cut(m, tiles, t), mr = gemm_cut(m, tiles, t + 1) - i;
            gemm_a tile = {.a = a + i * row, .row = row, .step = step};
            real *to = c + i * ldc + j;
            gemm_tile((int)mr, ETUDE_MIN(NR, n - j), k, tile, panels + j * k,
                      add ? to : gemm_zeros, add ? ldc : 0, to, ldc);
        }
}

/* How many of the keys k0 .. k0 + n are seen by query l; with is_causal those up to l. */
static int64_t seen(const attention_call *c, int64_t l, int64_t k0, int64_t n)
{
    return c->causal ? ETUDE_MAX(0, ETUDE_MIN(n, l - k0 + 1)) : n;
}

/* Scales and masks the scores of query l with the keys from k0 on, of which the first `seen`
   count. */
static void finish_scores(const attention_call *c, real *p, int64_t which, int64_t l, int64_t k0,
                          int64_t seen)
{
    const attention_mask *mask = &c->mask;
    int64_t step = mask->column, at = l * mask->row + k0 * step;
    ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] *= c->scale;
    if (mask->kind)
        at += which / mask->count * mask->outer + which % mask->count * mask->inner;
    if (mask->kind == 1) {
        const uint8_t *takes_part = (const uint8_t *)mask->at + at;
        if (step == 1)
            ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] = takes_part[i] ? p[i] : -INFINITY;
        else
            for (int64_t i = 0; i < seen; i++)
                p[i] = takes_part[i * step] ? p[i] : -INFINITY;
    } else if (mask->kind == 2) {
        const real *added = (const real *)mask->at + at;
        if (step == 1)
            ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] += added[i];
        else
            for (int64_t i = 0; i < seen; i++)
                p[i] += added[i * step];
    }
}

/* p[i] = exp(p[i] - top - log_sum) for i < seen, 0 from there to n. No score is `above` top, unless
   one is infinite: then top is 0. */
static inline void exponentials(real *p, real top, real log_sum, int above, int64_t seen, int64_t n)
{
    if (above)
        ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] = v_exp(p[i] - top - log_sum);
    else
        ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] = v_exp_below_0(p[i] - top - log_sum);
    for (int64_t i = seen; i < n; i++)
        p[i] = 0;
}

static inline real finite_or_0(real x)
{
    return absolute(x) < INFINITY ? x : 0;
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* One query meets a block of keys. Its scores p become exponentials, top (the largest score so far)
   and sum take them in, and y (the values added up so far) shrinks to the new top. y is NULL at the
   first block, where nothing has been added up. */
static void take_in(real *p, int64_t seen, int64_t n, real *y, int64_t E, real *top, real *sum)
{
    real largest = row_max(p, seen);
    largest = largest > *top ? largest : *top;
    real shift = finite_or_0(largest), shrink = v_exp(*top - shift);
    exponentials(p, shift, 0, largest == INFINITY, seen, n);
    *sum = *sum * shrink + row_sum(p, seen);
    *top = largest;
    for (int64_t e = 0; y && e < E; e++)
        y[e] *= shrink;
}

static int forward_block(const attention_call *c, int64_t item)
{
    int64_t which = item / c->blocks, q0 = item % c->blocks * QUERIES;
    int64_t D = c->D, E = c->E, m = ETUDE_MIN(QUERIES, c->L - q0), row = which * c->L + q0;
    int64_t keys = c->causal ? ETUDE_MIN(c->S, q0 + m) : c->S;
    int64_t room = packed_size(KEYS, D) + packed_size(E, KEYS) + QUERIES * KEYS;
    real *key_panels = etude_scratch(c->ctx, (size_t)room * sizeof(real));
    if (!key_panels)
        return 0;
    real *value_panels = key_panels + packed_size(KEYS, D);
    real *p = value_panels + packed_size(E, KEYS), *y = c->y + row * E;
    real top[QUERIES], sum[QUERIES];
    for (int64_t i = 0; i < m; i++)
        top[i] = -INFINITY, sum[i] = 0;
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) {
        int64_t n = ETUDE_MIN(KEYS, keys - k0), at = which * c->S + k0;
        pack_panels(key_panels, c->key + at * D, 1, D, D, n);
        pack_panels(value_panels, c->value + at * E, E, 1, n, E);
        multiply(0, m, n, D, c->query + row * D, D, 1, key_panels, p, KEYS);
        for (int64_t i = 0; i < m; i++) {
            int64_t count = seen(c, q0 + i, k0, n);
            finish_scores(c, p + i * KEYS, which, q0 + i, k0, count);
            take_in(p + i * KEYS, count, n, k0 ? y + i * E : NULL, E, top + i, sum + i);
        }
        multiply(k0 > 0, m, E, n, p, KEYS, 1, value_panels, y, E);
    }
    for (int64_t i = 0; i < m; i++) {
        real part = sum[i] == 0 ? 0 : 1 / sum[i]; /* 0: a query that sees nothing */
        ETUDE_SIMD for (int64_t e = 0; e < E; e++) y[i * E + e] *= part;
        c->top[row + i] = sum[i] == sum[i] ? finite_or_0(top[i]) : 0;
        c->log_sum[row + i] = v_log(sum[i]);
    }
    return 1;
}

static void forward_items(void *arg, int64_t begin, int64_t end)
{
    const attention_call *c = arg;
    for (int64_t item = begin; item < end; item++)
        if (!forward_block(c, item))
            atomic_store(c->failed, 1);
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
    atomic_int failed = 0;
    attention_call c = {.ctx = ctx, .mask = {kind, mask, count, outer, inner, row, column},
                        .query = query, .key = key, .value = value, .y = y, .top = top,
                        .log_sum = log_sum, .L = L, .S = S, .D = D, .E = E,
                        .blocks = (L + QUERIES - 1) / QUERIES, .causal = causal != 0,
                        .scale = scale_of(scale, D), .failed = &failed};
    int64_t work = ETUDE_MIN(L, QUERIES) * S * (D + E);
    etude_parallel_for(ctx, forward_items, &c, batch * c.blocks,
                       GEMM_WORK / ETUDE_MAX(work, 1) + 1);
    return failed ? ETUDE_NO_MEMORY : ETUDE_OK;
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* ds = p (dp - delta) scale, written over dp; delta is sum_e grad[e] y[e] of the query. */
static void score_gradient(const attention_call *c, const real *p, real *dp, int64_t n, real delta)
{
    ETUDE_SIMD for (int64_t i = 0; i < n; i++) dp[i] = p[i] * (dp[i] - delta) * c->scale;
}

static int backward_one(const attention_call *c, int64_t which)
{
    int64_t L = c->L, S = c->S, D = c->D, E = c->E;
    int64_t room = packed_size(KEYS, D) + packed_size(KEYS, E) + packed_size(D, KEYS) +
                   packed_size(E, QUERIES) + packed_size(D, QUERIES) + 2 * QUERIES * KEYS + L;
    real *delta = etude_scratch(c->ctx, (size_t)room * sizeof(real));
    if (!delta)
        return 0;
    real *p = delta + L, *dp = p + QUERIES * KEYS, *panels = dp + QUERIES * KEYS;
    const real *query = c->query + which * L * D, *grad = c->grad + which * L * E;
    const real *top = c->top_in + which * L, *log_sum = c->log_sum_in + which * L;
    real *dquery = c->dquery + which * L * D;
    memset(dquery, 0, (size_t)(L * D) * sizeof(real));
    memset(c->dkey + which * S * D, 0, (size_t)(S * D) * sizeof(real));
    memset(c->dvalue + which * S * E, 0, (size_t)(S * E) * sizeof(real));
    for (int64_t l = 0; l < L; l++)
        delta[l] = row_dot(grad + l * E, c->y_in + (which * L + l) * E, E);
    for (int64_t k0 = 0; k0 < S; k0 += KEYS) {
        int64_t n = ETUDE_MIN(KEYS, S - k0), at = which * S + k0;
        const real *key = c->key + at * D, *value = c->value + at * E;
        real *value_panels = pack_panels(panels, key, 1, D, D, n);
        real *key_rows = pack_panels(value_panels, value, 1, E, E, n);
        real *grad_rows = pack_panels(key_rows, key, D, 1, n, D);
        for (int64_t q0 = c->causal ? k0 / QUERIES * QUERIES : 0; q0 < L; q0 += QUERIES) {
            int64_t m = ETUDE_MIN(QUERIES, L - q0);
            real *query_rows = pack_panels(grad_rows, grad + q0 * E, E, 1, m, E);
            pack_panels(query_rows, query + q0 * D, D, 1, m, D);
            multiply(0, m, n, D, query + q0 * D, D, 1, panels, p, KEYS);
            multiply(0, m, n, E, grad + q0 * E, E, 1, value_panels, dp, KEYS);
            for (int64_t i = 0; i < m; i++) {
                int64_t count = seen(c, q0 + i, k0, n);
                finish_scores(c, p + i * KEYS, which, q0 + i, k0, count);
                real log = log_sum[q0 + i] == -INFINITY ? 0 : log_sum[q0 + i]; /* sees nothing */
                exponentials(p + i * KEYS, top[q0 + i], log, 0, count, n);
                score_gradient(c, p + i * KEYS, dp + i * KEYS, n, delta[q0 + i]);
            }
            multiply(1, n, E, m, p, 1, KEYS, grad_rows, c->dvalue + at * E, E);
            multiply(1, n, D, m, dp, 1, KEYS, query_rows, c->dkey + at * D, D);
            multiply(1, m, D, n, dp, KEYS, 1, key_rows, dquery + q0 * D, D);
        }
    }
    return 1;
}

static void backward_items(void *arg, int64_t begin, int64_t end)
{
    const attention_call *c = arg;
    for (int64_t which = begin; which < end; which++)
        if (!backward_one(c, which))
            atomic_store(c->failed, 1);
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
    atomic_int failed = 0;
    attention_call c = {.ctx = ctx, .mask = {kind, mask, count, outer, inner, row, column},
                        .grad = grad, .query = query, .key = key, .value = value,
                        .y_in = y, .top_in = top, .log_sum_in = log_sum, .dquery = dquery,
                        .dkey = dkey, .dvalue = dvalue, .L = L, .S = S, .D = D, .E = E,
                        .causal = causal != 0,
                        .scale = scale_of(scale, D), .failed = &failed};
    etude_parallel_for(ctx, backward_items, &c, batch,
                       GEMM_WORK / ETUDE_MAX(L * S * (D + E), 1) + 1);
    return failed ? ETUDE_NO_MEMORY : ETUDE_OK;
}
