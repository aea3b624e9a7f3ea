/* gemm.cuh: one tile of a matrix product, which matmul, conv2d and conv2d_weight share.
   On the CPU: c_src/cpu/gemm.h.

   C += A B for SIDE x SIDE numbers of C, 256 threads, depth k. BLAS's names:

       SIDE = 16 P PACK   of the tile: with P = 2 128 for float, 64 for double; half with P = 1
       DEPTH = 16 / P     steps of k that are in shared memory together

   Registers: each thread has (P PACK)^2 numbers of C: 8 x 8 of float. They lie in P x P squares of
   PACK x PACK, 16 PACK apart, so that what a warp reads from shared memory together is 128 bytes of
   A and 64 of B without a gap: one wavefront each, no conflicts. The 32 lanes are 8 x 4 threads of
   the 16 x 16, the 8 warps 2 x 4.

   Shared memory: two buffers for each of A and B, DEPTH x (SIDE + PAD), 17 KB for float. While the
   threads multiply from one they have the next numbers under way to registers, one load of 16 bytes
   each for A and B, and put them into the other: one barrier for DEPTH steps. PAD keeps the numbers
   of an operand that lies along k apart: they are turned as they are put down, 2 lanes to 32 bytes
   of a row and 16 rows to a warp, and PAD sends the 32 numbers to 32 banks.

   Arithmetic against loads: 64 multiply-adds for 4 loads of 16 bytes from shared memory, so the
   multipliers are busy: 85 to 90 % of the peak of float aimed at with P = 2, 60 % with P = 1.

   Where the numbers of A and B come from is the business of two loaders. A loader has
       pack<PACK> fetch()                this thread's numbers of the next DEPTH steps, 0 outside
       void put(line *to, pack<PACK>)    puts them where they belong in shared memory
   The order of the sums along k is that of k. */
#ifndef ETUDE_GEMM_CUH
#define ETUDE_GEMM_CUH

#include "kernel.cuh"

namespace {

enum { GEMM_THREADS = 256, GEMM_PAD = 4 };

template <int P> struct gemm {
    enum {
        SIDE = 16 * P * PACK,
        DEPTH = 16 / P,
        OWN = P * PACK,    /* rows and columns of a thread */
        APART = 16 * PACK  /* between its squares */
    };
    typedef real line[SIDE + GEMM_PAD];

    struct tile {
        real sum[OWN][OWN];
    };

    /* Of this thread among 16 x 16. */
    static ETUDE_METHOD int thread_row()
    {
        return (int)threadIdx.x / 128 * 8 + lane_of_warp() / 4;
    }
    static ETUDE_METHOD int thread_column()
    {
        return (int)threadIdx.x / WARP % 4 * 4 + lane_of_warp() % 4;
    }
    /* Row or column `i` of those that a thread has, within the tile. */
    static ETUDE_METHOD int place(int thread, int i)
    {
        return i / PACK * APART + thread * PACK + i % PACK;
    }

    static ETUDE_METHOD void multiply_step(const line &a, const line &b, tile &t)
    {
        pack<PACK> x[P], y[P];
        for (int p = 0; p < P; p++) {
            x[p] = load<PACK>(a + place(thread_row(), p * PACK));
            y[p] = load<PACK>(b + place(thread_column(), p * PACK));
        }
#pragma unroll
        for (int i = 0; i < OWN; i++)
#pragma unroll
            for (int j = 0; j < OWN; j++)
                t.sum[i][j] += x[i / PACK].at[i % PACK] * y[j / PACK].at[j % PACK];
    }

    /* The tile of C, over `depth` steps of k. */
    template <class A, class B> static ETUDE_METHOD void run(A &a, B &b, int depth, tile &t)
    {
        __shared__ alignas(16) line as[2][DEPTH], bs[2][DEPTH];
#pragma unroll
        for (int i = 0; i < OWN; i++)
#pragma unroll
            for (int j = 0; j < OWN; j++)
                t.sum[i][j] = 0;
        if (depth <= 0)
            return;
        a.put(as[0], a.fetch());
        b.put(bs[0], b.fetch());
        __syncthreads();
        for (int now = 0; depth > 0; depth -= DEPTH, now = 1 - now) {
            pack<PACK> next_a, next_b;
            if (depth > DEPTH) {
                next_a = a.fetch();
                next_b = b.fetch();
            }
#pragma unroll
            for (int step = 0; step < DEPTH; step++)
                multiply_step(as[now][step], bs[now][step], t);
            if (depth > DEPTH) {
                a.put(as[1 - now], next_a);
                b.put(bs[1 - now], next_b);
            }
            __syncthreads();
        }
    }
};

/* ---- The loader of a matrix ------------------------------------------------------------------ */

/* Which way 16 bytes lie in memory: along k, or along the side of the tile. */
enum { ALONG_K, ALONG_SIDE };

/* One operand: `size` numbers along the side, from which the tile takes SIDE from `from` on, `side`
   elements apart, and k, `step` apart, from k_begin to k_end. With N = PACK the direction WAY is
   contiguous, aligned and made of whole packs, and a thread has one. With N = 1 numbers come one by
   one, from anywhere: neighbours in a warp have neighbours along WAY, and a thread's own are APART the
   other way. */
template <int P, int WAY, int N> struct matrix_loader {
    enum { SIDE = gemm<P>::SIDE, DEPTH = gemm<P>::DEPTH,
           APART = GEMM_THREADS / (WAY == ALONG_K ? (int)DEPTH : (int)SIDE) };
    const real *at;     /* this thread's first number */
    int64_t side, step;
    int numbers, depth; /* how many there are from it on, along the side and along k */
    int s, k;           /* its place in the tile */

    ETUDE_METHOD matrix_loader(const real *matrix, int64_t side, int64_t step, int64_t from,
                               int64_t size, int64_t k_begin, int64_t k_end)
        : side(side), step(step)
    {
        const int q = (int)threadIdx.x;
        if (WAY == ALONG_K && N == PACK) { /* two lanes have 32 bytes of a row */
            s = q / 2 % SIDE;
            k = (q % 2 + q / (2 * SIDE) * 2) * PACK;
        } else if (WAY == ALONG_K) {
            s = q / DEPTH;
            k = q % DEPTH;
        } else {
            s = q * N % SIDE;
            k = q * N / SIDE;
        }
        at = matrix + (from + s) * side + (k_begin + k) * step;
        numbers = (int)least(size - from, SIDE) - s;
        depth = (int)(k_end - k_begin) - k;
    }

    ETUDE_METHOD pack<PACK> fetch()
    {
        pack<PACK> v;
        if (N == PACK && numbers > 0 && depth > 0)
            v = load<PACK>(at);
        else
            for (int i = 0; i < PACK; i++) {
                int across = i * APART, along_k = WAY == ALONG_K;
                int inside = numbers > (along_k ? across : 0) && depth > (along_k ? 0 : across);
                v.at[i] = N == 1 && inside ? at[across * (along_k ? side : step)] : 0;
            }
        at += DEPTH * step;
        depth -= DEPTH;
        return v;
    }

    ETUDE_METHOD void put(typename gemm<P>::line *to, const pack<PACK> &v) const
    {
        if constexpr (WAY == ALONG_SIDE && N == PACK)
            store<PACK>(to[k] + s, v);
        else
            for (int i = 0; i < PACK; i++)
                if (N == PACK)
                    to[k + i][s] = v.at[i];
                else if (WAY == ALONG_K)
                    to[k][s + i * APART] = v.at[i];
                else
                    to[k + i * APART][s] = v.at[i];
    }
};

/* ---- Parts ----------------------------------------------------------------------------------- */

/* Where C has few tiles and k is long, k is cut into parts, each with a C of its own, and these add
   up in order. How many depends on the sizes alone, so that every card gives the same bits. */
enum { PART_DEPTH = 256, ENOUGH_TILES = 128, MOST_K_PARTS = 64 };

static inline int64_t parts_of_k(int64_t tiles, int64_t k)
{
    if (tiles == 0 || tiles >= ENOUGH_TILES)
        return 1;
    int64_t parts = least(pieces(2 * ENOUGH_TILES, tiles), k / PART_DEPTH);
    return most(1, least(parts, MOST_K_PARTS));
}

/* The length of a part: whole steps of DEPTH, which is 8 or 16. */
static inline int64_t part_length(int64_t k, int64_t parts)
{
    return pieces(pieces(k, parts), 16) * 16;
}

/* c[i] = the sum of parts[p][i] over p, plus the bias of its column, or of its row, which is
   i / row_length % rows. */
[[maybe_unused]] static __global__ void add_parts(const real *parts, const real *bias, real *c,
                                                  int64_t count, int64_t n, int64_t bias_step,
                                                  int64_t biases)
{
    for (int64_t i = first_item(); i < n; i += all_threads()) {
        real sum = parts[i];
        for (int64_t p = 1; p < count; p++)
            sum += parts[p * n + i];
        c[i] = bias ? sum + bias[i / bias_step % biases] : sum;
    }
}

} // namespace

#endif
