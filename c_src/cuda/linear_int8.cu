/* linear_int8.cu: y[r][n] = scale[n] sum_k x[r][k] weight[n][k] + bias[n], the weight in int8.
   Reference: packages/etude/src/etude/ops/linear_int8.py. On the CPU: c_src/cpu/linear_int8.c.
   x: rows x K; weight: N x K; scale, bias: N, bias may be NULL; y: rows x N. float and double
   (ETUDE_REAL).

   Plan. For a token at a time, which the memory of the weight bounds: a team of threads has a
   channel and up to TOGETHER rows of x, which L1 and L2 give again to every channel. A weight is
   read as a byte, a quarter of a float's, and becomes a number in a register; a load of 16 bytes
   of x meets one of 4 or 2 bytes of weight. Sums are double. Many rows read each weight once for
   TOGETHER of them, so a product bound by arithmetic is slower here than linear. */
#include "rows.cuh"

enum { TOGETHER = 4 };

struct int8_call {
    const real *x, *scale, *bias;
    const int8_t *weight;
    real *y;
    int64_t rows, N, K;
};

/* Rows r .. r + TOGETHER of channel n. Rows beyond the last read that again, and are not written. */
template <int P>
ETUDE_DEVICE void int8_dots(const int8_call &c, const team &t, int64_t r, int64_t n)
{
    const int8_t *weight = c.weight + n * c.K;
    wide sum[TOGETHER] = {};
    for (int64_t p = t.rank * P; p < c.K; p += t.size * P) {
        pack<P, int8_t> w = load<P>(weight + p);
#pragma unroll
        for (int i = 0; i < TOGETHER; i++) {
            pack<P> x = load<P>(c.x + least(r + i, c.rows - 1) * c.K + p);
            for (int e = 0; e < P; e++)
                sum[i] += (wide)x.at[e] * w.at[e];
        }
    }
#pragma unroll
    for (int i = 0; i < TOGETHER; i++)
        sum[i] = team_sum(t, sum[i]);
    for (int i = 0; t.rank == 0 && i < TOGETHER && r + i < c.rows; i++) {
        real y = (real)sum[i] * c.scale[n];
        c.y[(r + i) * c.N + n] = c.bias ? y + c.bias[n] : y;
    }
}

static __global__ void linear_int8_dots(int8_call c, int packed)
{
    team t = my_team(c.K); /* t.row counts the channels of all groups of rows */
    int64_t groups = pieces(c.rows, TOGETHER);
    if (t.row >= groups * c.N)
        return;
    if (packed)
        int8_dots<PACK>(c, t, t.row / c.N * TOGETHER, t.row % c.N);
    else
        int8_dots<1>(c, t, t.row / c.N * TOGETHER, t.row % c.N);
}

ETUDE_KERNEL(linear_int8, linear_int8)(etude_context *ctx, const real *x, const int8_t *weight,
                                       const real *scale, const real *bias, real *y, int64_t rows,
                                       int64_t N, int64_t K)
{
    if (rows == 0 || N == 0)
        return ETUDE_OK;
    int8_call c = {};
    c.x = x, c.scale = scale, c.bias = bias, c.weight = weight, c.y = y;
    c.rows = rows, c.N = N, c.K = K;
    int packed = K % PACK == 0 && aligned(x) && aligned(weight);
    int64_t teams = pieces(rows, TOGETHER) * N;
    linear_int8_dots<<<row_blocks(teams, K), row_threads(K), 0, stream_of(ctx)>>>(c, packed);
    return launched(ctx, "linear_int8_dots");
}
