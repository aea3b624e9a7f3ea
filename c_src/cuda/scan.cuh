/* scan.cuh: running totals, y[o][j][i] = x[o][0][i] + ... + x[o][j][i], for cumsum and for sorting,
   and running products, for the gradient of a product.

   x, y: outer x n x inner. What is joined, a struct says, such as `running_sum` below:
     total            the type of totals: double for floats, and integers that wrap
     none()           the total of no numbers: joined with v it is v
     join(before, v)  both together

   Plan. Bound by memory. inner = 1: a group of threads takes a run of a row, 16 bytes each at a
   time; as many threads as the row keeps busy, up to a warp, and a whole block where it is long. In
   a warp totals travel upwards by shuffles, and what the warps before have goes through shared
   memory. inner > 1: a thread takes a column, so that a warp reads side by side. Long rows and
   columns are cut into segments: the first launch adds each up (reduce.cuh), the second makes
   running totals of those, and the third begins each segment with what the ones before come to.
   Rows that do not begin at 16 bytes are read a number at a time, from sectors that the cache still
   has.

   A total joins earlier numbers alone, so a NaN or an infinity does not go backwards. The sum of
   nothing is -0, since -0 + x is x for every x. */
#ifndef ETUDE_SCAN_CUH
#define ETUDE_SCAN_CUH

#include "reduce.cuh"

enum {
    SCAN_RUN = 4096,   /* numbers of a row that one block walks through */
    SCAN_COLUMN = 256  /* rows that one thread of a column walks through */
};

template <class W> ETUDE_METHOD W no_total() { return 0; }
template <> ETUDE_METHOD double no_total<double>() { return -0.0; }

template <class W> struct running_sum {
    typedef W total;
    static ETUDE_METHOD W none() { return no_total<W>(); }
    static ETUDE_METHOD W join(W before, W v) { return before + v; }
};

template <class S> struct total_of_segment {
    typedef typename S::total wide;
    ETUDE_METHOD wide start() const { return S::none(); }
    template <class X> ETUDE_METHOD wide of(int64_t, int64_t, X v) const { return (wide)v; }
    ETUDE_METHOD wide join(wide a, wide b) const { return S::join(a, b); }
    ETUDE_METHOD wide result(wide a) const { return a; }
};

struct scan_shape {
    int64_t outer, n, inner;
    int64_t segment, segments; /* rows of a segment, and how many there are */
    int group;                 /* threads of a row: 1, 2, 4, ... 32, or all of the block */
    bool whole;                /* packs of a row are one load and one store */
};

/* The totals of what the lanes of a group have, in each lane up to its own. */
template <class S, class W> ETUDE_DEVICE W totals_up_to(W v, int mine, int group)
{
    for (int apart = 1; apart < group && apart < WARP; apart *= 2) {
        W before = __shfl_up_sync(EVERY_LANE, v, apart);
        if (mine % WARP >= apart)
            v = S::join(before, v);
    }
    return v;
}

/* What the threads of a group before this one have, v being its own, beginning with *before; and
   *before becomes the total of all. All threads of the block call this. */
template <class S, class W> ETUDE_DEVICE W total_before(W v, int mine, int group, W *before)
{
    __shared__ W part[THREADS / WARP];
    W upto = totals_up_to<S>(v, mine, group), here = *before;
    W earlier = __shfl_up_sync(EVERY_LANE, upto, 1);
    if (group > WARP) {
        if (lane_of_warp() == WARP - 1)
            part[mine / WARP] = upto;
        __syncthreads();
        for (int k = 0; k < group / WARP; k++) {
            here = k == mine / WARP ? *before : here;
            *before = S::join(*before, part[k]);
        }
        __syncthreads(); /* part is free again */
    } else {
        W all = __shfl_sync(EVERY_LANE, upto, lane_of_warp() | (group - 1));
        *before = S::join(*before, all);
    }
    return mine % least(group, WARP) ? S::join(here, earlier) : here;
}

/* One segment of a row, n numbers. `before` is what the segments before it come to. */
template <class S, class X, class Y, class W>
ETUDE_DEVICE void scan_run(const scan_shape &s, const X *x, Y *y, int64_t n, W before, bool there)
{
    constexpr int N = 16 / WIDEST<X, Y>;
    int mine = (int)threadIdx.x % s.group;
    for (int64_t from = 0; from < n; from += s.group * N) {
        int64_t j = from + mine * N;
        bool full = s.whole && j + N <= n;
        pack<N, X> given = {};
        if (there && full)
            given = load<N>(x + j);
        W total[N];
#pragma unroll
        for (int e = 0; e < N; e++) {
            bool some = there && j + e < n;
            W v = !some ? S::none() : (W)(full ? given.at[e] : x[j + e]);
            total[e] = e ? S::join(total[e - 1], v) : v;
        }
        W earlier = total_before<S>(total[N - 1], mine, s.group, &before);
        pack<N, Y> made;
#pragma unroll
        for (int e = 0; e < N; e++)
            made.at[e] = (Y)S::join(earlier, total[e]);
        if (there && full)
            store<N>(y + j, made);
        else
#pragma unroll
            for (int e = 0; e < N; e++)
                if (there && j + e < n)
                    y[j + e] = made.at[e];
    }
}

template <class S, class W, class X, class Y>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    scan_rows(scan_shape s, const W *totals, const X *x, Y *y)
{
    int64_t groups = (int)blockDim.x / s.group, mine = (int)threadIdx.x / s.group;
    for (int64_t first = blockIdx.x * groups; first < s.outer; first += gridDim.x * groups)
        for (int64_t k = blockIdx.y; k < s.segments; k += gridDim.y) {
            int64_t row = first + mine, at = row * s.n + k * s.segment;
            bool there = row < s.outer;
            W before = there && k ? totals[row * s.segments + k - 1] : S::none();
            scan_run<S>(s, x + at, y + at, least(s.segment, s.n - k * s.segment), before, there);
        }
}

template <class S, class W, class X, class Y>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    scan_columns(scan_shape s, const W *totals, const X *x, Y *y)
{
    int64_t i = first_item();
    if (i >= s.inner)
        return;
    for (int64_t o = blockIdx.y; o < s.outer; o += gridDim.y)
        for (int64_t k = blockIdx.z; k < s.segments; k += gridDim.z) {
            int64_t from = k * s.segment, to = least(s.n, from + s.segment);
            W total = k ? totals[(o * s.segments + k - 1) * s.inner + i] : S::none();
            for (int64_t j = from; j < to; j++) {
                int64_t at = (o * s.n + j) * s.inner + i;
                total = S::join(total, (W)x[at]);
                y[at] = (Y)total;
            }
        }
}

/* One launch. totals: what each segment and those before it come to, or NULL for one segment. */
template <class S, class W, class X, class Y>
static int scan_launched(etude_context *ctx, const char *op, scan_shape s, const W *totals,
                         const X *x, Y *y)
{
    if (s.inner == 1) {
        constexpr int N = 16 / WIDEST<X, Y>;
        s.whole = aligned(x) && aligned(y) && (s.outer == 1 || s.n % N == 0);
        s.group = group_of(s.n, N);
        unsigned threads = threads_for(least(s.outer, THREADS) * s.group);
        dim3 grid(blocks_along(s.outer, threads / s.group), blocks_along(s.segments, 1));
        scan_rows<S><<<grid, threads, 0, stream_of(ctx)>>>(s, totals, x, y);
    } else {
        unsigned threads = threads_for(s.inner);
        dim3 grid((unsigned)pieces(s.inner, threads), blocks_along(s.outer, 1),
                  blocks_along(s.segments, 1));
        scan_columns<S><<<grid, threads, 0, stream_of(ctx)>>>(s, totals, x, y);
    }
    return launched(ctx, op);
}

static inline scan_shape scan_shape_of(int64_t outer, int64_t n, int64_t inner)
{
    scan_shape s = {};
    s.outer = outer, s.n = n, s.inner = inner;
    s.segment = inner == 1 ? SCAN_RUN : SCAN_COLUMN;
    s.segments = pieces(n, s.segment);
    return s;
}

/* Bytes of scratch memory that `scan` wants. */
static inline size_t bytes_of_scan(int64_t outer, int64_t n, int64_t inner)
{
    scan_shape s = scan_shape_of(outer, n, inner);
    return s.segments > 1 ? (size_t)(outer * s.segments * inner) * sizeof(int64_t) : 0;
}

/* x and y may be the same array. */
template <class S, class X, class Y>
static int scan(etude_context *ctx, const char *op, int64_t outer, int64_t n, int64_t inner,
                void *scratch, const X *x, Y *y)
{
    typedef typename S::total W;
    scan_shape s = scan_shape_of(outer, n, inner);
    W *totals = (W *)scratch;
    if (outer * n * inner == 0)
        return ETUDE_OK;
    if (s.segments == 1)
        return scan_launched<S>(ctx, op, s, (const W *)NULL, x, y);
    total_of_segment<S> total;
    int status = inner == 1
        ? rows_launched(ctx, op, total, outer, n, s.segment, totals, x)
        : columns_launched(ctx, op, total, outer, n, inner, s.segment, totals, x);
    if (status)
        return status;
    scan_shape all = s;
    all.n = all.segment = s.segments;
    all.segments = 1;
    status = scan_launched<S>(ctx, op, all, (const W *)NULL, (const W *)totals, totals);
    return status ? status : scan_launched<S>(ctx, op, s, (const W *)totals, x, y);
}

#endif
