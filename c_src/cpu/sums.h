/* sums.h: sums along a contiguous row, whose order never depends on threads.

   Four vectors of partial sums run over blocks of ETUDE_BLOCK elements, and the blocks add up
   pairwise: the rounding error grows with log n, and the order is a function of n alone. */
#ifndef ETUDE_SUMS_H
#define ETUDE_SUMS_H

#include <string.h>

#include "kernel.h"

#define SUMS static inline __attribute__((always_inline))

typedef real lanes __attribute__((vector_size(ETUDE_VECTOR_BYTES)));

enum { LANES = ETUDE_VECTOR_BYTES / (int)sizeof(real) };

#if defined(ETUDE_INT)
typedef uint64_t total_type; /* integers wrap, as in NumPy; vectors of them do by themselves */
#else
typedef real total_type;
#endif

SUMS lanes lanes_at(const real *x)
{
    lanes a;
    memcpy(&a, x, sizeof a); /* one unaligned load */
    return a;
}

/* All lanes of a vector added up, or multiplied: its halves, then theirs, down to four floats. Each
   is a vector of its own type, because a loop over lanes is not always kept in registers. */
#if ETUDE_VECTOR_BYTES > 16
typedef real last_four __attribute__((vector_size(16))); /* or two doubles */
#define HALVE(whole, type, a, sign)                                                               \
    type a##_low, a##_high;                                                                       \
    memcpy(&a##_low, &(whole), sizeof a##_low);                                                   \
    memcpy(&a##_high, (const char *)&(whole) + sizeof a##_low, sizeof a##_high);                  \
    type a = a##_low sign a##_high
#else
typedef lanes last_four;
#endif

#if ETUDE_VECTOR_BYTES == 64
typedef real half_lanes __attribute__((vector_size(32)));
#define LAST_FOUR(v, four, sign)                                                                  \
    HALVE(v, half_lanes, half, sign);                                                             \
    HALVE(half, last_four, four, sign)
#elif ETUDE_VECTOR_BYTES == 32
#define LAST_FOUR(v, four, sign) HALVE(v, last_four, four, sign)
#else
#define LAST_FOUR(v, four, sign) last_four four = v
#endif

SUMS real lanes_sum(lanes a)
{
    LAST_FOUR(a, four, +);
    real total = four[0];
    for (int k = 1; k < 16 / (int)sizeof(real); k++)
        total = (real)((total_type)total + (total_type)four[k]);
    return total;
}

SUMS real lanes_product(lanes a)
{
    LAST_FOUR(a, four, *);
    real total = four[0];
    for (int k = 1; k < 16 / (int)sizeof(real); k++)
        total = (real)((total_type)total * (total_type)four[k]);
    return total;
}

typedef __typeof__((lanes){0} < (lanes){0}) lanes_mask; /* all bits of a lane, or none */

SUMS lanes lanes_where(lanes_mask mask, lanes a, lanes b) /* a where the mask is set, else b */
{
    return (lanes)(((lanes_mask)a & mask) | ((lanes_mask)b & ~mask));
}

/* The last `count` lanes of a; the others are b's. The end of a row is read as its last LANES
   numbers, of which the first have been seen: a vector, and no loop. */
SUMS lanes last_lanes(lanes a, lanes b, int64_t count)
{
    real place[LANES];
    for (int k = 0; k < LANES; k++)
        place[k] = (real)k;
    return lanes_where(lanes_at(place) >= (real)(LANES - count), a, b);
}

/* What a sum adds up: x, x - shift, x y or (x - shift)^2. It is a constant in every call, so that
   each has a loop of its own. */
enum term { SUM_OF_X, SUM_OF_SHIFTED, SUM_OF_XY, SUM_OF_SQUARES };

SUMS lanes lanes_term(enum term term, const real *x, const real *y, real shift)
{
    lanes v = lanes_at(x);
    if (term == SUM_OF_XY)
        return v * lanes_at(y);
    if (term == SUM_OF_SHIFTED)
        return v - shift;
    return term == SUM_OF_SQUARES ? (v - shift) * (v - shift) : v;
}

SUMS real block_sum(enum term term, const real *x, const real *y, real shift, int64_t n)
{
    lanes part[4] = {{0}};
    real total = 0;
    int64_t i = 0;
    for (; n < LANES && i < n; i++)
        total += term == SUM_OF_XY        ? x[i] * y[i]
                 : term == SUM_OF_SHIFTED ? x[i] - shift
                 : term == SUM_OF_SQUARES ? (x[i] - shift) * (x[i] - shift)
                                          : x[i];
    if (n < LANES)
        return total;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            part[k] += lanes_term(term, x + i + k * LANES, y + i + k * LANES, shift);
    for (; i + LANES <= n; i += LANES)
        part[0] += lanes_term(term, x + i, y + i, shift);
    if (i < n) {
        int64_t last = n - LANES;
        part[1] += last_lanes(lanes_term(term, x + last, y + last, shift), (lanes){0}, n - i);
    }
    return lanes_sum((part[0] + part[1]) + (part[2] + part[3]));
}

/* Where pairwise summation cuts n > ETUDE_BLOCK elements: about in half, after whole blocks. */
SUMS int64_t sum_half(int64_t n)
{
    int64_t half = n / 2 / ETUDE_BLOCK * ETUDE_BLOCK;
    return half ? half : ETUDE_BLOCK;
}

static inline real row_sum(const real *x, int64_t n)
{
    if (n <= ETUDE_BLOCK)
        return block_sum(SUM_OF_X, x, x, 0, n);
    int64_t half = sum_half(n);
    return row_sum(x, half) + row_sum(x + half, n - half);
}

/* sum x[i] - shift */
static inline real row_shifted(const real *x, real shift, int64_t n)
{
    if (n <= ETUDE_BLOCK)
        return block_sum(SUM_OF_SHIFTED, x, x, shift, n);
    int64_t half = sum_half(n);
    return row_shifted(x, shift, half) + row_shifted(x + half, shift, n - half);
}

/* sum x[i] y[i] */
static inline real row_dot(const real *x, const real *y, int64_t n)
{
    if (n <= ETUDE_BLOCK)
        return block_sum(SUM_OF_XY, x, y, 0, n);
    int64_t half = sum_half(n);
    return row_dot(x, y, half) + row_dot(x + half, y + half, n - half);
}

/* sum (x[i] - mean)^2 */
static inline real row_squares(const real *x, real mean, int64_t n)
{
    if (n <= ETUDE_BLOCK)
        return block_sum(SUM_OF_SQUARES, x, x, mean, n);
    int64_t half = sum_half(n);
    return row_squares(x, mean, half) + row_squares(x + half, mean, n - half);
}

#if !defined(ETUDE_INT)

/* ---- In double -------------------------------------------------------------------------------

   The square of 1e20 leaves the range of float, and so does the sum of a hundred 1e37, although a
   mean or a normalised row does not. Where that has happened, what is below adds up once more, of
   numbers that are `step` apart. It is rare, and so these are plain loops. */

/* Whether a sum has left the range of float, or is NaN. */
static inline int overflowed(real sum)
{
    return sizeof(real) == 4 && !(sum - sum == 0);
}

/* Whether squares whose mean is `square` have, or were so small that float rounded them away. */
static inline int squares_lost(real square)
{
    return sizeof(real) == 4 && (overflowed(square) || square < (real)1e-30);
}

static inline double wide_sum(const real *x, int64_t n, int64_t step)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += x[i * step];
    return total;
}

static inline double wide_squares(const real *x, double mean, int64_t n, int64_t step)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += (x[i * step] - mean) * (x[i * step] - mean);
    return total;
}

#endif

#endif
