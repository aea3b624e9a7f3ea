/* Assignment A8, the second step: blocks, and tiles in registers.

   Legend: a stack of s < batch products. A m x k and B k x n at any strides, counted in elements:
   element (i, p) of A[s] is a[s a_batch + i a_row + p a_col]. C m x n, contiguous. bias: n, or
   NULL.
       C[s][i][j] = sum_p A[s][i][p] B[s][p][j] + bias[j]
   Any size may be 0. A sum of no products is 0. */
#include <etude.h>
#include <string.h>

etude_matmul_fn_f32 etude_matmul_f32;

/* COLS numbers that the compiler adds and multiplies together, in whatever registers it has. */
enum { ROWS = 4, COLS = 8, DEPTH = 64 };
typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));

/* C[r][j] += sum_p A[r][p] panel[p][j] for r < rows, j < cols, p < depth. The sums are kept in
   registers until the last p. panel is depth x COLS, contiguous; cols <= COLS. */
static inline __attribute__((always_inline)) void
tile(int rows, const float *a, int64_t a_row, int64_t a_col, const float *panel, int64_t depth,
     float *c, int64_t c_row, int64_t cols)
{
    vec sum[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        sum[r] = (vec){0};
    for (int64_t p = 0; p < depth; p++) {
        vec right = *(const vec *)(panel + p * COLS);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sum[r] += a[r * a_row + p * a_col] * right;
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        float whole[COLS];
        memcpy(whole, &sum[r], sizeof whole);
        for (int64_t j = 0; j < cols; j++)
            c[r * c_row + j] += whole[j];
    }
}

/* The columns of C are done COLS at a time, the products of a sum DEPTH at a time. A panel of B is
   copied to memory without gaps first, zeros where B has no more columns, and then meets all rows
   of A, ROWS at a time. What is left over at the edges is less than a tile. */
int etude_matmul_f32(etude_context *ctx, const float *a, const float *b, const float *bias,
                     float *c, int64_t batch, int64_t m, int64_t n, int64_t k, int64_t a_batch,
                     int64_t a_row, int64_t a_col, int64_t b_batch, int64_t b_row, int64_t b_col)
{
    /* BEGIN SOLUTION STARTER: return ETUDE_UNSUPPORTED; */
    float *panel = etude_scratch(ctx, sizeof(float) * DEPTH * COLS);
    if (!panel)
        return ETUDE_NO_MEMORY;
    for (int64_t s = 0; s < batch; s++, a += a_batch, b += b_batch, c += m * n) {
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] = bias ? bias[j] : 0;
        for (int64_t j = 0; j < n; j += COLS)
            for (int64_t p = 0; p < k; p += DEPTH) {
                int64_t cols = n - j < COLS ? n - j : COLS, depth = k - p < DEPTH ? k - p : DEPTH;
                for (int64_t q = 0; q < depth; q++)
                    for (int64_t l = 0; l < COLS; l++)
                        panel[q * COLS + l] = l < cols ? b[(p + q) * b_row + (j + l) * b_col] : 0;
                const float *left = a + p * a_col;
                int64_t i = 0;
                for (; i + ROWS <= m; i += ROWS)
                    tile(ROWS, left + i * a_row, a_row, a_col, panel, depth, c + i * n + j, n,
                         cols);
                for (; i < m; i++)
                    tile(1, left + i * a_row, a_row, a_col, panel, depth, c + i * n + j, n,
                         cols);
            }
    }
    return ETUDE_OK;
    /* END SOLUTION */
}
