/* rows.cuh: what kernels on rows share: the team of threads that has a row, its maximum and its
   sums. On the CPU: c_src/cpu/rows.h and sums.h.

   A row belongs to a team: a warp where rows are short, four of them in a block, so that nobody
   waits for another row; a block where they are long. A team walks its row several times. Only the
   first walk reads it from memory: rows of up to some 30 KB are still in L1 for the others.
   Sums are double whatever real is: no square of a float leaves its range, and the order of the
   terms hardly matters. Cards with few double units (T4: 1 for 32 of float) still add as fast as
   their memory delivers. */
#ifndef ETUDE_ROWS_CUH
#define ETUDE_ROWS_CUH

#include "kernel.cuh"

typedef double wide; /* what sums are kept in */

enum {
    SHORT_ROW = 1024,      /* columns up to which a row is a warp's */
    LONG_ROW = 16384,      /* columns from which on a block has 1024 threads */
    SHORT_THREADS = 128,
    LONG_THREADS = 1024
};

struct team {
    int64_t row;
    int rank, size; /* of this thread, of the team */
};

/* ---- On the host ---- */

static inline int row_threads(int64_t cols)
{
    if (cols <= SHORT_ROW)
        return SHORT_THREADS;
    return cols < LONG_ROW ? (int)THREADS : (int)LONG_THREADS;
}

static inline unsigned row_blocks(int64_t rows, int64_t cols)
{
    return (unsigned)(cols <= SHORT_ROW ? pieces(rows, SHORT_THREADS / WARP) : rows);
}

/* ---- On the device ---- */

ETUDE_DEVICE team my_team(int64_t cols)
{
    if (cols > SHORT_ROW)
        return {(int64_t)blockIdx.x, (int)threadIdx.x, (int)blockDim.x};
    int64_t row = (int64_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    return {row, lane_of_warp(), WARP};
}

template <class T> ETUDE_DEVICE T team_sum(const team &t, T x)
{
    return t.size == WARP ? warp_sum(x) : block_sum(x);
}

template <class T> ETUDE_DEVICE T team_max(const team &t, T x)
{
    return t.size == WARP ? warp_max(x) : block_max(x);
}

/* The largest element that is no NaN; -infinity if there is none. */
template <int N> ETUDE_DEVICE real row_max(const team &t, const real *x, int64_t cols)
{
    real top = -INFINITY;
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> v = load<N>(x + c);
        for (int i = 0; i < N; i++)
            top = v.at[i] > top ? v.at[i] : top;
    }
    return team_max(t, top);
}

/* sum exp(x - top) */
template <int N> ETUDE_DEVICE wide row_exp_sum(const team &t, const real *x, real top, int64_t cols)
{
    wide sum = 0;
    for (int64_t c = t.rank * N; c < cols; c += t.size * N) {
        pack<N> v = load<N>(x + c);
        for (int i = 0; i < N; i++)
            sum += exp_of(v.at[i] - top);
    }
    return team_sum(t, sum);
}

/* Squares whose mean is this square are beyond what float can go on with: its reciprocal root would
   leave the range, or lose digits. NaN is too. */
ETUDE_DEVICE int beyond_float(wide square)
{
    return sizeof(real) == 4 && !(square > 1e-30 && square < 1e37);
}

#endif
