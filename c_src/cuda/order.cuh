/* order.cuh: a stable sort, which puts side by side what belongs together: for sums by index, and
   for topk.

   scatter_add and the gradient of an embedding add up what has the same index, in the order in
   which it stands. Atomic additions would add in the order in which threads arrive, another one
   each time, and so give other last digits. So elements are sorted by where they go; those that go
   to the same place lie together then, in order, and each such run is added up by itself.

   Plan. Radix sort, a digit of 8 bits at a time, from the lowest. A launch counts the digits of
   each tile of TILE_ITEMS; running totals over the counts, digit by digit, say where the elements
   of each tile and digit go (scan.cuh); a launch moves them there. An element's place among those
   of its digit in a tile follows from the warps before and, in a warp, from votes: 9 ballots tell a
   lane who has the same digit. Each pass reads keys twice and places once, and writes both. */
#ifndef ETUDE_ORDER_CUH
#define ETUDE_ORDER_CUH

#include "scan.cuh"

enum {
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    WARPS = THREADS / WARP,
    ROUNDS_OF_WARP = 8,                 /* of 32 elements each */
    WARP_ITEMS = WARP * ROUNDS_OF_WARP, /* elements of a warp */
    TILE_ITEMS = WARPS * WARP_ITEMS     /* elements of a block */
};

/* Elements by key: place[j] is where the element with key[j] has stood. */
struct ordered {
    int64_t *key, *place;
};

/* A bit for each lane of the warp that is there and has the same digit. All lanes call this. */
ETUDE_DEVICE unsigned lanes_with(int digit, bool there)
{
    unsigned same = __ballot_sync(EVERY_LANE, there);
#pragma unroll
    for (int bit = 0; bit < DIGIT_BITS; bit++) {
        bool mine = digit >> bit & 1;
        unsigned with_bit = __ballot_sync(EVERY_LANE, mine);
        same &= mine ? with_bit : ~with_bit;
    }
    return same;
}

ETUDE_DEVICE int digit_of(int64_t key, int shift)
{
    return (int)(key >> shift) & (DIGITS - 1);
}

/* counts[digit][tile] = how many elements of the tile have the digit. */
static __global__ void __launch_bounds__(THREADS)
    count_digits(const int64_t *key, int64_t n, int shift, int64_t tiles, int64_t *counts)
{
    __shared__ int count[DIGITS];
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        count[threadIdx.x] = 0;
        __syncthreads();
        int64_t to = least(n, (tile + 1) * TILE_ITEMS);
        for (int64_t j = tile * TILE_ITEMS + threadIdx.x; j < to; j += THREADS)
            atomicAdd(&count[digit_of(key[j], shift)], 1); /* whole numbers: any order will do */
        __syncthreads();
        counts[threadIdx.x * tiles + tile] = count[threadIdx.x];
    }
}

/* Where the first element of each warp and digit goes, among those of its tile and digit. */
ETUDE_DEVICE void count_of_warps(const int64_t *key, int64_t from, int64_t n, int shift,
                                 int (*before)[DIGITS])
{
    int warp = (int)threadIdx.x / WARP, digit = (int)threadIdx.x;
    for (int w = 0; w < WARPS; w++)
        before[w][digit] = 0;
    __syncthreads();
    for (int round = 0; round < ROUNDS_OF_WARP; round++) {
        int64_t j = from + round * WARP;
        if (j < n)
            atomicAdd(&before[warp][digit_of(key[j], shift)], 1);
    }
    __syncthreads();
    int total = 0;
    for (int w = 0; w < WARPS; w++) {
        int here = before[w][digit];
        before[w][digit] = total;
        total += here;
    }
    __syncthreads();
}

/* ends[digit][tile]: the running total of counts, so the place behind the last element. */
static __global__ void __launch_bounds__(THREADS)
    place_by_digit(ordered from, ordered to, int64_t n, int shift, int64_t tiles,
                   const int64_t *ends)
{
    __shared__ int before[WARPS][DIGITS];
    __shared__ int64_t start[DIGITS];
    int warp = (int)threadIdx.x / WARP, lane = lane_of_warp();
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        int64_t row = threadIdx.x * tiles + tile;
        start[threadIdx.x] = row ? ends[row - 1] : 0;
        int64_t first = tile * TILE_ITEMS + warp * WARP_ITEMS + lane;
        count_of_warps(from.key, first, n, shift, before);
        for (int round = 0; round < ROUNDS_OF_WARP; round++) {
            int64_t j = first + round * WARP;
            int64_t key = j < n ? from.key[j] : 0;
            int digit = digit_of(key, shift);
            unsigned same = lanes_with(digit, j < n);
            int earlier = __popc(same & ((1u << lane) - 1));
            int at = before[warp][digit] + earlier;
            __syncwarp(); /* all lanes have read `before` */
            if (j < n) {
                to.key[start[digit] + at] = key;
                to.place[start[digit] + at] = from.place[j];
                if (earlier == 0)
                    before[warp][digit] = at + __popc(same);
            }
            __syncwarp();
        }
        __syncthreads(); /* the shared arrays are free again */
    }
}

/* ---- On the host ----------------------------------------------------------------------------- */

/* Scratch memory for a sort of n elements: two of `ordered`, the counts, and what scan wants. */
static inline int64_t tiles_of(int64_t n)
{
    return pieces(n, TILE_ITEMS);
}

static inline size_t bytes_of_order(int64_t n)
{
    return (size_t)(4 * n + DIGITS * tiles_of(n)) * sizeof(int64_t) +
           bytes_of_scan(1, DIGITS * tiles_of(n), 1);
}

/* The unsorted elements, which the caller writes; `scratch` is bytes_of_order(n) bytes. */
static inline ordered elements_of(void *scratch, int64_t n)
{
    int64_t *key = (int64_t *)scratch;
    return {key, key + n};
}

/* Sorts them by the lowest `bits` of their keys; *sorted says where they lie then: after an even
   number of digits where they were. */
static inline int sort_by_bits(etude_context *ctx, const char *op, void *scratch, int64_t n,
                               int bits, ordered *sorted)
{
    ordered from = elements_of(scratch, n), to = elements_of(from.place + n, n);
    int64_t *counts = to.place + n, tiles = tiles_of(n);
    void *rest = counts + DIGITS * tiles;
    unsigned blocks = blocks_along(tiles, 1);
    for (int shift = 0; shift < bits; shift += DIGIT_BITS) {
        count_digits<<<blocks, THREADS, 0, stream_of(ctx)>>>(from.key, n, shift, tiles, counts);
        int status = launched(ctx, op);
        if (status == ETUDE_OK)
            status = scan<running_sum<uint64_t>>(ctx, op, 1, DIGITS * tiles, 1, rest, counts,
                                                 counts);
        if (status != ETUDE_OK)
            return status;
        place_by_digit<<<blocks, THREADS, 0, stream_of(ctx)>>>(from, to, n, shift, tiles, counts);
        if ((status = launched(ctx, op)) != ETUDE_OK)
            return status;
        ordered swapped = from;
        from = to;
        to = swapped;
    }
    *sorted = from;
    return ETUDE_OK;
}

/* The same by keys from 0 to limit - 1. */
static inline int sort_by_key(etude_context *ctx, const char *op, void *scratch, int64_t n,
                              int64_t limit, ordered *sorted)
{
    int bits = 0;
    while (bits < 63 && (limit - 1) >> bits > 0)
        bits++;
    return sort_by_bits(ctx, op, scratch, n, bits, sorted);
}

/* ---- Runs of one key ------------------------------------------------------------------------- */

/* Where the run that begins at j ends. */
ETUDE_DEVICE int64_t end_of_run(const int64_t *key, int64_t j, int64_t n)
{
    int64_t low = j, high = n; /* key[low] is of the run, key[high] is not */
    for (int64_t step = 1; low + step < n && high == n; step *= 2)
        if (key[low + step] == key[j])
            low += step;
        else
            high = low + step;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (key[middle] == key[j])
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Whether a run begins at j. */
ETUDE_DEVICE bool begins_run(const int64_t *key, int64_t j)
{
    return j == 0 || key[j - 1] != key[j];
}

#endif
