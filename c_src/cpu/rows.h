/* rows.h: reductions along one contiguous row, for softmax, norms, losses and sums.

   Sums run in four vectors of partial sums over blocks of ETUDE_BLOCK elements, and the blocks add
   up pairwise: the rounding error grows with log n, and the order depends on n alone, never on
   threads. A maximum here ignores NaN; where it matters the caller looks for NaN by itself. */
#ifndef ETUDE_ROWS_H
#define ETUDE_ROWS_H

#include "vmath.h"

typedef real lanes __attribute__((vector_size(ETUDE_VECTOR_BYTES)));

enum { LANES = ETUDE_VECTOR_BYTES / (int)sizeof(real) };

/* Whole rows that fit a block, at least one. */
static inline int64_t rows_in_block(int64_t cols)
{
    return cols > 0 && cols < ETUDE_BLOCK ? ETUDE_BLOCK / cols : 1;
}

/* Rows worth a thread: whole blocks, so that a block never depends on the split. */
static inline int64_t rows_grain(int64_t cols)
{
    int64_t rows = rows_in_block(cols), block = ETUDE_MAX(rows * cols, 1);
    return rows * ((ETUDE_GRAIN_MATH + block - 1) / block);
}

static inline real lanes_sum(lanes a, lanes b, lanes c, lanes d)
{
    real part[LANES], total = 0;
    a = (a + b) + (c + d);
    memcpy(part, &a, sizeof part);
    for (int k = 0; k < LANES; k++)
        total += part[k];
    return total;
}

static inline lanes lanes_at(const real *x)
{
    lanes a;
    memcpy(&a, x, sizeof a); /* one unaligned load */
    return a;
}

/* x[0..], or the products x[0..] y[0..] where y is given */
static inline __attribute__((always_inline)) lanes lanes_term(const real *x, const real *y)
{
    return y ? lanes_at(x) * lanes_at(y) : lanes_at(x);
}

/* sum x[i] or sum x[i] y[i] over a block */
static inline __attribute__((always_inline)) real block_dot(const real *x, const real *y,
                                                            int64_t n)
{
    lanes part[4] = {{0}};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            part[k] += lanes_term(x + i + k * LANES, y ? y + i + k * LANES : NULL);
    for (; i + LANES <= n; i += LANES)
        part[0] += lanes_term(x + i, y ? y + i : NULL);
    real total = lanes_sum(part[0], part[1], part[2], part[3]);
    for (; i < n; i++)
        total += y ? x[i] * y[i] : x[i];
    return total;
}

static inline real row_sum(const real *x, int64_t n)
{
    if (n <= ETUDE_BLOCK)
        return block_dot(x, NULL, n);
    int64_t half = n / 2 / ETUDE_BLOCK * ETUDE_BLOCK;
    half = half ? half : ETUDE_BLOCK;
    return row_sum(x, half) + row_sum(x + half, n - half);
}

static inline real row_dot(const real *x, const real *y, int64_t n)
{
    if (n <= ETUDE_BLOCK)
        return block_dot(x, y, n);
    int64_t half = n / 2 / ETUDE_BLOCK * ETUDE_BLOCK;
    half = half ? half : ETUDE_BLOCK;
    return row_dot(x, y, half) + row_dot(x + half, y + half, n - half);
}

/* The largest element that is no NaN; -infinity if there is none. */
static inline real row_max(const real *x, int64_t n)
{
    real top = -INFINITY;
    _Pragma("omp simd reduction(max : top)") for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* For the rows of a block: top[k] = max_c x[k][c] and sum[k] = sum_c exp(x[k][c] - top[k]). The
   exponential runs over the block as a whole, so that short rows fill the vectors too. */
static inline void block_log_sum(const real *x, int64_t rows, int64_t cols, real *top, real *sum)
{
    real e[ETUDE_BLOCK];
    for (int64_t k = 0; k < rows; k++) {
        top[k] = row_max(x + k * cols, cols);
        sum[k] = 0;
    }
    for (int64_t from = 0; from < cols; from += ETUDE_BLOCK) { /* more than once: one long row */
        int64_t n = ETUDE_MIN(cols - from, ETUDE_BLOCK);
        for (int64_t k = 0; k < rows; k++)
            ETUDE_SIMD for (int64_t c = 0; c < n; c++) e[k * n + c] = x[k * cols + from + c] - top[k];
        ETUDE_SIMD for (int64_t i = 0; i < rows * n; i++) e[i] = v_exp(e[i]);
        for (int64_t k = 0; k < rows; k++)
            sum[k] += block_dot(e + k * n, NULL, n);
    }
}

static inline real log_of(real x)
{
    return sizeof(real) == 8 ? (real)log(x) : (real)logf((float)x);
}

#endif
