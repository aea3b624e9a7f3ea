/* few_rows.h: the part of matmul.c for products of few rows, where packing B would cost more than
   the product itself. B is read where it lies, once.

   Legend as in matmul.c: C m x n = A m x k times B k x n, by element strides.

   Rows go in groups, of as many as the registers hold; the groups of one product take turns on the
   same piece of B while that is in the caches. How B lies decides how it is cut:

       B's columns are contiguous (a Linear's weight): a tile is a group of rows times DOT columns
           of dot products, a vector along k at a time. Each lane has a sum of its own; the lanes
           are added up at the end, those of several columns together.
       B's rows are contiguous: a tile is a group of rows times a few vectors along n, and each step
           along k multiplies one number of A by them, as in gemm.h. Only B is not packed.

   An element is the same chain of operations in a tile of any size, in any group: the order of its
   sums depends on k and on how B lies, never on the threads.

   Expected: 60 to 90 % of the peak of a core with B in L2 and four rows or more; with fewer rows,
   and with B in memory, what reading B takes. */
#ifndef ETUDE_FEW_ROWS_H
#define ETUDE_FEW_ROWS_H

#include "gemm.h"

typedef struct {
    int64_t m, n, k;
    const real *a, *b, *bias;
    real *c;
    int64_t a_row, a_col, b_row, b_col, c_row; /* strides; c's columns are contiguous */
    int relu; /* follows, on each element of c */
} product;

enum {
    FEW_DOTS = GEMM_FEW_DOTS,   /* most rows of a tile of dot products */
    DOT = 4,                    /* its columns */
    FEW_TALL = GEMM_FEW_TALL,   /* most rows of a tile of vectors along n */
    FEW_WIDE = 4,               /* most such vectors */
    AHEAD = 8                   /* rows of B that are asked for before their turn */
};

/* Have x in a register. GCC would rather read it anew from memory for each product it is in. */
#if defined(__x86_64__) || defined(__i386__)
#define FEW_HOLD(x) __asm__("" : "+v"(x))
#elif defined(__aarch64__)
#define FEW_HOLD(x) __asm__("" : "+w"(x))
#else
#define FEW_HOLD(x) (void)0
#endif

/* ---- B's columns are contiguous -------------------------------------------------------------- */

/* The lanes of a vector, added up to four floats or two doubles. */
GEMM_INLINE quad few_fold(vec x)
{
    quad part[VL / QUAD];
    GEMM_UNROLL for (int i = 0; i < VL / QUAD; i++)
        part[i] = ((const quad *)&x)[i];
    GEMM_UNROLL for (int half = VL / QUAD / 2; half; half /= 2)
        GEMM_UNROLL for (int i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}

/* The sums of the lanes of x[0], x[1], ..., one in each lane. */
GEMM_INLINE quad few_across(const quad *x)
{
#if ETUDE_REAL == 64
    return GEMM_SHUFFLE(x[0], x[1], 0, 2) + GEMM_SHUFFLE(x[0], x[1], 1, 3);
#else
    quad sum01 = GEMM_SHUFFLE(x[0], x[1], 0, 4, 1, 5) + GEMM_SHUFFLE(x[0], x[1], 2, 6, 3, 7);
    quad sum23 = GEMM_SHUFFLE(x[2], x[3], 0, 4, 1, 5) + GEMM_SHUFFLE(x[2], x[3], 2, 6, 3, 7);
    return GEMM_SHUFFLE(sum01, sum23, 0, 1, 4, 5) + GEMM_SHUFFLE(sum01, sum23, 2, 3, 6, 7);
#endif
}

/* `rows` rows of A times DOT columns of B, column[0], column[1], ...; `width` of them are kept. */
GEMM_INLINE void few_dots(int rows, int64_t k, const real *a, int64_t a_row,
                          const real *const *column, const real *bias, real *c, int64_t c_row,
                          int64_t width)
{
    vec acc[FEW_DOTS][DOT];
    quad part[FEW_DOTS][DOT];
    int64_t p = 0;
    GEMM_UNROLL for (int i = 0; i < rows; i++)
        GEMM_UNROLL for (int j = 0; j < DOT; j++)
            acc[i][j] = (vec){0};
    for (; p + VL <= k; p += VL) {
        vec x[FEW_DOTS];
        GEMM_UNROLL for (int i = 0; i < rows; i++)
            x[i] = *(const vec *)(a + i * a_row + p);
        GEMM_UNROLL for (int j = 0; j < DOT; j++) {
            vec w = *(const vec *)(column[j] + p);
            FEW_HOLD(w);
            GEMM_UNROLL for (int i = 0; i < rows; i++)
                acc[i][j] = GEMM_FUSED(x[i], w, acc[i][j]);
        }
    }
    GEMM_UNROLL for (int i = 0; i < rows; i++)
        GEMM_UNROLL for (int j = 0; j < DOT; j++)
            part[i][j] = few_fold(acc[i][j]);
    for (; p + QUAD <= k; p += QUAD)
        GEMM_UNROLL for (int j = 0; j < DOT; j++) {
            quad w = *(const quad *)(column[j] + p);
            GEMM_UNROLL for (int i = 0; i < rows; i++)
                part[i][j] += *(const quad *)(a + i * a_row + p) * w;
        }
    GEMM_UNROLL for (int i = 0; i < rows; i++) {
        real sum[DOT];
        GEMM_UNROLL for (int j = 0; j < DOT; j += QUAD)
            *(quad *)(sum + j) = few_across(&part[i][j]);
        for (int64_t q = p; q < k; q++)
            GEMM_UNROLL for (int j = 0; j < DOT; j++)
                sum[j] += a[i * a_row + q] * column[j][q];
        if (width == DOT)
            GEMM_UNROLL for (int j = 0; j < DOT; j++)
                c[i * c_row + j] = bias ? sum[j] + bias[j] : sum[j];
        else
            for (int64_t j = 0; j < width; j++)
                c[i * c_row + j] = bias ? sum[j] + bias[j] : sum[j];
    }
}

#define FEW_DOT(rows)                                                                             \
    static void few_dots_##rows(int64_t k, const real *a, int64_t a_row,                          \
                                const real *const *column, const real *bias, real *c,             \
                                int64_t c_row, int64_t width)                                     \
    {                                                                                             \
        few_dots(rows, k, a, a_row, column, bias, c, c_row, width);                               \
    }
#define FEW_DOT_ENTRY(rows) few_dots_##rows,
GEMM_FEW_DOT_TILES(FEW_DOT)
typedef void few_dots_tile(int64_t k, const real *a, int64_t a_row, const real *const *column,
                           const real *bias, real *c, int64_t c_row, int64_t width);
static few_dots_tile *const few_dots_tiles[FEW_DOTS] = {GEMM_FEW_DOT_TILES(FEW_DOT_ENTRY)};

/* Columns begin .. end of C. */
static void few_by_columns(const product *g, int64_t begin, int64_t end)
{
    int64_t groups = (g->m + FEW_DOTS - 1) / FEW_DOTS;
    for (int64_t j = begin; j < end; j += DOT) {
        const real *column[DOT];
        for (int64_t r = 0; r < DOT; r++) /* past the end: the last one again */
            column[r] = g->b + ETUDE_MIN(j + r, end - 1) * g->b_col;
        for (int64_t t = 0; t < groups; t++) {
            int64_t i = gemm_cut(g->m, groups, t), rows = gemm_cut(g->m, groups, t + 1) - i;
            few_dots_tiles[rows - 1](g->k, g->a + i * g->a_row, g->a_row, column,
                                     g->bias ? g->bias + j : NULL, g->c + i * g->c_row + j,
                                     g->c_row, ETUDE_MIN(DOT, end - j));
        }
    }
}

/* ---- B's rows are contiguous ----------------------------------------------------------------- */

/* `rows` rows of A times nv vectors of each row of B. */
GEMM_INLINE void few_outer(int rows, int nv, const product *g, int64_t i, int64_t j)
{
    const real *a[FEW_TALL], *b = g->b + j;
    vec acc[FEW_TALL][FEW_WIDE];
    GEMM_UNROLL for (int r = 0; r < rows; r++) {
        a[r] = g->a + (i + r) * g->a_row;
        GEMM_UNROLL for (int v = 0; v < nv; v++)
            acc[r][v] = (vec){0};
    }
    const int64_t a_col = g->a_col, b_row = g->b_row;
    const real *ahead = b + AHEAD * b_row;
    for (int64_t p = g->k, next = 0; p; p--, next += a_col, b += b_row, ahead += b_row) {
        vec w[FEW_WIDE];
        int64_t at = next;
        __asm__("" : "+r"(at)); /* as in gemm.h */
        GEMM_UNROLL for (int v = 0; v < nv; v++) {
            w[v] = *(const vec *)(b + v * VL);
            FEW_HOLD(w[v]);
            __builtin_prefetch(ahead + v * VL);
        }
        GEMM_UNROLL for (int r = 0; r < rows; r++) {
            vec x = gemm_repeat(a[r][at]);
            GEMM_UNROLL for (int v = 0; v < nv; v++)
                acc[r][v] = GEMM_FUSED(x, w[v], acc[r][v]);
        }
    }
    GEMM_UNROLL for (int r = 0; r < rows; r++)
        GEMM_UNROLL for (int v = 0; v < nv; v++) {
            if (g->bias)
                acc[r][v] += *(const vec *)(g->bias + j + v * VL);
            *(vec *)(g->c + (i + r) * g->c_row + j + v * VL) = acc[r][v];
        }
}

/* One row: y += x[p] B[p], STEP rows of B at a time while y is in L1: B is read in the order of
   memory. */
static void few_one_row(const product *g, int64_t begin, int64_t end)
{
    enum { STEP = 4 };
    real *y = g->c;
    for (int64_t j = begin; j < end; j++)
        y[j] = g->bias ? g->bias[j] : 0;
    int64_t p = 0;
    for (; p + STEP <= g->k; p += STEP) {
        const real *w = g->b + p * g->b_row, *x = g->a + p * g->a_col;
        real x0 = x[0], x1 = x[g->a_col], x2 = x[2 * g->a_col], x3 = x[3 * g->a_col];
        const real *w1 = w + g->b_row, *w2 = w1 + g->b_row, *w3 = w2 + g->b_row;
        for (int64_t j = begin; j < end; j++)
            y[j] += (x0 * w[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j]);
    }
    for (; p < g->k; p++)
        for (int64_t j = begin; j < end; j++)
            y[j] += g->a[p * g->a_col] * g->b[p * g->b_row + j];
}

/* Tiles for each number of rows: FEW_WIDE, half of that, and one vector wide. More than FEW_FULL
   rows leave no registers for the first. */
typedef void few_outer_tile(const product *g, int64_t i, int64_t j);
enum { FEW_FULL = GEMM_FEW_FULL, WIDE = 0, HALF, ONE, WIDTHS };
static const int few_vectors[WIDTHS] = {FEW_WIDE, FEW_WIDE / 2, 1};

#define FEW_OUTER(rows)                                                                           \
    static void few_outer_##rows##_wide(const product *g, int64_t i, int64_t j)                   \
    {                                                                                             \
        few_outer(rows, rows <= FEW_FULL ? FEW_WIDE : FEW_WIDE / 2, g, i, j);                     \
    }                                                                                             \
    static void few_outer_##rows##_half(const product *g, int64_t i, int64_t j)                   \
    {                                                                                             \
        few_outer(rows, FEW_WIDE / 2, g, i, j);                                                   \
    }                                                                                             \
    static void few_outer_##rows##_one(const product *g, int64_t i, int64_t j)                    \
    {                                                                                             \
        few_outer(rows, 1, g, i, j);                                                              \
    }
#define FEW_OUTER_ENTRY(rows)                                                                     \
    {few_outer_##rows##_wide, few_outer_##rows##_half, few_outer_##rows##_one},
GEMM_FEW_OUTER_TILES(FEW_OUTER)
static few_outer_tile *const few_outer_tiles[FEW_TALL][WIDTHS] = {
    GEMM_FEW_OUTER_TILES(FEW_OUTER_ENTRY)};

/* Columns begin .. end of C, of which there are VL or more. The last vector begins where it must
   to end with them: some elements are computed twice, and come out the same. */
static void few_by_rows(const product *g, int64_t begin, int64_t end)
{
    if (g->m == 1) {
        few_one_row(g, begin, end);
        return;
    }
    int64_t groups = (g->m + FEW_TALL - 1) / FEW_TALL;
    int widest = (g->m + groups - 1) / groups <= FEW_FULL ? WIDE : HALF;
    for (int64_t j = begin; j < end;) {
        int width = j + few_vectors[widest] * VL <= end ? widest : ONE;
        int64_t at = ETUDE_MIN(j, end - VL);
        for (int64_t t = 0; t < groups; t++) {
            int64_t i = gemm_cut(g->m, groups, t), rows = gemm_cut(g->m, groups, t + 1) - i;
            few_outer_tiles[rows - 1][width](g, i, at);
        }
        j = at + few_vectors[width] * VL;
    }
}

#endif
