/* columns.cuh: two sums down each column of a matrix, in an order that the sizes fix.

   Gradients of weights are such sums: of grad h and of grad over all rows, for each column. A part
   is some rows of 32 columns, and a block adds it up: eight warps take a row each, so that a warp
   reads 128 bytes together (4 sectors), and what they found meets in shared memory, in order. How
   many parts a column has depends on the sizes alone. A second kernel adds the parts up, in order.
   So nothing waits and nothing is atomic, and every run gives the same bits. */
#ifndef ETUDE_COLUMNS_CUH
#define ETUDE_COLUMNS_CUH

#include "rows.cuh"

enum {
    COLUMN_WARPS = 8,   /* that share a part */
    PART_ROWS = 64,     /* at least in a part */
    MOST_PARTS = 64
};

static inline int64_t column_parts(int64_t rows)
{
    return most(1, least(pieces(rows, PART_ROWS), MOST_PARTS));
}

/* sums[part][0 and 1][column] = what terms.add puts into two sums for each row of the part.
   Terms is a struct with
       void add(int64_t row, int64_t column, wide &first, wide &second) const */
template <class Terms>
static __global__ void add_columns(Terms terms, wide *sums, int64_t rows, int64_t cols)
{
    __shared__ wide first[COLUMN_WARPS][WARP], second[COLUMN_WARPS][WARP];
    int lane = lane_of_warp(), warp = (int)threadIdx.x / WARP;
    int64_t column = (int64_t)blockIdx.x * WARP + lane, parts = gridDim.y, part = blockIdx.y;
    int64_t step = pieces(rows, parts), begin = part * step, end = least(rows, begin + step);
    wide a = 0, b = 0;
    for (int64_t r = begin + warp; column < cols && r < end; r += COLUMN_WARPS)
        terms.add(r, column, a, b);
    first[warp][lane] = a;
    second[warp][lane] = b;
    __syncthreads();
    if (warp > 0 || column >= cols)
        return;
    for (int k = 1; k < COLUMN_WARPS; k++) {
        a += first[k][lane];
        b += second[k][lane];
    }
    sums[part * 2 * cols + column] = a;
    sums[(part * 2 + 1) * cols + column] = b;
}

/* Launches it. sums: column_parts(rows) x 2 x cols. */
template <class Terms>
static int run_columns(etude_context *ctx, const char *name, Terms terms, wide *sums, int64_t rows,
                       int64_t cols)
{
    dim3 grid((unsigned)pieces(cols, WARP), (unsigned)column_parts(rows));
    add_columns<Terms><<<grid, COLUMN_WARPS * WARP, 0, stream_of(ctx)>>>(terms, sums, rows, cols);
    return launched(ctx, name);
}

/* Adds up the parts of one of the two sums of a column. */
ETUDE_DEVICE wide column_total(const wide *sums, int64_t parts, int64_t which, int64_t column,
                               int64_t cols)
{
    wide total = 0;
    for (int64_t p = 0; p < parts; p++)
        total += sums[(p * 2 + which) * cols + column];
    return total;
}

/* The totals as the arrays that an op gives back; the second may be NULL. */
[[maybe_unused]] static __global__ void finish_columns(const wide *sums, real *first, real *second,
                                                       int64_t parts, int64_t cols)
{
    for (int64_t c = first_item(); c < cols; c += all_threads()) {
        first[c] = (real)column_total(sums, parts, 0, c, cols);
        if (second)
            second[c] = (real)column_total(sums, parts, 1, c, cols);
    }
}

#endif
