/* attention.c: scaled dot-product attention and its gradient, without the L x S matrix of scores.
   Reference: packages/etude/src/etude/ops/attention.py.

   Legend: batch problems, each of L queries and S keys; a query or a key has D numbers, a value E.
   For each problem, contiguous: query L x D, key S x D, value S x E, y and grad L x E, top
   and log_sum L.

   Plan (Dao et al. 2022, FlashAttention). Scores live in a tile of QUERIES x KEYS that stays in L1
   or L2 between two small matrix products (gemm.h). Forward: an item of work is a block of queries.
   It walks the keys, packs KEYS of them and their values once for all its tiles, and keeps for each
   query the maximum so far and the sum of exponentials; where the maximum grows, what was added up
   before shrinks in proportion (the online softmax). Only that maximum, top, and log_sum =
   log sum exp(score - top) are kept, from which backward makes the probabilities again: apart,
   because their sum rounds log_sum away under a mask of -1e9. Backward: an item is one of the
   batch, because all its queries add to dkey and dvalue. The order of all sums depends on the sizes
   alone.

   With is_causal a query sees the keys up to its own place. The products leave out what no query of
   a register tile sees, about half of them, and the exponentials the vectors of keys that the query
   does not see. A mask has for each score a bool (true: the key takes part) or a number to
   add, at strides that are 0 where it is broadcast. A query that sees no key has y = 0, top = 0 and
   log_sum = -infinity; one with a score of NaN or infinity is NaN. */
#include <math.h>
#include <stdatomic.h>

#include "gemm.h"
#include "rows.h"

enum {
    QUERIES = 64,     /* most of a tile */
    KEYS = 128,       /* most of a tile */
    LDP = KEYS + VL,  /* from row to row of a tile: no power of two, or columns share sets of L1 */
    BLOCK = 192,      /* most queries of an item, forward: packing its keys is a small part */
    LEAST_BLOCK = 48, /* where there are too few items for threads */
    ITEMS = 16        /* enough items for threads */
};

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

static int64_t whole_vectors(int64_t n)
{
    return (n + VL - 1) / VL * VL;
}

/* ---- Products of blocks ---------------------------------------------------------------------- */

/* How many numbers n packed columns of depth k take: n is rounded up to whole vectors. */
static int64_t packed_size(int64_t n, int64_t k)
{
    return whole_vectors(n) * k;
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

/* What a product may leave out: query i of a tile sees its keys up to i + reach, and of the others
   scores are not needed, and probabilities and their gradients are 0. */
enum leave_out {
    COLUMNS,     /* C is a tile: keys that none of its rows, queries, sees */
    END_OF_SUM,  /* A is a tile: the same, of the sum over keys */
    START_OF_SUM /* A is a tile transposed: of the sum over queries, those that see no row */
};

/* C = A B, or C += A B where `add` says so. A is m x k at the strides row and step, B is packed,
   and C is m x n with its rows `ldc` apart. */
static void multiply(enum leave_out out, int64_t reach, int add, int64_t m, int64_t n, int64_t k,
                     const real *a, int64_t row, int64_t step, const real *panels, real *c,
                     int64_t ldc)
{
    int64_t tiles = (m + MR - 1) / MR;
    for (int64_t j = 0; j < n; j += NR)
        for (int64_t t = 0; t < tiles; t++) {
            int64_t i = gemm_cut(m, tiles, t), last = gemm_cut(m, tiles, t + 1) - 1;
            int64_t start = 0, end = k;
            if (out == COLUMNS && j > last + reach)
                continue;
            if (out == END_OF_SUM)
                end = ETUDE_MAX(0, ETUDE_MIN(k, last + reach + 1));
            if (out == START_OF_SUM)
                start = ETUDE_MAX(0, ETUDE_MIN(k, i - reach));
            int64_t width = ETUDE_MIN(NR, n - j), padded = gemm_vectors(width) * VL;
            gemm_a tile = {.a = a + i * row + start * step, .row = row, .step = step};
            real *to = c + i * ldc + j;
            gemm_tile((int)(last - i + 1), width, end - start, tile,
                      panels + j * k + start * padded, add ? to : gemm_zeros, add ? ldc : 0, to,
                      ldc);
        }
}

/* ---- Rows of a tile -------------------------------------------------------------------------- */

/* How far query i of those from q0 on sees into the keys from k0 on: up to i + reach. */
static int64_t reach_of(const attention_call *c, int64_t q0, int64_t k0)
{
    return c->causal ? q0 - k0 : c->S;
}

/* How many of n keys query i sees. */
static int64_t seen(int64_t i, int64_t reach, int64_t n)
{
    return ETUDE_MAX(0, ETUDE_MIN(n, i + reach + 1));
}

/* Masks the scores of query l with the keys from k0 on, of which the first `seen` count, and
   scales them. */
static void mask_scores(const attention_call *c, real *p, int64_t which, int64_t l, int64_t k0,
                        int64_t seen)
{
    const attention_mask *mask = &c->mask;
    int64_t step = mask->column, at = l * mask->row + k0 * step;
    at += which / mask->count * mask->outer + which % mask->count * mask->inner;
    ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] *= c->scale;
    if (mask->kind == 1) {
        const uint8_t *takes_part = (const uint8_t *)mask->at + at;
        if (step == 1)
            ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] = takes_part[i] ? p[i] : -INFINITY;
        else
            for (int64_t i = 0; i < seen; i++)
                p[i] = takes_part[i * step] ? p[i] : -INFINITY;
    } else {
        const real *added = (const real *)mask->at + at;
        if (step == 1)
            ETUDE_SIMD for (int64_t i = 0; i < seen; i++) p[i] += added[i];
        else
            for (int64_t i = 0; i < seen; i++)
                p[i] += added[i * step];
    }
}

/* Scales and masks the scores of query l; behind the `seen` that count they are -infinity to the
   end of the vector, so that rows are whole vectors from here on. Returns the largest that is no
   NaN, or -infinity. */
static inline real finish_scores(const attention_call *c, real *p, int64_t which, int64_t l,
                                 int64_t k0, int64_t seen)
{
    const lanes none = (lanes){0} - INFINITY;
    lanes scale = (lanes){0} + c->scale, top = none;
    if (c->mask.kind) {
        mask_scores(c, p, which, l, k0, seen);
        scale = (lanes){0} + 1;
    }
    int64_t i = 0;
    for (; i + VL <= seen; i += VL) {
        lanes x = lanes_at(p + i) * scale;
        memcpy(p + i, &x, sizeof x);
        top = lanes_where(x > top, x, top);
    }
    if (i < seen) {
        lanes x = last_lanes(none, lanes_at(p + i) * scale, VL - (seen - i));
        memcpy(p + i, &x, sizeof x);
        top = lanes_where(x > top, x, top);
    }
    return lanes_max(top);
}

/* p[i] = 0 for i >= from, up to the vector that has the last of n. */
static inline void clear(real *p, int64_t from, int64_t n)
{
    const lanes zeros = {0};
    int64_t i = from / VL * VL;
    if (i < from) {
        lanes x = last_lanes(zeros, lanes_at(p + i), VL - (from - i));
        memcpy(p + i, &x, sizeof x);
        i += VL;
    }
    for (; i < n; i += VL)
        memcpy(p + i, &zeros, sizeof zeros);
}

static inline real finite_or_0(real x)
{
    return absolute(x) < INFINITY ? x : 0;
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* p[i] = exp(p[i] - shift) for i < n, whole vectors. Returns their sum. No score is `above` shift
   unless one is infinite: then shift is 0. */
static inline real exponentials(real *p, real shift, int above, int64_t n)
{
    if (above)
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) p[i] = v_exp(p[i] - shift);
    else
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) p[i] = v_exp_below_0(p[i] - shift);
    lanes sum[2] = {{0}};
    int64_t i = 0;
    for (; i + VL < n; i += 2 * VL) {
        sum[0] += lanes_at(p + i);
        sum[1] += lanes_at(p + i + VL);
    }
    if (i < n)
        sum[0] += lanes_at(p + i);
    return lanes_sum(sum[0] + sum[1]);
}

/* One query meets a block of n keys. Its scores p become exponentials, top (the largest score so
   far) and sum take them in, and y (the values added up so far) shrinks to the new top. y is NULL
   at the first block, where nothing has been added up. */
static void take_in(real *p, real largest, int64_t seen, int64_t n, real *y, int64_t E, real *top,
                    real *sum)
{
    int64_t whole = whole_vectors(seen);
    largest = largest > *top ? largest : *top;
    real shift = finite_or_0(largest), part = exponentials(p, shift, largest == INFINITY, whole);
    clear(p, whole, n);
    if (y) {
        real shrink = v_exp(*top - shift);
        *sum *= shrink;
        ETUDE_SIMD for (int64_t e = 0; e < E; e++) y[e] *= shrink;
    }
    *sum += part;
    *top = largest;
}

/* y of m queries from q0 on, before it is divided by sum, takes in the n keys from k0 on. */
static void forward_tile(const attention_call *c, int64_t which, int64_t q0, int64_t m, int64_t k0,
                         int64_t n, const real *key_panels, const real *value_panels, real *p,
                         real *top, real *sum)
{
    int64_t D = c->D, E = c->E, row = which * c->L + q0, reach = reach_of(c, q0, k0);
    real *y = c->y + row * E;
    multiply(COLUMNS, reach, 0, m, n, D, c->query + row * D, D, 1, key_panels, p, LDP);
    for (int64_t i = 0; i < m; i++) {
        int64_t count = seen(i, reach, n);
        real largest = finish_scores(c, p + i * LDP, which, q0 + i, k0, count);
        take_in(p + i * LDP, largest, count, n, k0 ? y + i * E : NULL, E, top + i, sum + i);
    }
    multiply(END_OF_SUM, reach, k0 > 0, m, E, n, p, LDP, 1, value_panels, y, E);
}

static int forward_block(const attention_call *c, int64_t item)
{
    int64_t which = item / c->blocks, block = item % c->blocks;
    int64_t D = c->D, E = c->E, q0 = gemm_cut(c->L, c->blocks, block);
    int64_t m = gemm_cut(c->L, c->blocks, block + 1) - q0, row = which * c->L + q0;
    int64_t keys = c->causal ? ETUDE_MIN(c->S, q0 + m) : c->S;
    int64_t room = packed_size(KEYS, D) + packed_size(E, KEYS) + QUERIES * LDP;
    real *key_panels = etude_scratch(c->ctx, (size_t)room * sizeof(real));
    if (!key_panels)
        return 0;
    real *value_panels = key_panels + packed_size(KEYS, D);
    real *p = value_panels + packed_size(E, KEYS);
    real top[BLOCK], sum[BLOCK];
    for (int64_t i = 0; i < m; i++)
        top[i] = -INFINITY, sum[i] = 0;
    int64_t tiles = (m + QUERIES - 1) / QUERIES;
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) {
        int64_t n = ETUDE_MIN(KEYS, keys - k0), at = which * c->S + k0;
        pack_panels(key_panels, c->key + at * D, 1, D, D, n);
        pack_panels(value_panels, c->value + at * E, E, 1, n, E);
        for (int64_t t = 0; t < tiles; t++) {
            int64_t i = gemm_cut(m, tiles, t), end = gemm_cut(m, tiles, t + 1);
            forward_tile(c, which, q0 + i, end - i, k0, n, key_panels, value_panels, p, top + i,
                         sum + i);
        }
    }
    for (int64_t i = 0; i < m; i++) {
        real part = sum[i] == 0 ? 0 : 1 / sum[i]; /* 0: a query that sees nothing */
        real *y = c->y + (row + i) * E;
        ETUDE_SIMD for (int64_t e = 0; e < E; e++) y[e] *= part;
        c->top[row + i] = sum[i] == sum[i] ? finite_or_0(top[i]) : 0;
    }
    ETUDE_SIMD for (int64_t i = 0; i < m; i++) c->log_sum[row + i] = v_log(sum[i]);
    return 1;
}

static void forward_items(void *arg, int64_t begin, int64_t end)
{
    const attention_call *c = arg;
    for (int64_t item = begin; item < end; item++)
        if (!forward_block(c, item))
            atomic_store(c->failed, 1);
}

/* Into how many blocks the queries of a problem are cut. */
static int64_t blocks_of(int64_t batch, int64_t L)
{
    int64_t for_threads = (ITEMS + batch - 1) / ETUDE_MAX(batch, 1);
    int64_t most = (L + LEAST_BLOCK - 1) / LEAST_BLOCK, least = (L + BLOCK - 1) / BLOCK;
    return ETUDE_MAX(least, ETUDE_MIN(for_threads, most));
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
                        .blocks = blocks_of(batch, L), .causal = causal != 0,
                        .scale = scale_of(scale, D), .failed = &failed};
    int64_t work = L / ETUDE_MAX(c.blocks, 1) * S * (D + E);
    etude_parallel_for(ctx, forward_items, &c, batch * c.blocks,
                       GEMM_WORK / ETUDE_MAX(work, 1) + 1);
    return failed ? ETUDE_NO_MEMORY : ETUDE_OK;
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* Of a row of scores and of dp = grad value^T: p = exp(score - top - log_sum) and
   ds = p (dp - delta) scale, written over them; delta is sum_e grad[e] y[e] of the query. n is
   whole vectors. */
static inline void score_gradient(real *p, real *dp, int64_t n, real top, real log_sum, real delta,
                                  real scale)
{
    ETUDE_SIMD for (int64_t i = 0; i < n; i++)
    {
        p[i] = v_exp_below_0(p[i] - top - log_sum);
        dp[i] = p[i] * (dp[i] - delta) * scale;
    }
}

/* Where one problem of the batch has its numbers, and the room for its tiles and panels. */
typedef struct {
    const real *query, *grad, *top, *log_sum;
    real *dquery, *p, *dp, *delta, *panels;
} backward_room;

/* Makes p and dp of m queries from q0 on and n keys from k0 on: the probabilities and the gradients
   of the scores. */
static void backward_tile(const attention_call *c, const backward_room *r, int64_t which,
                          int64_t q0, int64_t m, int64_t k0, int64_t n, const real *key_panels,
                          const real *value_panels)
{
    int64_t D = c->D, E = c->E, reach = reach_of(c, q0, k0);
    multiply(COLUMNS, reach, 0, m, n, D, r->query + q0 * D, D, 1, key_panels, r->p, LDP);
    multiply(COLUMNS, reach, 0, m, n, E, r->grad + q0 * E, E, 1, value_panels, r->dp, LDP);
    for (int64_t i = 0; i < m; i++) {
        real *p = r->p + i * LDP, *dp = r->dp + i * LDP, log = r->log_sum[q0 + i];
        int64_t count = seen(i, reach, n);
        finish_scores(c, p, which, q0 + i, k0, count);
        log = log == -INFINITY ? 0 : log; /* sees nothing */
        score_gradient(p, dp, whole_vectors(count), r->top[q0 + i], log, r->delta[q0 + i],
                       c->scale);
        clear(p, count, n);
        clear(dp, count, n);
    }
}

/* dkey and dvalue of n keys from k0 on, and what these add to dquery. */
static void backward_keys(const attention_call *c, const backward_room *r, int64_t which,
                          int64_t k0, int64_t n)
{
    int64_t D = c->D, E = c->E, at = which * c->S + k0, tiles = (c->L + QUERIES - 1) / QUERIES;
    const real *key = c->key + at * D, *value = c->value + at * E;
    real *dkey = c->dkey + at * D, *dvalue = c->dvalue + at * E;
    real *value_panels = pack_panels(r->panels, key, 1, D, D, n);
    real *key_rows = pack_panels(value_panels, value, 1, E, E, n);
    real *grad_rows = pack_panels(key_rows, key, D, 1, n, D);
    int begun = 0; /* the first tile whose queries see a key begins the sums */
    for (int64_t t = 0; t < tiles; t++) {
        int64_t q0 = gemm_cut(c->L, tiles, t), m = gemm_cut(c->L, tiles, t + 1) - q0;
        int64_t reach = reach_of(c, q0, k0);
        if (m - 1 + reach < 0)
            continue;
        real *query_rows = pack_panels(grad_rows, r->grad + q0 * E, E, 1, m, E);
        pack_panels(query_rows, r->query + q0 * D, D, 1, m, D);
        backward_tile(c, r, which, q0, m, k0, n, r->panels, value_panels);
        multiply(START_OF_SUM, reach, begun, n, E, m, r->p, 1, LDP, grad_rows, dvalue, E);
        multiply(START_OF_SUM, reach, begun, n, D, m, r->dp, 1, LDP, query_rows, dkey, D);
        multiply(END_OF_SUM, reach, k0 > 0, m, D, n, r->dp, LDP, 1, key_rows, r->dquery + q0 * D,
                 D);
        begun = 1;
    }
    if (!begun) {
        memset(dkey, 0, (size_t)(n * D) * sizeof(real));
        memset(dvalue, 0, (size_t)(n * E) * sizeof(real));
    }
}

static int backward_one(const attention_call *c, int64_t which)
{
    int64_t L = c->L, D = c->D, E = c->E;
    int64_t room = packed_size(KEYS, D) + packed_size(KEYS, E) + packed_size(D, KEYS) +
                   packed_size(E, QUERIES) + packed_size(D, QUERIES) + 2 * QUERIES * LDP + L;
    real *p = etude_scratch(c->ctx, (size_t)room * sizeof(real));
    if (!p)
        return 0;
    backward_room r = {.query = c->query + which * L * D, .grad = c->grad + which * L * E,
                       .top = c->top_in + which * L, .log_sum = c->log_sum_in + which * L,
                       .dquery = c->dquery + which * L * D, .p = p, .dp = p + QUERIES * LDP,
                       .delta = p + 2 * QUERIES * LDP, .panels = p + 2 * QUERIES * LDP + L};
    for (int64_t l = 0; l < L; l++)
        r.delta[l] = row_dot(r.grad + l * E, c->y_in + (which * L + l) * E, E);
    for (int64_t k0 = 0; k0 < c->S; k0 += KEYS)
        backward_keys(c, &r, which, k0, ETUDE_MIN(KEYS, c->S - k0));
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
