/* linear_int8.c: y[r][n] = scale[n] sum_k x[r][k] weight[n][k] + bias[n], the weight in int8.
   Reference: packages/etude/src/etude/ops/linear_int8.py.

   Legend: x rows x K, weight N x K int8, scale and bias N, y rows x N.

   Plan. A weight of one byte becomes a number of x's dtype in a register, and is multiplied there.
   Few rows (a token at a time) are bound by the memory that the weight is read from, of which int8
   takes a quarter: dot products along k, COLUMNS channels and up to ROWS rows of x at a time, so
   that what is converted once serves several rows. Many rows are bound by arithmetic: a strip of
   NR channels is converted and packed as in matmul.c, and gemm.h's tiles do the rest. Each sum
   ends in y, and is scaled there once. The order of a sum depends on K and on the number of rows:
   any number of threads gives the same bits. */
#include "gemm.h"

enum {
    COLUMNS = 4,  /* channels in flight */
    ROWS = 4,     /* rows of x in flight */
    LANES = 2,    /* vectors of each channel, where there is one row */
    FEW = 12,     /* rows up to which dot products pay */
};

typedef int8_t bytes __attribute__((vector_size(VL), aligned(1), may_alias));
typedef int16_t halves __attribute__((vector_size(2 * VL)));
typedef int32_t words __attribute__((vector_size(4 * VL)));

typedef struct {
    const real *x, *scale, *bias;
    const int8_t *weight;
    real *y;
    int64_t rows, N, K;
    int64_t blocks; /* of rows, in the part for many */
} int8_call;

/* VL weights as numbers, by way of int32, which machines convert to float. The step to int32 is
   named where x86 has it in one instruction: GCC 12 makes ten of it, or one for each number. */
GEMM_INLINE vec widened(const int8_t *weight)
{
#if defined(__AVX512F__) && ETUDE_REAL == 32
    words wide = (words)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)weight));
#elif defined(__AVX512F__) || (defined(__AVX2__) && ETUDE_REAL == 32)
    words wide = (words)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)weight));
#elif defined(__AVX2__)
    int32_t four;
    memcpy(&four, weight, sizeof four);
    words wide = (words)_mm_cvtepi8_epi32(_mm_cvtsi32_si128(four));
#else
    halves half = __builtin_convertvector(*(const bytes *)weight, halves);
    words wide = __builtin_convertvector(half, words);
#endif
    return __builtin_convertvector(wide, vec);
}

static inline real lane_sum(vec x)
{
    real lanes[VL];
    *(vec *)lanes = x;
    for (int half = VL / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

static inline real finished(const int8_call *c, int64_t n, real sum)
{
    real y = sum * c->scale[n];
    return c->bias ? y + c->bias[n] : y;
}

/* ---- Few rows -------------------------------------------------------------------------------- */

/* y for `rows` rows from r on and `count` channels from n on: dot products of two runs. */
GEMM_INLINE void dot_block(const int8_call *c, int64_t r, int rows, int64_t n, int count, int lanes)
{
    const real *x = c->x + r * c->K;
    const int8_t *w = c->weight + n * c->K;
    vec acc[ROWS][COLUMNS][LANES];
    int64_t p = 0;
    GEMM_UNROLL for (int i = 0; i < rows; i++)
        GEMM_UNROLL for (int j = 0; j < count; j++)
            GEMM_UNROLL for (int l = 0; l < lanes; l++)
                acc[i][j][l] = (vec){0};
    for (; p + lanes * VL <= c->K; p += lanes * VL)
        GEMM_UNROLL for (int l = 0; l < lanes; l++) {
            vec at[ROWS];
            GEMM_UNROLL for (int i = 0; i < rows; i++)
                at[i] = *(const vec *)(x + i * c->K + p + l * VL);
            GEMM_UNROLL for (int j = 0; j < count; j++) {
                vec weight = widened(w + j * c->K + p + l * VL);
                GEMM_UNROLL for (int i = 0; i < rows; i++)
                    acc[i][j][l] = GEMM_FUSED(at[i], weight, acc[i][j][l]);
            }
        }
    for (; p + VL <= c->K; p += VL)
        GEMM_UNROLL for (int j = 0; j < count; j++) {
            vec weight = widened(w + j * c->K + p);
            GEMM_UNROLL for (int i = 0; i < rows; i++)
                acc[i][j][0] = GEMM_FUSED(*(const vec *)(x + i * c->K + p), weight, acc[i][j][0]);
        }
    GEMM_UNROLL for (int i = 0; i < rows; i++)
        GEMM_UNROLL for (int j = 0; j < count; j++) {
            GEMM_UNROLL for (int l = 1; l < lanes; l++)
                acc[i][j][0] += acc[i][j][l];
            real sum = lane_sum(acc[i][j][0]);
            for (int64_t q = p; q < c->K; q++)
                sum += x[i * c->K + q] * (real)w[j * c->K + q];
            c->y[(r + i) * c->N + n + j] = finished(c, n + j, sum);
        }
}

/* All rows for `count` channels, whose weights stay in L1 meanwhile. */
GEMM_INLINE void dot_rows(const int8_call *c, int64_t n, int count)
{
    if (c->rows == 1) {
        dot_block(c, 0, 1, n, count, LANES);
        return;
    }
    int64_t r = 0;
    for (; r + ROWS <= c->rows; r += ROWS)
        dot_block(c, r, ROWS, n, count, 1);
    for (; r < c->rows; r++)
        dot_block(c, r, 1, n, count, 1);
}

static void few_body(void *arg, int64_t begin, int64_t end)
{
    const int8_call *c = arg;
    int64_t n = begin;
    for (; n + COLUMNS <= end; n += COLUMNS)
        dot_rows(c, n, COLUMNS);
    for (; n < end; n++)
        dot_rows(c, n, 1);
}

/* ---- Many rows ------------------------------------------------------------------------------- */

/* Weights n .. n + width at depth p0 .. p0 + kc as a panel of gemm.h; `flat` has room for them. */
static void pack_int8(const int8_call *c, int64_t n, int64_t width, int64_t p0, int64_t kc,
                      real *flat, real *panel)
{
    for (int64_t j = 0; j < width; j++) {
        const int8_t *from = c->weight + (n + j) * c->K + p0;
        int64_t p = 0;
        for (; p + VL <= kc; p += VL)
            *(vec *)(flat + j * kc + p) = widened(from + p);
        for (; p < kc; p++)
            flat[j * kc + p] = (real)from[p];
    }
    gemm_pack(panel, flat, 1, kc, kc, width, gemm_vectors(width) * VL);
}

/* A block of rows times a strip of NR channels, one task after another. */
static void many_body(void *arg, int64_t begin, int64_t end)
{
    const int8_call *c = arg;
    real flat[NR * KC], panel[NR * KC] __attribute__((aligned(64)));
    int64_t depths = (c->K + KC - 1) / KC, tiles = (c->rows + MR - 1) / MR;
    for (int64_t task = begin; task < end; task++) {
        int64_t n = task / c->blocks * NR, width = ETUDE_MIN(NR, c->N - n);
        int64_t t0 = gemm_cut(tiles, c->blocks, task % c->blocks);
        int64_t t1 = gemm_cut(tiles, c->blocks, task % c->blocks + 1);
        for (int64_t d = 0; d < depths; d++) {
            int64_t p0 = gemm_cut(c->K, depths, d), kc = gemm_cut(c->K, depths, d + 1) - p0;
            pack_int8(c, n, width, p0, kc, flat, panel);
            for (int64_t t = t0; t < t1; t++) {
                int64_t i = gemm_cut(c->rows, tiles, t), mr = gemm_cut(c->rows, tiles, t + 1) - i;
                real *y = c->y + i * c->N + n;
                gemm_a a = {.a = c->x + i * c->K + p0, .row = c->K, .step = 1};
                gemm_tile((int)mr, width, kc, a, panel, d ? y : gemm_zeros, d ? c->N : 0, y, c->N);
                for (int64_t r = 0; d == depths - 1 && r < mr; r++)
                    for (int64_t j = 0; j < width; j++)
                        y[r * c->N + j] = finished(c, n + j, y[r * c->N + j]);
            }
        }
    }
}

ETUDE_KERNEL(linear_int8, linear_int8)(etude_context *ctx, const real *x, const int8_t *weight,
                                       const real *scale, const real *bias, real *y, int64_t rows,
                                       int64_t N, int64_t K)
{
    int8_call c = {x, scale, bias, weight, y, rows, N, K, 1};
    if (rows == 0 || N == 0)
        return ETUDE_OK;
    if (rows <= FEW || K == 0) {
        int64_t grain = GEMM_WORK / 2 / ETUDE_MAX(1, rows * K) / COLUMNS * COLUMNS;
        etude_parallel_for(ctx, few_body, &c, N, ETUDE_MAX(COLUMNS, grain));
        return ETUDE_OK;
    }
    c.blocks = (rows + MC - 1) / MC;
    int64_t strips = (N + NR - 1) / NR, work = rows * NR * K / c.blocks;
    etude_parallel_for(ctx, many_body, &c, strips * c.blocks, ETUDE_MAX(1, GEMM_WORK / work));
    return ETUDE_OK;
}
