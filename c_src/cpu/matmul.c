/* matmul.c: matmul and linear, C[s] = A[s] B[s] + bias for a stack of s < batch products.

   Reference: packages/etude/src/etude/ops/matmul.py, where both are one line of NumPy.
   Read first: c_src/cpu/plain/matmul.c, the same as three loops.

   Legend: A m x k and B k x n by element strides, so a transpose costs nothing here; C m x n
   contiguous; bias n or NULL. Blocking in BLAS's names (tuning.h):

       C is cut into blocks of at most MC rows; each block is one task.
       for pc in steps of KC over k                    a block of A, MC x KC, in L2: packed only
                                                       if many columns share the cost (tuning.h)
         for strip of B, KC x (STRIP * NR)             packed once for all blocks of rows
           for panel of the strip, KC x NR             in L1
             for tile of the block, MR rows            MR x NR accumulators in registers (gemm.h)

   Tasks are dealt out to threads (hands.h), and a strip of B is packed by whoever needs it first,
   so a product is one fork and one join. A single block of rows is cut along n instead and shares
   nothing; stacks of small products are cut along the batch. In a frozen program B may be a weight
   that is the same at every run: then it is packed once, all of it, and stays with the call.
   Products of few rows keep it aligned. A relu behind the product is done on each part of C.
   The order of the sums depends on k alone: any number of threads gives the same bits.

   Expected: 85 to 90 % of the peak of all cores from n = 256 up. A product of few rows (or of one
   column, with the operands exchanged) does not pack B: few_rows.h. */
#include <sched.h>
#include <stdatomic.h>

#include "few_rows.h"
#include "hands.h"

/* ---- Few rows -------------------------------------------------------------------------------- */

enum {
    PAGE = 4096,
    SLAB_BYTES = 1 << 25 /* most memory for B in another order: wider products are cut along n */
};

typedef struct {
    product g; /* the first product of the stack */
    int64_t a_batch, b_batch;
    int64_t unit, units; /* columns that stay together; how often, the last with what is left */
} few;

/* A relu that follows the product in a replay (etude_tail), on a part of C just written. */
static void relu_part(real *c, int64_t c_row, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++, c += c_row)
        ETUDE_SIMD for (int64_t j = 0; j < columns; j++) c[j] = c[j] < 0 ? 0 : c[j];
}

static void few_body(void *arg, int64_t begin, int64_t end)
{
    const few *q = arg;
    while (begin < end) {
        int64_t which = begin / q->units, u0 = begin % q->units;
        int64_t u1 = ETUDE_MIN(q->units, u0 + end - begin);
        int64_t j1 = u1 == q->units ? q->g.n : u1 * q->unit;
        product g = q->g;
        g.a += which * q->a_batch, g.b += which * q->b_batch, g.c += which * g.m * g.n;
        if (g.b_col == 1)
            few_by_rows(&g, u0 * q->unit, j1);
        else
            few_by_columns(&g, u0 * q->unit, j1);
        if (g.relu)
            relu_part(g.c + u0 * q->unit, g.c_row, g.m, j1 - u0 * q->unit);
        begin += u1 - u0;
    }
}

/* Whether this part takes the product: what it reads in vectors is contiguous, and packing B would
   not pay. Where each row of B is in another page, B must be read once and in long runs. */
static int is_few(const product *g)
{
    int far = g->b_row * (int64_t)sizeof(real) >= PAGE;
    if (g->m > GEMM_FEW_ROWS)
        return 0;
    if (g->b_col == 1)
        return g->m == 1 || (g->n >= VL && (g->m <= FEW_FULL || !far));
    return g->b_row == 1 && g->a_col == 1 && (g->m <= FEW_DOTS || g->k >= GEMM_FEW_DEPTH);
}

/* What takes time is reading B, so a thread is worth some of B, whatever the number of rows. */
static void run_few(etude_context *ctx, const product *g, int64_t batch, int64_t a_batch,
                    int64_t b_batch)
{
    few q = {.g = *g, .a_batch = a_batch, .b_batch = b_batch, .unit = g->b_col == 1 ? VL : DOT};
    q.units = ETUDE_MAX(1, g->n / q.unit);
    int64_t total = batch * q.units, grain = ETUDE_MAX(1, GEMM_FEW_READ / (g->k * q.unit));
    if (total < 2 * grain)
        few_body(&q, 0, total);
    else
        etude_parallel_for(ctx, few_body, &q, total, grain);
}

/* In a frozen program, B with every column at the begin of a line of cache: a vector that lies in
   two lines takes longer to read from L2, a fifth of the time of one row. */
static void align_b(etude_context *ctx, product *g)
{
    int64_t column = (g->k + VL - 1) / VL * VL;
    size_t bytes = (size_t)(g->n * column) * sizeof(real);
    etude_kept *kept =
        g->b_col == 1 || bytes > SLAB_BYTES ? NULL : etude_keep(ctx, g->b, bytes);
    if (!kept)
        return;
    for (int64_t j = 0; !kept->filled && j < g->n; j++)
        memcpy((real *)kept->memory + j * column, g->b + j * g->b_col,
               (size_t)g->k * sizeof(real));
    kept->filled = 1;
    g->b = kept->memory;
    g->b_col = column;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

enum {
    PREFETCH_ROWS = 8,      /* how far packing looks ahead */
    WHOLE = 32 * GEMM_WORK  /* multiply-adds up to which a product of a stack is one task */
};

/* The state of a strip of B that all threads share. */
enum { UNPACKED, PACKING, PACKED };

typedef struct {
    product g;          /* the first product of the stack */
    int64_t a_batch, b_batch;
    int64_t products;   /* how many of them */
    int64_t blocks;     /* row blocks of a product */
    int64_t cuts;       /* column cuts of a product; 1 where B is shared */
    int64_t depths;     /* blocks along k */
    int64_t strips, strip; /* along n: how many, and how wide */
    int64_t slots;      /* threads */
    int pack_a, share_b;
    const real *kept;   /* all of B, packed at this run or an earlier one; or NULL */
    real *a_space, *b_space; /* packed blocks of A, one per slot; packed B, or a strip per slot */
    int64_t a_size, b_size;  /* elements of one such piece */
    atomic_int *state;       /* depths x strips */
    hand *hands;             /* tasks, by slot */
} plan;

/* Packs columns j0 .. j1 of B at depth p0 .. p0 + kc into panels. Where B's rows are contiguous,
   all whole panels are filled together, a row of B at a time: one panel after another would touch
   another page of memory for every NR numbers. */
static void pack_strip(const product *g, int64_t p0, int64_t kc, int64_t j0, int64_t j1, real *to)
{
    const real *b = g->b + p0 * g->b_row + j0 * g->b_col;
    int64_t columns = j1 - j0, done = 0;
    if (g->b_col == 1) {
        done = columns / NR * NR;
        for (int64_t p = 0; p < kc; p++)
            for (int64_t j = 0; j < done; j += NR) {
                const real *from = b + p * g->b_row + j;
                real *panel = to + j * kc + p * NR;
                __builtin_prefetch(from + PREFETCH_ROWS * g->b_row);
                __builtin_prefetch(from + PREFETCH_ROWS * g->b_row + NR / 2);
                GEMM_UNROLL for (int v = 0; v < NV; v++)
                    *(vec *)(panel + v * VL) = *(const vec *)(from + v * VL);
            }
    }
    for (int64_t j = done; j < columns; j += NR) {
        int64_t width = ETUDE_MIN(NR, columns - j), padded = gemm_vectors(width) * VL;
        gemm_pack(to + j * kc, b + j * g->b_col, g->b_row, g->b_col, kc, width, padded);
    }
}

/* Numbers in a row of all the packed panels of B. */
static int64_t packed_row(const product *g)
{
    return (g->n + VL - 1) / VL * VL;
}

/* Packs panels begin .. end of B at every depth: depth after depth, panel after panel. */
typedef struct {
    const product *g;
    int64_t depths;
    real *to;
} keeping;

static void keep_body(void *arg, int64_t begin, int64_t end)
{
    const keeping *q = arg;
    int64_t j0 = begin * NR, j1 = ETUDE_MIN(q->g->n, end * NR);
    for (int64_t d = 0; d < q->depths; d++) {
        int64_t p0 = gemm_cut(q->g->k, q->depths, d);
        int64_t kc = gemm_cut(q->g->k, q->depths, d + 1) - p0;
        pack_strip(q->g, p0, kc, j0, j1, q->to + p0 * packed_row(q->g) + j0 * kc);
    }
}

/* All of B, packed, where that may be kept from run to run; or NULL. */
static const real *kept_b(etude_context *ctx, const product *g, int64_t depths)
{
    size_t bytes = (size_t)(g->k * packed_row(g)) * sizeof(real);
    etude_kept *kept = etude_keep(ctx, g->b, bytes);
    if (!kept)
        return NULL;
    keeping q = {g, depths, kept->memory};
    if (!kept->filled)
        etude_parallel_for(ctx, keep_body, &q, (g->n + NR - 1) / NR,
                           ETUDE_GRAIN_MEMORY / (NR * g->k) + 1);
    kept->filled = 1;
    return kept->memory;
}

/* The packed strip s at depth d. A shared strip is packed by the first thread that needs it.
   Another that needs it meanwhile waits, and not for ever: a thread that packs waits for nobody. */
static const real *strip_of_b(plan *q, const product *g, int64_t slot, int64_t d, int64_t s,
                              int64_t p0, int64_t kc, int64_t j0, int64_t j1)
{
    if (q->kept)
        return q->kept + p0 * packed_row(&q->g) + j0 * kc;
    if (!q->share_b) {
        real *mine = q->b_space + slot * q->b_size;
        pack_strip(g, p0, kc, j0, j1, mine);
        return mine;
    }
    int64_t i = d * q->strips + s;
    real *strip = q->b_space + i * q->b_size;
    int found = UNPACKED;
    if (atomic_load_explicit(&q->state[i], memory_order_acquire) == PACKED)
        return strip;
    if (atomic_compare_exchange_strong(&q->state[i], &found, PACKING)) {
        pack_strip(g, p0, kc, j0, j1, strip);
        atomic_store_explicit(&q->state[i], PACKED, memory_order_release);
    }
    while (atomic_load_explicit(&q->state[i], memory_order_acquire) != PACKED)
        sched_yield();
    return strip;
}

/* One block of rows times one cut of the columns. */
static void run_task(plan *q, int64_t task, int64_t slot)
{
    product g = q->g;
    int64_t columns = task % q->cuts, rows = task / q->cuts % q->blocks;
    int64_t which = task / q->cuts / q->blocks;
    g.a += which * q->a_batch, g.b += which * q->b_batch, g.c += which * g.m * g.n;

    const int64_t m = g.m, tiles = (m + MR - 1) / MR;
    int64_t t0 = gemm_cut(tiles, q->blocks, rows), t1 = gemm_cut(tiles, q->blocks, rows + 1);
    int64_t s0 = gemm_cut(q->strips, q->cuts, columns);
    int64_t s1 = gemm_cut(q->strips, q->cuts, columns + 1);
    int64_t m0 = gemm_cut(m, tiles, t0), count = s1 - s0;
    real *packed = q->a_space + slot * q->a_size;

    for (int64_t d = 0; d < q->depths; d++) {
        int64_t p0 = gemm_cut(g.k, q->depths, d), kc = gemm_cut(g.k, q->depths, d + 1) - p0;
        if (q->pack_a)
            for (int64_t t = t0; t < t1; t++) {
                int64_t i = gemm_cut(m, tiles, t), mr = gemm_cut(m, tiles, t + 1) - i;
                gemm_pack(packed + (i - m0) * kc, g.a + i * g.a_row + p0 * g.a_col, g.a_col,
                          g.a_row, kc, mr, mr);
            }
        for (int64_t r = 0; r < count; r++) { /* every thread starts at another strip */
            int64_t s = s0 + (r + slot * count / q->slots) % count;
            int64_t j0 = s * q->strip, j1 = ETUDE_MIN(g.n, j0 + q->strip);
            const real *strip = strip_of_b(q, &g, slot, d, s, p0, kc, j0, j1);
            for (int64_t j = j0; j < j1; j += NR) {
                const real *from = d ? NULL : g.bias ? g.bias + j : gemm_zeros;
                for (int64_t t = t0; t < t1; t++) {
                    int64_t i = gemm_cut(m, tiles, t), mr = gemm_cut(m, tiles, t + 1) - i;
                    gemm_a a = q->pack_a
                                   ? (gemm_a){.a = packed + (i - m0) * kc, .packed = 1}
                                   : (gemm_a){.a = g.a + i * g.a_row + p0 * g.a_col,
                                               .row = g.a_row, .step = g.a_col};
                    real *c = g.c + i * g.c_row + j;
                    gemm_tile((int)mr, ETUDE_MIN(NR, g.n - j), kc, a, strip + (j - j0) * kc,
                              from ? from : c, from ? 0 : g.c_row, c, g.c_row);
                    if (g.relu && d == q->depths - 1)
                        relu_part(c, g.c_row, mr, ETUDE_MIN(NR, g.n - j));
                }
            }
        }
    }
}

static void plan_body(void *arg, int64_t begin, int64_t end)
{
    plan *q = arg;
    for (int64_t slot = begin; slot < end; slot++) {
        int64_t task, empty = 0;
        while ((task = next_task(q->hands, q->slots, slot, &empty)) >= 0)
            run_task(q, task, slot);
    }
}

/* `products` equal products, each cut for `threads` threads. `keep`: B may be kept, if it is all of
   an operand. */
static int run_blocks(etude_context *ctx, const product *g, int64_t products, int64_t a_batch,
                      int64_t b_batch, int64_t threads, int keep)
{
    plan q = {.g = *g, .a_batch = a_batch, .b_batch = b_batch, .products = products};
    int64_t tiles = (g->m + MR - 1) / MR;
    q.depths = (g->k + KC - 1) / KC;
    int64_t panels = (g->n + NR - 1) / NR;
    q.strip = ETUDE_MIN(GEMM_STRIP, (panels + threads - 1) / threads) * NR;
    q.strips = (g->n + q.strip - 1) / q.strip;
    q.slots = threads;
    q.blocks = (g->m + MC - 1) / MC;
    q.cuts = 1;
    if (products < threads) { /* enough tasks for everyone, and the same number for each */
        if (q.blocks == 1 && tiles < 8 * threads)
            q.cuts = ETUDE_MIN(q.strips, threads);
        if (q.cuts < threads)
            q.blocks = ETUDE_MIN(tiles, (q.blocks + threads - 1) / threads * threads);
    }
    int far = g->a_col * (int64_t)sizeof(real) >= PAGE;
    q.pack_a = panels >= (far ? GEMM_PACK_A / 2 : GEMM_PACK_A);
    q.kept = keep ? kept_b(ctx, g, q.depths) : NULL;
    q.share_b = q.blocks > 1 && products == 1 && !q.kept;

    int64_t kc = (g->k + q.depths - 1) / q.depths + 1;
    int64_t rows = ((tiles + q.blocks - 1) / q.blocks) * MR;
    q.a_size = q.pack_a ? (rows * kc + 15) / 16 * 16 : 0;
    q.b_size = kc * ETUDE_MIN(q.strip, (g->n + VL - 1) / VL * VL);
    q.b_size = (q.b_size + 15) / 16 * 16;
    int64_t pieces = q.share_b ? q.depths * q.strips : q.slots;
    q.b_size = q.kept ? 0 : q.b_size;
    size_t bytes = (size_t)(q.slots * q.a_size + pieces * q.b_size) * sizeof(real);
    size_t hands = (size_t)q.slots * sizeof(hand);
    char *space = etude_scratch(ctx, hands + bytes + (size_t)pieces * sizeof(atomic_int));
    if (!space)
        return ETUDE_NO_MEMORY;
    q.hands = (hand *)space;
    q.b_space = (real *)(space += hands);
    q.a_space = q.b_space + pieces * q.b_size;
    q.state = (atomic_int *)(space + bytes);
    if (q.share_b)
        for (int64_t i = 0; i < pieces; i++)
            atomic_init(&q.state[i], UNPACKED);
    deal(q.hands, q.slots, products * q.blocks * q.cuts);
    if (q.slots > 1)
        etude_parallel_for(ctx, plan_body, &q, q.slots, 1);
    else
        plan_body(&q, 0, 1);
    return ETUDE_OK;
}

/* One product, or a stack of small ones. */
static int run_stack(etude_context *ctx, product g, int64_t batch, int64_t a_batch,
                     int64_t b_batch)
{
    int64_t work = g.m * g.n * g.k, threads = ETUDE_MAX(1, ctx->threads);
    if (is_few(&g)) {
        if (batch == 1)
            align_b(ctx, &g);
        run_few(ctx, &g, batch, a_batch, b_batch);
        return ETUDE_OK;
    }
    if (work * batch < GEMM_WORK)
        threads = 1;
    if (work < WHOLE) /* a stack of small ones: each task is a whole product */
        return run_blocks(ctx, &g, batch, a_batch, b_batch, threads, batch == 1);
    int64_t slab = ETUDE_MAX(1, SLAB_BYTES / (NR * g.k * (int64_t)sizeof(real))) * NR;
    for (int64_t s = 0; s < batch; s++)
        for (int64_t j = 0; j < g.n; j += slab) {
            product one = g;
            one.n = ETUDE_MIN(slab, g.n - j);
            one.a += s * a_batch, one.b += s * b_batch + j * g.b_col;
            one.c += s * g.m * g.n + j;
            one.bias = g.bias ? g.bias + j : NULL;
            int status = run_blocks(ctx, &one, 1, 0, 0, threads, batch == 1 && one.n == g.n);
            if (status)
                return status;
        }
    return ETUDE_OK;
}

ETUDE_KERNEL(matmul, matmul)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    if (batch == 0 || m == 0 || n == 0)
        return ETUDE_OK;
    if (k == 0) {
        for (int64_t i = 0; i < batch * m; i++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] = bias ? bias[j] : 0;
        return ETUDE_OK;
    }
    if (b_batch == 0 && (m == 1 || a_batch == m * a_row)) { /* one B under all: one tall product */
        a_row = m == 1 ? a_batch : a_row;
        m *= batch;
        batch = 1;
    }
    int relu = ctx->tail && ctx->tail->relu && !ctx->tail->mean && !ctx->tail->add;
    product g = {m, n, k, a, b, bias, c, a_row, a_col, b_row, b_col, n, relu};
    if (n == 1 && m > 1 && !bias) { /* a column is the row of the transposed product */
        g = (product){1, m, k, b, a, NULL, c, b_col, b_row, a_col, a_row, m, relu};
        int64_t swap = a_batch;
        a_batch = b_batch, b_batch = swap;
    }
    int status = run_stack(ctx, g, batch, a_batch, b_batch);
    if (relu && status == ETUDE_OK)
        ctx->tail->done = 1;
    return status;
}

ETUDE_KERNEL(matmul, linear)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    return ETUDE_NAME(matmul)(ctx, a, b, bias, c, batch, m, n, k, a_batch, a_row, a_col, b_batch,
                              b_row, b_col);
}
