/* rows.h: what kernels on rows share: blocks of rows, the maximum, the sum of exponentials. */
#ifndef ETUDE_ROWS_H
#define ETUDE_ROWS_H

#include "sums.h"
#include "vmath.h"

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

/* Rows whose sums down columns add up by themselves, in a backward of a normalisation: enough for
   the sums to be small beside the rows. */
static inline int64_t rows_in_sum(int64_t cols)
{
    return ETUDE_MAX(rows_grain(cols), ETUDE_ROWS_OF_SUM);
}

/* The largest of lanes of which none is NaN. */
static inline real lanes_max(lanes a)
{
    real part[LANES], top = -INFINITY;
    memcpy(part, &a, sizeof part);
    ETUDE_PRAGMA(omp simd reduction(max : top)) for (int k = 0; k < LANES; k++)
        top = part[k] > top ? part[k] : top;
    return top;
}

/* The largest element that is no NaN; -infinity if there is none. */
static inline real row_max(const real *x, int64_t n)
{
    real top = -INFINITY;
    if (n < LANES) {
        for (int64_t i = 0; i < n; i++)
            top = x[i] > top ? x[i] : top;
        return top;
    }
    lanes a = lanes_at(x + n - LANES), b; /* the end; what is met twice does no harm */
    a = lanes_where(a == a, a, (lanes){0} - INFINITY);
    b = a;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        lanes v = lanes_at(x + i), w = lanes_at(x + i + LANES);
        a = lanes_where(v > a, v, a);
        b = lanes_where(w > b, w, b);
    }
    if (i + LANES <= n)
        a = lanes_where(lanes_at(x + i) > a, lanes_at(x + i), a);
    return lanes_max(lanes_where(b > a, b, a));
}

/* For the rows of a block: top[k] = max_c x[k][c] and sum[k] = sum_c exp(x[k][c] - top[k]). The
   exponential runs over the block as a whole, so that short rows fill the vectors too; so can the
   logarithms of the sums (block_logs). */
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
            ETUDE_SIMD for (int64_t c = 0; c < n; c++) e[k * n + c] =
                x[k * cols + from + c] - top[k];
        ETUDE_SIMD for (int64_t i = 0; i < rows * n; i++) e[i] = v_exp_below_0(e[i]);
        for (int64_t k = 0; k < rows; k++)
            sum[k] += row_sum(e + k * n, n);
    }
}

static inline void block_logs(const real *sum, real *log_sum, int64_t rows)
{
    ETUDE_SIMD for (int64_t k = 0; k < rows; k++) log_sum[k] = v_log(sum[k]);
}

/* The maximum of a row of which `top` is the largest number: NaN if it has one. A NaN is in its sum
   of exponentials too, so that ordinary rows are not read again. */
static inline real max_or_nan(const real *x, int64_t n, real top, real sum)
{
    for (int64_t i = 0; sum != sum && i < n; i++)
        if (x[i] != x[i])
            return x[i];
    return top;
}

#endif
