/* gemm.h: the inside of a matrix product, shared by matmul.c, conv2d.c and conv2d_weight.c.

   A register tile is mr x nv vectors of C, computed as a sum of kc outer products:

       C[i][j] = from[i][j] + sum_p A[i][p] B[p][j]        i < mr <= MR,  j < width <= NR

   B comes as a packed panel, row by row:      b[p * nv * VL + j], zeros where j >= width
   A comes packed, column by column:           a[p * mr + i]
     or as it lies, by one pointer per row:    rows[i][p * step]
       or, where its columns lie anywhere:     rows[i][place[p]]
   from is where the sum starts: C itself, a bias, or zeros; ldfrom = 0 repeats one row of it.

   The text is GCC vector extensions, so it serves SSE, NEON, AVX2 and AVX-512; only the fused
   multiply-add is named, because nothing else may round as one does. Each tile height is
   an instance of its own, because the loops over the accumulators must unroll for them to stay in
   registers. Full tiles with A and B in L1 run at 97 % of the peak of a core. An element of C is
   the same chain of operations in a tile of any size: how work is split never shows in a result. */
#ifndef ETUDE_GEMM_H
#define ETUDE_GEMM_H

#include <string.h>
#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernel.h"

typedef real vec __attribute__((vector_size(ETUDE_VECTOR_BYTES), aligned(sizeof(real)), may_alias));

enum {
    MR = GEMM_MR,
    NV = GEMM_NV,
    VL = ETUDE_VECTOR_BYTES / (int)sizeof(real), /* numbers in a vector */
    NR = NV * VL,
    KC = GEMM_KC,
    MC = GEMM_MC
};

#define GEMM_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#endif

/* x y + z with one rounding, where the machine has it in one instruction. */
#if defined(__AVX512F__) && ETUDE_REAL == 32
#define GEMM_FUSED(x, y, z) (vec)_mm512_fmadd_ps((__m512)(x), (__m512)(y), (__m512)(z))
#elif defined(__AVX512F__)
#define GEMM_FUSED(x, y, z) (vec)_mm512_fmadd_pd((__m512d)(x), (__m512d)(y), (__m512d)(z))
#elif defined(__FMA__) && ETUDE_REAL == 32
#define GEMM_FUSED(x, y, z) (vec)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(z))
#elif defined(__FMA__)
#define GEMM_FUSED(x, y, z) (vec)_mm256_fmadd_pd((__m256d)(x), (__m256d)(y), (__m256d)(z))
#elif defined(__aarch64__) && ETUDE_REAL == 32
#define GEMM_FUSED(x, y, z) (vec)vfmaq_f32((float32x4_t)(z), (float32x4_t)(x), (float32x4_t)(y))
#elif defined(__aarch64__)
#define GEMM_FUSED(x, y, z) (vec)vfmaq_f64((float64x2_t)(z), (float64x2_t)(x), (float64x2_t)(y))
#else
#define GEMM_FUSED(x, y, z) ((x) * (y) + (z))
#endif

/* A vector with x in every lane: a load that repeats a number costs no more than another. */
GEMM_INLINE vec gemm_repeat(real x)
{
    return x - (vec){0};
}

typedef void gemm_packed_tile(int64_t k, const real *a, const real *b, const real *from,
                              int64_t ldfrom, real *c, int64_t ldc);
typedef void gemm_rows_tile(int64_t k, const real *const *rows, int64_t step, const real *b,
                            const real *from, int64_t ldfrom, real *c, int64_t ldc);
typedef void gemm_places_tile(int64_t k, const real *const *rows, const int64_t *place,
                              const real *b, const real *from, int64_t ldfrom, real *c,
                              int64_t ldc);

GEMM_INLINE void gemm_tile_body(int mr, int nv, int placed, int64_t k, const real *const *rows,
                                int64_t step, const int64_t *place, const real *b,
                                const real *from, int64_t ldfrom, real *c, int64_t ldc)
{
    vec acc[MR][NV];
    GEMM_UNROLL for (int i = 0; i < mr; i++)
        GEMM_UNROLL for (int j = 0; j < nv; j++)
            acc[i][j] = (vec){0};
    for (int64_t p = 0, next = 0; p < k; p++, next += step) {
        int64_t at = placed ? place[p] : next;
        __asm__("" : "+r"(at)); /* or GCC makes a second loop for step == 1, and both spill */
        vec row[NV];
        GEMM_UNROLL for (int j = 0; j < nv; j++)
            row[j] = *(const vec *)(b + (p * nv + j) * VL);
        GEMM_UNROLL for (int i = 0; i < mr; i++)
            GEMM_UNROLL for (int j = 0; j < nv; j++)
                acc[i][j] = GEMM_FUSED(gemm_repeat(rows[i][at]), row[j], acc[i][j]);
    }
    GEMM_UNROLL for (int i = 0; i < mr; i++)
        GEMM_UNROLL for (int j = 0; j < nv; j++)
            *(vec *)(c + i * ldc + j * VL) = *(const vec *)(from + i * ldfrom + j * VL) + acc[i][j];
}

/* Instances: gemm_packed_<mr>x<nv>, gemm_rows_<mr>x<nv> and gemm_places_<mr>x<nv>. */
#define GEMM_INSTANCE(mr, nv)                                                                     \
    static void gemm_packed_##mr##x##nv(int64_t k, const real *a, const real *b,                  \
                                        const real *from, int64_t ldfrom, real *c, int64_t ldc)   \
    {                                                                                             \
        const real *rows[MR];                                                                     \
        GEMM_UNROLL for (int i = 0; i < mr; i++)                                                  \
            rows[i] = a + i;                                                                      \
        gemm_tile_body(mr, nv, 0, k, rows, mr, NULL, b, from, ldfrom, c, ldc);                    \
    }                                                                                             \
    static void gemm_rows_##mr##x##nv(int64_t k, const real *const *rows, int64_t step,           \
                                      const real *b, const real *from, int64_t ldfrom, real *c,   \
                                      int64_t ldc)                                                \
    {                                                                                             \
        gemm_tile_body(mr, nv, 0, k, rows, step, NULL, b, from, ldfrom, c, ldc);                  \
    }                                                                                             \
    static void gemm_places_##mr##x##nv(int64_t k, const real *const *rows, const int64_t *place, \
                                        const real *b, const real *from, int64_t ldfrom, real *c, \
                                        int64_t ldc)                                              \
    {                                                                                             \
        gemm_tile_body(mr, nv, 1, k, rows, 0, place, b, from, ldfrom, c, ldc);                    \
    }
#define GEMM_INSTANCES(mr) GEMM_INSTANCE(mr, 1) GEMM_INSTANCE(mr, 2)
GEMM_TILES(GEMM_INSTANCES)

#define GEMM_PACKED_ENTRY(mr) {gemm_packed_##mr##x1, gemm_packed_##mr##x2},
#define GEMM_ROWS_ENTRY(mr) {gemm_rows_##mr##x1, gemm_rows_##mr##x2},
#define GEMM_PLACES_ENTRY(mr) {gemm_places_##mr##x1, gemm_places_##mr##x2},
static gemm_packed_tile *const gemm_packed_tiles[MR][NV] = {GEMM_TILES(GEMM_PACKED_ENTRY)};
static gemm_rows_tile *const gemm_rows_tiles[MR][NV] = {GEMM_TILES(GEMM_ROWS_ENTRY)};
static gemm_places_tile *const gemm_places_tiles[MR][NV] = {GEMM_TILES(GEMM_PLACES_ENTRY)};

static const real gemm_zeros[NR]; /* a bias of zeros */

/* Where part i begins when n is cut into parts as equal as they can be. */
static inline int64_t gemm_cut(int64_t n, int64_t parts, int64_t i)
{
    return i * (n / parts) + ETUDE_MIN(i, n % parts);
}

/* How many vectors a panel of that width is padded to. */
static inline int gemm_vectors(int64_t width)
{
    return (int)((width + VL - 1) / VL);
}

/* A tile of A: packed, or as it lies, its rows `row` apart and their elements `step` apart. */
typedef struct {
    const real *a;
    int64_t row, step;
    int packed;
} gemm_a;

GEMM_INLINE void gemm_full_tile(int mr, int nv, int64_t k, gemm_a a, const real *b,
                                const real *from, int64_t ldfrom, real *c, int64_t ldc)
{
    if (a.packed) {
        gemm_packed_tiles[mr - 1][nv - 1](k, a.a, b, from, ldfrom, c, ldc);
        return;
    }
    const real *rows[MR];
    for (int i = 0; i < mr; i++)
        rows[i] = a.a + i * a.row;
    gemm_rows_tiles[mr - 1][nv - 1](k, rows, a.step, b, from, ldfrom, c, ldc);
}

/* Four floats or two doubles. */
typedef real quad __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));
enum { QUAD = 16 / (int)sizeof(real) };

/* n numbers; where that is no whole number of vectors, the last one begins early. */
static inline void gemm_copy(real *to, const real *from, int64_t n)
{
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        *(vec *)(to + j) = *(const vec *)(from + j);
    if (j == n)
        return;
    if (n > VL) {
        *(vec *)(to + n - VL) = *(const vec *)(from + n - VL);
        return;
    }
    for (; j + QUAD <= n; j += QUAD)
        *(quad *)(to + j) = *(const quad *)(from + j);
    for (; j < n; j++)
        to[j] = from[j];
}

/* One tile of C of any width. Memory past the end of a partial vector must not be touched, so such
   a tile is made beside C, in `edge`, and copied. */
static inline void gemm_tile(int mr, int64_t width, int64_t k, gemm_a a, const real *b,
                             const real *from, int64_t ldfrom, real *c, int64_t ldc)
{
    int nv = gemm_vectors(width);
    if (width == nv * VL) {
        gemm_full_tile(mr, nv, k, a, b, from, ldfrom, c, ldc);
        return;
    }
    real edge[MR * NR], start[MR * NR] = {0};
    for (int i = 0; i < (ldfrom ? mr : 1); i++)
        gemm_copy(start + i * NR, from + i * ldfrom, width);
    gemm_full_tile(mr, nv, k, a, b, start, ldfrom ? NR : 0, edge, NR);
    for (int i = 0; i < mr; i++)
        gemm_copy(c + i * ldc, edge + i * NR, width);
}

/* ---- Packing -------------------------------------------------------------------------------- */

#ifdef __clang__
#define GEMM_SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
typedef real_bits quad_index __attribute__((vector_size(16)));
#define GEMM_SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (quad_index){__VA_ARGS__})
#endif

/* A square of QUAD x QUAD numbers, one 16-byte register a row, transposed. */
static inline void gemm_transpose_quad(real *to, int64_t to_row, const real *x, int64_t x_row)
{
#if ETUDE_REAL == 64
    quad r0 = *(const quad *)x, r1 = *(const quad *)(x + x_row);
    *(quad *)to = GEMM_SHUFFLE(r0, r1, 0, 2);
    *(quad *)(to + to_row) = GEMM_SHUFFLE(r0, r1, 1, 3);
#else
    quad r0 = *(const quad *)x, r1 = *(const quad *)(x + x_row);
    quad r2 = *(const quad *)(x + 2 * x_row), r3 = *(const quad *)(x + 3 * x_row);
    quad low01 = GEMM_SHUFFLE(r0, r1, 0, 4, 1, 5), high01 = GEMM_SHUFFLE(r0, r1, 2, 6, 3, 7);
    quad low23 = GEMM_SHUFFLE(r2, r3, 0, 4, 1, 5), high23 = GEMM_SHUFFLE(r2, r3, 2, 6, 3, 7);
    *(quad *)to = GEMM_SHUFFLE(low01, low23, 0, 1, 4, 5);
    *(quad *)(to + to_row) = GEMM_SHUFFLE(low01, low23, 2, 3, 6, 7);
    *(quad *)(to + 2 * to_row) = GEMM_SHUFFLE(high01, high23, 0, 1, 4, 5);
    *(quad *)(to + 3 * to_row) = GEMM_SHUFFLE(high01, high23, 2, 3, 6, 7);
#endif
}

/* to[p * padded + j] = x[p * x_row + j * x_col] for p < k and j < width, 0 up to padded.
   The same routine makes panels of B and, with rows and columns exchanged, tiles of A. */
static inline void gemm_pack(real *to, const real *x, int64_t x_row, int64_t x_col, int64_t k,
                      int64_t width, int64_t padded)
{
    int64_t done = 0; /* columns */
    if (width < padded)
        memset(to, 0, (size_t)(k * padded) * sizeof(real));
    if (x_col == 1) {
        for (; done + NR <= width; done += NR)
            for (int64_t p = 0; p < k; p++)
                for (int j = 0; j < NR; j += VL)
                    *(vec *)(to + p * padded + done + j) = *(const vec *)(x + p * x_row + done + j);
        for (; done + QUAD <= width; done += QUAD)
            for (int64_t p = 0; p < k; p++)
                *(quad *)(to + p * padded + done) = *(const quad *)(x + p * x_row + done);
    } else if (x_row == 1) {
        int64_t depth = k / QUAD * QUAD;
        for (; done + QUAD <= width; done += QUAD) {
            for (int64_t p = 0; p < depth; p += QUAD)
                gemm_transpose_quad(to + p * padded + done, padded, x + done * x_col + p, x_col);
            for (int64_t p = depth; p < k; p++)
                for (int64_t j = done; j < done + QUAD; j++)
                    to[p * padded + j] = x[p + j * x_col];
        }
    }
    if (done < width)
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = done; j < width; j++)
                to[p * padded + j] = x[p * x_row + j * x_col];
}

/* to[j * to_row + i] = x[i * x_row + j] for i < rows and j < columns. */
static inline void gemm_transpose(real *to, int64_t to_row, const real *x, int64_t x_row,
                                  int64_t rows, int64_t columns)
{
    int64_t r = rows / QUAD * QUAD, c = columns / QUAD * QUAD;
    for (int64_t j = 0; j < c; j += QUAD)
        for (int64_t i = 0; i < r; i += QUAD)
            gemm_transpose_quad(to + j * to_row + i, to_row, x + i * x_row + j, x_row);
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = j < c ? r : 0; i < rows; i++)
            to[j * to_row + i] = x[i * x_row + j];
}

#endif
