/* reduce.cuh: what becomes of a row or a column when its numbers are joined into one: sums,
   products, extremes and their places, variances, losses.

   x: outer x n x inner, or several arrays of that shape; y: outer x inner.

   A reduction is a struct with
     wide                    the type in which numbers are joined
     start()                 what is joined over no numbers; start joined with a is a
     of(o, j, v, ...)        what element j of result number o, which is v, adds to it
     join(a, b)              both together
     result(a)               y, from all of them

   Plan. Bound by memory. inner = 1, along rows: a group of threads takes a row, 16 bytes each at a
   time; as many threads as the row keeps busy, up to a warp, and a whole block where it is long. In
   a warp they pass their results on by shuffles, between warps through shared memory. inner > 1,
   down columns: a block is a tile of neighbouring columns, so that a warp reads side by side, and
   of several rows, whose results meet in shared memory.

   Long rows and columns are cut into segments, whose results go to scratch memory and are joined by
   a second launch. Which thread takes which number, and so the order of every sum, follows from n
   and inner alone, never from the card. Sums run in double, since float would lose numbers of a
   million: a card adds them in less time than it loads them. */
#ifndef ETUDE_REDUCE_CUH
#define ETUDE_REDUCE_CUH

#include "pointwise.cuh"

enum {
    ROW_SEGMENT = 16384, /* numbers of a row that one block joins */
    SOME = 4,            /* numbers worth a thread, where it takes one at a time */
    LONG_ROW = 2048,     /* a longer row gets a block of its own, a shorter one a warp at most */
    COLUMN_STEPS = 64    /* rows of a segment that one thread of a column joins */
};

/* The result of a segment. The struct of the second launch joins what is joined already. */
template <class R> struct first_of : R {
    ETUDE_METHOD typename R::wide result(typename R::wide a) const { return a; }
};

template <class R> struct second_of : R {
    ETUDE_METHOD typename R::wide of(int64_t, int64_t, typename R::wide a) const { return a; }
};

/* What the lane `apart` above has. */
template <class T> ETUDE_DEVICE T from_above(T x, int apart)
{
    return __shfl_down_sync(EVERY_LANE, x, apart);
}

/* ---- Along rows ------------------------------------------------------------------------------ */

struct row_shape {
    int64_t rows, n, segments; /* y: rows x segments */
    int64_t segment;           /* numbers of a segment */
    int group;                 /* threads of a segment: 1, 2, 4, ... 32, or all of the block */
    bool packed;               /* threads take packs of a row, and not single numbers */
    bool whole;                /* a pack is one load */
};

template <int N, class T> ETUDE_DEVICE pack<N, T> pack_of(const T *from, bool whole)
{
    if (whole)
        return load<N>(from);
    pack<N, T> x;
#pragma unroll
    for (int e = 0; e < N; e++)
        x.at[e] = from[e];
    return x;
}

template <class R, int N, class... X>
ETUDE_DEVICE typename R::wide joined_pack(const R &r, typename R::wide a, int64_t o, int64_t j,
                                          const pack<N, X> &...x)
{
#pragma unroll
    for (int e = 0; e < N; e++)
        a = r.join(a, r.of(o, j + e, x.at[e]...));
    return a;
}

/* What thread number `mine` of a group joins of the elements from <= j < to of a row. */
template <class R, class... X>
ETUDE_DEVICE typename R::wide joined_part(const R &r, const row_shape &s, int mine, int64_t o,
                                          int64_t from, int64_t to, const X *...x)
{
    constexpr int N = 16 / WIDEST<X...>;
    typename R::wide a = r.start();
    if (s.packed) {
#pragma unroll 4
        for (int64_t j = from + mine * N; j + N <= to; j += s.group * N)
            a = joined_pack<R, N>(r, a, o, j, pack_of<N>(x + j, s.whole)...);
        from = to - (to - from) % N;
    }
#pragma unroll 4
    for (int64_t j = from + mine; j < to; j += s.group)
        a = r.join(a, r.of(o, j, x[j]...));
    return a;
}

/* Joins what the threads of a group have; thread 0 of the group gets it. All threads of the block
   call this. */
template <class R>
ETUDE_DEVICE typename R::wide joined_group(const R &r, typename R::wide a, int group)
{
    typedef typename R::wide wide;
    __shared__ wide part[THREADS / WARP];
    for (int apart = (group < WARP ? group : WARP) / 2; apart > 0; apart /= 2)
        a = r.join(a, from_above(a, apart));
    if (group <= WARP)
        return a;
    int warps = group / WARP;
    if (lane_of_warp() == 0)
        part[threadIdx.x / WARP] = a;
    __syncthreads();
    if (threadIdx.x < WARP) {
        a = lane_of_warp() < warps ? part[lane_of_warp()] : r.start();
        for (int apart = warps / 2; apart > 0; apart /= 2)
            a = r.join(a, from_above(a, apart));
    }
    __syncthreads(); /* part is free again */
    return a;
}

/* One segment of as many rows as the block has groups. */
template <class R, class Y, class... X>
ETUDE_DEVICE void reduce_segment(const R &r, const row_shape &s, int64_t row, int64_t segment,
                                 Y *y, const X *...x)
{
    int mine = (int)threadIdx.x % s.group;
    typename R::wide a = r.start();
    if (row < s.rows) {
        int64_t from = segment * s.segment, to = least(s.n, from + s.segment);
        a = joined_part(r, s, mine, row, from, to, (x + row * s.n)...);
    }
    a = joined_group(r, a, s.group);
    if (mine == 0 && row < s.rows)
        y[row * s.segments + segment] = r.result(a);
}

template <class R, class Y, class... X>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    reduce_rows(R r, row_shape s, Y *y, const X *...x)
{
    int64_t groups = (int)blockDim.x / s.group, mine = (int)threadIdx.x / s.group;
    for (int64_t first = blockIdx.x * groups; first < s.rows; first += gridDim.x * groups)
        for (int64_t segment = blockIdx.y; segment < s.segments; segment += gridDim.y)
            reduce_segment(r, s, first + mine, segment, y, x...);
}

/* The threads that a row of n keeps busy, taking `each` numbers at a time. */
static inline int group_of(int64_t n, int each)
{
    int group = 1;
    while (group < WARP && group * each < n)
        group *= 2;
    return n > LONG_ROW ? (int)THREADS : group;
}

/* One launch: the segments of all rows. */
template <class R, class Y, class... X>
static int rows_launched(etude_context *ctx, const char *op, R r, int64_t rows, int64_t n,
                         int64_t segment, Y *y, const X *...x)
{
    constexpr int N = 16 / WIDEST<X...>;
    row_shape s = {};
    s.rows = rows, s.n = n, s.segment = segment, s.segments = most(1, pieces(n, segment));
    s.packed = rows == 1 || n % N == 0;
    s.whole = (aligned(x) && ...);
    s.group = group_of(n, s.packed ? N : SOME);
    unsigned threads = threads_for(least(rows, THREADS) * s.group);
    dim3 grid(blocks_along(rows, threads / s.group), blocks_along(s.segments, 1));
    reduce_rows<<<grid, threads, 0, stream_of(ctx)>>>(r, s, y, x...);
    return launched(ctx, op);
}

/* ---- Down columns ---------------------------------------------------------------------------- */

struct column_shape {
    int64_t outer, n, inner, segments; /* y: outer x segments x inner */
    int64_t segment;                   /* rows of a segment */
};

/* One segment of a tile of columns. */
template <class R, class Y, class... X>
ETUDE_DEVICE void reduce_tile(const R &r, const column_shape &s, int64_t o, int64_t segment, Y *y,
                              const X *...x)
{
    typedef typename R::wide wide;
    __shared__ wide part[THREADS];
    int64_t i = first_item(), from = segment * s.segment, to = least(s.n, from + s.segment);
    int mine = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    wide a = r.start();
    if (i < s.inner)
#pragma unroll 4
        for (int64_t j = from + threadIdx.y; j < to; j += blockDim.y)
            a = r.join(a, r.of(o * s.inner + i, j, x[(o * s.n + j) * s.inner + i]...));
    part[mine] = a;
    for (int half = (int)blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half)
            part[mine] = r.join(part[mine], part[mine + half * (int)blockDim.x]);
    }
    if (threadIdx.y == 0 && i < s.inner)
        y[(o * s.segments + segment) * s.inner + i] = r.result(part[mine]);
    __syncthreads(); /* part is free again */
}

template <class R, class Y, class... X>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    reduce_columns(R r, column_shape s, Y *y, const X *...x)
{
    for (int64_t o = blockIdx.y; o < s.outer; o += gridDim.y)
        for (int64_t segment = blockIdx.z; segment < s.segments; segment += gridDim.z)
            reduce_tile(r, s, o, segment, y, x...);
}

/* A tile of threads: columns side by side, and as many rows as that leaves. */
static dim3 column_tile(int64_t n, int64_t inner)
{
    unsigned wide = 2, high = 1;
    while (wide < WARP && wide < inner)
        wide *= 2;
    while (wide * high < THREADS && high < n)
        high *= 2;
    return dim3(wide, high);
}

template <class R, class Y, class... X>
static int columns_launched(etude_context *ctx, const char *op, R r, int64_t outer, int64_t n,
                            int64_t inner, int64_t segment, Y *y, const X *...x)
{
    dim3 tile = column_tile(n, inner);
    column_shape s = {outer, n, inner, most(1, pieces(n, segment)), segment};
    dim3 grid((unsigned)pieces(inner, tile.x), blocks_along(outer, 1), blocks_along(s.segments, 1));
    reduce_columns<<<grid, tile, 0, stream_of(ctx)>>>(r, s, y, x...);
    return launched(ctx, op);
}

/* ---- Both ------------------------------------------------------------------------------------ */

/* Numbers, or rows, of a segment. */
static inline int64_t segment_of(int64_t n, int64_t inner)
{
    return inner == 1 ? (int64_t)ROW_SEGMENT : COLUMN_STEPS * (int64_t)column_tile(n, inner).y;
}

/* Bytes of the results of segments, 0 where there is but one. */
template <class R> static size_t bytes_of_segments(int64_t outer, int64_t n, int64_t inner)
{
    int64_t segments = pieces(n, segment_of(n, inner));
    return segments > 1 ? (size_t)(outer * segments * inner) * sizeof(typename R::wide) : 0;
}

/* y = x reduced along n. `segments` is scratch memory, as much as bytes_of_segments says. */
template <class R, class Y, class... X>
static int reduce(etude_context *ctx, const char *op, R r, int64_t outer, int64_t n, int64_t inner,
                  void *segments, Y *y, const X *...x)
{
    typename R::wide *part = (typename R::wide *)segments;
    if (outer * inner == 0)
        return ETUDE_OK;
    int64_t segment = segment_of(n, inner), parts = pieces(n, segment);
    if (inner == 1) {
        if (parts <= 1)
            return rows_launched(ctx, op, r, outer, n, segment, y, x...);
        int status = rows_launched(ctx, op, first_of<R>{r}, outer, n, segment, part, x...);
        return status ? status : rows_launched(ctx, op, second_of<R>{r}, outer, parts, parts, y,
                                               (const typename R::wide *)part);
    }
    if (parts <= 1)
        return columns_launched(ctx, op, r, outer, n, inner, segment, y, x...);
    int status = columns_launched(ctx, op, first_of<R>{r}, outer, n, inner, segment, part, x...);
    return status ? status : columns_launched(ctx, op, second_of<R>{r}, outer, parts, inner, parts,
                                              y, (const typename R::wide *)part);
}

/* The same where nothing else is wanted of scratch memory. */
template <class R, class Y, class... X>
static int reduce(etude_context *ctx, const char *op, R r, int64_t outer, int64_t n, int64_t inner,
                  Y *y, const X *...x)
{
    size_t bytes = bytes_of_segments<R>(outer, n, inner);
    void *segments = bytes ? etude_scratch(ctx, bytes) : NULL;
    if (bytes && !segments)
        return ETUDE_NO_MEMORY;
    return reduce(ctx, op, r, outer, n, inner, segments, y, x...);
}

#endif
