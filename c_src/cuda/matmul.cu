/* matmul.cu: matmul and linear, C[s] = A[s] B[s] + bias for a stack of s < batch products.
   Reference: packages/etude/src/etude/ops/matmul.py.   On the CPU: c_src/cpu/matmul.c.
   Read first: c_src/cuda/plain/matmul.cu, the same with one thread for an element.

   Legend: A m x k and B k x n by element strides, so a transpose costs nothing here; C m x n
   contiguous; bias n or NULL. float and double (ETUDE_REAL).

   Plan. Three roads:
     tiles    gemm.cuh: a block for 128 x 128 of C (float), or 64 x 64 where those would be too few
              to fill a card. 16-byte loads wherever the contiguous direction of an operand is
              aligned: a warp brings 16 rows of 32 bytes, or one of 512, 16 sectors either way, the
              ideal. Deep products with few tiles are cut along k. Aimed at: 85 to 90 % of the
              peak of float. C is written by packs here, which nvcc 13 takes apart: its stores are of
              4 bytes (8 for double). Made to keep them whole, with __stcg or tiles at the edge apart
              from the others, the large tile of float spills 40 bytes and more on sm_75 or sm_80. A
              tile is written once after k steps, so that it matters least where tiles are used.
     dots     up to 4 rows of A and columns of B that are contiguous (a Linear's weight): a team of
              threads for each column reads it once, 16 bytes a lane, and keeps 4 sums. With up to
              4 columns of B the operands change places. Bound by memory: 85 %
              of its bandwidth aimed at.
     stripes  up to 4 rows of A and rows of B that are contiguous: a block for 32 columns, its eight
              warps each take every eighth row of B, 128 bytes at a time, 4 sectors. Aimed at:
              80 %.
   Dots and stripes add up in double, which costs nothing where memory is what one waits for. The
   order of the sums depends on the sizes alone. */
#include "gemm.cuh"
#include "rows.cuh"

struct product {
    int64_t batch, m, n, k;
    const real *a, *b, *bias;
    real *c;
    int64_t a_batch, a_row, a_col, b_batch, b_row, b_col;
    int64_t c_row, c_col, bias_row, bias_col; /* strides; tiles want c contiguous, n bias columns */
    int64_t parts, length;                    /* of k */
};

/* ---- Tiles ----------------------------------------------------------------------------------- */

/* blockIdx.x counts (product, part of k, row of tiles, column of tiles), the last the fastest. */
template <int P, int WAY_A, int WAY_B, int N>
static __global__ void __launch_bounds__(GEMM_THREADS, 2) matmul_tiles(product g)
{
    typedef gemm<P> G;
    int64_t columns = pieces(g.n, G::SIDE), rows = pieces(g.m, G::SIDE);
    int64_t n0 = blockIdx.x % columns * G::SIDE, rest = blockIdx.x / columns;
    int64_t m0 = rest % rows * G::SIDE, part = rest / rows % g.parts, s = rest / rows / g.parts;
    int64_t k_begin = part * g.length, k_end = least(g.k, k_begin + g.length);

    matrix_loader<P, WAY_A, N> a(g.a + s * g.a_batch, g.a_row, g.a_col, m0, g.m, k_begin,
                                 k_end);
    matrix_loader<P, WAY_B, N> b(g.b + s * g.b_batch, g.b_col, g.b_row, n0, g.n, k_begin,
                                 k_end);
    typename G::tile t;
    G::run(a, b, (int)(k_end - k_begin), t);

    real *c = g.c + (part * g.batch + s) * g.m * g.n, bias[G::OWN];
#pragma unroll
    for (int j = 0; j < G::OWN; j++) {
        int64_t column = n0 + G::place(G::thread_column(), j);
        bias[j] = g.bias && column < g.n ? g.bias[column] : 0;
    }
#pragma unroll
    for (int i = 0; i < G::OWN; i++) {
        int64_t row = m0 + G::place(G::thread_row(), i);
#pragma unroll
        for (int p = 0; p < P; p++) {
            int64_t column = n0 + G::place(G::thread_column(), p * PACK);
            pack<PACK> v;
            for (int j = 0; j < PACK; j++)
                v.at[j] = t.sum[i][p * PACK + j] + bias[p * PACK + j];
            if (row >= g.m)
                continue;
            if (N == PACK && column + PACK <= g.n && g.n % PACK == 0)
                store<PACK>(c + row * g.n + column, v);
            else
                for (int j = 0; j < PACK; j++)
                    if (column + j < g.n)
                        c[row * g.n + column + j] = v.at[j];
        }
    }
}

/* Whether an operand can be read in packs along the direction that is contiguous, of n numbers, and
   the other lines, apart from each other, keep the alignment. */
static int packs(const real *p, int64_t n, int64_t apart, int64_t batch_apart)
{
    return aligned(p) && n % PACK == 0 && apart % PACK == 0 && batch_apart % PACK == 0;
}

template <int P, int N>
static int launch_tiles(etude_context *ctx, const product &g, int a_along_k, int b_along_k)
{
    int64_t side = gemm<P>::SIDE;
    unsigned blocks = (unsigned)(g.batch * g.parts * pieces(g.m, side) * pieces(g.n, side));
    cudaStream_t stream = stream_of(ctx);
    if (a_along_k && b_along_k)
        matmul_tiles<P, ALONG_K, ALONG_K, N><<<blocks, GEMM_THREADS, 0, stream>>>(g);
    else if (a_along_k)
        matmul_tiles<P, ALONG_K, ALONG_SIDE, N><<<blocks, GEMM_THREADS, 0, stream>>>(g);
    else if (b_along_k)
        matmul_tiles<P, ALONG_SIDE, ALONG_K, N><<<blocks, GEMM_THREADS, 0, stream>>>(g);
    else
        matmul_tiles<P, ALONG_SIDE, ALONG_SIDE, N><<<blocks, GEMM_THREADS, 0, stream>>>(g);
    return launched(ctx, "matmul_tiles");
}

static int run_tiles(etude_context *ctx, product g)
{
    int64_t large = g.batch * pieces(g.m, gemm<2>::SIDE) * pieces(g.n, gemm<2>::SIDE);
    int64_t small = g.batch * pieces(g.m, gemm<1>::SIDE) * pieces(g.n, gemm<1>::SIDE);
    int a_along_k = g.a_col == 1 && !(g.a_row == 1 && g.k == 1), b_along_k = g.b_col != 1;
    int packed = (a_along_k ? packs(g.a, g.k, g.a_row, g.a_batch)
                            : g.a_row == 1 && packs(g.a, g.m, g.a_col, g.a_batch)) &&
                 (b_along_k ? g.b_row == 1 && packs(g.b, g.k, g.b_col, g.b_batch)
                            : packs(g.b, g.n, g.b_row, g.b_batch));
    packed = packed && aligned(g.c);
    int large_tiles = packed && large >= ENOUGH_TILES;
    g.parts = parts_of_k(large_tiles ? large : small, g.k);
    g.length = part_length(g.k, g.parts);
    product whole = g;
    if (g.parts > 1) {
        size_t bytes = (size_t)(g.parts * g.batch * g.m * g.n) * sizeof(real);
        g.c = (real *)etude_scratch(ctx, bytes);
        if (!g.c)
            return ETUDE_NO_MEMORY;
        g.bias = NULL;
    }
    int status;
    if (large_tiles)
        status = launch_tiles<2, PACK>(ctx, g, a_along_k, b_along_k);
    else if (packed)
        status = launch_tiles<1, PACK>(ctx, g, a_along_k, b_along_k);
    else
        status = launch_tiles<1, 1>(ctx, g, a_along_k, b_along_k);
    if (g.parts == 1 || status != ETUDE_OK)
        return status;
    int64_t all = g.batch * g.m * g.n;
    add_parts<<<blocks_for(all), THREADS, 0, stream_of(ctx)>>>(g.c, whole.bias, whole.c, g.parts,
                                                               all, 1, g.n);
    return launched(ctx, "add_parts");
}

/* ---- Thin products --------------------------------------------------------------------------- */

enum {
    THIN = 4,       /* rows of A in a thin product */
    STRIPE = 64,    /* columns from which on stripes have enough to do */
    STRIPE_WARPS = 8
};

/* Writes what one thread has of a column: C[i][j] for i < m. */
ETUDE_DEVICE void write_thin(const product &g, int64_t s, int64_t j, const wide *sum)
{
    for (int i = 0; i < THIN; i++)
        if (i < g.m) {
            real v = (real)sum[i];
            if (g.bias)
                v += g.bias[i * g.bias_row + j * g.bias_col];
            g.c[s * g.m * g.n + i * g.c_row + j * g.c_col] = v;
        }
}

/* A team has one column of B. Rows of A beyond m read the last one again, and are not written. */
template <int N> ETUDE_DEVICE void dot_column(const product &g, const team &t, int64_t s, int64_t j)
{
    const real *a = g.a + s * g.a_batch, *b = g.b + s * g.b_batch + j * g.b_col;
    wide sum[THIN] = {};
    for (int64_t p = t.rank * N; p < g.k; p += t.size * N) {
        pack<N> y = load<N>(b + p * (N == 1 ? g.b_row : 1));
#pragma unroll
        for (int i = 0; i < THIN; i++) {
            int64_t row = least(i, g.m - 1);
            pack<N> x = load<N>(a + row * g.a_row + p * (N == 1 ? g.a_col : 1));
            for (int e = 0; e < N; e++)
                sum[i] += (wide)x.at[e] * y.at[e];
        }
    }
#pragma unroll
    for (int i = 0; i < THIN; i++)
        sum[i] = team_sum(t, sum[i]);
    if (t.rank == 0)
        write_thin(g, s, j, sum);
}

static __global__ void matmul_dots(product g, int packed)
{
    team t = my_team(g.k); /* t.row counts the columns of all products */
    if (t.row >= g.batch * g.n)
        return;
    if (packed)
        dot_column<PACK>(g, t, t.row / g.n, t.row % g.n);
    else
        dot_column<1>(g, t, t.row / g.n, t.row % g.n);
}

/* blockIdx.x counts the stripes of 32 columns of all products. */
static __global__ void matmul_stripes(product g)
{
    __shared__ wide parts[STRIPE_WARPS][THIN][WARP];
    int lane = lane_of_warp(), warp = (int)threadIdx.x / WARP;
    int64_t stripes = pieces(g.n, WARP), s = blockIdx.x / stripes;
    int64_t j = blockIdx.x % stripes * WARP + lane;
    const real *a = g.a + s * g.a_batch, *b = g.b + s * g.b_batch + j * g.b_col;
    wide sum[THIN] = {};
    for (int64_t p = warp; j < g.n && p < g.k; p += STRIPE_WARPS) {
        real y = b[p * g.b_row];
#pragma unroll
        for (int i = 0; i < THIN; i++)
            sum[i] += (wide)a[least(i, g.m - 1) * g.a_row + p * g.a_col] * y;
    }
#pragma unroll
    for (int i = 0; i < THIN; i++)
        parts[warp][i][lane] = sum[i];
    __syncthreads();
    if (warp > 0 || j >= g.n)
        return;
    for (int w = 1; w < STRIPE_WARPS; w++)
#pragma unroll
        for (int i = 0; i < THIN; i++)
            sum[i] += parts[w][i][lane];
    write_thin(g, s, j, sum);
}

/* Runs a product of up to THIN rows, if there is a road for it; -1 if not. */
static int run_thin(etude_context *ctx, const product &g)
{
    if (g.b_row == 1) {
        int packed = g.a_col == 1 && packs(g.b, g.k, g.b_col, g.b_batch) &&
                     packs(g.a, g.k, g.a_row, g.a_batch);
        matmul_dots<<<row_blocks(g.batch * g.n, g.k), row_threads(g.k), 0, stream_of(ctx)>>>(
            g, packed);
        return launched(ctx, "matmul_dots");
    }
    if (g.n < STRIPE)
        return -1;
    unsigned blocks = (unsigned)(g.batch * pieces(g.n, WARP));
    matmul_stripes<<<blocks, STRIPE_WARPS * WARP, 0, stream_of(ctx)>>>(g);
    return launched(ctx, "matmul_stripes");
}

/* The transposed product, C^T = B^T A^T. */
static product transposed(const product &g)
{
    product t = g;
    t.m = g.n, t.n = g.m, t.a = g.b, t.b = g.a;
    t.a_batch = g.b_batch, t.a_row = g.b_col, t.a_col = g.b_row;
    t.b_batch = g.a_batch, t.b_row = g.a_col, t.b_col = g.a_row;
    t.c_row = g.c_col, t.c_col = g.c_row, t.bias_row = g.bias_col, t.bias_col = g.bias_row;
    return t;
}

ETUDE_KERNEL(matmul, matmul)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    if (batch == 0 || m == 0 || n == 0)
        return ETUDE_OK;
    if (b_batch == 0 && (m == 1 || a_batch == m * a_row)) { /* one B under all: one tall product */
        a_row = m == 1 ? a_batch : a_row;
        m *= batch;
        batch = 1;
    }
    product g = {batch, m, n, k, a, b, bias, c, a_batch, a_row, a_col, b_batch, b_row, b_col,
                 n, 1, 0, 1, 1, k};
    if (k > INT32_MAX) {
        snprintf(ctx->error, sizeof ctx->error, "sums of more than 2^31 terms");
        return ETUDE_UNSUPPORTED;
    }
    int status = m <= THIN ? run_thin(ctx, g) : n <= THIN ? run_thin(ctx, transposed(g)) : -1;
    return status < 0 ? run_tiles(ctx, g) : status;
}

ETUDE_KERNEL(matmul, linear)(etude_context *ctx, const real *a, const real *b, const real *bias,
                             real *c, int64_t batch, int64_t m, int64_t n, int64_t k,
                             int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch,
                             int64_t b_row, int64_t b_col)
{
    return ETUDE_NAME(matmul)(ctx, a, b, bias, c, batch, m, n, k, a_batch, a_row, a_col, b_batch,
                              b_row, b_col);
}
